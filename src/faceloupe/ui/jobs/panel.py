"""Panels of long jobs: their progress, their outcome, and the jobs of other sessions."""

import streamlit as st

from faceloupe.config import is_demo
from faceloupe.ui import elements, resources, state
from faceloupe.ui.elements import plain
from faceloupe.ui.language import stage, tr
from faceloupe.ui.video import input
from faceloupe.web.jobs import Job, JobQueue, State

_POLL_S = 0.5


@st.fragment(run_every=_POLL_S)
def job_line(job: Job, queue: JobQueue | None = None) -> None:
    """Show the progress of a job and a cancel button; rerun the page when the job has ended.

    Args:
        job: the running or waiting job.
        queue: the queue of the job; None means the queue of long jobs.
    """
    if not job.live:
        st.rerun()
    with st.container(border=True, key=f"job-{job.title}"):
        caption, button = st.columns([8, 1], vertical_alignment="center")
        with caption:
            st.markdown(f"**{plain(job.title)}**")
            st.progress(job.share, plain(stage(job.stage)))
            st.caption(_pace(job, queue or resources.long_jobs()))
        button.button(tr("Cancel"), key=f"cancel-{job.title}", on_click=job.cancel, width="stretch")


def _pace(job: Job, queue: JobQueue) -> str:
    if job.state is State.QUEUED:
        ahead = queue.ahead(job)
        return (
            tr("next in the queue")
            if ahead == 0
            else tr("waiting for 1 other job")
            if ahead == 1
            else tr("waiting for {ahead} other jobs", ahead=ahead)
        )
    parts = [tr("{share:.0%} done", share=job.share)]
    if job.frames:
        parts.append(tr("{frames} frames done", frames=job.frames[0]))
    if job.rate is not None:
        parts.append(tr("{rate:.1f} frames/s", rate=job.rate))
    parts.append(
        tr("remaining time not known yet")
        if job.seconds_left is None
        else tr("about {seconds_left:.0f} s left", seconds_left=job.seconds_left)
    )
    return "  ·  ".join(parts)


def notice() -> None:
    """Show why the last job has no result."""
    elements.notice(state.VIDEO_NOTICE)


def other_examinations() -> None:
    """Show analyses of other sessions, for users who reloaded the page while theirs was running."""
    if is_demo():  # strangers share the server
        return
    examinations = [job for job in resources.long_jobs().live() if isinstance(job.key, input.Examination)]
    for number, job in enumerate(examinations):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(tr("Running: {title}", title=plain(job.title)), width="content")
            st.button(tr("Show progress"), key=f"follow-{number}", on_click=input.follow, args=(job.key,))
