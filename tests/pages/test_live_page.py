"""The page Live, as far as it goes without a browser; tools/walks/live_walk.py drives its camera."""

import base64
from types import SimpleNamespace

import pytest

from faceloupe.config import Settings
from faceloupe.ui import live, state
from tests.analysis.test_live import jpeg
from tests.conftest import OTHER_MODEL
from tests.pages.record import blind_case_with, create, go, name_examiner
from tests.pages.test_pages import page_text


@pytest.fixture
def session(monkeypatch):
    """A session whose camera sends the frames of a test."""
    values = {state.LIVE: None, state.LIVE_ANSWER: None, state.LIVE_NOTICE: None, state.EFFORT: None}

    def send(frame):
        values[live._KEY] = SimpleNamespace(frame=frame)
        live._take()
        return values[state.LIVE_ANSWER]

    monkeypatch.setattr("streamlit.session_state", values)
    return send


def test_the_live_view_keeps_device_and_limits_of_the_server(session, monkeypatch):
    monkeypatch.setattr("faceloupe.ui.resources.settings", lambda: Settings(max_pixels=4_000_000, model=OTHER_MODEL))
    assert live._networks().settings == Settings(max_pixels=4_000_000, effort="quick")


def test_the_page_says_that_nothing_is_kept_and_that_a_case_is_needed_to_keep_something(app):
    go(app, "live")
    text = "\n".join([page_text(app), *(element.value for element in app.warning)])
    assert "no evidence is kept" in text
    assert "open one and name the examiner" in text
    assert app.button(key="live_keep").disabled


def test_keeping_before_the_first_frame_is_reported_in_one_sentence(app):
    create(app)
    go(app, "live").button(key="live_keep").click().run()
    assert not app.exception
    assert "start the camera first" in page_text(app)


def test_while_a_blind_case_is_open_there_are_no_scores(app):
    case = blind_case_with()
    name_examiner(app)
    app.session_state[state.CASE] = case.id
    go(app, "live")
    assert "is blind" in page_text(app)
    assert not any(button.key == "live_keep" for button in app.button)


def test_a_frame_is_answered_with_its_faces_in_shares_of_the_picture(session):
    answer = session({"seq": 7, "jpeg": base64.b64encode(jpeg(60)).decode(), "taken_ms": 1_760_000_000_000})
    (face,) = answer.faces
    assert (answer.seq, answer.problem, face.id) == (7, "", 1)
    assert all(0.0 < share < 1.0 for share in face.box)
    assert face.score > 0.5


@pytest.mark.parametrize(
    "frame",
    [
        *(
            None,
            "x",
            {},
            {"seq": 1, "jpeg": 5},
            {"seq": 1, "jpeg": "x"},
            {"seq": 1, "jpeg": "AAAA", "taken_ms": "never"},
        ),
        *({"seq": 1, "jpeg": "A" * 5_000_000, "taken_ms": 0}, {"seq": 1, "jpeg": "AAAA", "taken_ms": 1e30}),
    ],
)
def test_whatever_else_a_browser_sends_is_reported_in_one_sentence(session, frame):
    answer = session(frame)
    assert answer.faces == []
    assert answer.problem.endswith(".")
