"""Claims about scoring the decided items of the cases again."""

import json

import pytest

from faceloupe.cases.store import CaseStore
from faceloupe.config import data_folder
from faceloupe.errors import UsageError
from faceloupe.evaluation import regression
from faceloupe.media.evidence_file import evidence_from_bytes
from tests.cases.conftest import report_of
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


def test_an_outcome_that_changed_is_a_flip_and_one_that_did_not_is_none(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    changed = decided(store, case.id, GENERATED.read_bytes(), outcome="not_applicable", decision="manipulated")
    decided(store, case.id, b"plain text", outcome="error", decision="error")
    entries = len(store.log.entries(case.id))
    result = regression.compare(store, analyzer)
    assert [item.sha256 for item in result.flips] == [changed]
    assert len(result.items) == 2
    assert len(store.log.entries(case.id)) == entries  # nothing is filed
    assert "item.bin" in regression.table(result)


def test_undecided_items_and_blind_cases_are_left_out(store, analyzer):
    case = store.create_case("Open", examiner="Ann")
    store.items.file(case.id, evidence_from_bytes(b"undecided", "u.bin", max_bytes=1 << 24), actor="Ann")
    blind = store.create_case("Blind", examiner="Ann", blind=True)
    decided(store, blind.id, PHOTOGRAPH.read_bytes(), outcome="manipulated", decision="authentic")
    with pytest.raises(UsageError, match="nothing to compare"):
        regression.compare(store, analyzer)
    decided(store, case.id, b"plain text", outcome="error", decision="error")
    result = regression.compare(store, analyzer)
    assert [item.case_name for item in result.items] == ["Open"]
    assert result.blind_cases == 1


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
    code, out, err = run(capsys, "validate", "--cases", "--json", "--effort", "quick")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["compared"], document["flips"]) == (1, 1)
    assert document["items"][0]["outcome"] == "error"
    for arguments in (("--cases", tmp_path), (), ("--cases", "--out", tmp_path / "x")):
        code, out, err = run(capsys, "validate", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
