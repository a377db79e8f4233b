import hashlib
import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from faceloupe.cases import queries
from faceloupe.cases.audit_log import STORE
from faceloupe.cases.case_record import case_record
from faceloupe.cases.store import CaseStore
from faceloupe.errors import CaseError, EvidenceError, UsageError
from faceloupe.media.evidence_file import open_evidence
from tests.cases.conftest import PICTURE, actions, filed, report_of, ticking, upload
from tests.conftest import PHOTOGRAPH


def kept_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "evidence").rglob("*") if path.is_file()]


def test_a_filed_file_is_kept_byte_for_byte_under_its_hash_and_read_only(store, case, folder):
    item = store.items.file(case.id, open_evidence(PHOTOGRAPH, max_bytes=10**8), actor="Ann")
    (path,) = kept_files(folder)
    assert path.read_bytes() == PHOTOGRAPH.read_bytes()
    assert path.parent.name + path.name == item.sha256 == hashlib.sha256(PHOTOGRAPH.read_bytes()).hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert (item.name, item.media_type, item.format) == (PHOTOGRAPH.name, "image", "PNG")
    assert not list((folder / "incoming").iterdir())


def test_the_same_file_twice_is_one_item_and_two_entries(store, case, folder):
    first = store.items.file(case.id, upload(name="a.jpg"), actor="Ann")
    again = store.items.file(case.id, upload(name="b.jpg"), actor="Bob")
    assert again == first
    assert len(kept_files(folder)) == store.items.page(case.id).total == 1
    entries = [entry for entry in store.log.entries(case.id) if entry.action == "intake"]
    assert [(entry.actor, json.loads(entry.parameters)["name"]) for entry in entries] == [
        ("Ann", "a.jpg"),
        ("Bob", "b.jpg"),
    ]


def test_two_cases_share_the_bytes_and_nothing_else(store, case, folder):
    other = store.create_case("Other", examiner="Bob")
    filed(store, case)
    item = store.items.file(other.id, upload(name="theirs.jpg"), actor="Bob")
    assert len(kept_files(folder)) == 1
    assert (item.name, item.outcome) == ("theirs.jpg", None)


def test_two_files_of_one_name_are_two_items(store, case):
    items = {store.items.file(case.id, upload(content), actor="Ann") for content in (b"one", b"two")}
    assert {item.name for item in items} == {"face.jpg"}
    assert store.items.page(case.id).total == 2


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "a\x00b",
        "a\nb\x1b[2J",
        "photo\u202egpj.exe",
        "",
        ".",
        "x" * 5000,
        "\ud800",
    ],
)
def test_a_name_is_text_and_never_a_path(store, case, folder, tmp_path, name):
    before = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    item = store.items.file(case.id, upload(name=name), actor="Ann")
    assert {path for path in tmp_path.rglob("*") if folder not in path.parents} == before
    assert len(kept_files(folder)) == 1
    assert item.name.isprintable()
    assert store.log.verify(case.id).ok


def test_evidence_comes_back_under_its_filed_name(store, case):
    item = store.items.file(case.id, upload(b"bytes", "a.jpg"), actor="Ann")
    evidence_file = store.items.open_evidence(item.sha256, name=item.name)
    assert evidence_file.evidence.name == "a.jpg"
    assert evidence_file.evidence.sha256 == item.sha256
    with evidence_file.open() as stream:
        assert stream.read() == b"bytes"


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_damaged_evidence_is_refused_and_logged(store, case, folder, damage):
    item = store.items.file(case.id, upload(), actor="Ann")
    store.items.verify_evidence(item.sha256)
    (path,) = kept_files(folder)
    path.chmod(0o644)
    path.write_bytes(b"c0ntent") if damage == "altered" else path.unlink()
    for observation in (store.items.open_evidence, store.items.verify_evidence):
        with pytest.raises(CaseError, match="restore it"):
            observation(item.sha256)
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:
        logged = connection.execute("SELECT action FROM log WHERE chain = ?", (STORE,)).fetchall()
    assert logged.count(("evidence check failed",)) == 2


def test_damaged_evidence_is_not_covered_up_by_filing_it_again(store, case, folder):
    store.items.file(case.id, upload(), actor="Ann")
    (path,) = kept_files(folder)
    path.chmod(0o644)
    path.write_bytes(b"c0ntent")
    with pytest.raises(CaseError, match="is damaged"):
        store.items.file(case.id, upload(), actor="Ann")
    assert path.read_bytes() == b"c0ntent"


def test_a_file_that_changes_before_it_is_kept_is_not_filed(store, case, folder, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypisom" + bytes(100))
    evidence_file = open_evidence(path, max_bytes=10**6)
    path.write_bytes(b"other")
    with pytest.raises(EvidenceError):
        store.items.file(case.id, evidence_file, actor="Ann")
    assert not kept_files(folder)
    assert store.items.page(case.id).total == 0
    assert actions(store, case.id)[-2:] == ["intake begun", "intake failed"]
    assert store.items.unfinished() == ()


def test_a_disk_that_fails_while_a_file_is_read_is_not_taken_for_ours(store, case):
    class Failing:
        evidence = upload().evidence

        def open(self):
            return open(f"/proc/{os.getpid()}/mem", "rb")  # its first bytes are an I/O error

    if not Path("/proc/self/mem").exists():
        pytest.skip("needs a file that cannot be read")
    with pytest.raises(EvidenceError, match="cannot be read to its end"):
        store.items.file(case.id, Failing(), actor="Ann")


def test_a_run_keeps_the_report_as_it_was_written(store, case):
    item = store.items.file(case.id, upload(), actor="Ann")
    report = report_of(item.sha256, reason="Ähnlich <b>", number=0.1 + 0.2)
    run = store.runs.add(case.id, item.sha256, report, {"boxes.png": PICTURE}, actor="Ann")
    assert store.runs.report_text(run.id) == report.to_json()
    assert run.report_sha256 == hashlib.sha256(report.to_json().encode()).hexdigest()
    assert store.runs.picture(run.pictures["boxes.png"]) == PICTURE
    assert store.runs.of_item(case.id, item.sha256) == (run,)
    assert store.items.get(case.id, item.sha256).score == 0.9


def test_a_report_is_read_as_it_was_filed_with_fields_of_a_later_release(store, case):
    item = store.items.file(case.id, upload(), actor="Ann")
    run = store.runs.add(case.id, item.sha256, report_of(item.sha256, number=3), {}, actor="Ann")
    report = store.runs.report(run.id)
    assert (report.score, report.unknown) == (0.9, ("number",))


def test_the_newest_run_is_the_one_that_lists_show(store, case):
    item = filed(store, case, outcome="inconclusive", score=0.5)
    store.runs.add(case.id, item.sha256, report_of(item.sha256, "error", None), {}, actor="Ann")
    shown = store.items.get(case.id, item.sha256)
    assert (shown.outcome, shown.score) == ("error", None)
    assert [run.outcome for run in store.runs.of_item(case.id, item.sha256)] == ["inconclusive", "error"]


def test_a_run_of_a_segment_says_what_was_found_only_where_none_is_of_the_whole(store, case):
    item = store.items.file(case.id, upload(b"clip", "clip.mp4"), actor="Clerk")
    assert store.runs.finding(case.id, item.sha256) is None
    segment = {"decisive_id": None, "segment": {"start_s": 0.2, "end_s": 0.9}}
    for outcome, fields in (("error", segment), ("inconclusive", {}), ("authentic", {}), ("manipulated", segment)):
        run = store.runs.add(case.id, item.sha256, report_of(item.sha256, outcome, 0.5, **fields), {}, actor="Clerk")
        expected = "authentic" if outcome == "manipulated" else outcome
        finding = store.runs.finding(case.id, item.sha256)
        assert finding.outcome == store.items.get(case.id, item.sha256).outcome == expected
    assert case_record(store, case.id).items[0].finding_run.id == finding.id
    store.reviews.view_score(case.id, item.sha256, examiner="Ann")
    seen = json.loads(store.log.entries(case.id)[-1].parameters)
    assert seen["run"] == finding.id != run.id


def test_a_report_of_other_evidence_is_refused_and_logged(store, case):
    item = store.items.file(case.id, upload(), actor="Ann")
    with pytest.raises(CaseError, match="other evidence"):
        store.runs.add(case.id, item.sha256, report_of("0" * 64), {}, actor="Ann")
    assert actions(store, case.id)[-1] == "run refused"


def test_a_filed_score_cannot_be_changed_unnoticed(store, case, folder):
    item = filed(store, case)
    (run,) = store.runs.of_item(case.id, item.sha256)
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:
        for statement in ("UPDATE runs SET score = 0.1", "UPDATE runs SET report = '{}'", "DELETE FROM runs"):
            with pytest.raises(sqlite3.IntegrityError, match="what is written stays"):
                connection.execute(statement)
        connection.execute("DROP TRIGGER runs_no_update")
        connection.execute("UPDATE runs SET report = replace(report, '0.9', '0.1')")
        connection.commit()
    with pytest.raises(CaseError, match="differs from what was filed"):
        store.runs.report_text(run.id)


@pytest.mark.parametrize("name", ["../x.png", "a/b.png", "", ".hidden", "a\nb"])
def test_a_picture_with_a_path_for_a_name_is_refused(store, case, name):
    item = store.items.file(case.id, upload(), actor="Ann")
    with pytest.raises(ValueError, match="plain file name"):
        store.runs.add(case.id, item.sha256, report_of(item.sha256), {name: PICTURE}, actor="Ann")


def test_attempts_on_an_unknown_case_are_refused_and_logged_by_the_store(store, folder):
    for attempt in (
        lambda: store.items.file("nope\n", upload(), actor="Ann"),
        lambda: store.reviews.add_note("nope\n", "text", author="Ann"),
        lambda: store.reviews.sign_off("nope\n", reviewer="Ann"),
        lambda: store.log.record_failure("nope\n", "intake", actor="Ann", reason="gone"),
    ):
        with pytest.raises(CaseError, match="There is no case nope"):
            attempt()
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:
        logged = [action for (action,) in connection.execute("SELECT action FROM log WHERE chain = ?", (STORE,))]
    assert logged == ["store created", "intake refused", "note refused", "sign-off refused", "intake refused"]
    assert store.log.verify(STORE).ok


def test_ids_are_short_and_differ(store):
    ids = {store.create_case("Same", examiner="Ann").id for _ in range(20)}
    assert len(ids) == 20
    assert all(len(case_id) == 12 and int(case_id, 16) >= 0 for case_id in ids)
    assert [case.name for case in store.cases()] == ["Same"] * 20


@pytest.mark.parametrize("name", ["", "  ", "\n\t"])
def test_a_case_and_its_people_must_be_named(store, name):
    with pytest.raises(UsageError):
        store.create_case(name, examiner="Ann")
    with pytest.raises(UsageError):
        store.create_case("Case", actor=name)


def test_items_are_found_by_name_hash_and_outcome(store, case):
    for number in range(30):
        outcome, score = ("error", None) if number % 3 == 0 else ("manipulated", 0.9)
        filed(store, case, b"%d" % number, f"Straße_{number:02}%.jpg", outcome=outcome, score=score)
    everything = store.items.page(case.id).items
    assert [item.name for item in everything] == [f"Straße_{number:02}%.jpg" for number in range(30)]
    assert store.items.page(case.id, search="STRASSE_1").total == 10
    assert store.items.page(case.id, search="_07%").items == (everything[7],)
    assert store.items.page(case.id, search="%%").total == 0
    assert store.items.page(case.id, search=everything[9].sha256[:16].upper()).items == (everything[9],)
    assert store.items.page(case.id, outcome="error").total == 10
    assert store.items.page(case.id, outcome="error", search="_03").items == (everything[3],)
    page = store.items.page(case.id, offset=20, limit=5)
    assert (page.items, page.total) == (everything[20:25], 30)


def test_the_first_digits_of_a_hash_select_an_item_if_they_are_unique(store, case):
    item = store.items.file(case.id, upload(), actor="Ann")
    assert store.items.get(case.id, item.sha256[:4].upper()) == item
    for prefix in ("", item.sha256[:3], "zzzz", "0" * 64, "%", item.sha256 + "0"):
        with pytest.raises(CaseError, match="No item"):
            store.items.get(case.id, prefix)


def test_an_ambiguous_start_of_a_hash_is_refused(store, case):
    number, starts = 0, {}
    while (start := hashlib.sha256(b"%d" % number).hexdigest()[:4]) not in starts:
        starts[start] = number
        number += 1
    for content in (number, starts[start]):
        store.items.file(case.id, upload(b"%d" % content), actor="Ann")
    with pytest.raises(CaseError, match="Several items"):
        store.items.get(case.id, start)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> tuple[Path, str, str]:
    """A store with a case of 10,000 items and one of 10."""
    store = CaseStore(tmp_path_factory.mktemp("crowded") / "data", clock=ticking())
    large, small = (store.create_case(name, examiner="Ann").id for name in ("Large", "Small"))
    hashes = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(10_000)]
    with closing(sqlite3.connect(store.folder / "cases.sqlite")) as connection, connection:
        connection.executemany("INSERT INTO evidence VALUES (?, 1, 'image', 'JPEG')", [(sha256,) for sha256 in hashes])
        rows = [(large, sha256, number) for number, sha256 in enumerate(hashes)]
        rows += [(small, sha256, number) for number, sha256 in enumerate(hashes[:10])]
        connection.executemany(
            "INSERT INTO items (case_id, sha256, name, name_key, added_utc, added_by, outcome, score)"
            " VALUES (?1, ?2, 'file ' || ?3, 'file ' || ?3, '2026', 'Ann', iif(?3 % 100, 'authentic', 'error'), NULL)",
            rows,
        )
    return store.folder, large, small


QUERIES = {
    "first page": {},
    "last page": {"offset": 9900},
    "name": {"search": "file 77"},
    "hash": {"search": "4e07408562bedb8b"},
    "outcome": {"outcome": "error"},
    "blind viewer": {"viewer": "ann", "outcome": "error", "search": "7"},
}


def steps(connection: sqlite3.Connection, case_id: str, query: dict[str, object]) -> int:
    """Hundreds of steps that SQLite takes for a list."""
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    connection.set_progress_handler(tick, 100)
    defaults = {"search": "", "outcome": None, "state": None, "viewer": None, "offset": 0, "limit": 100}
    queries.items(connection, case_id, **(defaults | query))
    connection.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("query", QUERIES.values(), ids=list(QUERIES))
def test_ten_thousand_items_are_listed_by_an_index_in_a_few_steps_each(crowded, query):
    folder, large, small = crowded
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        count = steps(connection, large, query)
        connection.set_trace_callback(None)
        for statement in statements:
            plan = " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
            assert "SCAN" not in plan.replace("SCAN CONSTANT ROW", "")
            assert "SEARCH items USING" in plan
            assert "TEMP B-TREE" not in plan
        assert count * 100 < 40 * 10_000
        assert steps(connection, small, query) <= 20  # whatever else is in the store
