"""A process that works on a case until it is killed, again and again; started by ``test_survival``.

The work is done by forks of this process, so that a trial costs no start of an interpreter.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from faceloupe.cases.audit_log import STORE
from faceloupe.cases.blobs import BlobStore
from faceloupe.cases.store import CaseStore
from tests.cases.conftest import report_of, upload


def work(folder: Path, case_id: str, birthplace: Path, chance: random.Random, pipe: int) -> None:
    """Create a store, then file evidence and runs in another one, without end; write each hash to a pipe."""
    CaseStore(birthplace)
    store = CaseStore(folder)
    while True:
        content = chance.randbytes(chance.choice((10, 50_000, 3_000_000)))
        item = store.items.file(case_id, upload(content, "x" * 20), actor="Worker")
        os.write(pipe, f"{item.sha256}\n".encode())
        store.runs.begin(case_id, item.sha256, actor="Worker")
        store.runs.add(case_id, item.sha256, report_of(item.sha256), {"a.png": content[:1000]}, actor="Worker")


def trial(folder: Path, case_id: str, birthplace: Path, chance: random.Random) -> list[str]:
    """Start the work, kill it, and return the hashes it reported."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work(folder, case_id, birthplace, chance, writing)
        finally:
            os._exit(1)  # see tests.bundle.killed
    os.close(writing)
    with os.fdopen(reading) as pipe:
        first = pipe.readline() if chance.random() < 0.5 else ""  # so that much is filed on slow machines, too
        time.sleep(chance.uniform(0.0, 0.04))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the work stopped before it was killed"
        return (first + pipe.read()).split()


def whole(folder: Path) -> bool:
    """Whether the content of every file matches the hash in its name."""
    for kind in ("evidence", "pictures"):
        blobs = BlobStore(folder / kind, folder / "incoming")
        for path in (folder / kind).rglob("*"):
            if path.is_file():
                blobs.check(path.parent.name + path.name)
    return True


def main(folder: Path, trials: int, seed: int) -> None:
    """Write the results of the trials as a line of JSON."""
    chance = random.Random(seed)
    case_id = CaseStore(folder).create_case("Killed", examiner="Ann").id
    reported: list[str] = []
    interrupted = leftovers = 0
    for number in range(trials):
        birthplace = folder.with_name(f"born-{number}")
        reported += trial(folder, case_id, birthplace, random.Random(chance.random()))
        assert CaseStore(birthplace).log.verify_all()[STORE].ok, "a store that was half made is made"
        leftovers += len(list((folder / "incoming").iterdir()))
        store = CaseStore(folder)
        assert not list((folder / "incoming").iterdir()), "the next one to open the store clears away"
        checks = store.log.verify_all()
        assert set(checks) == {case_id, STORE}
        assert all(check.ok for check in checks.values()), checks
        unfinished = store.items.unfinished()
        interrupted = len(unfinished)
        filed = {item.sha256 for item in store.items.page(case_id, limit=10**6).items}
        assert filed.issuperset(reported), "what the store has taken over is lost"
    assert whole(folder)
    stored = {path.parent.name + path.name for path in (folder / "evidence").rglob("*") if path.is_file()}
    strays = {work.sha256 for work in unfinished if work.action == "intake" and work.stored}
    assert stored == filed | strays, "what is stored is filed, or reported"
    result = {"filed": len(filed), "interrupted": interrupted, "leftovers": leftovers, "strays": len(strays)}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
