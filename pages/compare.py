"""Compare: two results side by side."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import compare, panels
from faceloupe.ui.case import filing

st.header("Compare")
st.markdown(
    "Two items, or two runs of one, at the same zoom: both findings, the facts that differ, and the pictures side by "
    "side, in turn, or as their difference. Whether two faces are of one person is not examined."
)
try:
    if blind := filing.blind_case():
        st.info(
            f"The open case, {panels.plain(blind.name)}, is blind: while it is open, this page compares nothing.",
            icon=":material/visibility_off:",
        )
    elif sides := compare.choose():
        compare.findings(sides)
        compare.pictures(sides)
except FaceLoupeError as problem:
    st.error(panels.plain(str(problem)), icon=":material/error:")
