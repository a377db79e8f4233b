"""Panels of batches: the list, the progress of one batch, and its outcomes."""

import streamlit as st

from faceloupe.batch.results import BatchResults
from faceloupe.batch.store import Batch
from faceloupe.errors import FaceLoupeError
from faceloupe.models.record import ModelRecord
from faceloupe.report.drawing.overlays import outcome_words
from faceloupe.report.numerals import decimal
from faceloupe.types import Outcome
from faceloupe.ui import elements, language, resources, state
from faceloupe.ui.batch import charts, input
from faceloupe.ui.batch.table import mark
from faceloupe.ui.elements import plain, short
from faceloupe.ui.jobs.panel import job_line
from faceloupe.ui.language import stage, tr
from faceloupe.web.jobs import State

_LISTED = 30  # batches


def batch_list() -> None:
    """Show the stored batches, the newest first; a click selects one."""
    batches = resources.batch_store().all()
    if not batches:
        return
    st.subheader(tr("Batches"))
    for batch in batches[:_LISTED]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                plain(short(batch.name, 70)),
                key=f"batch-{batch.id}",
                type="tertiary",
                on_click=input.show,
                args=(batch.id,),
            )
            st.caption(f"{batch.created_utc[:19]}Z  ·  {_status_text(batch)}", width="content")
    if len(batches) > _LISTED:
        st.caption(
            tr(
                "The newest {most} of {count:,}; remove those that you no longer need.",
                most=_LISTED,
                count=len(batches),
            )
        )


def _status_text(batch: Batch) -> str:
    job = resources.batches().get(batch.id)
    if job is not None and job.live:
        return f"{tr(job.state)}, {stage(job.stage)}"
    return tr("{count:,} rows", count=len(resources.tables().get(batch).rows))


def header(batch: Batch) -> bool:
    """Show the name, the progress and the actions of a batch; return whether it is waiting or running."""
    job = resources.batches().get(batch.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(plain(short(batch.name, 60)), width="content")
        effort = tr("  ·  effort {effort}", effort=plain(batch.effort)) if batch.effort and not batch.model else ""
        st.caption(f"{batch.created_utc[:19]}Z{effort}", width="content")
        st.button(tr("All batches"), key="batch_close", on_click=input.show, args=(None,), icon=":material/list:")
        if job is None or not job.live:
            with st.popover(tr("Remove"), icon=":material/delete:"):
                st.write(tr("Deletes the table, the thumbnails and the copies of uploads, and nothing else."))
                st.button(tr("Remove this batch"), key="batch_remove", on_click=_remove, args=(batch,))
    if job is not None and job.live:
        job_line(job, resources.batches())
        return True
    if job is not None and job.state is State.FAILED:
        st.error(plain(job.error), icon=":material/error:")
    if job is None or job.state is not State.DONE:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(tr("Continue"), key="batch_on", on_click=_go_on, args=(batch,), icon=":material/play_arrow:")
            st.caption(
                tr(
                    "This batch may be incomplete: it was interrupted, or it ended before this server was started. "
                    "If you continue it, only the files that have no row yet are examined."
                ),
                width="content",
            )
    return False


def _remove(batch: Batch) -> None:
    resources.batch_store().remove(batch)
    input.show(None)


def _go_on(batch: Batch) -> None:
    try:
        input.queue_batch(batch)
        st.session_state[state.BATCH_NOTICE] = None
    except FaceLoupeError as problem:
        st.session_state[state.BATCH_NOTICE] = ("error", str(problem))


def notice() -> None:
    """Show the result of the last action on a batch."""
    elements.notice(state.BATCH_NOTICE)


def overview(results: BatchResults) -> None:
    """Show the number of rows by outcome, which filter the table when clicked, and the scores."""
    numbers = {outcome: decimal(count, 0, language.current()) for outcome, count in results.counts.items()}
    left, right = st.columns([1.3, 1.0], gap="medium")
    with left:
        elements.chart(
            charts.counts_bar(results),
            key="batch_counts",
            on_select=_bar_clicked,
            selection_mode="points",
            alt=tr("Rows by outcome: ")
            + ", ".join(f"{tr(outcome_words(o))} {number}" for o, number in numbers.items()),
        )
        named = [outcome for outcome, count in results.counts.items() if count]
        current = st.session_state[state.BATCH_FILTER]
        st.session_state["batch_pills"] = current if current in [outcome.value for outcome in named] else None
        st.pills(
            tr("Show only"),
            [outcome.value for outcome in named],
            format_func=lambda value: f"{mark(Outcome(value))} {numbers[Outcome(value)]}",
            key="batch_pills",
            on_change=_pill_chosen,
        )
    with right:
        elements.chart(
            charts.score_histogram(results, _record(results)),
            key="batch_scores",
            alt=tr("Number of files by score, with both thresholds of the model"),
        )


def _record(results: BatchResults) -> ModelRecord | None:
    """Return the record of the model that gave the scores, or None if it is no longer available."""
    try:
        return resources.record(results.model)
    except FaceLoupeError:
        return None


def _bar_clicked() -> None:
    points = st.session_state["batch_counts"]["selection"]["points"]
    if points:
        clicked = points[0]["customdata"]
        _filter(clicked[0] if isinstance(clicked, list) else clicked)


def _pill_chosen() -> None:
    _filter(st.session_state["batch_pills"])


def _filter(outcome: str | None) -> None:
    st.session_state[state.BATCH_FILTER], st.session_state[state.BATCH_PAGE] = outcome, 0
