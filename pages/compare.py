"""Compare: two results side by side."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import compare, elements
from faceloupe.ui.case import filing
from faceloupe.ui.language import tr

st.header(tr("Compare"))
st.markdown(
    tr(
        "Compare two items, or two runs of one item, at the same zoom: both findings, the facts that differ, and the "
        "pictures side by side, alternating, or as their difference. You can also compare one face with all other "
        "faces of a case, by score and quality. Whether two faces belong to the same person is not examined."
    )
)
try:
    if blind := filing.blind_case():
        st.info(
            tr(
                "The open case, {name}, is blind: while it is open, this page compares nothing.",
                name=elements.plain(blind.name),
            ),
            icon=":material/visibility_off:",
        )
    elif sides := compare.choose():
        compare.findings(sides)
        compare.pictures(sides)
        compare.face_ranking(sides[0])
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
