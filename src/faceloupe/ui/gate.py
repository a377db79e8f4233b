"""The password gate before every page, where the server was given a password."""

import streamlit as st

from faceloupe.errors import UsageError
from faceloupe.ui import resources, state
from faceloupe.ui.panels import plain


def passed() -> bool:
    """Whether this session may see the pages; where not, the gate is drawn."""
    try:
        gate = resources.gate()
    except UsageError as problem:  # a gate that cannot work lets nobody in
        st.error(plain(str(problem)), icon=":material/error:")
        return False
    if gate is None or st.session_state.get(state.ADMITTED):
        return True
    _, middle, _ = st.columns([1, 1.2, 1])
    with middle, st.form("gate", border=True):
        st.subheader("FaceLoupe")
        st.caption("This workstation is shared; its password opens the workbench.")
        password = st.text_input("Password", type="password", key="password", autocomplete="current-password")
        if st.form_submit_button("Open", type="primary", key="open_gate"):
            _try(gate, password)
    return False


def _try(gate: resources.Gate, password: str) -> None:
    try:
        st.session_state[state.ADMITTED] = gate.admits(password)
    except UsageError as problem:
        st.error(plain(str(problem)), icon=":material/timer:")
        return
    if st.session_state[state.ADMITTED]:
        st.rerun()
    st.error("That is not the password.", icon=":material/lock:")
