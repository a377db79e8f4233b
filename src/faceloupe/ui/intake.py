"""The file input shared by all pages: every chosen file opens on the page for its kind."""

import base64

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from faceloupe.batch.archives import MAGICS
from faceloupe.config import is_demo
from faceloupe.errors import UsageError
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, open_evidence
from faceloupe.samples import CLIP, SAMPLES
from faceloupe.ui import demo, effort_input, resources, state
from faceloupe.ui.batch import input as batch_input
from faceloupe.ui.case import filing
from faceloupe.ui.elements import ICON, plain
from faceloupe.ui.image import input as image_input
from faceloupe.ui.language import tr
from faceloupe.ui.video import input as video_input

_MOST_PASTED = 64 * 1024 * 1024  # bytes: pasted content is sent as text in one message
_clipboard = st.components.v2.component(
    "faceloupe_clipboard",
    js="""
export default function ({ data, setTriggerValue }) {
  const paste = (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((file) => file.size <= data.most)
    if (!file) return
    event.preventDefault()
    const reader = new FileReader()
    reader.onload = () => setTriggerValue("pasted", { name: file.name, content: reader.result.split(",")[1] })
    reader.readAsDataURL(file)
  }
  document.addEventListener("paste", paste)
  return () => document.removeEventListener("paste", paste)
}
""",
)


def title() -> None:
    """Show the product's name and what it is for, in one sentence."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(str(ICON), width=52, alt="")
        st.title("FaceLoupe", width="content")
    st.markdown(
        tr("Examines whether the faces in photos and videos were generated or manipulated, how sure that is, and why.")
    )


def promises() -> None:
    """Show what happens to a file."""
    st.markdown(
        tr(
            "1. The file is hashed before anything reads it, and {file_stays}.\n"
            "2. Faces are detected, checked against quality limits, and scored by a calibrated network.\n"
            "3. You see the outcome, the reason, the error rates measured on known faces, and a heatmap of "
            "what the network used.",
            file_stays=demo.file_retention_clause(),
        )
    )


def drop_zone(label: str) -> None:
    """Show the drop zone; new uploads open on the page for their kind.

    Raises:
        FaceLoupeError: the upload is empty or too large, there is no verified model, or too many jobs are waiting.
    """
    effort_input.choose()
    uploads = st.file_uploader(label, accept_multiple_files=True, key="upload")
    known = st.session_state[state.LAST_UPLOAD] or frozenset()
    st.session_state[state.LAST_UPLOAD] = frozenset(upload.file_id for upload in uploads)
    if fresh := [upload for upload in uploads if upload.file_id not in known]:
        _take(fresh)


def clipboard() -> None:
    """Accept a pasted file or picture; browsers convert a copied picture to a PNG.

    Raises:
        FaceLoupeError: see ``drop_zone``.
    """
    st.caption(
        tr(
            "Or paste one with Ctrl+V. A copied file is used unchanged. A copied picture is used as the PNG that the "
            "browser makes of it."
        )
    )
    pasted = _clipboard(key="clipboard", data={"most": _MOST_PASTED}, on_pasted_change=lambda: None).pasted
    if pasted:
        content = base64.b64decode(pasted["content"])
        limit = resources.settings().max_bytes
        open_on_its_page(evidence_from_bytes(content, pasted["name"], max_bytes=limit))


def samples() -> None:
    """Show the samples, each with its picture; a click examines one.

    Raises:
        FaceLoupeError: see ``drop_zone``.
    """
    st.caption(tr("or a sample:"))
    offered = *SAMPLES, CLIP
    for sample, cell in zip(offered, st.columns(len(offered)), strict=True):
        with cell.container(border=True):
            st.image(str(sample.thumbnail), width="stretch", alt=tr(sample.origin))
            pressed = st.button(
                tr(sample.title), key=f"sample-{sample.path.stem}", help=plain(tr(sample.origin)), width="stretch"
            )
        if pressed:
            open_on_its_page(open_evidence(sample.path, max_bytes=resources.settings().max_bytes))


def open_on_its_page(evidence_file: EvidenceFile) -> None:
    """Start the analysis of a file on the page for its kind; while a blind case is open, only offer to file it there.

    Raises:
        FaceLoupeError: there is no verified model, or too many jobs are waiting.
    """
    is_video = evidence_file.evidence.media_type == "video"
    if filing.blind_case() is not None:
        filing.choose(filing.of_evidence(evidence_file))
    elif is_video:
        video_input.start(video_input.of_evidence(evidence_file))
    else:
        image_input.start(evidence_file)
    st.switch_page("../pages/video.py" if is_video else "../pages/image.py")


def _take(uploads: list[UploadedFile]) -> None:
    if len(uploads) > 1 or uploads[0].getvalue()[:4] in MAGICS:
        if is_demo():
            raise UsageError("The demo examines one photo or video at a time; ZIP files are for the app itself.")
        blind = filing.blind_case()
        if blind is None:
            batch_input.start_uploads(uploads)
        else:
            filing.submit_uploads(blind, uploads)
        st.switch_page("../pages/batch.py")
    limit = resources.settings().max_bytes
    open_on_its_page(evidence_from_bytes(uploads[0].getvalue(), uploads[0].name, max_bytes=limit))
