"""Report: the open case as a document."""

import streamlit as st

from faceloupe.bundle.export import MOST_DRAWN
from faceloupe.errors import FaceLoupeError
from faceloupe.ui import bundle_check, elements
from faceloupe.ui.case import open_case, report
from faceloupe.ui.language import tr


def document() -> None:
    """Show the report of the open case, and its downloads."""
    case = open_case.case()
    if case is None or not open_case.examiner():
        st.markdown(
            tr(
                "Open a case and name the examiner on the page Cases; the report contains only what that person "
                "may see."
            )
        )
        st.page_link("../pages/cases.py", label=tr("Go to the cases"), icon=":material/folder_open:")
        return
    letterhead = report.letterhead()
    if case.items > MOST_DRAWN:
        report.large(case, letterhead)
        bundle_check.own_fingerprint()
    else:
        html = report.document(case, letterhead)
        report.downloads(case, letterhead, html)
        bundle_check.own_fingerprint()
        report.preview(html)


st.header(tr("Report"))
try:
    document()
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
