"""Video: analysis of one video, with a timeline of every face."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import demo, elements, finding, intake, lenses, next_steps, recent, resources, state
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.case import filing, similar
from faceloupe.ui.jobs import panel
from faceloupe.ui.language import tr
from faceloupe.ui.video import input
from faceloupe.ui.video import panels as video_panels


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
    video_panels.segment_line(key, report)
    finding.verdict_card(report)
    lenses.file_claims(report)
    similar.panel(key.evidence_sha256)
    next_steps.panel(key, report)
    filing.panel(key)
    if report.is_video:
        if analysis.tracks:
            video_panels.timeline_panel(analysis)
        video_panels.frame_panel(key, analysis)
        if analysis.tracks:
            video_panels.people_panel(analysis)
        video_panels.closer_panel(key, report)
    finding.file_facts(report)
    video_panels.downloads(key, report)


def examine() -> None:
    """Choose a video, wait for its analysis, and show the result."""
    job = input.under_way()
    chosen = input.choose(folded=job is not None or st.session_state[state.VIDEO_RESULT] is not None)
    if chosen is not None and chosen.picture is not None:
        intake.open_on_its_page(chosen.picture)
    if chosen is not None:
        input.start(chosen)
        st.rerun()
    if job is not None:
        panel.job_line(job)
    panel.notice()
    if st.session_state[state.VIDEO_RESULT]:
        show(st.session_state[state.VIDEO_RESULT])
    elif job is None:
        panel.other_examinations()
        st.markdown(
            tr(
                "1. The file is hashed before anything reads it, and {file_stays}.\n"
                "2. Frames are sampled over its time, faces are tracked from frame to frame, and each one scored.\n"
                "3. You see the score of each person over time, which segment stands out, and a heatmap of what "
                "the network used.",
                file_stays=demo.file_retention_clause(),
            )
        )


st.header(tr("Video"))
try:
    blind = filing.blind_case()
    if blind is None:
        examine()
    else:
        chosen = input.choose(folded=False)
        if chosen is not None:
            filing.choose(filing.of_video(chosen))
        filing.blind_panel(blind)
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
