"""Report: the open case as a document."""

import streamlit as st

from faceloupe.bundle.export import MOST_DRAWN
from faceloupe.errors import FaceLoupeError
from faceloupe.ui import panels
from faceloupe.ui.case import open_case, report
from faceloupe.ui.language import tr

st.header(tr("Report"))
try:
    case = open_case.case()
    if case is None or not open_case.examiner():
        st.markdown(
            tr(
                "Open a case and name the examiner on the page Cases; the report contains only what that person "
                "may see."
            )
        )
        st.page_link("../pages/cases.py", label=tr("Go to the cases"), icon=":material/folder_open:")
        st.stop()
    letterhead = report.letterhead()
    if case.items > MOST_DRAWN:
        report.large(case, letterhead)
    else:
        html = report.document(case, letterhead)
        report.downloads(case, letterhead, html)
        report.preview(html)
except FaceLoupeError as problem:
    st.error(panels.plain(str(problem)), icon=":material/error:")
