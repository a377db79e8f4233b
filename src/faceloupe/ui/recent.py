"""The results that this browser showed last and that are still in memory."""

import cv2
import numpy as np
import streamlit as st

from faceloupe.report.build import ReportedAnalysis
from faceloupe.ui import resources, state
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.case import filing
from faceloupe.ui.elements import outcome_mark, plain, short
from faceloupe.ui.language import tr

_MOST, _COLUMNS, _HEIGHT = 6, 3, 96  # results, results per row, pixels of a thumbnail


def add(key: AnalysisKey) -> None:
    """Put a result at the head of the list."""
    others = (identity for identity in st.session_state[state.RECENT] if identity != key.identity)
    st.session_state[state.RECENT] = (key.identity, *others)[:_MOST]


def keys() -> list[AnalysisKey]:
    """Return the results that are still in memory and may be shown, the newest first.

    Raises:
        CaseError: the cases cannot be read, so it is unknown which results blind cases withhold.
    """
    results = [resources.analyses().find(identity) for identity in st.session_state[state.RECENT]]
    withheld = filing.all_withheld()
    return [key for key in results if key is not None and key.evidence_sha256 not in withheld]


def panel() -> None:
    """Show the results, the newest first; a click opens one.

    Raises:
        CaseError: the cases cannot be read, so it is unknown which results blind cases withhold.
    """
    analyses = [(key, analysis) for key in keys() if (analysis := resources.analyses().get(key)) is not None]
    if not analyses:
        return
    st.caption(tr("Recent results of this browser, kept until newer ones need the memory or the server stops:"))
    cells = st.columns(_COLUMNS)
    for number, (key, analysis) in enumerate(analyses):
        with cells[number % _COLUMNS].container(border=True, horizontal=True, vertical_alignment="center"):
            _result(key, analysis)


def _result(key: AnalysisKey, analysis: ReportedAnalysis) -> None:
    name = plain(short(key.name, 30))
    thumbnail = _thumbnail(analysis)
    if thumbnail is not None:
        st.image(thumbnail, alt=tr("Face in {name}", name=name))
    with st.container():
        if st.button(name, key=f"recent-{key.identity}", type="tertiary"):
            open_result(key, is_video=analysis.report.is_video)
        st.caption(outcome_mark(analysis.report.outcome))


def open_result(key: AnalysisKey, *, is_video: bool) -> None:
    """Show a result on the page for its kind."""
    if is_video:
        st.session_state[state.VIDEO_RESULT] = key
        st.session_state[state.VIDEO_WHOLE] = st.session_state[state.VIDEO_SHOWN] = None
        st.switch_page("../pages/video.py")
    st.session_state[state.RESULT], st.session_state[state.FACE] = key, None
    st.switch_page("../pages/image.py")


def _thumbnail(analysis: ReportedAnalysis) -> np.ndarray | None:
    """Return the crop of the decisive face or track, or the first crop; None if there is no crop."""
    report = analysis.report
    crops = [(face.id, face.crop) for face in analysis.faces] + [(track.id, track.crop) for track in analysis.tracks]
    crops.sort(key=lambda pair: pair[0] != report.decisive_id)
    crop = next((crop for _, crop in crops if crop is not None), None)
    return None if crop is None else cv2.resize(crop, (_HEIGHT, _HEIGHT), interpolation=cv2.INTER_AREA)
