"""The table of a batch, and the actions on its rows."""

import base64
import hashlib
from functools import partial

import pandas as pd
import streamlit as st

from faceloupe.batch.results import SORTS, BatchResults, Sources, csv_without
from faceloupe.batch.store import Batch
from faceloupe.errors import FaceLoupeError
from faceloupe.media.evidence_file import EvidenceFile, printable_name
from faceloupe.report.drawing.overlays import COLORS, SHAPES, outcome_words
from faceloupe.report.translation import translated
from faceloupe.types import Outcome, Step
from faceloupe.ui import language, resources, state
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain
from faceloupe.ui.image import input as image_input
from faceloupe.ui.jobs import tasks
from faceloupe.ui.jobs.panel import job_line
from faceloupe.ui.language import tr
from faceloupe.ui.video import input as video_input
from faceloupe.web.jobs import State

_ROWS = 100  # per page


def mark(outcome: Outcome) -> str:
    """Return the shape and the name of an outcome."""
    return f"{SHAPES[outcome]} {tr(outcome_words(outcome))}"


def table(batch: Batch, results: BatchResults) -> pd.DataFrame:
    """Show one page of the rows; return the selected rows."""
    search, sort = st.columns([2, 1])
    wanted = search.text_input(tr("Search in path, SHA-256 and reason"), key="batch_search", icon=":material/search:")
    order = sort.selectbox(tr("Sort by"), list(SORTS), format_func=tr, key="batch_sort")
    outcome = st.session_state[state.BATCH_FILTER]
    rows = results.chosen(outcome=Outcome(outcome) if outcome else None, search=wanted, sort=order)
    last = max(0, (len(rows) - 1) // _ROWS)
    page = min(st.session_state[state.BATCH_PAGE], last)
    part = rows.iloc[page * _ROWS : (page + 1) * _ROWS]
    shown = hashlib.sha256("\0".join(part["path"]).encode()).hexdigest()  # a selection is valid only for these rows
    event = st.dataframe(
        _styled(batch, part),
        key=f"batch_table-{shown[:16]}",
        hide_index=True,
        placeholder="",
        row_height=44,
        height=min(44 * (len(part) + 1), 540),
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "": st.column_config.ImageColumn(width="small"),
            "path": st.column_config.TextColumn(tr("path"), width="medium"),
            "outcome": st.column_config.TextColumn(tr("outcome")),
            "score": st.column_config.NumberColumn(tr("score"), format="%.2f"),
            "log10 LR": st.column_config.NumberColumn(format="%+.2f"),
            "faces, tracks": st.column_config.NumberColumn(tr("faces, tracks")),
            "alike": st.column_config.TextColumn(tr("alike")),
            "reason": st.column_config.TextColumn(tr("reason"), width="large"),
        },
    )
    _pages(page, last, len(rows))
    if not results.whole:
        st.caption(
            tr(
                "The table has more rows than the {count:,} that this page can show; the CSV has all of them.",
                count=len(results.rows),
            )
        )
    return part.iloc[event.selection.rows]


def _styled(batch: Batch, rows: pd.DataFrame) -> "pd.io.formats.style.Styler":
    alike = rows["duplicate_of"].where(rows["duplicate_of"] != "", rows["near_duplicate_of"])
    kind = rows["duplicate_of"].ne("").map({True: tr("duplicate of "), False: tr("near-duplicate of ")})
    marks = {outcome.value: mark(outcome) for outcome in Outcome}
    tint = {mark(outcome): f"background-color: {COLORS[outcome]}40; font-weight: 600" for outcome in Outcome}
    drawn = pd.DataFrame(
        {
            "": [_thumbnail(batch, sha256) for sha256 in rows["sha256"]],
            "path": rows["path"].map(printable_name),
            "outcome": rows["outcome"].map(marks),
            "score": rows["score"],
            "log10 LR": rows["log10_lr"],
            "faces, tracks": rows["faces"].astype("Int64"),
            "alike": (kind + alike.map(printable_name)).where(alike != "", ""),
            "reason": rows["reason"].map(lambda reason: printable_name(translated(reason, language.current()))),
        }
    )
    return drawn.style.map(lambda shown: tint.get(shown, ""), subset=["outcome"])


def _thumbnail(batch: Batch, sha256: str) -> str | None:
    try:
        content = batch.thumbnail(sha256).read_bytes()
    except OSError:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _pages(page: int, last: int, total: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if last:
            st.button(tr("Previous"), key="batch_back", disabled=page == 0, on_click=_turn, args=(page - 1,))
            st.button(tr("Next"), key="batch_next", disabled=page >= last, on_click=_turn, args=(page + 1,))
            st.caption(tr("page {page} of {last}", page=page + 1, last=last + 1), width="content")
        st.caption(tr("{total:,} rows", total=total), width="content")


def _turn(page: int) -> None:
    st.session_state[state.BATCH_PAGE] = page


def actions(batch: Batch, results: BatchResults, selected: pd.DataFrame, withheld: frozenset[str]) -> None:
    """Show the actions on the selected rows and the table."""
    case = open_case.case()
    ready = case is not None and bool(open_case.examiner())
    filed = selected if len(selected) else results.rows
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(tr("Open the row"), key="batch_open", disabled=len(selected) != 1, icon=":material/open_in_new:"):
            _open(batch, selected.iloc[0])
        st.button(
            tr(
                "File selected ({count:,}) to the case" if len(selected) else "File all ({count:,}) to the case",
                count=len(filed),
            ),
            key="batch_file",
            disabled=not ready or not len(filed),
            icon=":material/create_new_folder:",
            on_click=_file,
            args=(batch, filed),
            help=None if ready else tr("Open a case and name the examiner on the page Cases."),
        )
        st.download_button(
            tr("Download the CSV"),
            data=partial(csv_without, batch.table, withheld),
            file_name=f"faceloupe-batch-{batch.id}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="batch_csv",
        )
        st.caption(tr("Select a row to open it on its page."), width="content")
    _filing(batch)


def _open(batch: Batch, row: pd.Series) -> None:
    """Start the analysis of the file of a row on the page Image or Video."""
    evidence_file = Sources(batch.spec(), [row["path"]], resources.settings()).take(*_identity(row))
    if row["media_type"] == "video":
        video_input.start(video_input.of_evidence(evidence_file))
        st.switch_page("../pages/video.py")
    image_input.start(evidence_file)
    st.switch_page("../pages/image.py")


def _file(batch: Batch, rows: pd.DataFrame) -> None:
    try:
        case = open_case.case()
        if case is None:  # it was closed in another window
            return
        workflow = open_case.workflow_of(case)
        sources = Sources(batch.spec(), rows["path"], resources.settings())
        files = [
            tasks.PendingFile(identity[0], partial(_opened, sources, identity), partial(batch.report, identity[1]))
            for identity in [_identity(row) for _, row in rows.iterrows()]
        ]
        networks, translate = resources.networks(workflow.settings), language.translator(language.current())
        work_of = partial(tasks.add_files, files, workflow, networks, seen=True, tr=translate)
        resources.submit(
            _filing_key(batch), tr("Filing {count:,} files of {name}", count=len(files), name=batch.name), work_of
        )
    except FaceLoupeError as problem:
        st.session_state[state.BATCH_NOTICE] = ("error", str(problem))


def _opened(sources: Sources, identity: tuple[str, str, str], _: Step) -> EvidenceFile:
    """Open a file as a job does, without reporting progress, because it is read in one piece."""
    return sources.take(*identity)


def _identity(row: pd.Series) -> tuple[str, str, str]:
    """Return the path, the SHA-256 and the media type of the file behind a row."""
    return str(row["path"]), str(row["sha256"]), str(row["media_type"])


def _filing_key(batch: Batch) -> tuple[str, str]:
    return "filing of a batch", batch.id


def _filing(batch: Batch) -> None:
    job = resources.long_jobs().get(_filing_key(batch))
    if job is None:
        return
    if job.live:
        job_line(job)
    elif job.state is State.DONE:
        st.info(plain(str(job.result)), icon=":material/check:")
    elif job.state is State.FAILED:
        st.error(plain(job.error), icon=":material/error:")
    else:
        st.info(tr("Filing was cancelled; files that were already filed stay in the case."), icon=":material/cancel:")
