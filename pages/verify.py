"""Verify: the check of an exported bundle from any source."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import bundle_check
from faceloupe.ui.language import tr

st.header(tr("Verify"))
st.markdown(
    tr(
        "Checks an exported case bundle: its signature, the hash of every file, the chain of its log, and whether "
        "the reports, pictures and evidence are those that the log records. Only the bundle itself is needed. It is "
        "neither changed nor kept."
    )
)
try:
    upload = st.file_uploader(tr("A bundle, as the page Report exports it (ZIP)"), key="bundle_upload")
    if upload is not None:
        bundle_check.show(upload, upload.name)
except FaceLoupeError as problem:
    bundle_check.refused(problem)
