"""Live: the faces before a camera, scored as they come."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import live, panels
from faceloupe.ui.case import filing

st.header("Live")
st.warning(
    "Live view: no evidence is kept. Scores change from moment to moment and are not a finding: error rates were "
    "measured on files, not on cameras. To have a finding, keep a stretch in a case, or examine a file.",
    icon=":material/videocam:",
)
try:
    if blind := filing.blind_case():
        st.info(
            f"The open case, {panels.plain(blind.name)}, is blind: while it is open, this page shows no scores.",
            icon=":material/visibility_off:",
        )
    else:
        live.view()
        live.camera()
        live.keep_button()
except FaceLoupeError as problem:
    st.error(panels.plain(str(problem)), icon=":material/error:")
