"""Image: analysis of one photo, with its verdict, faces and heatmaps."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.media.similarity import perceptual_hash
from faceloupe.ui import elements, embedded, finding, intake, lenses, next_steps, recent, resources, state
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.case import filing, similar
from faceloupe.ui.image import input, panels
from faceloupe.ui.language import mark_for_translation, tr
from faceloupe.web.jobs import Job

LABEL = mark_for_translation(
    "A photo (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC). Other files open on their own page."
)


def show(key: AnalysisKey) -> None:
    """Show a cached analysis."""
    analysis = resources.analyses().get(key)
    if analysis is None:
        st.info(tr("This result is no longer in memory; choose the file again."), icon=":material/history:")
        return
    if filing.withheld(key.evidence_sha256):
        return
    recent.add(key)
    report = analysis.report
    finding.verdict_card(report)
    lenses.file_claims(report)
    image_hash = "" if analysis.canvas is None else perceptual_hash(analysis.canvas.rgb)
    similar.panel(key.evidence_sha256, image_hash=image_hash)
    next_steps.panel(key, report)
    embedded.panel(key, report)
    filing.panel(key)
    if analysis.canvas is not None:
        explained = [face for face in analysis.faces if face.heatmap is not None]
        wanted = st.session_state[state.FACE]
        chosen = next((face for face in explained if face.id == wanted), None)
        chosen = chosen or max(explained, key=lambda face: face.score or 0.0, default=None)
        left, right = st.columns([1.2, 1.0] if analysis.faces else [1.0, 0.001], gap="medium")
        with left:
            panels.source_picture(analysis, chosen)
        with right:
            panels.face_rows(analysis, chosen)
        if chosen:
            with left if len(explained) > 1 else right:  # below the picture if its faces can be clicked
                panels.closer_look(analysis.canvas, chosen, report.model.explanation_max)
    finding.file_facts(report)
    finding.downloads(report)


def _shown(job: Job | None) -> str:
    """Return an id of the current job or result, so that the drop zone folds again for each file."""
    result = st.session_state[state.RESULT]
    return str(hash(job.key)) if job is not None else "" if result is None else result.identity


def examine() -> None:
    """Choose a photo, wait for its analysis, and show the result."""
    job = input.under_way()
    folded = job is not None or st.session_state[state.RESULT] is not None
    with st.expander(
        tr("Another file") if folded else tr("Choose a file"), expanded=not folded, key=f"choose-{_shown(job)}"
    ):
        intake.drop_zone(tr(LABEL))
        intake.samples()
    input.notice()
    if job is not None:
        input.wait(job)
    elif st.session_state[state.RESULT]:
        show(st.session_state[state.RESULT])
    else:
        intake.promises()


st.header(tr("Image"))
try:
    blind = filing.blind_case()
    if blind is None:
        examine()
    else:
        intake.drop_zone(tr(LABEL))
        intake.samples()
        filing.blind_panel(blind)
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
