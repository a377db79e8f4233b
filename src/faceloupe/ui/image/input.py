"""The job that analyzes a photo: queueing it, and waiting for its result."""

from functools import partial

import streamlit as st

from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.ui import elements, resources, state
from faceloupe.ui.jobs import session, tasks
from faceloupe.ui.language import stage, tr
from faceloupe.web.jobs import Job, State

_LOOK_S = 0.25  # seconds between updates of the progress: each is drawn by every browser that waits


def start(evidence_file: EvidenceFile) -> None:
    """Queue the analysis of a newly chosen photo, and clear the previous result.

    Raises:
        FaceLoupeError: there is no verified model, or too many jobs are waiting.
    """
    st.session_state[state.RESULT] = st.session_state[state.FACE] = st.session_state[state.NOTICE] = None
    settings = resources.settings()
    networks = resources.networks(settings)
    examine = partial(tasks.analyze_image_job, evidence_file, networks, resources.analyses())
    key = (
        "still",
        st.session_state[state.OWNER],
        resources.key_of(evidence_file),
    )  # includes the session, because a cancel ends the job for everyone
    st.session_state[state.IMAGE_JOB] = resources.submit_image(key, evidence_file.evidence.name, examine).key


def under_way() -> Job | None:
    """Return the analysis that this session waits for; if it has ended, store its result or a notice."""
    return session.collect(
        resources.short_jobs(),
        job=state.IMAGE_JOB,
        result=state.RESULT,
        notice=state.NOTICE,
        cancelled=tr("The analysis of {title} was cancelled; choose the file again to examine it."),
    )


def wait(job: Job) -> None:
    """Show the progress of an analysis and a cancel button until it has ended; then rerun the page.

    A click, a change of page or a closed tab ends the wait but not the job; its result is shown on the next visit.
    """
    bar = st.progress(0.0, tr("Starting"))
    st.button(tr("Cancel"), key="cancel", on_click=job.cancel)
    while job.live:
        waiting = resources.short_jobs().ahead(job) if job.state is State.QUEUED else 0
        bar.progress(
            job.share,
            tr("Waiting; jobs ahead in the queue: {waiting}", waiting=waiting) if waiting else stage(job.stage),
        )
        job.wait(_LOOK_S)
    st.rerun()


def notice() -> None:
    """Show why the last photo has no result."""
    elements.notice(state.NOTICE)
