"""Lenses: what a file says about itself, and what its pixels show in addition to the model's score."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import demo, elements, lenses, state
from faceloupe.ui.case import filing
from faceloupe.ui.image import input as image_input
from faceloupe.ui.language import tr


def examine() -> None:
    """Choose a file, wait for the lenses, and show their results."""
    blind = filing.blind_case()
    if blind is not None:
        st.info(
            tr(
                "The open case, {name}, is blind: while it is open, this page examines no file.",
                name=elements.plain(blind.name),
            ),
            icon=":material/visibility_off:",
        )
        return
    chosen = lenses.choose()
    if chosen is not None:
        lenses.start(chosen)
        st.rerun()
    job = lenses.under_way()
    lenses.notice()
    if job is not None:
        image_input.wait(job)
    elif st.session_state[state.LENS_RESULT] is not None:
        lenses.show(st.session_state[state.LENS_RESULT])


st.header(tr("Lenses"))
st.markdown(
    tr(
        "This page shows what a file says about itself, and views of its pixels. Nothing here changes a score. A "
        "model is used only if you probe the robustness of a score. The file is hashed before anything reads it, and "
        "{file_stays}.",
        file_stays=demo.file_retention_clause(),
    )
)
try:
    examine()
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
