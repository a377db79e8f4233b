"""Settings: preferences that this browser remembers."""

import streamlit as st

from faceloupe.config import is_demo
from faceloupe.ui import bundle_check, language, state
from faceloupe.ui.language import tr

st.header(tr("Settings"))
st.selectbox(
    tr("Language of the app"),
    ("", *language.LANGUAGES),
    index=("", *language.LANGUAGES).index(st.session_state[state.APP_LANGUAGE]),
    format_func=lambda code: language.language_name(code) if code else tr("same as the browser"),
    key="app_language_input",
    on_change=lambda: state.keep(state.APP_LANGUAGE, "app_language_input"),
    width=420,
)
st.caption(
    tr(
        "This browser remembers your choice. The log of a case and the files for other programs (JSON, CSV) stay in "
        "English. You choose the language of a report on the page Report."
    )
)
if not is_demo():
    st.subheader(tr("Signing key"))
    bundle_check.own_fingerprint()
