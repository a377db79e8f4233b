"""Benchmarks of a large case: ``python -m benchmarks.cases``, also the last part of ``python -m benchmarks.still``.

The store itself makes a case of 10,000 items, each with a run (a real report and a crop), a decision and its log
entries. The benchmarks measure how fast the page Case answers, in a session without a browser, and the time and memory
for exporting and checking its bundle, each in a process of its own, beside a case of 1,000 items.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from streamlit.testing.v1 import AppTest

from faceloupe.analysis import pipeline
from faceloupe.bundle.export import export_case
from faceloupe.bundle.verify import verify
from faceloupe.cases.store import CaseStore
from faceloupe.config import Settings
from faceloupe.installation import APP, ROOT
from faceloupe.media.evidence_file import evidence_from_bytes, open_evidence
from faceloupe.report.build import build
from faceloupe.report.write import pictures_of
from faceloupe.samples import SAMPLES

MANY, FEW = 10_000, 1_000
WHO = "Ada Example"
ROUNDS = 7
_SHARED_MEMORY = Path("/dev/shm")  # here, durable writes of 40,000 transactions take no time


def filled(store: CaseStore, items: int) -> str:
    """Make a case of ``items`` items, and return its id."""
    evidence_file = open_evidence(SAMPLES[0].path, max_bytes=10**9)
    settings = Settings(effort="quick")
    analysis = pipeline.analyze(evidence_file, pipeline.Networks.load(settings))
    crop = next(content for name, content in pictures_of(analysis).items() if name.endswith("-crop.png"))
    case = store.create_case(f"A case of {items:,}", examiner=WHO)
    for number in range(items):
        item = store.items.file(
            case.id, evidence_from_bytes(b"%d" % number, f"frame-{number:05}.jpg", max_bytes=100), actor=WHO
        )
        evidence = replace(analysis.evidence, sha256=item.sha256, name=item.name, size_bytes=item.size_bytes)
        report = build(replace(analysis, evidence=evidence))
        store.runs.begin(case.id, item.sha256, actor=WHO)
        # Bytes after the end of a PNG do not change the picture, but make each file unique.
        store.runs.add(case.id, item.sha256, report, {"face-1-crop.png": crop + b"%d" % number}, actor=WHO)
        store.reviews.decide(
            case.id, item.sha256, outcome="inconclusive", reason="Seen", confidence="low", examiner=WHO
        )
    return case.id


def _answers(title: str, ask: Callable[[int], AppTest]) -> None:
    times = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        at = ask(number)
        times.append(time.perf_counter() - began)
        if at.exception or at.error:
            raise SystemExit(f"{title}: the page failed: {[*at.exception, *at.error]}")
    print(f"{title}: {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f} over {ROUNDS})")


def page(case_id: str) -> None:
    """Print how long the page Case takes to answer."""
    at = AppTest.from_file(str(APP), default_timeout=120).run()
    at.switch_page("../pages/cases.py").run()
    at.text_input(key="examiner_input").set_value(WHO).run()
    at.button(key=f"open-{case_id}").click().run()
    at.switch_page("../pages/case.py").run()
    count = len([button for button in at.button if button.key.startswith("item-")])
    what = f"page Case, {MANY:,} items, {count} on show"
    _answers(f"{what}: drawn anew", lambda _: at.run())
    _answers(f"{what}: the next page", lambda _: at.button(key="page_on").click().run())
    # Each search shows other items, whose results are then logged as seen.
    _answers(
        f"{what}: a search by name", lambda number: at.text_input(key="item_search").set_value(f"{number}77").run()
    )
    _answers(f"{what}: the whole log verified", lambda _: at.button(key="verify_log").click().run())


def _peak_mib() -> float:
    """Return the peak memory of this process so far, MiB."""
    status = Path("/proc/self/status")  # on Linux, ``getrusage`` starts from the parent's memory
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS counts bytes


def measured(part: str, folder: Path, case_id: str, bundle: Path) -> None:
    """Export a case or check its bundle, and print the time and memory that it took."""
    began, before = time.perf_counter(), _peak_mib()
    if part == "export":
        export_case(CaseStore(folder), case_id, bundle, actor=WHO, with_evidence=True)
    else:
        with bundle.open("rb") as stream:
            if not verify(stream).good:
                raise SystemExit("the bundle is not good")
    took, more = time.perf_counter() - began, _peak_mib() - before
    print(f"{took:.1f} s, {more:.0f} MiB of memory over the {before:.0f} at start")


def main() -> int:
    folder = str(_SHARED_MEMORY) if os.access(_SHARED_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="faceloupe-bench-", dir=folder) as name:
        os.environ["FACELOUPE_DATA"] = name
        store = CaseStore(Path(name))
        for items in (FEW, MANY):
            began = time.perf_counter()
            case_id, bundle = filled(store, items), Path(name, f"{items}.zip")
            entries = store.log.head(case_id).seq
            print(f"a case of {items:,} items, {entries:,} log entries, made in {time.perf_counter() - began:.0f} s")
            for part in ("export", "verify"):
                command = [sys.executable, "-m", "benchmarks.cases", part, name, case_id, str(bundle)]
                done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
                print(f"{part} of {items:,} items, {bundle.stat().st_size / 1e6:.0f} MB: {done.stdout.strip()}")
            bundle.unlink()
        page(case_id)
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        sys.exit(main())
