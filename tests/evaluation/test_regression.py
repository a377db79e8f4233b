"""Claims about scoring the decided items of the cases again."""

import json
import sqlite3
from contextlib import closing

import pytest

from faceloupe.cases.store import CaseStore
from faceloupe.config import data_folder
from faceloupe.errors import Cancelled, UsageError
from faceloupe.evaluation import regression
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.report.schema import Report
from tests.cases.conftest import actions, report_of
from tests.cli.test_main import run
from tests.conftest import GENERATED, PHOTOGRAPH


@pytest.fixture
def store(tmp_path, monkeypatch) -> CaseStore:
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    return CaseStore(data_folder())


def decided(store: CaseStore, case_id: str, content: bytes, *, outcome: str, decision: str) -> str:
    """An item with a run of that outcome, and a decision; its hash."""
    file = evidence_from_bytes(content, "item.bin", max_bytes=1 << 24)
    item = store.items.file(case_id, file, actor="Ann")
    store.runs.add(case_id, item.sha256, report_of(item.sha256, outcome), {}, actor="Ann")
    store.reviews.decide(case_id, item.sha256, examiner="Ann", outcome=decision, reason="Seen.", confidence="high")
    return item.sha256


def test_only_a_changed_outcome_counts_as_a_flip(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    changed = decided(store, case.id, GENERATED.read_bytes(), outcome="not_applicable", decision="manipulated")
    decided(store, case.id, b"plain text", outcome="error", decision="error")
    runs = [store.runs.of_item(case.id, item.sha256) for item in store.items.page(case.id).items]
    result = regression.compare(store, analyzer, examiner="Ann")
    assert [item.sha256 for item in result.flips] == [changed]
    assert len(result.items) == 2
    assert [store.runs.of_item(case.id, item.sha256) for item in store.items.page(case.id).items] == runs
    assert "item.bin" in regression.table(result)


def test_undecided_items_and_blind_cases_are_left_out(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    store.items.file(case.id, evidence_from_bytes(b"undecided", "u.bin", max_bytes=1 << 24), actor="Ann")
    blind = store.create_case("Blind", examiner="Ann", blind=True)
    decided(store, blind.id, PHOTOGRAPH.read_bytes(), outcome="manipulated", decision="authentic")
    with pytest.raises(UsageError, match="nothing to compare"):
        regression.compare(store, analyzer, examiner="Ann")
    decided(store, case.id, b"plain text", outcome="error", decision="error")
    result = regression.compare(store, analyzer, examiner="Ann")
    assert [item.case_name for item in result.items] == ["Open"]
    assert result.blind_cases == 1


def test_the_log_tells_who_saw_the_results_and_what_a_blind_case_keeps_is_not_among_them(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    shown = decided(store, case.id, b"plain text", outcome="error", decision="error")
    hidden = decided(store, case.id, b"other text", outcome="error", decision="error")
    blind = store.create_case("Blind", examiner="Ann", blind=True)
    store.items.file(blind.id, evidence_from_bytes(b"other text", "o.bin", max_bytes=1 << 24), actor="Ann")
    result = regression.compare(store, analyzer, examiner=" Bob ")
    assert [item.sha256 for item in result.items] == [shown] != [hidden]
    *_, entry = store.log.entries(case.id)
    assert (entry.actor, entry.action, json.loads(entry.parameters)["sha256"]) == ("Bob", "score viewed", shown)
    with pytest.raises(UsageError, match="must be named"):
        regression.compare(store, analyzer, examiner=" ")


def test_a_damaged_item_is_a_problem_and_the_others_are_compared(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    contents = (b"lost", b"unreadable report", b"plain text")
    lost, unread, good = (decided(store, case.id, content, outcome="error", decision="error") for content in contents)
    (data_folder() / "evidence" / lost[:2] / lost[2:]).unlink()
    with closing(sqlite3.connect(data_folder() / "cases.sqlite")) as connection:
        connection.execute("DROP TRIGGER runs_no_update")
        item = "SELECT id FROM items WHERE sha256 = ?"
        connection.execute(f"UPDATE runs SET report = '{{}}' WHERE item_id = ({item})", (unread,))
        connection.commit()
    result = {item.sha256: item for item in regression.compare(store, analyzer, examiner="Ann").items}
    assert "cannot be read" in result[lost].problem
    assert "differs from what was filed" in result[unread].problem
    assert (result[good].problem, result[good].outcome) == ("", "error")


def test_a_comparison_that_is_cancelled_ends_and_shows_nobody_anything(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    decided(store, case.id, GENERATED.read_bytes(), outcome="not_applicable", decision="manipulated")
    with pytest.raises(Cancelled):
        regression.compare(store, analyzer, examiner="Ann", cancel=lambda: True)
    assert "score viewed" not in actions(store, case.id)


def test_the_model_before_is_that_of_the_outcome_before(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    sha256 = decided(store, case.id, b"plain text", outcome="error", decision="error")
    whole = store.runs.report(store.runs.finding(case.id, sha256).id).model.id
    closer = report_of(sha256, "authentic", decisive_id=None, segment={"start_s": 0.0, "end_s": 1.0})
    values = json.loads(closer.to_json())
    other = Report.from_json(json.dumps(values | {"model": values["model"] | {"id": "another"}}))
    store.runs.add(case.id, sha256, other, {}, actor="Ann")
    (item,) = regression.compare(store, analyzer, examiner="Ann").items
    assert (item.model_before, item.outcome_before) == (whole, "error")


@pytest.mark.parametrize(
    ("outcome", "decision", "contradicts"),
    [
        ("manipulated", "authentic", True),
        ("authentic", "manipulated", True),
        ("authentic", "authentic", False),
        ("inconclusive", "manipulated", False),
    ],
)
def test_only_opposite_verdicts_contradict_a_decision(outcome, decision, contradicts):
    item = regression.ItemChange("c", "n", "0" * 64, "x", decision, "m", "authentic", 0.1, outcome)
    assert item.contradicts is contradicts


def test_the_command_prints_one_json_document_and_refuses_a_folder_beside_the_cases(store, capsys, tmp_path):
    case = store.create_case("Open", examiner="Ann")
    decided(store, case.id, b"plain text", outcome="manipulated", decision="manipulated")
    code, out, err = run(capsys, "validate", "--cases", "--json", "--effort", "quick", "--examiner", "Ann")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["compared"], document["flips"]) == (1, 1)
    assert document["items"][0]["outcome"] == "error"
    assert store.log.entries(case.id)[-1].actor == "Ann"
    for arguments in (("--cases", tmp_path), (), ("--cases", "--out", tmp_path / "x")):
        code, out, err = run(capsys, "validate", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
