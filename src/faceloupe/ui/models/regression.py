"""The panel of the page Models that scores the decided items of the cases again with a model."""

from dataclasses import dataclass
from functools import partial

import msgspec
import streamlit as st

from faceloupe.config import Settings
from faceloupe.errors import FaceLoupeError
from faceloupe.evaluation.regression import Regression, compare
from faceloupe.models.record import ModelRecord
from faceloupe.report.drawing.overlays import outcome_words
from faceloupe.types import Outcome
from faceloupe.ui import resources
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs.panel import job_line
from faceloupe.ui.language import tr
from faceloupe.web.jobs import State


@dataclass(frozen=True, slots=True)
class Comparing:
    """Key of a job that scores the decided items again; only one examiner sees its result."""

    model: str
    examiner: str


def panel(record: ModelRecord) -> None:
    """Offer to score every decided item with a model, and show which outcomes changed."""
    with st.expander(tr("Decided items of the cases, scored again by this model")):
        examiner = open_case.examiner()
        if not examiner:
            st.caption(tr("First name the examiner on the page Cases: the log records who saw the results of an item."))
            return
        job = resources.long_jobs().get(Comparing(record.id, examiner))
        if job is not None and job.live:
            job_line(job)
            return
        st.button(
            tr("Compare"),
            key="compare-cases",
            icon=":material/difference:",
            on_click=_submit,
            args=(record.id, examiner),
            help=tr("Nothing is filed. Blind cases are left out."),
        )
        if job is not None and job.state is State.FAILED:
            st.error(plain(job.error), icon=":material/error:")
        elif job is not None and isinstance(job.result, Regression):
            withheld = resources.cases().reviews.withheld(examiner)  # a blind case may have been added since
            items = tuple(item for item in job.result.items if item.sha256 not in withheld)
            _show(msgspec.structs.replace(job.result, items=items))


def _shown(outcome: str | None) -> str:
    return "" if outcome is None else tr(outcome_words(Outcome(outcome)))


def _submit(model: str, examiner: str) -> None:
    # Only the model differs from the server's settings; the effort of the session may mean another model.
    try:
        settings = Settings.from_environment({"model": model})
        work = partial(compare, resources.cases(), resources.networks(settings), examiner=examiner)
        resources.submit(Comparing(model, examiner), tr("Scoring decided items by {model}", model=model), work)
    except FaceLoupeError as problem:
        st.error(plain(str(problem)), icon=":material/error:")


def _show(result: Regression) -> None:
    flips = result.flips
    st.markdown(
        tr(
            "{count:,} decided items compared, {count2:,} with a different outcome. In {sum:,} of these, the "
            "new outcome contradicts the decision. {blind_cases:,} blind cases left out.",
            count=len(result.items),
            count2=len(flips),
            sum=sum(item.contradicts for item in flips),
            blind_cases=result.blind_cases,
        )
    )
    if flips:
        rows = [
            {
                tr("case"): item.case_name,
                tr("item"): item.name,
                tr("SHA-256"): item.sha256[:12],
                tr("model before"): item.model_before,
                tr("before"): _shown(item.outcome_before),
                tr("now"): _shown(item.outcome),
                tr("decision"): _shown(item.decision),
            }
            for item in flips
        ]
        st.dataframe(rows, hide_index=True, width="stretch")
    for item in result.items:
        if item.problem:
            st.caption(plain(tr("Not analyzed: {name}: {problem}", name=item.name, problem=item.problem)))
