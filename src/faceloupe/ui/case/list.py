"""The examiner's name, the list of cases, and the form for a new case."""

from functools import partial

import streamlit as st

from faceloupe.cases.records import Case
from faceloupe.errors import FaceLoupeError
from faceloupe.ui import browser, resources, state
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain, short
from faceloupe.ui.language import tr

_MOST = 25  # rows; the search finds the rest


def examiner_field() -> None:
    """Show the field for the examiner's name, which the browser remembers, or the sign-in if passwords are used.

    Raises:
        UsageError: the list of examiners with passwords cannot be read.
    """
    if open_case.name_checked():
        _sign_in()
        return
    st.text_input(
        tr("Examiner"),
        value=st.session_state[state.EXAMINER],
        key="examiner_input",
        placeholder=tr("Your name, as it will appear in the log"),
        on_change=partial(state.keep, state.EXAMINER, "examiner_input"),
        max_chars=browser.MOST_NAME,
        width=420,
    )


def _sign_in() -> None:
    """Show the examiner who signed in, or the form to sign in."""
    examiner = open_case.examiner()
    if examiner:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(tr(":material/badge: Signed in as **{examiner}**", examiner=plain(examiner)), width="content")
            st.button(tr("Sign out"), key="sign_out", icon=":material/logout:", on_click=_sign_out)
        return
    with st.form("sign_in_form", width=420):
        name = st.selectbox(tr("Examiner"), _names(), index=None, key="sign_in_name")
        password = st.text_input(tr("Password of this person"), type="password", key="sign_in_password")
        pressed = st.form_submit_button(tr("Sign in"), key="sign_in_go", icon=":material/login:")
    if not pressed:
        return
    try:
        checked = resources.people().check(name or "", password)
    except FaceLoupeError as problem:
        st.error(plain(str(problem)), icon=":material/error:")
        return
    st.session_state[state.SIGN_IN] = resources.sign_ins().sign_in(checked)
    st.rerun()


def _names() -> list[str]:
    return [person.name for person in resources.people().all()]


def _sign_out() -> None:
    resources.sign_ins().sign_out(st.session_state[state.SIGN_IN])
    st.session_state[state.SIGN_IN] = ""


def _row(case: Case) -> None:
    """Show a case in one line with labeled facts; the line wraps into a card in a narrow window."""
    examiner = tr("Examiner {name}", name=plain(short(case.examiner, 24))) if case.examiner else tr("no examiner")
    items = tr("1 item") if case.items == 1 else tr("{count:,} items", count=case.items)
    mode = tr("blind") if case.blind else tr("not blind")
    opened = tr("opened {date}", date=case.created_utc[:10])
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.button(
            plain(short(case.name, 60)),
            key=f"open-{case.id}",
            type="tertiary",
            on_click=open_case.switch_to,
            args=(case.id,),
        )
        st.markdown(f"`{case.id}`  ·  {examiner}  ·  {items}  ·  {mode}  ·  {opened}", width="content")


def cases_table(cases: tuple[Case, ...]) -> None:
    """Show the cases, the newest first; a click on a name opens one."""
    search = st.text_input(tr("Search by name"), key="case_search", icon=":material/search:", width=420)
    matches = [case for case in cases if search.strip().casefold() in case.name.casefold()]
    if not matches:
        st.caption(tr("No case matches this name."))
        return
    for case in matches[:_MOST]:
        _row(case)
    if len(matches) > _MOST:
        st.caption(
            tr("{most} of {count:,} cases are shown; use the search to find others.", most=_MOST, count=len(matches))
        )


def create_form() -> None:
    """Show a form that creates a case and opens it."""
    with st.form("create_case", border=True):
        name = st.text_input(tr("Name of the case"), key="new_case_name", max_chars=200)
        blind = st.checkbox(
            tr(
                "Blind mode: results are hidden from each examiner until that examiner has entered a decision. "
                "This cannot be changed later."
            ),
            key="new_case_blind",
        )
        pressed = st.form_submit_button(tr("Create the case"), key="create", icon=":material/add:")
    if not pressed:
        return
    if not open_case.examiner():
        st.error(tr("Name the examiner above first; the case is created in that name."), icon=":material/badge:")
        return
    try:
        case = resources.cases().create_case(name, examiner=open_case.examiner(), blind=blind)
    except FaceLoupeError as problem:
        st.error(plain(str(problem)), icon=":material/error:")
        return
    open_case.switch_to(case.id)
    st.rerun()
