"""``faceloupe batch``: its arguments and its output."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from faceloupe.cli.arguments import folder
from faceloupe.cli.console import Console
from faceloupe.config import Settings
from faceloupe.errors import UsageError

if TYPE_CHECKING:
    from faceloupe.batch.api import EngineMaker
    from faceloupe.batch.driver import BatchProgress

_SUFFIXES = (".csv", ".parquet")


def add_batch(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``faceloupe batch``."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="a folder, a file, a ZIP, or - for a list of them on stdin"
    )
    parser.add_argument(
        "--csv",
        metavar="OUT",
        type=Path,
        required=True,
        help="table to write: CSV, or Parquet if the name ends in .parquet",
    )
    parser.add_argument("--workers", metavar="N", type=int, help="number of worker processes (default: one per core)")
    parser.add_argument("--resume", action="store_true", help="continue a table that is not finished")
    parser.add_argument("--json-dir", metavar="DIR", type=folder, help="also write the full reports to this folder")
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="also analyze what a file holds besides its picture, such as the video of a motion photo, in its own row",
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="where the workers run (default: local)"
    )
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a Ray cluster (default: this machine alone)"
    )


def batch(options: argparse.Namespace, settings: Settings, console: "Console") -> int:
    """Run ``faceloupe batch``; return the exit code."""
    from faceloupe.batch.api import BatchSpec, run_batch  # lazy import: other commands do not need it

    if options.csv.suffix not in _SUFFIXES:
        raise UsageError(f"The table must end in {' or '.join(_SUFFIXES)}, not {options.csv.name!r}.")
    spec = BatchSpec(tuple(options.paths), options.csv, options.resume, options.json_dir, embedded=options.embedded)
    progress = partial(_show, console) if sys.stderr.isatty() else None
    try:
        batch_progress = run_batch(
            spec, settings, make_engine=_engine(options), stdin=getattr(sys.stdin, "buffer", None), progress=progress
        )
    finally:
        console.clear()
    console.emit(summary(batch_progress, options.csv))
    if not batch_progress.done:
        console.complain("there are no files at the given paths; the table contains only its header.")
    return 0


def _engine(options: argparse.Namespace) -> "EngineMaker":
    if options.engine == "ray":
        from faceloupe.batch.executors.ray import RayEngine  # lazy import: other commands do not need it

        return partial(RayEngine, address=options.ray_address, workers=options.workers)
    if options.ray_address:
        raise UsageError("--ray-address needs --engine ray.")
    from faceloupe.batch.executors.local import LocalEngine  # lazy import: other commands do not need it

    return partial(LocalEngine, workers=options.workers)


def _show(console: "Console", batch_progress: "BatchProgress") -> None:
    whole = "" if batch_progress.total is None else f" of {max(batch_progress.total, batch_progress.done):,}"
    rate = "" if batch_progress.rate is None else f", {batch_progress.rate:.1f} per second"
    left = "" if batch_progress.seconds_left is None else f", {_duration(batch_progress.seconds_left)} left"
    console.progress(
        f"{batch_progress.done:,} files{whole}{rate}{left}: {_outcomes(batch_progress)}", batch_progress.share or 0.0
    )


def _outcomes(batch_progress: "BatchProgress") -> str:
    counts = [
        f"{count:,} {outcome.value.replace('_', ' ')}" for outcome, count in batch_progress.outcomes.items() if count
    ]
    return ", ".join(counts) or "none yet"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def summary(batch_progress: "BatchProgress", out: Path) -> str:
    """Return the result of a batch as lines of text."""
    lines = [f"Table      {out}"]
    before = f", {batch_progress.resumed:,} of them in earlier runs" if batch_progress.resumed else ""
    lines.append(f"Files      {batch_progress.done:,}{before}")
    lines += [
        f"{'Outcomes' if not number else '':<10} {count:>8,}  {outcome.value.replace('_', ' ')}"
        for number, (outcome, count) in enumerate(batch_progress.outcomes.items())
    ]
    lines.append(
        f"Duplicates {batch_progress.duplicates:,} identical, {batch_progress.near_duplicates:,} near-identical"
    )
    fresh = batch_progress.done - batch_progress.resumed
    pace = f", {fresh / batch_progress.seconds:.1f} files a second" if fresh and batch_progress.seconds else ""
    lines.append(f"Time       {_duration(batch_progress.seconds)}{pace}")
    return "\n".join(lines)
