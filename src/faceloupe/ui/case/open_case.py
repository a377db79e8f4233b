"""The case that a visit has open, and who is at work on it."""

from dataclasses import dataclass

import streamlit as st

from faceloupe.cases.records import Case
from faceloupe.cases.workflow import CaseWorkflow
from faceloupe.ui import resources, state


def case() -> Case | None:
    """Return the open case, as it is now; None where none is open.

    Raises:
        CaseError: it cannot be read.
    """
    case_id = st.session_state[state.CASE]
    return resources.cases().case(case_id) if case_id else None


@dataclass(frozen=True, slots=True)
class Person:
    """Who is at work.

    Attributes:
        name: empty where nobody is named, or nobody signed in who would have to.
        checked: whether people have passwords of their own here, so that the name is that of who signed in.
    """

    name: str
    checked: bool


def person() -> Person:
    """Return who is at work, of one moment: a name is never called checked that was typed.

    Raises:
        UsageError: it cannot be read who has a password.
    """
    if name_checked():
        return Person(resources.sign_ins().name_of(st.session_state[state.SIGN_IN]), checked=True)
    return Person(st.session_state[state.EXAMINER], checked=False)


def examiner() -> str:
    """Return the name of who is at work; see ``person``."""
    return person().name


def name_checked() -> bool:
    """Return whether people have passwords of their own here, so that no other name is taken.

    Raises:
        UsageError: it cannot be read who has one.
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
    """Return the workflow of a case for its examiner."""
    return CaseWorkflow(resources.cases(), opened.id, examiner(), resources.settings())
