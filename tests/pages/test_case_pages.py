"""The pages of the group Record, and filing from those that examine, driven as a user would."""

import hashlib
import json
import sqlite3
from contextlib import closing

import pytest

from faceloupe.media.evidence_file import evidence_from_bytes, open_evidence
from faceloupe.ui import resources, state
from faceloupe.ui.case import panels
from tests.cases.conftest import report_of
from tests.conftest import PHOTOGRAPH
from tests.pages.record import ADA, ITEM, SHA256, click, create, decide, go, name_examiner, press, sign
from tests.pages.test_pages import page_text


@pytest.fixture
def filed(app):
    """A case that is not blind, with a sample filed from the page Image."""
    go(create(app), "image")
    click(app, "sample-photograph")
    return click(app, "file")


def case_with_report(report) -> None:
    """A case of Ada's with the photograph and a filed report of it, made without the pages."""
    store = resources.cases()
    case = store.create_case("Harbor", examiner=ADA)
    store.items.file(case.id, open_evidence(PHOTOGRAPH, max_bytes=10**9), actor=ADA)
    store.runs.add(case.id, SHA256, report, {}, actor=ADA)


def open_item(app):
    """The page Case with the one item of the one case chosen."""
    name_examiner(app)
    (case,) = resources.cases().cases()
    click(app, f"open-{case.id}")
    go(app, "case")
    return click(app, ITEM)


def test_a_filed_report_with_fields_of_a_later_release_is_shown_and_they_are_named(app):
    case_with_report(report_of(SHA256, mood="calm", reason="the score is high"))
    text = page_text(open_item(app))
    assert "The score is high" in text
    assert "does not know: mood" in text


def test_an_opened_item_shows_the_run_that_the_list_shows(app):
    case_with_report(report_of(SHA256))
    store = resources.cases()
    (case,) = store.cases()
    segment = {"start_s": 0.2, "end_s": 0.9}
    closer = report_of(SHA256, "authentic", 0.1, decisive_id=None, segment=segment)
    store.runs.add(case.id, SHA256, closer, {}, actor=ADA)
    at = open_item(app)
    finding = store.runs.finding(case.id, SHA256)
    assert finding.outcome == "manipulated"
    assert at.selectbox(key=f"run-{SHA256}").value == finding.id
    (other,) = (run.id for run in store.runs.of_item(case.id, SHA256) if run.id != finding.id)
    at.selectbox(key=f"run-{SHA256}").select(other).run()
    views = [entry for entry in store.log.entries(case.id) if entry.action == "score viewed"]
    assert [json.loads(entry.parameters)["run"] for entry in views] == [finding.id, other]


def test_a_filed_report_with_a_wrong_type_is_reported_in_one_sentence_and_the_decisions_stay(app, data_folder):
    case_with_report(report_of(SHA256))
    with closing(sqlite3.connect(data_folder / "cases.sqlite")) as connection:
        (text,) = connection.execute("SELECT report FROM runs").fetchone()
        wrong = text.replace('"score": 0.9', '"score": "high"')
        connection.execute("DROP TRIGGER runs_no_update")
        digest = hashlib.sha256(wrong.encode()).hexdigest()
        connection.execute("UPDATE runs SET report = ?, report_sha256 = ?", (wrong, digest))
        connection.commit()
    at = open_item(app)
    (problem,) = [error.value for error in at.error]
    assert "cannot be shown" in problem
    assert "score" in problem
    assert "**Decision**" in page_text(at)


def test_the_first_visit_has_no_case_and_no_examiner_and_the_pages_say_where_to_start(app):
    assert "no case open" in page_text(app)
    assert "no examiner" in page_text(app)
    assert "There are no cases yet" in page_text(go(app, "cases"))
    for page in ("case", "report"):
        assert "Open a case and name the examiner" in page_text(go(app, page))


def test_a_result_is_filed_to_a_new_case_of_its_name_in_one_step_and_opened_there(app):
    click(go(app, "image"), "sample-photograph")
    app.text_input(key="new_case_examiner").set_value(ADA)
    text = page_text(press(app, "File to a new case"))
    (case,) = resources.cases().cases()
    assert (case.name, case.examiner, case.items) == (PHOTOGRAPH.name, ADA, 1)
    assert "**Decision**" in text
    assert resources.cases().log.verify(case.id).ok


def test_a_created_case_is_open_and_named_at_the_top_of_every_page(app):
    create(app)
    case = resources.cases().cases()[0]
    assert (case.name, case.examiner, case.blind) == ("Harbor", "Ada Example", False)
    for page in ("cases", "case", "image", "report"):
        text = page_text(go(app, page))
        assert f"Case **Harbor** `{case.id}`" in text
        assert "Examiner Ada Example" in text


def test_a_case_is_found_by_its_name_and_opened(app):
    other = create(app, "Quay").session_state[state.CASE]
    create(app, "Harbor")
    app.text_input(key="case_search").set_value("quay").run()
    assert [button.key for button in app.button if button.key.startswith("open-")] == [f"open-{other}"]
    click(app, f"open-{other}")
    assert app.session_state[state.CASE] == other


def test_nobody_opens_a_case_without_a_name(app):
    create(app, examiner="")
    assert "Name the examiner above first" in page_text(app)
    assert resources.cases().cases() == ()


def test_an_analysis_is_filed_once_and_shown_on_the_page_case(filed):
    assert "Already filed in case Harbor" in page_text(filed)
    assert "file" not in {button.key for button in filed.button}
    case_id = filed.session_state[state.CASE]
    assert len(resources.cases().runs.of_item(case_id, SHA256)) == 1
    click(go(filed, "case"), ITEM)
    text = page_text(filed)
    assert "log verified" in text
    assert "authentic faces were called manipulated" in text
    assert "score viewed" in [entry.action for entry in resources.cases().log.entries(case_id)]


def test_without_a_case_the_page_says_how_long_a_result_is_kept(app):
    assert "kept until newer results need the memory" in page_text(click(app, "sample-photograph"))


def test_the_examiner_cannot_sign_and_a_second_person_can(filed):
    decide(click(go(filed, "case"), ITEM))
    sign(filed, "ada  EXAMPLE")
    assert "cannot review it" in page_text(filed).replace("\\", "")
    sign(filed, "Bo Second")
    assert ":material/check: Bo Second" in page_text(filed)


def test_what_was_typed_and_not_entered_is_there_when_the_item_is_opened_again(filed):
    at = click(go(filed, "case"), ITEM)
    reason = f"reason-{SHA256[:12]}-0"
    at.text_area(key=reason).input("The hands are odd.").run()
    at.text_area(key=f"text-{SHA256[:12]}-0").input("From a phone.").run()
    at = click(go(click(at, "item_list"), "case"), ITEM)
    assert at.text_area(key=reason).value == "The hands are odd."
    assert at.text_area(key=f"text-{SHA256[:12]}-0").value == "From a phone."
    name_examiner(at, "Bo Second")
    at = go(at, "case")  # where the item is still open
    assert at.text_area(key=reason).value == ""
    name_examiner(at)
    store = resources.cases()
    (case,) = store.cases()
    other = store.create_case("Harbor", examiner=ADA)
    store.items.file(other.id, open_evidence(PHOTOGRAPH, max_bytes=10**9), actor=ADA)
    click(go(at, "cases"), f"open-{other.id}")
    at = click(go(at, "case"), ITEM)
    assert at.text_area(key=reason).value == ""
    assert at.text_area(key=f"text-{SHA256[:12]}-0").value == ""
    click(go(at, "cases"), f"open-{case.id}")
    at = click(go(at, "case"), ITEM)
    assert at.text_area(key=reason).value == "The hands are odd."
    decide(at)
    assert [made.reason for made in resources.cases().reviews.decisions(case.id, SHA256)] != []


def test_hostile_text_is_shown_not_run(app):
    hostile = "<b>:red[x]</b>**y**\u202egpj"
    create(app, hostile, hostile)
    go(app, "image")
    click(app, "sample-photograph")
    click(app, "file")
    click(go(app, "case"), ITEM)
    app.text_area(key=f"text-{SHA256[:12]}-0").set_value(hostile)
    press(app, "Add note")
    decide(app, hostile)
    for page in ("case", "cases"):
        text = page_text(go(app, page)) + "".join(button.label for button in app.button)
        assert "<b>" not in text
        assert "\\<b\\>" in text
        assert "\u202e" not in text


def test_notes_and_signatures_of_the_case_as_a_whole_are_entered_and_logged(filed):
    go(filed, "case")
    filed.text_area(key="text-case-0").set_value("Received from the harbor office.")
    press(filed, "Add note")
    filed.text_input(key="reviewer-case-0").set_value("ada example")
    press(filed, "Sign off")
    assert "cannot review it" in page_text(filed).replace("\\", "")
    filed.text_input(key="reviewer-case-0").set_value("Bo Second")
    press(filed, "Sign off")
    assert "1 item has no decision" in page_text(filed)
    assert "Names are not checked" in page_text(filed)
    filed.text_area(key="open-reason-case-0").set_value("A copy of another item.")
    press(filed, "Sign off")
    text = page_text(filed).replace("\\", "")
    assert "Received from the harbor office." in text
    assert ":material/check: Bo Second" in text
    assert "1 item had no decision: A copy of another item." in text
    store, case_id = resources.cases(), filed.session_state[state.CASE]
    assert [note.text for note in store.reviews.notes(case_id)] == ["Received from the harbor office."]
    assert store.reviews.notes(case_id, SHA256) == ()
    assert [signed.reviewer for signed in store.reviews.sign_offs(case_id)] == ["Bo Second"]
    assert {"note", "sign-off", "sign-off refused"} <= {entry.action for entry in store.log.entries(case_id)}


def test_many_items_are_shown_a_page_at_a_time_and_found_by_a_search(app):
    case_id = create(app).session_state[state.CASE]
    for number in range(45):
        evidence_file = evidence_from_bytes(b"%d" % number, f"frame {number:02}.jpg", max_bytes=100)
        resources.cases().items.file(case_id, evidence_file, actor=ADA)

    def names():
        return [button.label.replace("\\", "") for button in app.button if button.key.startswith("item-")]

    go(app, "case")
    assert names() == [f"frame {number:02}.jpg" for number in range(20)]
    assert app.button(key="page_back").disabled
    click(click(app, "page_on"), "page_on")
    assert names() == [f"frame {number:02}.jpg" for number in range(40, 45)]
    assert "page 3 of 3, 45 items" in page_text(app)
    assert app.button(key="page_on").disabled
    app.text_input(key="item_search").set_value("FRAME 07").run()
    assert names() == ["frame 07.jpg"]  # from the third page, of which the search has none
    app.text_input(key="item_search").set_value("frame 99").run()
    assert "No evidence matches" in page_text(app)


def break_log(data_folder):
    with closing(sqlite3.connect(data_folder / "cases.sqlite", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER log_no_update")
        connection.execute("UPDATE log SET actor = 'Mallory' WHERE action = 'intake'")


def test_a_broken_log_is_shown_in_the_header(filed, data_folder):
    assert "log verified" in page_text(go(filed, "case"))
    break_log(data_folder)
    text = page_text(click(filed, "verify_log")).replace("\\", "")
    assert "The log is broken at entry 3" in text
    assert "log verified" not in text
    assert "The log is broken at entry 3" in page_text(filed.run()).replace("\\", "")


def test_why_a_log_is_broken_is_in_the_language_of_the_app(filed, data_folder):
    filed.session_state[state.APP_LANGUAGE] = "de"
    go(filed, "case")
    break_log(data_folder)
    text = page_text(click(filed, "verify_log")).replace("\\", "")
    assert "Eintrag 3 wurde verändert: sein Inhalt passt nicht zu seinem Hash." in text


def test_a_long_log_is_verified_when_asked_for_and_until_it_grows(filed, data_folder, monkeypatch):
    monkeypatch.setattr(panels, "_CHECKED_AT_ONCE", 3)
    break_log(data_folder)
    text = page_text(go(filed, "case"))
    assert "not verified in this session" in text
    assert "broken" not in text
    assert "is broken at entry 3" in page_text(click(filed, "verify_log"))
    filed.text_area(key="text-case-0").set_value("A note")
    assert "not verified in this session" in page_text(press(filed, "Add note"))


def test_the_log_on_the_page_is_its_newest_end(filed, monkeypatch):
    monkeypatch.setattr(panels, "_ENTRIES", 2)
    table = go(filed, "case").dataframe[0].value
    entries = resources.cases().log.entries(filed.session_state[state.CASE])
    assert list(table["seq"]) == [len(entries), len(entries) - 1]
    assert f"The newest 2 of {len(entries)} entries" in page_text(filed)


def test_another_examiner_who_sees_a_filed_result_on_the_page_image_is_logged(filed):
    name_examiner(filed, "Cy Third")
    assert "Error rates" in page_text(go(filed, "image"))
    log = resources.cases().log.entries(filed.session_state[state.CASE])
    views = [(entry.actor, json.loads(entry.parameters)["sha256"]) for entry in log if entry.action == "score viewed"]
    assert views == [(ADA, SHA256), ("Cy Third", SHA256)]
