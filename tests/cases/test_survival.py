"""Several writers, killed writers, full disks, closed folders, other versions: nothing is lost or mixed up."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from faceloupe.cases import blobs, database, migrations
from faceloupe.cases.audit_log import STORE
from faceloupe.cases.store import CaseStore
from faceloupe.errors import CaseError, FaceLoupeError
from faceloupe.installation import ROOT
from tests.cases.conftest import actions, filed, report_of, upload

WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from faceloupe.cases.store import CaseStore
from faceloupe.media.evidence_file import evidence_from_bytes

folder, case_id, process = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def write(thread):
    for number in range(4):
        store = CaseStore(folder)
        store.reviews.add_note(case_id, f"{process} {thread} {number}", author="Writer")
        intake = evidence_from_bytes(f"shared {number}".encode(), f"{process}-{thread}-{number}.jpg", max_bytes=100)
        store.items.file(case_id, intake, actor=process)

with ThreadPoolExecutor(8) as pool:
    list(pool.map(write, range(8)))
"""


def start(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "error", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_two_processes_with_eight_threads_each_lose_and_mix_nothing(store, case, folder):
    writers = [start("-c", WRITER, folder, case.id, process) for process in ("one", "two")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdout.close()
    expected = {
        f"{process} {thread} {number}" for process in ("one", "two") for thread in range(8) for number in range(4)
    }
    notes = [note.text for note in store.reviews.notes(case.id)]
    assert (len(notes), set(notes)) == (64, expected)
    assert store.items.page(case.id).total == 4
    assert actions(store, case.id).count("intake") == 64
    assert store.log.verify(case.id).ok
    assert store.items.unfinished() == ()


def test_many_may_make_the_store_at_the_same_moment(folder):
    with ThreadPoolExecutor(16) as pool:
        cases = list(pool.map(lambda n: CaseStore(folder).create_case(f"Case {n}", examiner="Ann"), range(16)))
    store = CaseStore(folder)
    assert {case.id for case in store.cases()} == {case.id for case in cases}
    assert all(check.ok for check in store.log.verify_all().values())
    assert store.log.verify(STORE).entries == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trials are forks")
@pytest.mark.parametrize("trials", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_a_store_outlives_processes_that_are_killed_at_any_moment(folder, trials):
    with start("-m", "tests.cases.killed", folder, trials, trials) as process:
        output = process.communicate(timeout=600)[0]
    assert process.returncode == 0
    values = json.loads(output)
    assert values["filed"] > trials / 4
    assert values["interrupted"] > 0


def test_leftovers_of_the_dead_and_of_long_ago_are_removed_and_no_others(folder, store):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    incoming, host = folder / "incoming", blobs._HOST
    names = {f"{host}-{dead.pid}-a": False, f"{host}-{os.getpid()}-b": True, f"otherhost-{dead.pid}-c": True}
    names |= {"no name of ours": True, f"{host}-{os.getpid()}-old": False}
    for name in names:
        (incoming / name).write_bytes(b"half")
    long_ago = time.time() - 25 * 3600
    os.utime(incoming / f"{host}-{os.getpid()}-old", (long_ago, long_ago))
    CaseStore(folder)
    assert {path.name for path in incoming.iterdir()} == {name for name, stays in names.items() if stays}


def test_work_that_was_begun_and_not_finished_is_reported(store, case):
    item = store.items.file(case.id, upload(), actor="Ann")
    assert store.items.unfinished() == ()
    store.runs.begin(case.id, item.sha256, actor="Ann")
    (work,) = store.items.unfinished()
    assert (work.case_id, work.action, work.sha256, work.name) == (case.id, "run", item.sha256, "face.jpg")
    assert work.stored
    store.runs.fail(case.id, item.sha256, actor="Ann", reason="cancelled")
    assert store.items.unfinished() == ()


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store_of_a_newer_version_is_left_untouched(store, case, folder):
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES ('999_future', '2030')")
    (folder / "incoming" / "leftover").write_bytes(b"")
    os.utime(folder / "incoming" / "leftover", (0, 0))
    before = state(folder)
    with pytest.raises(CaseError, match="newer version"):
        CaseStore(folder)
    assert state(folder) == before


def test_a_later_version_migrates_the_store_and_the_earlier_one_then_refuses_it(store, case, folder, monkeypatch):
    item = filed(store, case)
    later = {"002_later": lambda: iter(["CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT"])}
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS | later)
        upgraded = CaseStore(folder)
        assert (upgraded.case(case.id), upgraded.items.get(case.id, item.sha256)) == (store.case(case.id), item)
        assert upgraded.log.verify(case.id).ok
        assert CaseStore(folder).cases() == upgraded.cases()  # what was applied is not applied again
    with pytest.raises(CaseError) as refusal:
        CaseStore(folder)
    assert str(refusal.value).count(".") == 1
    assert "newer version" in str(refusal.value)


@pytest.mark.parametrize("content", [b"no database " * 500, b"SQLite format 3\x00" + bytes(5000)])
def test_a_damaged_database_is_reported_in_one_sentence(folder, content):
    folder.mkdir()
    (folder / "cases.sqlite").write_bytes(content)
    with pytest.raises(CaseError, match="damaged"):
        CaseStore(folder)
    assert (folder / "cases.sqlite").read_bytes() == content


def test_a_file_where_the_folder_belongs_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CaseError, match="cannot be used"):
        CaseStore(tmp_path / "file")


@pytest.fixture
def nobody():
    """A folder as seen by a user who may only read it."""
    if os.name != "posix":
        pytest.skip("needs the permissions of POSIX")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        store = CaseStore(folder)
        case = store.create_case("Case", examiner="Ann")
        item = filed(store, case)
        for path in (folder.parent, *folder.rglob("*"), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
        privileged = os.geteuid() == 0
        if privileged:
            os.seteuid(65534)
        try:
            yield folder, case, item
        finally:
            if privileged:
                os.seteuid(0)
            for path in (folder.parent, *folder.rglob("*"), folder):
                path.chmod(0o755)


def test_a_folder_that_may_only_be_read_is_reported_in_one_sentence_and_stays_as_it_is(nobody):
    folder, case, _ = nobody
    before = state(folder)
    with pytest.raises(CaseError) as refused:
        CaseStore(folder).reviews.add_note(case.id, "text", author="Ann")
    assert str(refused.value).count(".") - str(folder).count(".") == 1
    with pytest.raises(CaseError, match="cannot be used"):
        CaseStore(folder.parent / "new")
    assert state(folder) == before


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_while_bytes_are_kept_loses_nothing(store, case, folder, monkeypatch):
    item = filed(store, case)
    with monkeypatch.context() as patch:
        patch.setattr(blobs.os, "fsync", full)
        with pytest.raises(CaseError, match="No space left"):
            store.items.file(case.id, upload(b"more"), actor="Ann")
        with pytest.raises(CaseError, match="No space left"):
            store.runs.add(case.id, item.sha256, report_of(item.sha256), {"b.png": b"b"}, actor="A")
    assert not list((folder / "incoming").iterdir())
    assert actions(store, case.id)[-1] == "intake failed"
    assert store.items.page(case.id).items == (item,)
    assert store.log.verify(case.id).ok
    store.items.file(case.id, upload(b"more"), actor="Ann")


def test_a_disk_that_fills_under_the_database_loses_nothing(store, case, monkeypatch):
    item = filed(store, case)
    before = store.log.entries(case.id)
    connect = database.Database._connect

    def cramped(self) -> sqlite3.Connection:
        connection = connect(self)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(database.Database, "_connect", cramped)
        for attempt in (
            lambda: store.reviews.add_note(case.id, "long " * 50_000, author="Ann"),
            lambda: store.items.file(case.id, upload(b"more", "n" * 200_000), actor="Ann"),
        ):
            with pytest.raises(CaseError, match="is full"):
                attempt()
    assert store.log.entries(case.id) == before
    assert store.items.page(case.id).items == (item,)
    store.reviews.add_note(case.id, "long " * 50_000, author="Ann")
    assert store.log.verify(case.id).ok


def test_heads_that_cannot_be_noted_stop_nothing(store, case, monkeypatch):
    monkeypatch.setattr(os, "write", full)
    store.reviews.add_note(case.id, "text", author="Ann")
    monkeypatch.undo()
    assert store.log.verify(case.id).ok


def test_a_database_that_others_hold_is_reported_in_one_sentence(store, case, folder, monkeypatch):
    monkeypatch.setattr(database, "_WAIT_S", 0.05)
    with closing(sqlite3.connect(folder / "cases.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CaseError, match="in use"):
            store.reviews.add_note(case.id, "text", author="Ann")
        assert store.reviews.notes(case.id) == ()  # readers do not wait


def test_a_file_system_without_links_serves_as_well(store, case, folder, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(blobs.os, "link", no_links)
    item = store.items.file(case.id, upload(), actor="Ann")
    store.items.verify_evidence(item.sha256)
    assert not list((folder / "incoming").iterdir())


def test_work_that_the_caller_stops_is_no_item(store, case, folder):
    def stop(share: float) -> None:
        raise FaceLoupeError("Enough.")

    with pytest.raises(FaceLoupeError, match="Enough"):
        store.items.file(case.id, upload(), actor="Ann", step=stop)
    assert store.items.page(case.id).total == 0
    assert actions(store, case.id)[-1] == "intake failed"
    assert not list((folder / "incoming").iterdir())


def test_the_folder_is_its_owners_alone(store, folder):
    assert folder.stat().st_mode & 0o077 == 0
