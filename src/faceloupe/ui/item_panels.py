"""One item of a case: what was found in it, and what people say about it."""

import json
from collections.abc import Callable

import streamlit as st

from faceloupe.cases.records import Case, Confidence
from faceloupe.errors import FaceLoupeError
from faceloupe.report.figures import outcome_words
from faceloupe.types import Outcome
from faceloupe.ui import open_case, panels, resources, state
from faceloupe.ui.panels import outcome_mark, plain

_CROP = 150  # pixels
_MOST_CROPS, _MOST_STRIPS = 24, 8


def findings(case: Case, sha256: str) -> None:
    """The runs of an item, where the examiner may see them."""
    store, examiner = resources.cases(), open_case.examiner()
    item = store.item(case.id, sha256, viewer=examiner)
    st.subheader(plain(item.name))
    st.caption(f"SHA-256 `{item.sha256}`  ·  {item.size_bytes:,} bytes  ·  filed by {plain(item.added_by)}")
    if not store.may_see_score(case.id, sha256, examiner):
        st.info(
            "The case is blind: what was found is shown once you have entered your decision.",
            icon=":material/visibility_off:",
        )
        return
    runs = {run.id: run for run in reversed(store.runs(case.id, sha256))}
    if not runs:
        st.markdown("This item was filed, and not analyzed.")
        return
    store.view_score(case.id, sha256, examiner=examiner)  # before it is shown
    chosen = next(iter(runs))
    if len(runs) > 1:
        chosen = st.selectbox(
            "Run", list(runs), format_func=lambda one: f"{one}, {runs[one].created_utc[:19]}Z", key=f"run-{sha256}"
        )
    panels.verdict_card(json.loads(store.report_text(chosen)))
    _pictures(dict(runs[chosen].pictures))


def _pictures(digests: dict[str, str]) -> None:
    fetch = resources.cases().picture
    small = [name for name in digests if name.endswith(("-crop.png", "-heatmap.png"))]  # of single faces
    strips = [name for name in digests if name.endswith("-filmstrip.png")]
    with st.expander("Pictures of the run", expanded=bool(digests)):
        if not digests:
            st.caption("The run has none: no face was found.")
        for cell, name in zip(st.columns(3), (name for name in digests if name not in small and name not in strips)):
            cell.image(fetch(digests[name]), caption=name)
        for name in strips[:_MOST_STRIPS]:
            st.image(fetch(digests[name]), caption=name)
        with st.container(horizontal=True):
            for name in small[:_MOST_CROPS]:
                st.image(fetch(digests[name]), caption=name, width=_CROP)
        if len(small) > _MOST_CROPS or len(strips) > _MOST_STRIPS:
            st.caption(f"Not all of the {len(digests):,} pictures are shown; an exported bundle holds the others.")


def decisions(case: Case, sha256: str) -> None:
    """The decisions on an item, and a form for another."""
    store, examiner = resources.cases(), open_case.examiner()
    made = store.decisions(case.id, sha256)
    st.markdown("**Decision**")
    for one in made:
        before = "after seeing the score" if one.score_seen_before else "before seeing the score"
        st.markdown(f"{outcome_mark(Outcome(one.outcome))}, confidence {one.confidence}: {plain(one.reason)}")
        st.caption(f"{plain(one.examiner)}, {one.utc[:19]}Z, {before}")
    fresh = f"{sha256[:12]}-{len(made)}"  # an empty form after each decision
    with st.form(f"decide-{fresh}"):
        outcome = st.selectbox("Outcome", list(Outcome), index=None, format_func=outcome_words, key=f"outcome-{fresh}")
        reason = st.text_area("Reason", key=f"reason-{fresh}", height=80)
        confidence = st.segmented_control(
            "Confidence", list(Confidence), default=Confidence.MEDIUM, key=f"confidence-{fresh}"
        )
        pressed = st.form_submit_button("Enter the decision", key="decide")
    if pressed:
        _enter(
            lambda: store.decide(
                case.id, sha256, outcome=outcome or "", reason=reason, confidence=confidence or "", examiner=examiner
            )
        )


def notes(case: Case, sha256: str) -> None:
    """The notes on an item, and a form for another."""
    store = resources.cases()
    written = store.notes(case.id, sha256)
    st.markdown("**Notes**")
    for one in written:
        st.markdown(plain(one.text))
        st.caption(f"{plain(one.author)}, {one.utc[:19]}Z")
    fresh = f"{sha256[:12]}-{len(written)}"
    with st.form(f"note-{fresh}"):
        text = st.text_area("Note", key=f"text-{fresh}", height=80)
        pressed = st.form_submit_button("Add the note", key="note")
    if pressed:
        _enter(lambda: store.add_note(case.id, text, author=open_case.examiner(), sha256=sha256))


def sign_off(case: Case, sha256: str) -> None:
    """The signatures under an item, and a form for a second person's."""
    store = resources.cases()
    signed = store.sign_offs(case.id, sha256)
    st.markdown("**Sign-off**")
    for one in signed:
        st.markdown(f":material/check: {plain(one.reviewer)}, {one.utc[:19]}Z")
    fresh = f"{sha256[:12]}-{len(signed)}"
    with st.form(f"sign-{fresh}"):
        reviewer = st.text_input("Reviewer, a second person", key=f"reviewer-{fresh}", max_chars=100)
        pressed = st.form_submit_button("Sign off", key="sign")
    if pressed:
        _enter(lambda: store.sign_off(case.id, reviewer=reviewer, sha256=sha256))


def _enter(write: Callable[[], object]) -> None:
    """Write to the store, and show the page anew; where a rule forbids it, say so in its sentence."""
    try:
        write()
    except FaceLoupeError as problem:
        st.session_state[state.CASE_SAID] = None
        st.error(plain(str(problem)), icon=":material/error:")
        return
    st.session_state[state.CASE_SAID] = "Entered, and written to the log."
    st.rerun()
