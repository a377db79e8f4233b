"""Cases: the examiner, the list of cases, and the form for a new case."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import elements, resources
from faceloupe.ui.case import list, open_case
from faceloupe.ui.language import tr

st.header(tr("Cases"))
try:
    list.examiner_field()
    cases = resources.cases().cases()
    if cases:
        list.cases_table(cases)
    else:
        st.markdown(tr("There are no cases yet. A case keeps evidence, results and a log of every step."))
    if open_case.case() is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link("../pages/case.py", label=tr("Go to the open case"), icon=":material/topic:")
            st.button(tr("Close the case"), key="close", on_click=open_case.switch_to, args=(None,))
    with st.expander(tr("New case"), expanded=not cases):
        list.create_form()
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
