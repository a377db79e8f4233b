"""The job that analyzes a video: an upload, a file of the evidence folder, or a segment of an analyzed video."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st

from faceloupe.cases.workflow import OpenFile
from faceloupe.config import EFFORTS, Settings, evidence_folder
from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.media import formats
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, printable_name
from faceloupe.ui import effort_input, resources, state
from faceloupe.ui import evidence_folder as evidence
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs import session, tasks
from faceloupe.ui.language import mark_for_translation, tr
from faceloupe.web.jobs import Job

MOST_FRAMES = 10_000
COST = mark_for_translation(  # see docs/method.md for how it was measured
    "How long a video takes: one hour (640 x 480 pixels, H.264, 232 tracks) took two minutes with the effort "
    "*standard* on two processor cores. The time differs for other sizes, other codecs and more frames."
)
FRAMES_LABEL = mark_for_translation(
    "Number of frames to analyze. If you enter 0, it depends on the duration (32, or one per second up to 256)"
)


@dataclass(frozen=True, slots=True)
class Examination:
    """Key of a job that analyzes a video: the source, the settings and the session.

    The session is part of the key, because a cancel ends a job for everyone who waits for it.
    """

    source: Hashable
    settings: Settings
    owner: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A video that the user chose for analysis.

    Attributes:
        key: key of the job.
        name: name of the file.
        title: title of the job, shown to users.
        open_file: opens the file; called in the job.
        picture: the file if it is a picture, which the page Image analyzes; otherwise None.
    """

    key: Examination
    name: str
    title: str
    open_file: OpenFile
    picture: EvidenceFile | None = None


def choose(*, folded: bool) -> Chosen | None:
    """Show the drop zone, the evidence folder and the options; return the video chosen in this run, or None."""
    with st.expander(
        tr("New video") if folded else tr("Choose a video"), expanded=not folded, key=f"choose-video-{folded}"
    ):
        effort_input.choose()
        kinds = tr("MP4, MOV, MKV, WebM, TS, AVI, WMV, FLV, MXF and others, animated GIF, WebP, PNG or AVIF")
        upload = st.file_uploader(tr("A video: {kinds}", kinds=kinds), key="video_upload_widget")
        named = _from_folder()
        frames = _frames_option()
        st.caption(tr(COST))
    settings = replace(resources.settings(), frames=frames) if frames else resources.settings()
    folder = evidence_folder()
    if named is not None and folder is not None:
        path = evidence.inside(folder, named)
        return _chosen(path, path.name, settings, tasks.take_path(path, settings.max_bytes))
    if upload is None:
        st.session_state[state.VIDEO_UPLOAD] = None
    elif upload.file_id != st.session_state[state.VIDEO_UPLOAD]:
        st.session_state[state.VIDEO_UPLOAD] = upload.file_id
        content = upload.getvalue()
        take = tasks.take_upload(content, upload.name, settings.max_bytes)
        chosen = _chosen(upload.file_id, upload.name, settings, take)
        if formats.sniff(content[: formats.HEAD_BYTES]) in formats.IMAGE_FORMATS:
            evidence_file = evidence_from_bytes(content, upload.name, max_bytes=settings.max_bytes)
            if evidence_file.evidence.media_type == "image":
                return replace(chosen, picture=evidence_file)
        return chosen
    return None


def _chosen(source: Hashable, name: str, settings: Settings, open_file: OpenFile) -> Chosen:
    name = printable_name(name)
    return Chosen(_key(source, settings), name, tr("Examining {name}", name=name), open_file)


def _key(source: Hashable, settings: Settings) -> Examination:
    return Examination(source, settings, st.session_state[state.OWNER])


def of_evidence(evidence_file: EvidenceFile) -> Chosen:
    """Return an open evidence file as a chosen video."""
    evidence, settings = evidence_file.evidence, resources.settings()
    return _chosen((evidence.sha256, evidence.name), evidence.name, settings, lambda _: evidence_file)


def _from_folder() -> str | None:
    """Return the relative path of the file chosen from the evidence folder in this run, or None."""
    folder = evidence_folder()
    if folder is None:
        st.caption(
            tr(
                "Large files can be analyzed in place: set the environment variable `FACELOUPE_EVIDENCE` to "
                "their folder and restart the app."
            )
        )
        return None
    try:
        names, more = evidence.offered(folder)
    except FaceLoupeError as problem:
        st.caption(plain(str(problem)))
        return None
    select, button = st.columns([5, 1], vertical_alignment="bottom")
    name = select.selectbox(
        tr("or a file of the evidence folder, {folder}", folder=plain(str(folder))),
        names,
        index=None,
        format_func=printable_name,
        placeholder=tr("Type to search") if names else tr("The folder is empty"),
        key="evidence",
        help=tr("There are more files than can be listed; use a smaller folder.") if more else None,
    )
    return name if button.button(tr("Examine"), key="examine", disabled=name is None, width="stretch") else None


def _frames_option() -> int:
    with st.expander(tr("Options")):
        return int(st.number_input(tr(FRAMES_LABEL), 0, MOST_FRAMES, resources.settings().frames, key="frames"))


def start(chosen: Chosen) -> None:
    """Queue the analysis of a newly chosen video, and clear the previous result."""
    for key in (state.VIDEO_RESULT, state.VIDEO_WHOLE, state.VIDEO_SHOWN):
        st.session_state[key] = None
    _submit(chosen)


def look_closer(key: AnalysisKey, from_s: float, to_s: float, frames: int, effort: str | None) -> None:
    """Queue the analysis of a segment of an analyzed video. This is a callback.

    Args:
        key: key of the shown analysis.
        from_s: start of the segment, seconds.
        to_s: end of the segment, seconds.
        frames: number of frames to analyze; 0 chooses it from the duration.
        effort: effort of the shown analysis; None uses the session's effort.
    """
    evidence_file = resources.analyses().evidence_file(key)
    try:
        if evidence_file is None:
            raise EvidenceError(f"{key.name} is no longer in memory; choose it again.")
        chosen = resources.settings()
        chosen = replace(chosen, effort=effort, model="") if effort in EFFORTS else chosen
        settings = replace(chosen, from_s=from_s, to_s=to_s, frames=frames)
        title = tr("Analyzing {from_s:.2f} s to {to_s:.2f} s of {name}", from_s=from_s, to_s=to_s, name=key.name)
        examination = _key((key.evidence_sha256, key.name), settings)
        _submit(Chosen(examination, key.name, title, lambda _: evidence_file))
        st.session_state[state.VIDEO_WHOLE] = st.session_state[state.VIDEO_WHOLE] or key
    except FaceLoupeError as problem:
        st.session_state[state.VIDEO_NOTICE] = ("error", str(problem))


def back_to_whole() -> None:
    """Go back from a segment to the whole video. This is a callback."""
    st.session_state[state.VIDEO_RESULT] = st.session_state[state.VIDEO_WHOLE]
    st.session_state[state.VIDEO_SHOWN] = None


def follow(key: Examination) -> None:
    """Wait for a job that another session submitted. This is a callback."""
    st.session_state[state.VIDEO_JOB] = key


def _submit(chosen: Chosen) -> None:
    settings = chosen.key.settings
    networks = resources.networks(settings)  # another model may have been chosen since
    examine = partial(tasks.examine, chosen.open_file, networks, resources.analyses())
    st.session_state[state.VIDEO_NOTICE] = None
    st.session_state[state.VIDEO_JOB] = resources.submit(chosen.key, chosen.title, examine).key


def under_way() -> Job | None:
    """Return the analysis that this session waits for; if it has ended, store its result or a notice."""
    before = st.session_state[state.VIDEO_RESULT]
    job = session.collect(
        resources.long_jobs(),
        job=state.VIDEO_JOB,
        result=state.VIDEO_RESULT,
        notice=state.VIDEO_NOTICE,
        cancelled=tr("{title} was cancelled."),
    )
    if st.session_state[state.VIDEO_RESULT] is not before:
        st.session_state[state.VIDEO_SHOWN] = None
    return job
