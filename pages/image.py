"""Image: one photo in, a verdict with its faces and heatmaps out."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.media.intake import Intake, take_in, take_in_bytes
from faceloupe.pipeline import analyze
from faceloupe.samples import SAMPLES
from faceloupe.ui import filing, panels, resources, state


def examine(intake: Intake) -> None:
    """Analyze a file, with progress and a way out, and show the result at the next rerun."""
    key, store = resources.key_of(intake), resources.analyses()
    st.session_state[state.RESULT] = st.session_state[state.FACE] = None  # nothing old beside the new file
    if store.get(key) is None:
        bar = st.progress(0.0, "Starting")
        # A click reruns the page, and the next report of progress ends this run.
        st.button("Cancel", key="cancel", on_click=state.cancelled, args=(intake.evidence.name,))
        analysis = analyze(
            intake,
            resources.instruments(),
            settings=resources.settings(),
            progress=lambda stage, share: bar.progress(share, stage),
        )
        store.put(key, analysis, intake)
    st.session_state[state.RESULT] = key
    st.rerun()


def show(key: resources.AnalysisKey) -> None:
    """Show a kept analysis."""
    analysis = resources.analyses().get(key)
    if analysis is None:
        st.info("This result is not in memory any more; choose the file again.", icon=":material/history:")
        return
    report = analysis.report
    panels.verdict_card(report)
    filing.panel(key)
    if analysis.picture is not None:
        explained = [face for face in analysis.faces if face.heat is not None]
        wanted = st.session_state[state.FACE]
        chosen = next((face for face in explained if face.id == wanted), None)
        chosen = chosen or max(explained, key=lambda face: face.score, default=None)
        left, right = st.columns([1.2, 1.0] if analysis.faces else [1.0, 0.001], gap="medium")
        with left:
            panels.source_picture(analysis, chosen)
        with right:
            panels.face_rows(analysis)
            if chosen:
                panels.closer_look(chosen, report["model"]["explanation_max"])
    panels.file_facts(report)
    panels.downloads(report)


def choose(*, folded: bool) -> Intake | None:
    """The drop zone and the samples; the file that was chosen in this run, if any."""
    limit = resources.settings().max_bytes
    with st.expander("Another photo" if folded else "Choose a photo", expanded=not folded, key=f"choose-{folded}"):
        upload = st.file_uploader("A photo: JPEG, PNG, WebP, TIFF, BMP, AVIF or HEIC", key="upload")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("or a sample:", width="content")
            for sample in SAMPLES:
                name = f"sample-{sample.path.stem}"
                if st.button(sample.title, key=name, help=sample.origin, icon=":material/image:"):
                    return take_in(sample.path, max_bytes=limit)
    if upload is None:
        st.session_state[state.LAST_UPLOAD] = None
    elif upload.file_id != st.session_state[state.LAST_UPLOAD]:
        st.session_state[state.LAST_UPLOAD] = upload.file_id
        st.session_state[state.NOTICE] = None
        return take_in_bytes(upload.getvalue(), upload.name, max_bytes=limit)
    return None


st.header("Image")
try:
    blind = filing.blind_case()
    intake = choose(folded=blind is None and st.session_state[state.RESULT] is not None)
    if blind is not None:
        filing.blind_panel(blind, intake and filing.of_intake(intake))
    elif intake is not None:
        examine(intake)
    elif st.session_state[state.RESULT]:
        show(st.session_state[state.RESULT])
    else:
        if notice := st.session_state[state.NOTICE]:
            st.info(panels.plain(notice), icon=":material/cancel:")
        st.markdown(
            "1. The file is hashed before anything reads it, and it stays on this machine.\n"
            "2. Faces are looked for, held against quality gates, and scored by a calibrated network.\n"
            "3. You see the outcome, the reason, the error rates measured on known faces, and where the network looked."
        )
except FaceLoupeError as problem:
    st.error(panels.plain(str(problem)), icon=":material/error:")
