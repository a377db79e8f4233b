"""Case: the open case, its evidence, and the findings and entries on each item."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import elements, state
from faceloupe.ui.case import item, open_case, review
from faceloupe.ui.case import panels as case_panels
from faceloupe.ui.language import tr


def show() -> None:
    """Show the open case: an item beside its decision form, or the list of its evidence."""
    case = open_case.case()
    if case is None or not open_case.examiner():
        st.markdown(tr("Open a case and name the examiner on the page Cases; both are shown at the top of every page."))
        st.page_link("../pages/cases.py", label=tr("Go to the cases"), icon=":material/folder_open:")
        return
    case_panels.header(case)
    chosen = st.session_state[state.CASE_ITEM]
    if chosen:
        case_panels.item_bar(case, chosen)
        finding, view = st.columns([2.2, 1.0], gap="medium")
        with view:  # beside the finding, so that both are visible
            review.last_entry()
            review.decisions(case, chosen)
        with finding:
            item.findings(case, chosen)
        review.remarks(case, chosen)
    else:
        case_panels.evidence_table(case)
        review.last_entry()
    review.of_case(case)
    case_panels.log_table(case)


st.header(tr("Case"))
try:
    show()
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
