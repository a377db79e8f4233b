"""The registry on the page Models: the models and their error rates, and how to fetch and choose one."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st

from faceloupe.config import DEFAULT_MODEL, QUICK_MODEL, weights_folder
from faceloupe.errors import FaceLoupeError, WeightsError
from faceloupe.evaluation.published import Evaluation
from faceloupe.evaluation.source_rows import HELD_OUT, LEFT_OUT, SourceRow, are_of, read_rows
from faceloupe.installation import CORE_TABLES, EXPERT_TABLES
from faceloupe.models.fetch import fetch
from faceloupe.models.record import ModelRecord
from faceloupe.models.registry import ReleaseEntry, components_of, read_entries, weights_status
from faceloupe.report.numerals import decimal, localized
from faceloupe.report.translation import translated
from faceloupe.ui import language, resources
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs.panel import job_line
from faceloupe.ui.language import mark_for_translation, tr
from faceloupe.ui.models import tables
from faceloupe.web.jobs import State

_STATES = {
    "verified": mark_for_translation("verified"),
    "missing": mark_for_translation("not on this machine"),
    "altered": mark_for_translation("altered, not used"),
    "unreadable": mark_for_translation("cannot be read"),
}


_SOURCES = {  # source name in the tables -> description
    "boredhumans": mark_for_translation("faces of a public generator (BoredHumans)"),
    "ciplab": mark_for_translation("photographs, and faces composed by hand (CIPLab)"),
    "dfdc_faces": mark_for_translation("faces of the Deepfake Detection Challenge"),
    "facemask_nomask": mark_for_translation("photographs of people without a mask"),
    "ffhq_tpdne": mark_for_translation("FFHQ photographs, and This Person Does Not Exist"),
    "ffpp_faces": mark_for_translation("faces of FaceForensics++"),
    "generated_photos": mark_for_translation("faces of Generated Photos"),
    "omi_stylegan2": mark_for_translation("StyleGAN2 faces (One Million Impostors)"),
    "sdfd_sd21": mark_for_translation("Stable Diffusion 2.1 faces"),
    "utkface": mark_for_translation("UTKFace photographs"),
}


def reading_guide() -> None:
    """Show an explanation of how to read the page."""
    with st.expander(tr("How to read this page")):
        st.markdown(
            tr(
                "- *Authentic called manipulated* is the error that accuses a real photograph; *manipulated "
                "called authentic* lets a fake pass. *Inconclusive* is neither of these errors.\n"
                "- Rates are for single faces. They hold for pictures like those they were measured on; the "
                "rates for a new generator can be worse.\n"
                "- *AUC* is how well faces are told apart at any threshold: 0.5 is guessing, 1 is perfect.\n"
                "- Names that begin with Meso are published detectors. Where they are shown, they were measured on "
                "the same faces.\n"
                "- The page Glossary explains the other terms."
            )
        )


def best_and_worst(evaluation: Evaluation, model: str) -> None:
    """Show the sources with the highest and the lowest AUC of the model."""
    aucs = {
        row.part: row.auc.value
        for row in evaluation.tables.sources
        if row.model == model and row.part in _SOURCES and row.auc.value is not None
    }
    if not aucs:
        return
    worst, best = min(aucs, key=aucs.__getitem__), max(aucs, key=aucs.__getitem__)
    st.markdown(
        tr(
            "Best known source: {best} (AUC {best_auc:.2f}). Worst: {worst} (AUC {worst_auc:.2f}).",
            best=tr(_SOURCES[best]),
            best_auc=aucs[best],
            worst=tr(_SOURCES[worst]),
            worst_auc=aucs[worst],
        )
    )


def source_names() -> None:
    """Show what the names of the sources stand for."""
    st.caption("  ·  ".join(f"{plain(name)}: {tr(text)}" for name, text in _SOURCES.items()))


# Folders with the tables by source, for the models that the efforts use.
_TABLES = {QUICK_MODEL: CORE_TABLES, DEFAULT_MODEL: EXPERT_TABLES}


def has_sources(record: ModelRecord) -> bool:
    """Return whether there are tables by source that were counted with exactly this record.

    Raises:
        WeightsError: the file that names the record of the tables is missing or damaged.
    """
    return record.id in _TABLES and are_of(_TABLES[record.id], record)


def by_source(model: str) -> None:
    """Show the outcomes of a model for the faces of each source, photographs first.

    Args:
        model: id of a model for which ``has_sources`` is True.

    Raises:
        WeightsError: a table is missing or damaged.
    """
    held_out, left_out = st.tabs([tr("Held-out sources"), tr("Sources left out of training")])
    with held_out:
        st.caption(
            tr(
                "Not used for training, calibration or thresholds. Some of these results were seen while the version "
                "was chosen. Shares with 95 % intervals; the sources with the most errors come first."
            )
        )
        _of_sources(read_rows(_TABLES[model] / HELD_OUT))
    with left_out:
        st.caption(
            tr(
                "Each source was judged by networks that were trained without it. The thresholds were set on these "
                "faces. Shares with 95 % intervals; the sources with the most errors come first."
            )
        )
        _of_sources(read_rows(_TABLES[model] / LEFT_OUT))


def _of_sources(rows: list[SourceRow]) -> None:
    for label, title in (("authentic", tr("Photographs")), ("manipulated", tr("Generated and changed faces"))):
        st.markdown(f"**{title}**")
        st.dataframe(tables.of_sources(rows, label), hide_index=True)


@dataclass(frozen=True, slots=True)
class Fetching:
    """Key of a job that fetches the weights of a model."""

    model: str


def choose(records: dict[str, ModelRecord]) -> str:
    """Show the registered models; return the selected one.

    Raises:
        WeightsError: the registry is damaged.
    """
    active, folder = resources.settings().model_id, weights_folder()
    entries = read_entries(folder)
    verified: set[str] = set()  # files checked so far; models of the expert share a large file
    listed = sorted(records.values(), key=lambda record: record.id != active)  # the one in use comes first
    rows = [_row(record, entries, folder, active, verified) for record in listed]
    st.dataframe(rows, hide_index=True, width="stretch")
    st.caption(
        tr("FPR: authentic faces called manipulated. FNR: manipulated faces called authentic. Validation faces.")
    )
    ids = [record.id for record in listed]
    chosen = st.selectbox(tr("Choose a model"), ids, key="model")
    _actions(records[chosen], folder, active, weights_status(records[chosen], folder, verified))
    return chosen


def _row(
    record: ModelRecord, entries: dict[str, ReleaseEntry], folder: Path, active: str, verified: set[str]
) -> dict[str, str]:
    rates = record.error_rates
    sizes = _sizes(record, entries, folder)
    return {
        tr("model"): record.id,
        tr("in use here"): tr("yes") if record.id == active else "",
        tr("weights"): tr(_STATES[weights_status(record, folder, verified)]),
        tr("SHA-256"): record.weights_sha256[:8],
        tr("size"): tr("{sum:.1f} MB", sum=sum(sizes) / 1e6) if sizes else tr("not known"),
        tr("FPR"): localized(f"{rates.fpr:.1%}", language.current()),
        tr("FNR"): localized(f"{rates.fnr:.1%}", language.current()),
        tr("undecided"): f"{rates.inconclusive:.0%}",
        tr("parameters"): decimal(record.parameters, 0, language.current()),
        tr("license"): record.license.partition(".")[0],
    }


def _sizes(record: ModelRecord, entries: dict[str, ReleaseEntry], folder: Path) -> list[int]:
    try:
        return [entries[part.id].size_bytes for part in components_of(record, folder) if part.id in entries]
    except WeightsError:
        return []


def _actions(record: ModelRecord, folder: Path, active: str, status: str) -> None:
    """Show the actions on a model: use it, or fetch its weights if they are missing or damaged."""
    st.caption(plain(tr("License: {license}.", license=record.license)))
    if status == "verified":
        if record.id == active:
            st.caption(tr("This model is in use. Earlier results keep the model that they name."))
        elif st.button(tr("Use this model"), key="choose-model", icon=":material/done:"):
            resources.choose_model(record.id)
            st.rerun()
        else:
            st.caption(
                tr(
                    "Until the app stops, this model is used for everyone who does not choose an effort. To "
                    "keep it, set `FACELOUPE_MODEL`."
                )
            )
        return
    job = resources.long_jobs().get(Fetching(record.id))
    if job is not None and job.live:
        job_line(job)
        return
    if job is not None and job.state is State.FAILED:
        st.error(plain(job.error), icon=":material/error:")
    st.button(
        tr("Fetch the weights"),
        key="fetch-model",
        icon=":material/download:",
        on_click=_submit,
        args=(record, folder),
        help=tr(
            "Downloaded from the release that FACELOUPE_RELEASES names, and used only if their SHA-256 "
            "matches the record."
        ),
    )
    st.caption(tr("Offline: `faceloupe models fetch --from FILE` with a file from the release."))


def _submit(record: ModelRecord, folder: Path) -> None:
    work = partial(fetch, record, folder)
    try:
        resources.submit(Fetching(record.id), tr("Fetching the weights of {id}", id=record.id), work)
    except FaceLoupeError as problem:
        st.error(plain(str(problem)), icon=":material/error:")


def error_rates(record: ModelRecord) -> None:
    """Show the error rates that every report of this model states.

    Args:
        record: record of the model.
    """
    rates = record.error_rates
    cells = st.columns(4)
    for cell, name, value, interval in (
        (cells[0], tr("Authentic called manipulated"), rates.fpr, rates.interval_95["fpr"]),
        (cells[1], tr("Manipulated called authentic"), rates.fnr, rates.interval_95["fnr"]),
    ):
        cell.metric(name, localized(f"{value:.1%}", language.current()), border=True)
        cell.caption(tr("95 % interval {low:.1%} to {high:.1%}", low=interval[0], high=interval[1]))
    cells[2].metric(tr("Inconclusive"), localized(f"{rates.inconclusive:.1%}", language.current()), border=True)
    cells[2].caption(
        tr("between {lower:.3f} and {upper:.3f}", lower=record.thresholds.lower, upper=record.thresholds.upper)
    )
    cells[3].metric(tr("Calibration error (ECE)"), decimal(record.calibration.ece, 3, language.current()), border=True)
    cells[3].caption(
        tr("Cllr {cllr:.3f} bits; calibrator {id}", cllr=record.calibration.cllr, id=plain(record.calibrator.id))
    )
    st.caption(tr("Measured on {measured_on}.", measured_on=plain(translated(rates.measured_on, language.current()))))
