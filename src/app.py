"""Entry of the app: the password gate, navigation and the line at the top of every page, nothing else."""

import streamlit as st

from faceloupe.config import is_demo
from faceloupe.ui import address, browser, demo, state
from faceloupe.ui.auth import session
from faceloupe.ui.panels import ICON, status_line

st.set_page_config(page_title="FaceLoupe", page_icon=str(ICON), layout="wide")
if not session.passed():
    st.stop()
pages = {
    "Examine": [
        st.Page("../pages/start.py", title="Start", icon=":material/home:", default=True),
        st.Page("../pages/image.py", title="Image", icon=":material/image_search:"),
        st.Page("../pages/video.py", title="Video", icon=":material/movie:"),
        st.Page("../pages/batch.py", title="Batch", icon=":material/view_list:"),
        st.Page("../pages/lenses.py", title="Lenses", icon=":material/search:"),
        st.Page("../pages/live.py", title="Live", icon=":material/videocam:"),
        st.Page("../pages/compare.py", title="Compare", icon=":material/compare:"),
    ],
    "Record": [
        st.Page("../pages/cases.py", title="Cases", icon=":material/folder_open:"),
        st.Page("../pages/case.py", title="Case", icon=":material/topic:"),
        st.Page("../pages/report.py", title="Report", icon=":material/description:"),
        st.Page("../pages/verify.py", title="Verify", icon=":material/verified:"),
    ],
    "Know": [
        st.Page("../pages/models.py", title="Models", icon=":material/analytics:"),
        st.Page("../pages/glossary.py", title="Glossary", icon=":material/menu_book:"),
        st.Page("../pages/about.py", title="About", icon=":material/info:"),
    ],
}
if is_demo():
    offered = {"Start", "Image", "Video", "Lenses", "Compare", "Glossary", "About"}
    pages = {"": [page for group in pages.values() for page in group if page.title in offered]}
page = st.navigation(pages)
st.set_page_config(page_title=f"{page.title} - FaceLoupe")
state.start()
browser.restore(st.context.cookies)
address.restore()
status_line()
if is_demo():
    st.info(demo.NOTICE, icon=":material/public:")
try:
    page.run()
finally:  # also where a page stops early
    address.publish(page.url_path)
    browser.update(page.url_path)
