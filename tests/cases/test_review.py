import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from faceloupe.bundle.items_csv import row
from faceloupe.cases.audit_log import Action
from faceloupe.cases.case_record import case_record
from faceloupe.cases.store import CaseStore
from faceloupe.errors import CaseError, UsageError
from tests.cases.conftest import actions, filed, report_of, upload
from tests.clock import Clock

VIEW = {"outcome": "authentic", "reason": "No trace.", "confidence": "high"}


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "**bold** [x](http://y)", "line\nbreak\ttab", "😀 אבג"])
def test_a_note_is_the_text_that_was_written(store, case, text):
    item = filed(store, case)
    store.reviews.add_note(case.id, text, author="Ann")
    store.reviews.add_note(case.id, text, author="Bob", sha256=item.sha256[:8])
    assert [(note.author, note.text) for note in store.reviews.notes(case.id)] == [("Ann", text)]
    assert [(note.author, note.text) for note in store.reviews.notes(case.id, item.sha256)] == [("Bob", text)]
    assert json.loads(store.log.entries(case.id)[-1].parameters) == {"sha256": item.sha256, "text": text}


def test_what_cannot_be_written_down_is_replaced_and_the_log_holds(store, case):
    note = store.reviews.add_note(case.id, "a\x00b\x1b[31m\ud800", author="A\u202en\nn")
    assert note.text == "a\ufffdb\ufffd[31m?"
    assert note.author == "A\ufffdn n"
    assert store.log.verify(case.id).ok


def test_an_empty_note_is_refused(store, case):
    with pytest.raises(UsageError):
        store.reviews.add_note(case.id, " \n", author="Ann")
    with pytest.raises(UsageError):
        store.reviews.add_note(case.id, "text", author=" ")


def test_a_later_decision_stands_beside_the_earlier_one(store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann")
    store.reviews.decide(case.id, item.sha256, **VIEW | {"outcome": "inconclusive"}, examiner="Ann")
    assert [decision.outcome for decision in store.reviews.decisions(case.id, item.sha256)] == [
        "authentic",
        "inconclusive",
    ]
    shown = store.items.get(case.id, item.sha256)
    assert (shown.decision, shown.outcome, shown.score) == ("inconclusive", "manipulated", 0.9)


@pytest.mark.parametrize("wrong", [{"outcome": "fake"}, {"confidence": "sure"}, {"reason": " "}, {"examiner": ""}])
def test_a_decision_uses_the_five_words_and_has_a_reason(store, case, wrong):
    item = filed(store, case)
    with pytest.raises(UsageError):
        store.reviews.decide(case.id, item.sha256, **VIEW | {"examiner": "Ann"} | wrong)
    assert store.reviews.decisions(case.id, item.sha256) == ()


def test_whether_the_score_was_seen_is_read_from_the_log(store, case):
    item = filed(store, case)
    assert not store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann").score_seen_before
    store.reviews.view_score(case.id, item.sha256, examiner="Bob")
    assert not store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann").score_seen_before
    store.reviews.view_score(case.id, item.sha256, examiner="ANN ")
    assert store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann").score_seen_before
    assert json.loads(store.log.entries(case.id)[-1].parameters)["score_seen_before"] is True


def test_a_view_of_another_item_does_not_count_for_this_one(store, case):
    item, other = filed(store, case), filed(store, case, b"other")
    store.reviews.view_score(case.id, other.sha256, examiner="Ann")
    assert not store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann").score_seen_before


def test_each_run_that_is_looked_at_is_logged_once(store, case):
    item = filed(store, case)
    run_id = store.runs.finding(case.id, item.sha256).id
    for examiner in ("Ann", "ann ", "Bob"):
        store.reviews.view_run(case.id, item.sha256, run_id, examiner=examiner)
    store.reviews.view_score(case.id, item.sha256, examiner="Ann")
    views = [entry for entry in store.log.entries(case.id) if entry.action == "score viewed"]
    assert [(entry.actor, json.loads(entry.parameters)["run"]) for entry in views] == [("Ann", run_id), ("Bob", run_id)]


def test_no_run_of_evidence_of_a_blind_case_is_shown_before_the_decision(store, blind):
    item = filed(store, blind)
    run_id = store.runs.finding(blind.id, item.sha256).id
    with pytest.raises(CaseError, match="blind case"):
        store.reviews.view_run(blind.id, item.sha256, run_id, examiner="Ann")
    store.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Ann")
    store.reviews.view_run(blind.id, item.sha256, run_id, examiner="Ann")


def test_a_view_of_the_same_evidence_in_another_case_is_a_view(store, case, blind):
    item = filed(store, case)
    store.reviews.view_score(case.id, item.sha256, examiner="Ann")
    filed(store, blind)
    assert not store.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Bob").score_seen_before
    assert store.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Ann").score_seen_before


def test_a_blind_case_keeps_the_results_of_its_evidence_in_every_case(store, case, blind):
    item = filed(store, case)
    other = filed(store, case, b"of no blind case")
    filed(store, blind)
    assert not store.reviews.may_see_score(case.id, item.sha256, "Ann")
    assert store.items.get(case.id, item.sha256, viewer="Ann").hidden
    assert store.items.page(case.id, viewer="Ann", outcome="manipulated").items == (other,)
    assert store.reviews.view_scores(case.id, [item.sha256, other.sha256], examiner="Ann") == (other.sha256,)
    with pytest.raises(CaseError, match="blind"):
        store.reviews.view_score(case.id, item.sha256, examiner="Ann")
    assert [record.runs_withheld for record in case_record(store, case.id, viewer="Ann").items] == [1, 0]
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann")  # which is no decision in the blind case
    assert not store.reviews.may_see_score(case.id, item.sha256, "Ann")
    store.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Ann")
    for opened in (case, blind):
        assert store.items.get(opened.id, item.sha256, viewer="Ann").outcome == "manipulated"
        store.reviews.view_score(opened.id, item.sha256, examiner="Ann")


def test_a_store_that_knew_views_by_case_is_taken_over_even_with_a_damaged_entry(folder, store, case, blind):
    item = filed(store, case)
    store.reviews.view_score(case.id, item.sha256, examiner="Ann")
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:  # as version 0.4.0 left it
        connection.executescript("""
            DROP INDEX items_by_evidence;
            DROP INDEX log_views;
            DROP TRIGGER log_no_update;
            DELETE FROM migrations WHERE name = '005_evidence_across_cases';
            UPDATE log SET parameters = '{' WHERE action = 'score viewed'
        """)
    again = CaseStore(folder)
    assert not again.log.verify(case.id).ok
    filed(again, blind)
    assert not again.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Ann").score_seen_before


def test_the_same_result_is_logged_once_per_examiner_and_a_new_one_again(store, case):
    item = filed(store, case)
    for _ in range(3):
        store.reviews.view_score(case.id, item.sha256, examiner="Ann")
    assert actions(store, case.id).count("score viewed") == 1
    store.runs.add(case.id, item.sha256, report_of(item.sha256), {}, actor="Clerk")
    assert store.reviews.view_scores(case.id, [item.sha256], examiner="Ann") == (item.sha256,)
    assert actions(store, case.id).count("score viewed") == 2


def test_in_a_blind_case_the_score_is_hidden_until_the_examiner_has_decided(store, blind):
    item = filed(store, blind)
    assert not store.reviews.may_see_score(blind.id, item.sha256, "Ann")
    with pytest.raises(CaseError, match="blind"):
        store.reviews.view_score(blind.id, item.sha256, examiner="Ann")
    assert actions(store, blind.id)[-1] == "score viewed refused"
    assert not store.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Ann").score_seen_before
    assert store.reviews.may_see_score(blind.id, item.sha256, "ann ")
    assert not store.reviews.may_see_score(blind.id, item.sha256, "Bob")
    store.reviews.view_score(blind.id, item.sha256, examiner="Ann")
    assert store.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Ann").score_seen_before


def test_in_a_blind_case_no_list_and_no_log_gives_the_result_away(store, blind):
    item = filed(store, blind)
    (shown,) = store.items.page(blind.id, viewer="Ann").items
    assert (shown.hidden, shown.outcome, shown.score) == (True, None, None)
    assert store.items.get(blind.id, item.sha256, viewer="Ann").hidden
    assert store.items.page(blind.id, viewer="Ann", outcome="manipulated").total == 0
    assert store.items.page(blind.id, viewer="Ann", search="face").total == 1
    assert store.reviews.view_scores(blind.id, [item.sha256], examiner="Ann") == ()
    assert not any(
        "manipulated" in entry.parameters or "0.9" in entry.parameters for entry in store.log.entries(blind.id)
    )
    store.reviews.decide(blind.id, item.sha256, **VIEW, examiner="Ann")
    (shown,) = store.items.page(blind.id, viewer="Ann", outcome="manipulated").items
    assert (shown.hidden, shown.outcome, shown.score) == (False, "manipulated", 0.9)


def test_an_open_case_hides_nothing(store, case):
    item = filed(store, case)
    assert store.reviews.may_see_score(case.id, item.sha256, "anybody")
    assert store.items.get(case.id, item.sha256, viewer="anybody").score == 0.9


def test_what_came_after_a_signature_under_the_case_is_counted(store, case, blind):
    items = [filed(store, case, content) for content in (b"a", b"b")]
    store.reviews.decide(case.id, items[0].sha256, **VIEW, examiner="Ann")
    assert store.reviews.undecided(case.id) == 1
    signed = store.reviews.sign_off(case.id, reviewer="Bob", open_reason="B is a copy").utc
    assert store.reviews.changes_since(case.id, signed) == 0
    filed(store, blind, b"of another case")
    store.reviews.decide(case.id, items[1].sha256, **VIEW, examiner="Ann")
    filed(store, case, b"c")
    assert (store.reviews.changes_since(case.id, signed), store.reviews.undecided(case.id)) == (2, 1)


def test_a_signature_is_of_the_decision_that_stood_then(store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann")
    store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Bob")
    assert store.items.get(case.id, item.sha256).signed_off
    store.reviews.decide(case.id, item.sha256, **VIEW | {"outcome": "manipulated"}, examiner="Ann")
    assert not store.items.get(case.id, item.sha256).signed_off
    assert [sign_off.reviewer for sign_off in store.reviews.sign_offs(case.id, item.sha256)] == ["Bob"]
    store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Bob")
    assert store.items.get(case.id, item.sha256).signed_off


@pytest.mark.parametrize("step", [timedelta(0), timedelta(hours=-1), timedelta(days=-400)])
def test_a_clock_that_is_set_back_changes_neither_the_order_nor_what_is_signed(folder, step):
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
    store = CaseStore(folder, clock=clock)
    case = store.create_case("Doe v. Roe", examiner="Ann")
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann")
    clock.now += step
    store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Bob")
    store.reviews.sign_off(case.id, reviewer="Bob")
    assert store.items.get(case.id, item.sha256).signed_off
    assert row(case_record(store, case.id).items[0])[-1] == "Bob"
    signed = store.reviews.sign_offs(case.id)[0].utc
    assert store.reviews.changes_since(case.id, signed) == 0
    clock.now += step
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Ann")
    assert not store.items.get(case.id, item.sha256).signed_off
    assert row(case_record(store, case.id).items[0])[-1] is None
    assert store.reviews.changes_since(case.id, signed) == 1
    times = [entry.utc for entry in store.log.entries(case.id)]
    assert times == sorted(set(times))
    assert store.log.verify(case.id).ok


@pytest.mark.parametrize("utc", ["9999-12-31T23:59:59.999999Z", "zz"])
def test_an_edited_time_is_reported_and_stops_no_work(folder, store, case, utc):
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:
        connection.execute("DROP TRIGGER log_no_update")
        connection.execute("UPDATE log SET utc = ? WHERE chain = ?", (utc, case.id))
        connection.commit()
    store.reviews.add_note(case.id, "Written", author="Ann")
    assert not store.log.verify(case.id).ok


@pytest.mark.parametrize("name", ["Bob", " bob ", "BOB", "\uff22\uff4f\uff42", "B\u200bob"])
def test_who_decided_cannot_review_whatever_the_spelling(store, case, name):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    if name == "B\u200bob":  # an invisible letter becomes a visible one: it is another name, to the eye as well
        assert store.reviews.sign_off(case.id, sha256=item.sha256, reviewer=name).reviewer == "B\ufffdob"
        return
    for signed in (item.sha256, None):
        with pytest.raises(CaseError, match="cannot review"):
            store.reviews.sign_off(case.id, sha256=signed, reviewer=name)
    assert actions(store, case.id)[-2:] == ["sign-off refused"] * 2
    assert store.reviews.sign_offs(case.id) == store.reviews.sign_offs(case.id, item.sha256) == ()


def test_the_examiner_of_the_case_cannot_review_it(store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    for signed in (item.sha256, None):
        with pytest.raises(CaseError, match="is the examiner of the case"):
            store.reviews.sign_off(case.id, sha256=signed, reviewer="ann")


def test_a_second_person_signs_an_item_and_the_case(store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    signed = store.reviews.sign_off(case.id, sha256=item.sha256[:6], reviewer="Cleo")
    assert store.reviews.sign_offs(case.id, item.sha256) == (signed,)
    assert store.items.get(case.id, item.sha256).signed_off
    assert store.reviews.sign_offs(case.id) == ()
    store.reviews.sign_off(case.id, reviewer="Dora")
    assert [entry.reviewer for entry in store.reviews.sign_offs(case.id)] == ["Dora"]


def test_a_case_with_open_items_is_signed_only_with_a_reason_that_is_kept_and_logged(store, case):
    items = [filed(store, case, content) for content in (b"a", b"b", b"c")]
    store.reviews.decide(case.id, items[0].sha256, **VIEW, examiner="Bob")
    for reason in ("", "  \n"):
        with pytest.raises(CaseError, match="2 items have no decision"):
            store.reviews.sign_off(case.id, reviewer="Cleo", open_reason=reason)
    assert actions(store, case.id)[-1] == "sign-off refused"
    signed = store.reviews.sign_off(case.id, reviewer="Cleo", open_reason=" Copies of the first. ")
    assert (signed.open_items, signed.open_reason) == (2, "Copies of the first.")
    assert store.reviews.sign_offs(case.id) == (signed,)
    entry = list(store.log.entries(case.id))[-1]
    assert json.loads(entry.parameters) == {
        "sha256": None,
        "open_items": 2,
        "open_reason": "Copies of the first.",
    }


def test_a_reason_is_not_kept_where_no_item_is_open(store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    signed = store.reviews.sign_off(case.id, reviewer="Cleo", open_reason="Habit")
    assert (signed.open_items, signed.open_reason) == (None, None)


def test_an_item_that_is_filed_before_the_signature_counts_as_open(store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    filed(store, case, b"filed while the page of the reviewer showed no open item")
    with pytest.raises(CaseError, match="1 item has no decision"):
        store.reviews.sign_off(case.id, reviewer="Cleo")


def test_two_examiners_who_decide_one_item_at_once_both_stand_in_one_whole_log(folder, store, case):
    item = filed(store, case)
    together = Barrier(2)

    def decide(examiner: str) -> None:
        own = CaseStore(folder)  # as another process has it
        together.wait(30)
        own.reviews.decide(case.id, item.sha256, **VIEW, examiner=examiner)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decide, ("Bob", "Cleo")))
    assert {decision.examiner for decision in store.reviews.decisions(case.id, item.sha256)} == {"Bob", "Cleo"}
    assert actions(store, case.id).count("decision") == 2
    assert store.log.verify(case.id).ok


def test_a_signature_that_races_with_a_new_item_is_refused_or_older_than_the_item(folder, store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    together = Barrier(2)

    def sign() -> bool:
        own = CaseStore(folder)
        together.wait(30)
        try:
            own.reviews.sign_off(case.id, reviewer="Cleo")
        except CaseError:
            return False
        return True

    def file() -> None:
        own = CaseStore(folder)
        together.wait(30)
        own.items.file(case.id, upload(b"raced"), actor="Clerk")

    with ThreadPoolExecutor(2) as pool:
        signing, filing = pool.submit(sign), pool.submit(file)
        signed, _ = signing.result(60), filing.result(60)
    taken = [entry.action for entry in store.log.entries(case.id)]
    last_intake = len(taken) - 1 - taken[::-1].index(Action.INTAKE)
    assert signed == (Action.SIGN_OFF in taken)
    assert not signed or taken.index(Action.SIGN_OFF) < last_intake
    assert store.log.verify(case.id).ok


def test_a_store_without_reasons_is_taken_over_with_its_signatures(folder, store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    store.reviews.sign_off(case.id, reviewer="Cleo")
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:  # as version 0.4.0 left it
        for column in ("open_items", "open_reason"):
            connection.execute(f"ALTER TABLE sign_offs DROP COLUMN {column}")
        connection.execute("DROP TRIGGER IF EXISTS migrations_no_delete")
        connection.execute("DELETE FROM migrations WHERE name = '002_open_items'")
        connection.commit()
    again = CaseStore(folder)
    assert [signed.reviewer for signed in again.reviews.sign_offs(case.id)] == ["Cleo"]
    filed(again, case, b"another")
    with pytest.raises(CaseError, match="no decision"):
        again.reviews.sign_off(case.id, reviewer="Dora")


def test_there_must_be_a_decision_to_sign(store, case):
    item = filed(store, case)
    with pytest.raises(CaseError, match="no decision"):
        store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Cleo")


def test_who_signed_cannot_decide_afterwards(store, case):
    item = filed(store, case)
    store.reviews.decide(case.id, item.sha256, **VIEW, examiner="Bob")
    store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Cleo")
    with pytest.raises(CaseError, match="cannot also decide"):
        store.reviews.decide(case.id, item.sha256, **VIEW, examiner="cleo")
    assert actions(store, case.id)[-1] == "decision refused"


def test_a_blind_case_withholds_its_evidence_from_each_who_has_not_decided_it(store, case, blind):
    content = filed(store, case), filed(store, blind)
    assert content[0].sha256 == content[1].sha256
    other = filed(store, case, b"other")
    for person in ("Ann", "Bob", ""):
        assert store.reviews.withholding_case(content[0].sha256, person).id == blind.id
        assert store.reviews.withholding_case(other.sha256, person) is None
        assert store.reviews.withholding_case("0" * 64, person) is None
    store.reviews.decide(blind.id, content[0].sha256, outcome="error", reason="r", confidence="low", examiner="Ann")
    assert store.reviews.withholding_case(content[0].sha256, " ANN") is None
    assert store.reviews.withholding_case(content[0].sha256, "Bob").id == blind.id
    assert (
        store.reviews.withholding_case(content[0].sha256, "").id == blind.id
    )  # nobody in particular has decided nothing
    second = store.create_case("Blind as well", examiner="Ann", blind=True)
    filed(store, second)
    assert store.reviews.withholding_case(content[0].sha256, "Ann").id == second.id


def test_to_view_all_is_to_view_what_may_be_seen_of_every_item_once(store, blind, monkeypatch):
    monkeypatch.setattr("faceloupe.cases.reviews._PAGE", 2)
    items = [filed(store, blind, b"%d" % number) for number in range(5)]
    for item in items[1:4]:
        store.reviews.decide(blind.id, item.sha256, outcome="error", reason="r", confidence="low", examiner="Ann")
    for _ in range(2):
        store.reviews.view_all(blind.id, examiner="Ann")
    seen = [
        json.loads(entry.parameters)["sha256"]
        for entry in store.log.entries(blind.id)
        if entry.action == "score viewed"
    ]
    assert seen == [item.sha256 for item in items[1:4]]
