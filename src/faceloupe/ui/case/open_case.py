"""The case that a session has open, and the examiner at work."""

from dataclasses import dataclass

import streamlit as st

from faceloupe.cases.records import Case
from faceloupe.cases.workflow import CaseWorkflow
from faceloupe.ui import resources, state


def case() -> Case | None:
    """Return the open case in its current state, or None if no case is open.

    Raises:
        CaseError: the case cannot be read.
    """
    case_id = st.session_state[state.CASE]
    return resources.cases().case(case_id) if case_id else None


@dataclass(frozen=True, slots=True)
class Person:
    """The examiner at work.

    Attributes:
        name: empty if no name was given, or if a sign-in is required and nobody has signed in.
        checked: whether the name comes from a sign-in with a password.
    """

    name: str
    checked: bool


def person() -> Person:
    """Return the examiner at work.

    Name and flag are determined together, so that a typed name is never marked as checked.

    Raises:
        UsageError: the list of examiners with passwords cannot be read.
    """
    if name_checked():
        return Person(resources.sign_ins().name_of(st.session_state[state.SIGN_IN]), checked=True)
    return Person(st.session_state[state.EXAMINER], checked=False)


def examiner() -> str:
    """Return the name of the examiner at work; see ``person``."""
    return person().name


def name_checked() -> bool:
    """Return whether anyone has a password on this server, so that only the names of these people are accepted.

    Raises:
        UsageError: the list of examiners with passwords cannot be read.
    """
    return bool(resources.people().all())


def switch_to(case_id: str | None) -> None:
    """Open a case, or close the one that is open."""
    st.session_state[state.CASE] = case_id
    st.session_state[state.CASE_PAGE] = 0
    for key in (
        state.CASE_ITEM,
        state.CASE_OUTCOME,
        state.CASE_STATE,
        state.CASE_SAID,
        state.FILING_CHOSEN,
        state.FILING_JOB,
        state.FILING_SAID,
    ):
        st.session_state[key] = None


def workflow_of(opened: Case) -> CaseWorkflow:
    """Return the workflow of a case for the examiner at work."""
    return CaseWorkflow(resources.cases(), opened.id, examiner(), resources.settings())
