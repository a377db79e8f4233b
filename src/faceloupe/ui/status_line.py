"""The line at the top of every page."""

import streamlit as st

from faceloupe.errors import FaceLoupeError
from faceloupe.ui import demo, resources
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain, short
from faceloupe.ui.language import tr


def status_line() -> None:
    """Show the line at the top of every page: open case, examiner, model, and whether its weights are verified."""
    try:
        record, problem = resources.networks().scorer.record, ""
        effort = resources.settings().reported_effort
        model = tr(
            "Model {id}{value}", id=plain(record.id), value=tr(", effort {effort}", effort=effort) if effort else ""
        )
        model += tr(
            "  ·  :material/verified: weights verified `{weights_sha256}`", weights_sha256=record.weights_sha256[:8]
        )
    except FaceLoupeError as failure:
        model, problem = tr(":material/error: no verified model, nothing can be scored"), str(failure)
    st.caption(
        tr(
            "**FaceLoupe**  ·  {who}  ·  {model}  ·  {stays}",
            who=_who_and_what(),
            model=model,
            stays=demo.retention_clause(),
        )
    )
    if problem:
        st.error(plain(problem), icon=":material/error:")


def _who_and_what() -> str:
    try:
        case = open_case.case()
    except FaceLoupeError:  # the pages that need the case show the error
        case = None
    try:
        examiner = open_case.examiner()
    except FaceLoupeError:  # likewise
        examiner = ""
    opened = tr("Case **{name}** `{id}`", name=plain(short(case.name)), id=case.id) if case else tr("no case open")
    who = tr("Examiner {name}", name=plain(short(examiner))) if examiner else tr("no examiner")
    return f"{opened}  ·  {who}"
