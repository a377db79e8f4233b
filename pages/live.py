"""Live: continuous scores of the faces in front of a camera."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import elements, live
from faceloupe.ui.case import filing
from faceloupe.ui.language import tr

st.header(tr("Live"))
st.warning(
    tr(
        "Live view: no evidence is kept. Scores change from moment to moment and are not a finding, because error "
        "rates were measured on files, not on cameras. For a finding, file the last seconds in a case, or examine a "
        "file."
    ),
    icon=":material/videocam:",
)
try:
    if blind := filing.blind_case():
        st.info(
            tr(
                "The open case, {name}, is blind: while it is open, this page shows no scores.",
                name=elements.plain(blind.name),
            ),
            icon=":material/visibility_off:",
        )
    else:
        live.view()
        live.camera()
        live.legend()
        live.keep_button()
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
