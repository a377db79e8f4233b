"""The pages of the group Record, and filing from those that examine, driven as a user would."""

import hashlib
import io
import time
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.config import REPOSITORY
from faceloupe.ui import report_panels, resources, state
from tests.conftest import PHOTOGRAPH
from tests.pages.test_pages import words

TIMEOUT = 60
SHA256 = hashlib.sha256(PHOTOGRAPH.read_bytes()).hexdigest()
ITEM = f"item-{SHA256[:12]}"


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    resources.cases.clear()
    at = AppTest.from_file(str(REPOSITORY / "src" / "app.py"), default_timeout=TIMEOUT).run()
    yield at
    resources.cases.clear()


def go(at, page):
    at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    return at


def click(at, key):
    at.button(key=key).click().run()
    assert not at.exception
    return at


def press(at, label):
    next(button for button in at.button if button.label == label).click().run()
    assert not at.exception
    return at


def create(at, name="Harbor", examiner="Ada Example", *, blind=False):
    go(at, "cases")
    at.text_input(key="examiner_input").set_value(examiner).run()
    at.text_input(key="new_case_name").set_value(name)
    at.checkbox(key="new_case_blind").set_value(blind)
    return press(at, "Create the case")


def decide(at, reason="The edge of the jaw is whole."):
    at.selectbox(key=f"outcome-{SHA256[:12]}-0").select("authentic")
    at.text_area(key=f"reason-{SHA256[:12]}-0").set_value(reason)
    return press(at, "Enter the decision")


def sign(at, reviewer):
    at.text_input(key=f"reviewer-{SHA256[:12]}-0").set_value(reviewer)
    return press(at, "Sign off")


@pytest.fixture
def filed(app):
    """A case that is not blind, with a sample filed from the page Image."""
    go(create(app), "image")
    click(app, "sample-photograph")
    return click(app, "file")


def test_the_first_visit_has_no_case_and_no_examiner_and_the_pages_say_where_to_start(app):
    assert "no case open" in words(app)
    assert "no examiner" in words(app)
    assert "There is no case yet" in words(go(app, "cases"))
    for page in ("case", "report"):
        assert "Open a case and name the examiner" in words(go(app, page))


def test_a_created_case_is_open_and_named_at_the_top_of_every_page(app):
    create(app)
    case = resources.cases().cases()[0]
    assert (case.name, case.examiner, case.blind) == ("Harbor", "Ada Example", False)
    for page in ("cases", "case", "image", "report"):
        text = words(go(app, page))
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
    assert "Name the examiner above first" in words(app)
    assert resources.cases().cases() == ()


def test_an_analysis_is_filed_once_and_shown_on_the_page_case(filed):
    assert "Filed already in case Harbor" in words(filed)
    assert "file" not in {button.key for button in filed.button}
    case_id = filed.session_state[state.CASE]
    assert len(resources.cases().runs(case_id, SHA256)) == 1
    click(go(filed, "case"), ITEM)
    text = words(filed)
    assert "log verified" in text
    assert "Error rates of single faces" in text
    assert "score viewed" in [entry.action for entry in resources.cases().log(case_id)]


def test_without_a_case_the_page_says_how_long_a_result_is_kept(app):
    assert "kept until the server stops" in words(click(app, "sample-photograph"))


def test_a_blind_case_shows_a_score_only_after_the_decision(app):
    go(create(app, blind=True), "image")
    click(app, "sample-photograph")
    assert "Error rates" not in words(app)
    click(app, "file_blind")
    job = resources.jobs().get(app.session_state[state.FILING_JOB]) if app.session_state[state.FILING_JOB] else None
    deadline = time.monotonic() + TIMEOUT
    while job is not None and job.live and time.monotonic() < deadline:
        time.sleep(0.05)
    app.run()
    assert "was filed and analyzed" in words(app)
    click(go(app, "case"), ITEM)
    hidden = words(app)
    assert "hidden until you decide" in hidden
    assert "Error rates" not in hidden
    assert not app.get("image")
    shown = words(decide(app))
    assert "before seeing the score" in shown
    assert "Error rates of single faces" in shown
    assert "hidden until you decide" not in shown
    assert "Error rates" not in words(go(app, "image"))


def test_a_result_that_was_on_show_is_hidden_while_a_blind_case_is_open(app):
    assert "Error rates" in words(click(app, "sample-photograph"))
    assert "Error rates" not in words(go(create(app, blind=True), "image"))


def test_the_examiner_cannot_sign_and_a_second_person_can(filed):
    decide(click(go(filed, "case"), ITEM))
    sign(filed, "ada  EXAMPLE")
    assert "cannot review it" in words(filed).replace("\\", "")
    sign(filed, "Bo Second")
    assert ":material/check: Bo Second" in words(filed)


def test_hostile_text_is_shown_not_run(app):
    hostile = "<b>:red[x]</b>**y**\u202egpj"
    create(app, hostile, hostile)
    go(app, "image")
    click(app, "sample-photograph")
    click(app, "file")
    click(go(app, "case"), ITEM)
    app.text_area(key=f"text-{SHA256[:12]}-0").set_value(hostile)
    press(app, "Add the note")
    decide(app, hostile)
    for page in ("case", "cases"):
        text = words(go(app, page)) + "".join(button.label for button in app.button)
        assert "<b>" not in text
        assert "\\<b\\>" in text
        assert "\u202e" not in text


def test_the_report_is_previewed_and_offered_as_files(filed):
    go(filed, "report")
    filed.text_input(key="organization_input").set_value("Example Laboratory").run()
    filed.selectbox(key="language_input").select("de").run()
    assert not filed.exception
    labels = {one.proto.label for one in filed.get("download_button")}
    assert {"HTML", "PDF", "Case JSON", "Export bundle"} <= labels
    assert filed.get("iframe")
    go(filed, "cases")
    assert go(filed, "report").text_input(key="organization_input").value == "Example Laboratory"


def test_a_bundle_and_a_pdf_are_made_on_request(filed):
    case_id = filed.session_state[state.CASE]
    letterhead = report_panels.Letterhead("Example Laboratory")
    bundle = report_panels._bundle(case_id, "Ada Example", letterhead, "en")
    assert zipfile.is_zipfile(io.BytesIO(bundle))
    assert "export" in [entry.action for entry in resources.cases().log(case_id)]
    record = report_panels.case_report(resources.cases(), case_id, viewer="Ada Example")
    assert report_panels._pdf(record, letterhead, "de").startswith(b"%PDF")
