"""The choice of the effort, that is, how much is computed for a score."""

import streamlit as st

from faceloupe.config import EFFORTS
from faceloupe.ui import resources, state
from faceloupe.ui.elements import plain
from faceloupe.ui.language import mark_for_translation, tr

_WIDGET = "effort_widget"
_CAPTIONS = {
    "quick": mark_for_translation(
        "Core network only: fastest, for sorting by score. It leaves nine of ten faces inconclusive: for a finding, "
        "use Standard."
    ),
    "standard": mark_for_translation(
        "Core and expert network, on every face of a photo and on selected frames of a video."
    ),
    "thorough": mark_for_translation("Like standard, but on more frames of a video. This is the slowest effort."),
}


def choose() -> None:
    """Show the efforts and a line about the chosen one, which applies to later analyses of this session."""
    effort = resources.settings().reported_effort
    st.session_state[_WIDGET] = effort
    st.segmented_control(
        tr("Effort"),
        list(EFFORTS),
        format_func=lambda effort: tr(effort.capitalize()),
        key=_WIDGET,
        on_change=_chosen,
        help=tr("Applies to files chosen from now on in this session."),
    )
    if effort is None:
        named = plain(resources.settings().model_id)
        st.caption(
            tr(
                "The model {named} was chosen on the page Models or at the start. If you choose an effort here, it "
                "replaces this model.",
                named=named,
            )
        )
    else:
        st.caption(tr(_CAPTIONS[effort]))


def _chosen() -> None:
    st.session_state[state.EFFORT] = st.session_state[_WIDGET] or st.session_state[state.EFFORT]
