"""Entry point of the app: the password gate, the navigation, and the line at the top of every page."""

import streamlit as st

from faceloupe.config import is_demo
from faceloupe.ui import address, browser, demo, state
from faceloupe.ui.auth import session
from faceloupe.ui.elements import ICON
from faceloupe.ui.language import tr
from faceloupe.ui.status_line import status_line

st.set_page_config(page_title="FaceLoupe", page_icon=str(ICON), layout="wide")
if not session.passed():
    st.stop()
state.start()
browser.restore(st.context.cookies)
pages = {
    tr("Examine"): [
        st.Page("../pages/start.py", title=tr("Start"), icon=":material/home:", default=True),
        st.Page("../pages/image.py", title=tr("Image"), icon=":material/image_search:"),
        st.Page("../pages/video.py", title=tr("Video"), icon=":material/movie:"),
        st.Page("../pages/batch.py", title=tr("Batch"), icon=":material/view_list:"),
        st.Page("../pages/lenses.py", title=tr("Lenses"), icon=":material/search:"),
        st.Page("../pages/live.py", title=tr("Live"), icon=":material/videocam:"),
        st.Page("../pages/compare.py", title=tr("Compare"), icon=":material/compare:"),
    ],
    tr("Record"): [
        st.Page("../pages/cases.py", title=tr("Cases"), icon=":material/folder_open:"),
        st.Page("../pages/case.py", title=tr("Case"), icon=":material/topic:"),
        st.Page("../pages/report.py", title=tr("Report"), icon=":material/description:"),
        st.Page("../pages/verify.py", title=tr("Verify"), icon=":material/verified:"),
    ],
    tr("Know"): [
        st.Page("../pages/models.py", title=tr("Models"), icon=":material/analytics:"),
        st.Page("../pages/glossary.py", title=tr("Glossary"), icon=":material/menu_book:"),
        st.Page("../pages/settings.py", title=tr("Settings"), icon=":material/settings:"),
        st.Page("../pages/about.py", title=tr("About"), icon=":material/info:"),
    ],
}
if is_demo():
    offered = {"", "image", "video", "lenses", "compare", "glossary", "settings", "about"}
    pages = {"": [page for group in pages.values() for page in group if page.url_path in offered]}
page = st.navigation(pages)
st.set_page_config(page_title=f"{page.title} - FaceLoupe")
address.restore()
status_line()
if is_demo():
    st.info(tr(demo.NOTICE, limit=demo.LIMIT_MB), icon=":material/public:")
try:
    page.run()
finally:  # also if a page stops early
    address.publish(page.url_path)
    browser.update(page.url_path)
