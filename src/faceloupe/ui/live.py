"""The live view in the browser: the camera, the strip of the last minute, and filing the last seconds."""

import base64
import binascii
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import streamlit as st
from msgspec import UNSET, Struct, UnsetType

from faceloupe.analysis.live import KEPT_S, MOST_BYTES, WINDOW_S, LiveFace, LiveFrame, LiveView, join_frames
from faceloupe.analysis.pipeline import Networks
from faceloupe.cases.records import Case
from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.ui import resources, state
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs import tasks
from faceloupe.ui.language import tr

_KEY = "live_camera"
# Frames and answers are passed to the component as data and never become part of its code.
_component = st.components.v2.component("faceloupe_live", js=Path(__file__).with_name("live.js").read_text("utf-8"))


class _Face(Struct, frozen=True):
    """A face as the component shows it; the box is in fractions of the frame, 0..1."""

    id: int
    box: tuple[float, float, float, float]
    score: float | None
    problem: str


class _Answer(Struct):
    """The answer to a frame; it has no thresholds if there is a problem."""

    seq: int = 0
    faces: list[_Face] = []
    problem: str = ""
    rate: float | None = None
    lower: float | UnsetType = UNSET
    upper: float | UnsetType = UNSET


def view() -> LiveView:
    """Return the live view of this session.

    Raises:
        WeightsError: there is no verified quick model.
    """
    if st.session_state[state.LIVE] is None:
        st.session_state[state.LIVE] = LiveView(_networks())
    live_view: LiveView = st.session_state[state.LIVE]
    return live_view


def _networks() -> Networks:
    """Return the networks of the quick model, with the device and limits of this server."""
    return resources.networks(replace(resources.settings(), effort="quick", model=""))


@st.fragment
def camera() -> None:
    """Show the camera, and answer each of its frames; the component sends the next frame after each answer."""
    answer = msgspec.to_builtins(st.session_state[state.LIVE_ANSWER] or _Answer())
    _component(key=_KEY, data=answer | {"texts": _texts()}, on_frame_change=_take)


def legend() -> None:
    """Explain the numbers and colors; this is outside the fragment, which reruns for each frame."""
    st.caption(
        tr(
            "A face keeps its number as long as it is in view. Its score comes from its frames of the last "
            "{seconds:g} s. Boxes and points are vermilion at or above the upper threshold, green at or below the "
            "lower one, orange between them, and gray without a score. The dashed lines of the strip are the "
            "thresholds.",
            seconds=WINDOW_S,
        )
    )


def _texts() -> dict[str, str]:
    """Return the texts of the component, which replaces the names in braces."""
    return {
        "start": tr("Start the camera"),
        "share": tr("Share a screen"),
        "stop": tr("Stop"),
        "off": tr("The camera is off."),
        "insecure": tr("The camera needs a secure page: open the app by localhost on this machine, or over HTTPS."),
        "failed": tr("The camera cannot be opened: {cause}."),
        "missing": tr("there is none"),
        "denied": tr("the browser does not allow it"),
        "speed": tr("{rate} frames/s, median delay {delay} ms"),
        "delay": tr("frame rate not known yet, median delay {delay} ms"),
        "face": tr("Face {id}: score {score}"),
        "unscored": tr("Face {id}: {problem}"),
        "problem": tr("not scored"),
        "nobody": tr("no face"),
        "view": tr("Live view with framed faces"),
        "strip": tr("Scores of the last minute"),
        "top": tr("score 1"),
        "bottom": tr("score 0"),
        "past": tr("one minute ago"),
        "now": tr("now"),
    }


def _take() -> None:
    """Score the received frame. This is a callback."""
    sent = st.session_state[_KEY].frame
    answer = _Answer(_sequence(sent))
    try:
        frame = view().look(_content(sent), _taken(sent))
        thresholds = _networks().scorer.record.thresholds
        answer.faces = [_face(frame, face) for face in frame.faces]
        answer.rate, answer.lower, answer.upper = view().rate, thresholds.lower, thresholds.upper
    except FaceLoupeError as problem:
        answer.problem = str(problem)
    st.session_state[state.LIVE_ANSWER] = answer


def _face(frame: LiveFrame, face: LiveFace) -> _Face:
    x0, y0, x1, y1 = face.box.corners
    shares = x0 / frame.width, y0 / frame.height, x1 / frame.width, y1 / frame.height
    return _Face(face.id, shares, face.score, face.problem)


def _sequence(sent: Any) -> int:
    number = sent.get("seq") if isinstance(sent, dict) else None
    return number if isinstance(number, int) else 0


def _content(sent: Any) -> bytes:
    text = sent.get("jpeg") if isinstance(sent, dict) else None
    if not isinstance(text, str) or len(text) > 2 * MOST_BYTES:
        raise EvidenceError("A frame of the camera is missing or too large; reload the page.")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EvidenceError("A frame of the camera cannot be read; reload the page.") from None


def _taken(sent: Any) -> datetime:
    milliseconds = sent.get("taken_ms") if isinstance(sent, dict) else None
    try:
        return datetime.fromtimestamp(float(milliseconds or 0) / 1000.0, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise EvidenceError("A frame of the camera has no time; reload the page.") from None


def keep_button() -> None:
    """Offer to file the last seconds to the open case."""
    case = open_case.case()
    ready = case is not None and bool(open_case.examiner())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            tr("File the last seconds"),
            key="live_keep",
            icon=":material/create_new_folder:",
            disabled=not ready,
            on_click=_keep,
            args=(case,),
        )
        where = (
            tr("to the case {name}", name=plain(case.name))
            if case and ready
            else tr("to a case: open one and name the examiner")
        )
        st.caption(
            tr("Files the frames of the last {seconds:g} s, each with its hash, {where}.", seconds=KEPT_S, where=where),
            width="content",
        )
    if st.session_state[state.LIVE_NOTICE] is not None:
        icon, sentence = st.session_state[state.LIVE_NOTICE]
        (st.error if icon == "error" else st.success)(plain(sentence), icon=f":material/{icon}:")


def _keep(case: Case) -> None:
    try:
        frames = view().last_frames()
        segment = join_frames(frames)
        workflow = open_case.workflow_of(case)
        open_file = tasks.take_upload(segment.content, segment.name, resources.settings().max_bytes)
        item = workflow.file(open_file, segment.name, progress=lambda _stage, _share: None)
        workflow.store.reviews.add_note(case.id, segment.note, author=workflow.actor, sha256=item.sha256)
    except FaceLoupeError as problem:
        st.session_state[state.LIVE_NOTICE] = ("error", tr("Not filed: {problem}", problem=problem))
        return
    sentence = tr(
        "{count} frames were filed as {name}, with a note of their times and hashes.", count=len(frames), name=item.name
    )
    st.session_state[state.LIVE_NOTICE] = ("check", sentence)
