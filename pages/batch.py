"""Batch: analysis of many files, with one row per file."""

import streamlit as st

from faceloupe.batch.store import Batch
from faceloupe.errors import FaceLoupeError
from faceloupe.ui import elements, resources
from faceloupe.ui.batch import input, table
from faceloupe.ui.batch import panels as batch_panels
from faceloupe.ui.case import filing
from faceloupe.ui.language import tr

REDRAWN_S = 3.0


def show(batch: Batch) -> None:
    """Show a batch: its progress, outcomes and table, which are refreshed while rows are added."""
    live = batch_panels.header(batch)
    batch_panels.notice()
    st.fragment(results_or_problem, run_every=REDRAWN_S if live else None)(batch)


def results_or_problem(batch: Batch) -> None:
    """Show the results or the error; the page cannot catch errors that a fragment raises."""
    try:
        results(batch)
    except FaceLoupeError as problem:
        st.error(elements.plain(str(problem)), icon=":material/error:")


def results(batch: Batch) -> None:
    """Show the results so far, without those that blind cases withhold from the examiner."""
    withheld = filing.all_withheld()
    whole = resources.tables().get(batch)
    visible = whole.without(withheld)
    if hidden := len(whole.rows) - len(visible.rows):
        st.info(
            tr(
                "{hidden:,} rows belong to blind cases that you have not decided; they are left out here and in "
                "the CSV.",
                hidden=hidden,
            ),
            icon=":material/visibility_off:",
        )
    if not len(visible.rows):
        st.caption(tr("No rows yet."))
        return
    batch_panels.overview(visible)
    selected = table.table(batch, visible)
    table.actions(batch, visible, selected, withheld)


def batches() -> None:
    """Show the form, and the selected batch or the list of batches."""
    blind = filing.blind_case()
    if blind is not None:
        filing.blind_uploads(blind)
        return
    batch = input.shown()
    input.form(folded=batch is not None)
    if batch is not None:
        show(batch)
    else:
        batch_panels.notice()
        st.markdown(
            tr(
                "1. Every file is hashed before anything reads it, and stays on this machine.\n2. Photos and videos "
                "are examined on all cores. Every file gets a row, even if it cannot be analyzed.\n3. You see "
                "outcomes and scores as they arrive. Select a row to open it; the table is saved as a CSV."
            )
        )
        batch_panels.batch_list()


st.header(tr("Batch"))
try:
    batches()
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
