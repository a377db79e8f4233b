"""``faceloupe batch``: its arguments, and what it shows."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from faceloupe.config import Settings
from faceloupe.errors import UsageError

if TYPE_CHECKING:
    from faceloupe.batch.api import EngineMaker
    from faceloupe.batch.driver import Tally
    from faceloupe.cli.case import Console

_SUFFIXES = (".csv", ".parquet")


def add_batch(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``faceloupe batch``."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="a folder, a file, a ZIP, or - for a list of them on stdin"
    )
    parser.add_argument(
        "--csv", metavar="OUT", type=Path, required=True, help="the table; Parquet if it ends in .parquet"
    )
    parser.add_argument("--workers", metavar="N", type=int, help="worker processes; as many as there are cores else")
    parser.add_argument("--resume", action="store_true", help="go on with a table that was begun")
    parser.add_argument("--json-dir", metavar="DIR", type=Path, help="also keep the full reports there")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="what carries out the work")
    parser.add_argument("--ray-address", metavar="ADDRESS", help="of a Ray cluster; this machine alone else")


def batch(options: argparse.Namespace, settings: Settings, console: "Console") -> int:
    """``faceloupe batch``."""
    from faceloupe.batch.api import Order, carry_out

    if options.csv.suffix not in _SUFFIXES:
        raise UsageError(f"The table must end in {' or '.join(_SUFFIXES)}, not {options.csv.name!r}.")
    order = Order(tuple(options.paths), options.csv, options.resume, options.json_dir)
    progress = partial(_show, console) if sys.stderr.isatty() else None
    try:
        tally = carry_out(
            order, settings, engine=_engine(options), stdin=getattr(sys.stdin, "buffer", None), progress=progress
        )
    finally:
        console.clear()
    console.emit(summary(tally, options.csv))
    if not tally.done:
        console.complain("there are no files at the paths given; the table holds its header alone.")
    return 0


def _engine(options: argparse.Namespace) -> "EngineMaker":
    if options.engine == "ray":
        from faceloupe.batch.executors.ray import RayEngine

        return partial(RayEngine, address=options.ray_address, workers=options.workers)
    if options.ray_address:
        raise UsageError("--ray-address goes with --engine ray.")
    from faceloupe.batch.executors.local import LocalEngine

    return partial(LocalEngine, workers=options.workers)


def _show(console: "Console", tally: "Tally") -> None:
    whole = "" if tally.total is None else f" of {max(tally.total, tally.done):,}"
    rate = "" if tally.rate is None else f", {tally.rate:.1f} a second"
    left = "" if tally.seconds_left is None else f", {_duration(tally.seconds_left)} left"
    console.progress(f"{tally.done:,} files{whole}{rate}{left}: {_outcomes(tally)}", tally.share or 0.0)


def _outcomes(tally: "Tally") -> str:
    counts = [f"{count:,} {outcome.value.replace('_', ' ')}" for outcome, count in tally.outcomes.items() if count]
    return ", ".join(counts) or "none yet"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def summary(tally: "Tally", out: Path) -> str:
    """What a batch came to, as lines to read."""
    lines = [f"Table      {out}"]
    before = f", {tally.resumed:,} of them before" if tally.resumed else ""
    lines.append(f"Files      {tally.done:,}{before}")
    lines += [
        f"{'Outcomes' if not number else '':<10} {count:>8,}  {outcome.value.replace('_', ' ')}"
        for number, (outcome, count) in enumerate(tally.outcomes.items())
    ]
    lines.append(
        f"Alike      {tally.duplicates:,} of the same bytes as an earlier file, {tally.near_duplicates:,} much like one"
    )
    fresh = tally.done - tally.resumed
    pace = f", {fresh / tally.seconds:.1f} files a second" if fresh and tally.seconds else ""
    lines.append(f"Time       {_duration(tally.seconds)}{pace}")
    return "\n".join(lines)
