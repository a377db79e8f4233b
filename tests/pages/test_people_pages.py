"""Examiners and reviewers who sign in with passwords of their own, driven as they would."""

from functools import partial
from itertools import chain, repeat
from types import SimpleNamespace

from faceloupe.cases.case_record import case_record
from faceloupe.report.document.case import Letterhead
from faceloupe.report.document.html import render_html
from faceloupe.ui import resources
from faceloupe.ui.auth.people import People
from tests.pages.record import ADA, ITEM, SHA256, click, create, decide, go, press
from tests.pages.test_pages import page_text

ANN, BOB = "correct horse", "battery staple"  # pragma: allowlist secret


def sign_in(at, name, password):
    go(at, "cases")
    at.selectbox(key="sign_in_name").select(name)
    at.text_input(key="sign_in_password").set_value(password)
    return press(at, "Sign in")


def signed_in(app, data_folder):
    people = People(data_folder)
    people.set_password(ADA, ANN)
    people.set_password("Bo Second", BOB)
    return sign_in(app, ADA, ANN)


def test_where_people_have_passwords_no_name_is_typed_and_a_wrong_password_names_nobody(app, data_folder):
    People(data_folder).set_password(ADA, ANN)
    at = sign_in(app, ADA, BOB)
    assert "not the password of Ada Example" in at.error[0].value
    assert "no examiner" in page_text(at)
    assert not [field for field in at.text_input if field.key == "examiner_input"]


def test_a_name_that_was_typed_is_never_called_checked_whenever_passwords_come_in(app, monkeypatch):
    at = go(create(app), "image")
    click(at, "sample-photograph")
    click(at, "file")
    go(at, "case")
    click(at, ITEM)
    store = resources.cases()
    (case,) = store.cases()
    for reads in range(1, 12):  # of who has a password, before somebody has one
        form = f"{SHA256[:12]}-{len(store.reviews.decisions(case.id, SHA256))}"
        at.button_group(key=f"outcome-{form}").set_value("authentic")
        at.text_area(key=f"reason-{form}").set_value("The edge of the jaw is whole.")
        answers = chain(repeat([], reads), repeat([SimpleNamespace(name="Bo Second", password_hash="")]))
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(People, "all", partial(next, answers))
            press(at, "Enter decision")
        at.run()
    decisions = store.reviews.decisions(case.id, SHA256)
    assert decisions
    assert {(decision.examiner, decision.name_checked) for decision in decisions} == {(ADA, False)}


def test_a_decision_and_a_signature_state_that_their_names_were_checked_and_so_does_the_report(app, data_folder):
    at = signed_in(app, data_folder)
    assert "Signed in as" in page_text(at)
    at.text_input(key="new_case_name").set_value("Harbor")
    press(at, "Create the case")
    go(at, "image")
    click(at, "sample-photograph")
    click(at, "file")
    go(at, "case")
    click(at, ITEM)
    decide(at)
    reviewer = f"{SHA256[:12]}-0"
    at.selectbox(key=f"reviewer-{reviewer}").select("Bo Second")
    at.text_input(key=f"password-{reviewer}").set_value(ANN)  # that of somebody else
    press(at, "Sign off")
    store = resources.cases()
    (case,) = store.cases()
    assert store.reviews.sign_offs(case.id, SHA256) == ()
    at.text_input(key=f"password-{reviewer}").set_value(BOB)
    press(at, "Sign off")
    (decision,), (signed,) = store.reviews.decisions(case.id, SHA256), store.reviews.sign_offs(case.id, SHA256)
    assert (decision.examiner, decision.name_checked) == (ADA, True)
    assert (signed.reviewer, signed.name_checked) == ("Bo Second", True)
    report = render_html(case_record(store, case.id), store.runs.picture, letterhead=Letterhead("Lab", ()))
    assert "each entered their own password" in report
    assert "this program did not check" not in report


def test_signing_out_leaves_nobody_at_work(app, data_folder):
    at = click(signed_in(app, data_folder), "sign_out")
    assert "no examiner" in page_text(at)
    go(at, "case")
    assert "Open a case and name the examiner" in page_text(at)
