"""A process that exports a case until it is killed, again and again; started by ``test_export``."""

import os
import random
import signal
import sys
import time
from pathlib import Path

from faceloupe.bundle.export import export_case
from faceloupe.bundle.verify import verify
from faceloupe.cases.store import CaseStore


def started(folder: Path, case_id: str, target: Path, pause: float) -> int:
    """Start an export in a process that ends some seconds after it, and return its number.

    This process never exports: the threads that draw a PDF would be missing in the processes that are forked from it.
    """
    child = os.fork()
    if child == 0:
        try:
            export_case(CaseStore(folder), case_id, target, actor="Ann", with_evidence=True)
            time.sleep(pause)
            os._exit(0)
        finally:
            os._exit(1)  # where the parent is gone: here `child` is 0, and a signal to 0 would end the whole group
    return child


def trial(folder: Path, case_id: str, target: Path, delay: float) -> None:
    """Start an export, and kill it after some seconds."""
    child = started(folder, case_id, target, pause=60)  # so that it is always killed
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the export stopped before it was killed"


def main(folder: Path, case_id: str, trials: int) -> None:
    """Write how many bundles were whole, and how many there are not."""
    chance, store, whole = random.Random(trials), CaseStore(folder), 0
    began = time.monotonic()
    _, status = os.waitpid(started(folder, case_id, folder.with_name("first.zip"), pause=0), 0)
    assert status == 0, "the first export failed"
    longest = 1.5 * (time.monotonic() - began)
    for number in range(trials):
        target = folder.with_name(f"{number}.zip")
        trial(folder, case_id, target, chance.uniform(0.0, longest))
        if target.exists():
            with target.open("rb") as stream:
                assert verify(stream).good, "there is half a bundle under the final name"
            target.unlink()
            whole += 1
    assert store.log.verify(case_id).ok
    logged = {entry.action for entry in store.log.entries(case_id)}
    assert "export" in logged
    sys.stdout.write(f"{whole} {trials - whole}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
