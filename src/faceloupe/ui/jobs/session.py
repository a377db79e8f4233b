"""What a session waits for: its job becomes its result, or a notice."""

import streamlit as st

from faceloupe.web.jobs import Job, JobQueue, State


def collect(jobs: JobQueue, *, job: str, result: str, notice: str, cancelled: str) -> Job | None:
    """Return the job that this session waits for; one that has ended becomes the result, or a notice.

    Args:
        jobs: the queue that it was put into.
        job: name of the session's entry that holds the key of the job.
        result: name of the entry for what a finished job brings.
        notice: name of the entry for an icon and a sentence where it brings nothing.
        cancelled: the sentence on a cancelled job, with ``{title}``.
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
