"""How much is computed for a score: the choice of the pages that examine."""

import streamlit as st

from faceloupe.config import EFFORTS
from faceloupe.ui import resources, state
from faceloupe.ui.panels import plain

_WIDGET = "effort_widget"
_CAPTIONS = {
    "quick": "The core network alone: the fastest, for a first look and for many files.",
    "standard": "The core and an expert network, on every face of a photo and on telling frames of a video.",
    "thorough": "Core and expert in more framings and on more frames: the slowest.",
}


def choose() -> None:
    """The efforts, and one line about the chosen one; it holds in this session for what is examined from now on."""
    effort = resources.settings().stated_effort
    st.session_state[_WIDGET] = effort
    st.segmented_control(
        "Effort",
        list(EFFORTS),
        format_func=str.capitalize,
        key=_WIDGET,
        on_change=_chosen,
        help="It holds for files that are chosen from now on, in this session.",
    )
    if effort is None:
        named = plain(resources.settings().model_id)
        st.caption(f"The model {named} was named on the page Models or at the start; an effort would replace it here.")
    else:
        st.caption(_CAPTIONS[effort])


def _chosen() -> None:
    st.session_state[state.EFFORT] = st.session_state[_WIDGET] or st.session_state[state.EFFORT]
