"""The next steps for a result: one sentence for each, with a button if the app can take the step."""

import math
from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from faceloupe.config import is_demo
from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.report.finding import StepKind, next_steps
from faceloupe.report.schema import Report, Track
from faceloupe.ui import language, resources, state
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain
from faceloupe.ui.image import input as image_input
from faceloupe.ui.language import mark_for_translation, tr
from faceloupe.ui.video import input as video_input

_MOST_IN_PART = 256  # frames
_LABELS = {
    StepKind.THOROUGH: mark_for_translation("Analyze thoroughly"),
    StepKind.SEGMENT: mark_for_translation("Analyze this part"),
    StepKind.MORE_FRAMES: mark_for_translation("Use more frames"),
}


def panel(key: AnalysisKey, report: Report) -> None:
    """Show the next steps for the shown result."""
    with st.container(border=True, key="next"):
        st.markdown(tr("**What next**"))
        for number, step in enumerate(next_steps(report, language.current()), 1):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{number}. {plain(step.text)}", width="stretch")
                if step.kind in _LABELS:
                    st.button(
                        tr(_LABELS[step.kind]), key=f"next-{step.kind}", on_click=_take, args=(step.kind, key, report)
                    )
                elif step.kind is StepKind.LENSES:
                    st.page_link("../pages/lenses.py", label=tr("Lenses"), icon=":material/search:")
                elif step.kind is StepKind.SECOND and open_case.case() is None and not is_demo():
                    st.page_link("../pages/cases.py", label=tr("Open a case"), icon=":material/folder_open:")


def _frames_between(report: Report, first_s: float, last_s: float) -> int:
    """Return the number of frames in a part of a video, at most ``_MOST_IN_PART``; 0 if the frame rate is unknown."""
    numbers = [float(part) for part in ((report.video and report.video.frame_rate) or "0").split("/")]
    rate = numbers[0] / numbers[-1] if numbers[-1] else 0.0
    return min(_MOST_IN_PART, math.ceil((last_s - first_s) * rate) + 1) if rate else 0


def _take(kind: StepKind, key: AnalysisKey, report: Report) -> None:
    """Take a step; an error becomes the notice of the page. This is a callback."""
    try:
        _action(kind, key, report)()
    except FaceLoupeError as problem:
        notice = state.VIDEO_NOTICE if report.is_video else state.NOTICE
        st.session_state[notice] = ("error", str(problem))


def _action(kind: StepKind, key: AnalysisKey, report: Report) -> Callable[[], None]:
    match kind, report.decisive:
        case StepKind.THOROUGH, _:
            return lambda: _thoroughly(key, report)
        case StepKind.SEGMENT, Track(segment=part) if part is not None:
            # Rounded outwards, so that the first and the last frame of the part are included.
            first, last = math.floor(100.0 * part.first_s) / 100.0, math.ceil(100.0 * part.last_s) / 100.0
            frames = _frames_between(report, first, last)
            return lambda: video_input.look_closer(key, first, last, frames, report.settings.effort)
        case _:
            return lambda: _with_more_frames(key, report)


def _thoroughly(key: AnalysisKey, report: Report) -> None:
    evidence_file = resources.analyses().evidence_file(key)
    if evidence_file is None:
        raise EvidenceError(f"{key.name} is no longer in memory; choose it again.")
    chosen = st.session_state[state.EFFORT]
    st.session_state[state.EFFORT] = "thorough"
    try:
        if report.is_video:
            video_input.start(video_input.of_evidence(evidence_file))
        else:
            image_input.start(evidence_file)
    finally:  # files that are chosen later use the earlier effort again
        st.session_state[state.EFFORT] = chosen


def _with_more_frames(key: AnalysisKey, report: Report) -> None:
    evidence_file = resources.analyses().evidence_file(key)
    if evidence_file is None:
        raise EvidenceError(f"{key.name} is no longer in memory; choose it again.")
    chosen = video_input.of_evidence(evidence_file)
    frames = min(video_input.MOST_FRAMES, 2 * len(report.frames))
    settings = replace(chosen.key.settings, frames=frames)
    video_input.start(replace(chosen, key=replace(chosen.key, settings=settings)))
