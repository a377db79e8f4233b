"""Keys of the session state, in one place. Streamlit forgets a widget's value when its page is left; these it keeps."""

import streamlit as st

RESULT = "result"  # key of the analysis on show, see resources.AnalysisKey
FACE = "face"  # id of the chosen face
OPACITY = "opacity"  # of the heatmap, 0..1
LAST_UPLOAD = "last_upload"  # id of the last upload that was analyzed: once, not at every rerun
NOTICE = "notice"  # a sentence on what became of the last file, such as a cancelled analysis

DEFAULT_OPACITY = 0.6


def start() -> None:
    """Give every key its first value."""
    for key, value in {RESULT: None, FACE: None, OPACITY: DEFAULT_OPACITY, LAST_UPLOAD: None, NOTICE: None}.items():
        st.session_state.setdefault(key, value)


def cancelled(name: str) -> None:
    """Callback of the cancel button."""
    st.session_state[NOTICE] = f"The analysis of {name} was cancelled; choose the file again to examine it."
