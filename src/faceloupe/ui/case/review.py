"""Entries by people: decisions on an item, and notes and signatures on an item or on the whole case."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from faceloupe.cases.records import Case, Confidence, person_key
from faceloupe.errors import FaceLoupeError
from faceloupe.report.drawing.overlays import outcome_words
from faceloupe.types import Outcome
from faceloupe.ui import resources, state
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import outcome_mark, plain
from faceloupe.ui.language import tr


def remarks(case: Case, sha256: str) -> None:
    """Show the notes and signatures of an item side by side."""
    note, sign = st.columns(2, gap="medium")
    with note:
        notes(case, sha256)
    with sign:
        sign_off(case, sha256)


def of_case(case: Case) -> None:
    """Show the notes and signatures of the whole case in an expander."""
    with st.expander(tr("The case as a whole: notes and sign-off"), key=f"whole-{case.id}"):
        note, sign = st.columns(2, gap="medium")
        with note:
            notes(case, None)
        with sign:
            sign_off(case, None)


def last_entry() -> None:
    """Show the message on the last entry, once."""
    if sentence := st.session_state[state.CASE_SAID]:
        st.caption(f":material/check: {plain(sentence)}")
        st.session_state[state.CASE_SAID] = None  # a later run must not repeat it


def decisions(case: Case, sha256: str) -> None:
    """Show the decisions on an item, and a form for a new one."""
    store, person = resources.cases(), open_case.person()
    made = store.reviews.decisions(case.id, sha256)
    st.markdown(tr("**Decision**"))
    for decision in made:
        seen = decision.score_seen_before
        before = tr("after seeing the score") if seen else tr("no earlier view of the score in the log")
        st.markdown(
            tr(
                "{outcome_mark}, confidence {confidence}: {reason}",
                outcome_mark=outcome_mark(Outcome(decision.outcome)),
                confidence=tr(decision.confidence),
                reason=plain(decision.reason),
            )
        )
        st.caption(f"{plain(decision.examiner)}, {decision.utc[:19]}Z, {before}")
    fresh = f"{sha256[:12]}-{len(made)}"  # new keys, so that the fields are empty after each decision
    with st.container(border=True):
        outcome = st.pills(
            tr("Outcome"),
            list(Outcome),
            format_func=lambda word: tr(outcome_words(word)),
            **_field(case, f"outcome-{fresh}"),
        )
        reason = st.text_area(tr("Reason"), height=80, **_field(case, f"reason-{fresh}", ""))
        confidence = st.segmented_control(
            tr("Confidence"), list(Confidence), format_func=tr, **_field(case, f"confidence-{fresh}", Confidence.MEDIUM)
        )
        pressed = st.button(tr("Enter decision"), key=f"decide_{_of(sha256)}")
    if not pressed:
        return
    if outcome is None or confidence is None:
        missing = tr("Choose an outcome.") if outcome is None else tr("Choose a confidence.")
        st.error(missing, icon=":material/error:")
        return
    view = {"outcome": outcome.value, "reason": reason, "confidence": confidence.value}
    _enter(lambda: store.reviews.decide(case.id, sha256, **view, examiner=person.name, name_checked=person.checked))


def notes(case: Case, sha256: str | None) -> None:
    """Show the notes on an item, or on the case if ``sha256`` is None, and a form for a new one."""
    store = resources.cases()
    written = store.reviews.notes(case.id, sha256)
    st.markdown(tr("**Notes**"))
    for note in written:
        st.markdown(plain(note.text))
        st.caption(f"{plain(note.author)}, {note.utc[:19]}Z")
    fresh = f"{_of(sha256)}-{len(written)}"
    with st.container(border=True):
        text = st.text_area(tr("Note"), height=80, **_field(case, f"text-{fresh}", ""))
        pressed = st.button(tr("Add note"), key=f"note_{_of(sha256)}")
    if pressed:
        _enter(lambda: store.reviews.add_note(case.id, text, author=open_case.examiner(), sha256=sha256))


def sign_off(case: Case, sha256: str | None) -> None:
    """Show the signatures of an item, or of the case if ``sha256`` is None, and a form for a second person."""
    store = resources.cases()
    signed = store.reviews.sign_offs(case.id, sha256)
    st.markdown(tr("**Sign-off**"))
    made = store.reviews.decisions(case.id, sha256) if sha256 is not None else ()
    for previous in signed:
        of = tr(", for an earlier decision") if made and previous.utc < made[-1].utc else ""
        if sha256 is None and (since := store.reviews.changes_since(case.id, previous.utc)):
            of = tr("; filed or decided since: {since:,}", since=since)
        st.markdown(f":material/check: {plain(previous.reviewer)}, {previous.utc[:19]}Z{of}")
        if previous.open_items:
            items = (
                tr("1 item") if previous.open_items == 1 else tr("{open_items:,} items", open_items=previous.open_items)
            )
            st.caption(
                tr("{items} had no decision: {open_reason}", items=items, open_reason=plain(previous.open_reason or ""))
            )
    undecided = store.reviews.undecided(case.id) if sha256 is None else 0
    if undecided:
        st.caption(tr("Items without a decision: {undecided:,} of {items:,}.", undecided=undecided, items=case.items))
    fresh, reason, password = f"{_of(sha256)}-{len(signed)}", "", ""
    checked = open_case.name_checked()
    with st.form(f"sign-{fresh}"):
        label, key = tr("Reviewer, a second person"), f"reviewer-{fresh}"
        if checked:
            names = [person.name for person in resources.people().all()]
            reviewer = st.selectbox(label, names, index=None, key=key) or ""
            password = st.text_input(tr("Password of the reviewer"), type="password", key=f"password-{fresh}")
        else:
            reviewer = st.text_input(label, key=key, max_chars=100)
        if sha256 is None and undecided:
            reason = st.text_area(
                tr(
                    "Reason for signing the case with {undecided:,} undecided items (printed in the report)",
                    undecided=undecided,
                ),
                key=f"open-reason-{fresh}",
                height=80,
            )
        pressed = st.form_submit_button(tr("Sign off"), key=f"sign_{_of(sha256)}")
    if not checked:
        st.caption(tr("Names are not checked. The log records the name that you type here."))
    if pressed:
        _enter(lambda: _sign(case, sha256, reviewer, password, reason))


def _sign(case: Case, sha256: str | None, reviewer: str, password: str, reason: str) -> None:
    """Sign as the reviewer; the reviewer's password is checked if people have passwords.

    Raises:
        FaceLoupeError: the password is wrong, or a rule forbids the signature.
    """
    checked = open_case.name_checked()
    if checked:
        reviewer = resources.people().check(reviewer, password)
    resources.cases().reviews.sign_off(
        case.id, reviewer=reviewer, sha256=sha256, open_reason=reason, name_checked=checked
    )


def _field(case: Case, key: str, default: object = None) -> dict[str, Any]:
    """Return the key and callback of a field that keeps its content until it is entered, even if the page changes.

    A draft belongs to one person and one case, because other cases may contain the same file.
    """
    draft = f"{case.id} {person_key(open_case.examiner())} {key}"
    if key not in st.session_state:
        st.session_state[key] = st.session_state[state.DRAFTS].get(draft, default)
    return {"key": key, "on_change": _keep, "args": (key, draft)}


def _keep(key: str, draft: str) -> None:
    """Store the content of a field as a draft. This is a callback."""
    st.session_state[state.DRAFTS][draft] = st.session_state[key]


def _of(sha256: str | None) -> str:
    return "case" if sha256 is None else sha256[:12]


def _enter(write: Callable[[], object]) -> None:
    """Write to the store and rerun the page; if a rule forbids the entry, show its message."""
    try:
        write()
    except FaceLoupeError as problem:
        st.session_state[state.CASE_SAID] = None
        st.error(plain(str(problem)), icon=":material/error:")
        return
    st.session_state[state.CASE_SAID] = tr("Saved and recorded in the log.")
    st.rerun()
