"""The job that a session waits for, and its result or notice."""

import streamlit as st

from faceloupe.web.jobs import Job, JobQueue, State


def collect(jobs: JobQueue, *, job: str, result: str, notice: str, cancelled: str) -> Job | None:
    """Return the job that this session waits for; if it has ended, store its result or a notice and return None.

    Args:
        jobs: the queue of the job.
        job: name of the session entry that holds the key of the job.
        result: name of the session entry for the result of a finished job.
        notice: name of the session entry for an icon and a sentence if there is no result.
        cancelled: the sentence for a cancelled job, with ``{title}``.
    """
    key = st.session_state[job]
    waiting = jobs.get(key) if key is not None else None
    if waiting is None or waiting.live:
        return waiting
    st.session_state[job] = None
    if waiting.state is State.DONE:
        st.session_state[result] = waiting.result
    elif waiting.state is State.FAILED:
        st.session_state[notice] = ("error", waiting.error)
    else:
        st.session_state[notice] = ("cancel", cancelled.format(title=waiting.title))
    return None
