"""What is open stands in the address of the page, so that it survives a reload and can be sent to a colleague.

An address names a case, an item, a batch or a result by its id and contains nothing of it. Who may see what is decided
where it is shown: the examiner is not in the address.
"""

import re

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import resources, state
from faceloupe.ui.case import open_case

_READ = "address_read"  # whether this session has followed the address that it began with
_ID = re.compile(r"[0-9a-f-]{1,64}")


def restore() -> None:
    """Open what the address names, once in each session; what is gone is said in one sentence."""
    if st.session_state.get(_READ):
        return
    st.session_state[_READ] = True
    named = {name: value for name, value in st.query_params.items() if _ID.fullmatch(value)}
    if "case" in named:
        _open_case(named["case"], named.get("item"))
    if "batch" in named:
        st.session_state[state.BATCH] = named["batch"]
    if "result" in named:
        _show_result(named["result"])


def _open_case(case_id: str, sha256: str | None) -> None:
    try:
        open_case.switch_to(resources.cases().case(case_id).id)
        if sha256 is not None:
            st.session_state[state.CASE_ITEM] = resources.cases().items.get(case_id, sha256).sha256
    except FaceLoupeError as problem:
        st.session_state[state.NOTICE] = ("error", f"The address cannot be opened: {problem}")


def _show_result(identity: str) -> None:
    key = resources.analyses().find(identity)
    analysis = None if key is None else resources.analyses().get(key)
    if key is None or analysis is None:
        sentence = "The result that the address names is no longer in memory; choose the file again."
        st.session_state[state.NOTICE] = st.session_state[state.VIDEO_NOTICE] = ("history", sentence)
    elif analysis.report.is_video:
        st.session_state[state.VIDEO_RESULT] = key
    else:
        st.session_state[state.RESULT] = key


def publish(page: str) -> None:
    """Write what is open into the address.

    Args:
        page: path of the page on show; empty for the first.
    """
    results = {"": state.RESULT, "video": state.VIDEO_RESULT}
    result = st.session_state[results[page]] if page in results else None
    values = {
        "case": st.session_state[state.CASE],
        "item": st.session_state[state.CASE_ITEM] if page == "case" else None,
        "batch": st.session_state[state.BATCH] if page == "batch" else None,
        "result": None if result is None else result.identity,
    }
    named = {name: value for name, value in values.items() if value}
    if named != st.query_params.to_dict():
        st.query_params.from_dict(named)
