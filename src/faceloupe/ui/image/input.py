"""How a photo gets to the queue: an upload or a sample; and the wait for what is found in it."""

from functools import partial

import streamlit as st

from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, open_evidence
from faceloupe.samples import SAMPLES
from faceloupe.ui import effort_input, resources, state
from faceloupe.ui.jobs import session, tasks
from faceloupe.ui.jobs.queue import Job, State
from faceloupe.ui.panels import plain
from faceloupe.ui.video import input as video_input

_LOOK_S = 0.25  # between two looks at a job under way: each is drawn by the browsers of all who wait


def choose(*, folded: bool) -> EvidenceFile | None:
    """Show the drop zone and the samples; return the file that was chosen in this run, if any."""
    limit = resources.settings().max_bytes
    with st.expander("New photo" if folded else "Choose a photo", expanded=not folded, key=f"choose-{folded}"):
        effort_input.choose()
        upload = st.file_uploader(
            "A photo: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC; a video is taken to its own page", key="upload"
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("or a sample:", width="content")
            pressed = [
                sample
                for sample in SAMPLES
                if st.button(
                    sample.title, key=f"sample-{sample.path.stem}", help=sample.origin, icon=":material/image:"
                )
            ]
    if pressed:
        return open_evidence(pressed[0].path, max_bytes=limit)
    if upload is None:
        st.session_state[state.LAST_UPLOAD] = None
    elif upload.file_id != st.session_state[state.LAST_UPLOAD]:
        st.session_state[state.LAST_UPLOAD] = upload.file_id
        return evidence_from_bytes(upload.getvalue(), upload.name, max_bytes=limit)
    return None


def lead_to_video(evidence_file: EvidenceFile) -> None:
    """Take a video to its own page, where its analysis starts; nothing happens for other files.

    Raises:
        FaceLoupeError: there is no verified model, or too much waits already.
    """
    if evidence_file.evidence.media_type == "video":
        video_input.start(video_input.of_evidence(evidence_file))
        st.switch_page("../pages/video.py")


def start(evidence_file: EvidenceFile) -> None:
    """Queue the analysis of a newly chosen photo; nothing old stays beside it.

    Raises:
        FaceLoupeError: there is no verified model, or too much waits already.
    """
    st.session_state[state.RESULT] = st.session_state[state.FACE] = st.session_state[state.NOTICE] = None
    settings = resources.settings()
    analyzer = resources.analyzer(settings)
    examine = partial(tasks.analyze_image_job, evidence_file, analyzer, resources.analyses())
    key = (
        "still",
        st.session_state[state.OWNER],
        resources.key_of(evidence_file),
    )  # one's own: another's cancel ends theirs
    st.session_state[state.IMAGE_JOB] = resources.submit_image(key, evidence_file.evidence.name, examine).key


def under_way() -> Job | None:
    """Return the analysis that this session waits for; one that has ended becomes the result, or a notice."""
    return session.collect(
        resources.stills(),
        job=state.IMAGE_JOB,
        result=state.RESULT,
        notice=state.NOTICE,
        cancelled="The analysis of {title} was cancelled; choose the file again to examine it.",
    )


def wait(job: Job) -> None:
    """Show how far an analysis is, with a way out, until it has ended; then run the page anew.

    A click, a change of page or a closed tab ends the wait, not the work: what it brings is found on the next visit.
    """
    bar = st.progress(0.0, "Starting")
    st.button("Cancel", key="cancel", on_click=job.cancel)
    while job.live:
        waiting = resources.stills().ahead(job) if job.state is State.QUEUED else 0
        bar.progress(job.share, f"Waiting for {waiting} before it" if waiting else job.stage)
        job.wait(_LOOK_S)
    st.rerun()


def notice() -> None:
    """Show why the last photo brought no result."""
    if st.session_state[state.NOTICE] is not None:
        icon, sentence = st.session_state[state.NOTICE]
        (st.error if icon == "error" else st.info)(plain(sentence), icon=f":material/{icon}:")
