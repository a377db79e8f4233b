"""Run the evasion bench: ``python -m tools.evade --data ../shared/data --effort quick``."""

import argparse
import sys
from pathlib import Path

from faceloupe.analysis.pipeline import Networks
from faceloupe.analysis.prefetch import use_one_network_thread
from faceloupe.config import EFFORTS, Settings
from faceloupe.errors import FaceLoupeError
from tools.evade.bench import Judge, measure
from tools.evade.page import counted, read_counts, write_counts, write_page


def main(arguments: list[str] | None = None) -> int:
    """Measure one effort, and write its counts and the page."""
    parser = argparse.ArgumentParser(prog="python -m tools.evade", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the material")
    parser.add_argument("--snapshots", type=Path, default=Path("../snapshots"), help="folder of repositories (cross)")
    parser.add_argument("--effort", choices=tuple(EFFORTS), default="quick")
    parser.add_argument("--pictures", type=int, default=50, help="of each split and class that are transformed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("build/evade"), help="folder of the journals")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the page and its counts")
    parser.add_argument("--page-only", action="store_true", help="write the page from the counts that are there")
    options = parser.parse_args(arguments)
    try:
        if not options.page_only:
            _run(options)
        write_page(read_counts(options.docs / "evasion"), options.docs / "evasion.md")
    except FaceLoupeError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    use_one_network_thread()
    networks = Networks.load(Settings(effort=options.effort))
    verdicts = measure(
        Judge(networks, options.work / f"{options.effort}.jsonl"),
        data=options.data,
        snapshots=options.snapshots,
        wanted=options.pictures,
        seed=options.seed,
        report=lambda line: print(line, flush=True),
    )
    counts = counted(verdicts, options.effort, networks.scorer.record.id)
    print(f"wrote {write_counts(counts, options.docs / 'evasion')}")


if __name__ == "__main__":
    sys.exit(main())
