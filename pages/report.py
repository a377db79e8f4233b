"""Report: the open case as a document."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import open_case, panels, report_panels

st.header("Report")
try:
    case = open_case.case()
    if case is None or not open_case.examiner():
        st.markdown("Open a case and name the examiner on the page Cases; the report is of what that person may see.")
        st.page_link("../pages/cases.py", label="To the cases", icon=":material/folder_open:")
        st.stop()
    letterhead = report_panels.letterhead()
    if case.items > report_panels.MOST_DRAWN:
        report_panels.large(case, letterhead)
    else:
        html = report_panels.document(case, letterhead)
        report_panels.downloads(case, letterhead, html)
        report_panels.preview(html)
except FaceLoupeError as problem:
    st.error(panels.plain(str(problem)), icon=":material/error:")
