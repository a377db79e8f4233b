"""Compare: two results side by side."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import compare, panels
from faceloupe.ui.case import filing
from faceloupe.ui.language import tr

st.header(tr("Compare"))
st.markdown(
    tr(
        "Two items, or two runs of one, at the same zoom: both findings, the facts that differ, and the "
        "pictures side by side, in turn, or as their difference; and one face against all others of a "
        "case, by score and quality. Whether two faces are of one person is not examined."
    )
)
try:
    if blind := filing.blind_case():
        st.info(
            tr(
                "The open case, {name}, is blind: while it is open, this page compares nothing.",
                name=panels.plain(blind.name),
            ),
            icon=":material/visibility_off:",
        )
    elif sides := compare.choose():
        compare.findings(sides)
        compare.pictures(sides)
        compare.face_ranking(sides[0])
except FaceLoupeError as problem:
    st.error(panels.plain(str(problem)), icon=":material/error:")
