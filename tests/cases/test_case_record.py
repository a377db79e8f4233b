import json
import sqlite3
from contextlib import closing

import msgspec
import pytest

from faceloupe.cases.case_record import case_record, open_case_record
from faceloupe.errors import CaseError
from faceloupe.report.build import tool
from tests.cases.conftest import PICTURE, filed, report_of


@pytest.fixture
def worked(store, case):
    """A case in which everything was done once."""
    item = filed(store, case, name='odd "items": [] name.jpg')
    store.reviews.add_note(case.id, 'A "word"\nand another', author="Ann", sha256=item.sha256)
    store.reviews.add_note(case.id, "On the case", author="Ann")
    store.reviews.decide(case.id, item.sha256, outcome="authentic", reason="r", confidence="low", examiner="Ann")
    store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Bob")
    store.reviews.sign_off(case.id, reviewer="Bob")
    return item


def test_a_case_report_holds_everything_and_only_json(store, case, worked):
    with open_case_record(store, case.id) as streamed:
        report = json.loads("".join(streamed.pieces()))
    assert list(report) == [
        *("schema_version", "kind", "created_utc", "tool", "case"),
        *("items", "notes", "sign_offs", "log"),
    ]
    assert (report["schema_version"], report["kind"], report["tool"]) == ("1", "case", msgspec.to_builtins(tool()))
    assert report["case"] == {
        "id": case.id,
        "name": "Doe v. Roe",
        "examiner": "Ann",
        "blind": False,
        "created_utc": case.created_utc,
    }
    (item,) = report["items"]
    (run,) = item.pop("runs")
    assert run["report"] == json.loads(report_of(worked.sha256).to_json())
    assert set(run) == {"id", "created_utc", "actor", "report_sha256", "report", "pictures"}
    assert store.runs.picture(run["pictures"]["boxes.png"]) == PICTURE
    utc = {entry.action: entry.utc for entry in store.log.entries(case.id)}
    assert item == {
        "sha256": worked.sha256,
        "name": worked.name,
        "size_bytes": 7,
        "media_type": "image",
        "format": None,
        "added_utc": utc["intake"],
        "added_by": "Clerk",
        "notes": [{"utc": item["notes"][0]["utc"], "author": "Ann", "text": 'A "word"\nand another'}],
        "decisions": [
            {
                "utc": utc["decision"],
                "examiner": "Ann",
                "outcome": "authentic",
                "reason": "r",
                "confidence": "low",
                "score_seen_before": False,
            }
        ],
        "sign_offs": [{"utc": item["sign_offs"][0]["utc"], "reviewer": "Bob"}],
        "runs_withheld": 0,
    }
    assert [note["text"] for note in report["notes"]] == ["On the case"]
    assert [sign_off["reviewer"] for sign_off in report["sign_offs"]] == ["Bob"]
    entries = store.log.entries(case.id)
    assert report["log"] == {
        "entries": [msgspec.to_builtins(entry.to_record()) for entry in entries],
        "head_sha256": entries[-1].sha256,
        "verified": True,
    }


@pytest.mark.parametrize("items", [0, 1, 3])
def test_the_pieces_are_the_text_of_the_whole(store, case, items):
    for number in range(items):
        filed(store, case, b"%d" % number, 'x"items": []\n')
    with open_case_record(store, case.id) as report:
        text = "".join(report.pieces())
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    assert len(json.loads(text)["items"]) == items


def test_a_report_shows_one_moment_whatever_is_written_meanwhile(store, case):
    for number in range(3):
        filed(store, case, b"%d" % number)
    with open_case_record(store, case.id) as report:
        first = next(report.items)
        filed(store, case, b"late")
        store.reviews.add_note(case.id, "late", author="Ann", sha256=first.sha256)
        assert len(list(report.items)) == 2
        assert len(list(report.entries())) == 13
    assert len(case_record(store, case.id).items) == 4


def test_a_report_for_an_examiner_leaves_out_what_a_blind_case_hides(store, blind):
    item = filed(store, blind)
    assert case_record(store, blind.id, viewer="Ann").items[0].runs == ()
    assert len(case_record(store, blind.id).items[0].runs) == 1
    store.reviews.decide(blind.id, item.sha256, outcome="authentic", reason="r", confidence="low", examiner="Ann")
    assert len(case_record(store, blind.id, viewer="Ann").items[0].runs) == 1


def test_a_report_says_that_the_log_is_broken(store, case, folder):
    store.reviews.add_note(case.id, "text", author="Ann")
    with closing(sqlite3.connect(folder / "cases.sqlite", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER log_no_update")
        connection.execute("UPDATE log SET parameters = 'not valid JSON' WHERE action = 'note'")
    log = case_record(store, case.id).log
    assert log.verified is False
    assert log.entries[-1].parameters == "not valid JSON"


def test_no_report_is_made_from_an_altered_run(store, case, worked, folder):
    with closing(sqlite3.connect(folder / "cases.sqlite", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER runs_no_update")
        connection.execute("UPDATE runs SET report = replace(report, '0.9', '0.1')")
    with pytest.raises(CaseError, match="differs from what was filed"):
        case_record(store, case.id)


def test_there_is_no_report_of_a_case_that_is_not_there(store):
    with pytest.raises(CaseError, match="There is no case"):
        case_record(store, "nope")
