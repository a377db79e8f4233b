"""The input of a batch (uploads, ZIPs, or a path in the evidence folder), and the job that runs it."""

from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from faceloupe.batch.store import Batch
from faceloupe.config import evidence_folder
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.ui import effort_input, resources, state
from faceloupe.ui import evidence_folder as evidence
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs import tasks
from faceloupe.ui.language import current, tr, translator
from faceloupe.web.jobs import Job


def form(*, folded: bool) -> None:
    """Show the form that starts a batch from uploads or a path."""
    with st.expander(
        tr("New batch") if folded else tr("Choose files"), expanded=not folded, key=f"choose-batch-{folded}"
    ):
        effort_input.choose()
        _files()


def _files() -> None:
    """Show the input fields of a batch, and start it when they are submitted."""
    with st.form("new_batch", border=False, clear_on_submit=True):
        uploads = st.file_uploader(
            tr("Photos, videos and ZIPs, any number of files"), accept_multiple_files=True, key="batch_uploads"
        )
        below = st.file_uploader(
            tr("or a whole folder of this computer"), accept_multiple_files="directory", key="batch_folder"
        )
        path = None
        if evidence_folder() is None:
            st.caption(
                tr(
                    "Large collections can be analyzed in place: set the environment variable `FACELOUPE_EVIDENCE` "
                    "to their folder and restart the app."
                )
            )
        else:
            path = st.text_input(
                tr(
                    "or a folder, file or ZIP in the evidence folder {evidence_folder} (a dot means all)",
                    evidence_folder=plain(str(evidence_folder())),
                ),
                key="batch_path",
            )
        embedded = st.checkbox(
            tr("Also examine pictures and videos that are embedded in a file"),
            help=tr(
                "For example the video of a motion photo, or a second picture after the first one. Each gets its own "
                "row."
            ),
            key="batch_embedded",
        )
        if st.form_submit_button(tr("Examine"), key="batch_go"):
            start_uploads([*uploads, *below], path or "", embedded=embedded)
            st.rerun()


def start_uploads(uploads: list[UploadedFile], path: str = "", *, embedded: bool = False) -> None:
    """Start a batch of uploads and of a path in the evidence folder; an error becomes the notice of the page.

    Args:
        uploads: the uploaded files.
        path: relative to the evidence folder; empty for none.
        embedded: whether each file embedded in a picture file gets its own row.
    """
    try:
        root, paths = evidence_folder(), []
        if root is not None and path.strip():
            root = root.resolve()
            paths = [evidence.inside(root, path)]
        if paths and not paths[0].exists():
            raise UsageError(f"There is nothing at {path} in the evidence folder; check the path.")
        names = [upload.name for upload in uploads]
        folder = root.name or str(root) if root is not None and paths == [root] else path.strip()
        name = (
            folder
            if paths
            else ", ".join(names[:2]) + (tr(" and {count} more", count=len(names) - 2) if names[2:] else "")
        )
        contents = ((upload.name, upload) for upload in uploads)
        batch = resources.batch_store().add(
            name,
            settings=resources.settings(),
            paths=paths,
            root=root if paths else None,
            uploads=contents,
            embedded=embedded,
        )
        queue_batch(batch)
        show(batch.id)
    except FaceLoupeError as problem:
        st.session_state[state.BATCH_NOTICE] = ("error", str(problem))


def queue_batch(batch: Batch) -> Job:
    """Queue a batch, from its beginning or from where it stopped, with the effort that it was created with.

    Raises:
        FaceLoupeError: there is no verified model, or too many batches are waiting.
    """
    settings = batch.settings(resources.settings())
    networks = resources.networks(settings)
    run_batch = partial(tasks.run_batch_job, batch, settings, networks, tr=translator(current()))
    queue, owner = resources.batches(), st.session_state[state.OWNER]
    return queue.submit(batch.id, tr("Batch {name}", name=batch.name), run_batch, owner=owner)


def show(batch_id: str | None) -> None:
    """Select the batch to show, or none if ``batch_id`` is None; reset filter, page and notice."""
    st.session_state[state.BATCH], st.session_state[state.BATCH_FILTER] = batch_id, None
    st.session_state[state.BATCH_PAGE], st.session_state[state.BATCH_NOTICE] = 0, None


def shown() -> Batch | None:
    """Return the selected batch, or None."""
    batch_id = st.session_state[state.BATCH]
    return resources.batch_store().get(batch_id) if batch_id else None
