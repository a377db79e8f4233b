"""The page address, which records what is open, so that it survives a reload and can be sent to a colleague.

An address contains only ids of a case, an item, a batch or a result, and never the examiner. Access is checked where
the content is shown.
"""

import re

import streamlit as st

from faceloupe.cases.store import CaseStore
from faceloupe.config import data_folder, is_demo
from faceloupe.errors import FaceLoupeError
from faceloupe.ui import recent, resources, state
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain
from faceloupe.ui.language import tr

_NAMES = ("case", "item", "batch", "lenses", "result", "evidence")
_READ = "address_read"  # whether this session has opened its initial address
_ID = re.compile(r"[0-9a-f-]{1,64}")


def restore() -> None:
    """Open what the address names, once per session; show an error for each id that cannot be opened."""
    if st.session_state.get(_READ):
        return
    st.session_state[_READ] = True
    values = st.query_params.to_dict()
    named = {name: values[name] for name in _NAMES if _ID.fullmatch(values.get(name, ""))}
    if any(values.get(name) for name in _NAMES if name not in named):
        _refuse(tr("it contains an invalid id"))
    if is_demo():  # there are no cases and no batches
        named = {name: value for name, value in named.items() if name in ("lenses", "result", "evidence")}
    if "case" in named:
        _open_case(named["case"], named.get("item"))
    if "batch" in named:
        _open_batch(named["batch"])
    if "lenses" in named:
        _open_lenses(named["lenses"])
    if "result" in named:
        _show_result(named["result"], named.get("evidence"))


def _refuse(reason: str) -> None:
    st.error(plain(tr("The address cannot be opened: {reason}.", reason=reason.rstrip("."))), icon=":material/error:")


def _open_batch(batch_id: str) -> None:
    if resources.batch_store().get(batch_id) is None:
        _refuse(tr("its batch was removed, or was never on this server"))
    else:
        st.session_state[state.BATCH] = batch_id


def _open_case(case_id: str, sha256: str | None) -> None:
    try:
        open_case.switch_to(resources.cases().case(case_id).id)
        if sha256 is not None:
            st.session_state[state.CASE_ITEM] = resources.cases().items.get(case_id, sha256).sha256
    except FaceLoupeError as problem:
        _refuse(str(problem))


def _open_lenses(identity: str) -> None:
    key = resources.lens_views().find(identity)
    if key is None:
        _refuse(tr("its result is no longer in memory; choose the file again"))
    else:
        st.session_state[state.LENS_RESULT] = key
        st.switch_page("../pages/lenses.py")


def _show_result(identity: str, sha256: str | None) -> None:
    key = resources.analyses().find(identity)
    analysis = None if key is None else resources.analyses().get(key)
    if key is not None and analysis is not None:
        recent.open_result(key, is_video=analysis.report.is_video)
    if sha256 is not None and CaseStore.is_in(data_folder()):
        store = resources.cases()
        case = store.items.newest_case(sha256)
        if case is not None:
            open_case.switch_to(case.id)
            st.session_state[state.CASE_ITEM] = sha256
            st.session_state[state.CASE_SAID] = tr(
                "The result of this address is no longer in memory. This is the item in the case that was filed from "
                "the same file."
            )
            st.switch_page("../pages/case.py")
    _refuse(tr("its result is no longer in memory; choose the file again"))


def publish(page: str) -> None:
    """Write the ids of what is open into the address.

    Args:
        page: URL path of the current page; empty for the default page.
    """
    results = {"image": state.RESULT, "video": state.VIDEO_RESULT}
    result = st.session_state[results[page]] if page in results else None
    seen_through = st.session_state[state.LENS_RESULT] if page == "lenses" else None
    values = {
        "case": st.session_state[state.CASE],
        "item": st.session_state[state.CASE_ITEM] if page == "case" else None,
        "batch": st.session_state[state.BATCH] if page == "batch" else None,
        "lenses": None if seen_through is None else seen_through.identity,
        "result": None if result is None else result.identity,
        "evidence": None if result is None else result.evidence_sha256,
    }
    named = {name: value for name, value in values.items() if value}
    if named != st.query_params.to_dict():
        st.query_params.from_dict(named)
