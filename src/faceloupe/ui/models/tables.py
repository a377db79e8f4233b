"""Tables of an evaluation, as columns that a page can show."""

from collections.abc import Sequence
from dataclasses import fields

from faceloupe.evaluation import measures
from faceloupe.evaluation.measures import AucRow, Measures
from faceloupe.evaluation.metrics import wilson_interval
from faceloupe.evaluation.published import HeatmapRow
from faceloupe.evaluation.source_rows import AS_IS, SourceRow
from faceloupe.report.numerals import decimal
from faceloupe.ui.language import current, tr


def full(rows: Sequence[tuple[str, Measures]], head: str) -> dict[str, list[str]]:
    """Return all measures of named parts as columns, every number with its interval."""
    columns = {head: [part for part, _ in rows]}
    columns[tr("authentic / manipulated")] = [f"{row.n_real} / {row.n_fake}" for _, row in rows]
    return columns | {
        tr(name): [measures.shown(getattr(row, key)) for _, row in rows] for key, name in measures.NAMES.items()
    }


def across(rows: Sequence[AucRow], measure: str, head: str) -> dict[str, list[str]]:
    """Return one measure of all models as columns, with a row for each part where any model has a value."""
    models, body = measures.across(rows, measure)
    columns = {head: [part for part, _ in body]}
    return columns | {model: [cells[number] for _, cells in body] for number, model in enumerate(models)}


def of_sources(rows: Sequence[SourceRow], label: str) -> dict[str, list[str]]:
    """Return the outcomes for the faces of one class by source, as columns.

    The first row is the total; the sources follow, highest error rate first.
    """
    mine = [row for row in rows if row.label == label and row.view == AS_IS]
    mine.sort(key=lambda row: (row.source != "all", -row.wrong / row.faces, row.source))
    return {
        tr("source"): [tr("all sources") if row.source == "all" else row.source for row in mine],
        tr("faces"): [decimal(row.faces, 0, current()) for row in mine],
        tr("called manipulated"): [_share(row.manipulated, row.faces) for row in mine],
        tr("called authentic"): [_share(row.authentic, row.faces) for row in mine],
        tr("inconclusive"): [_share(row.faces - row.manipulated - row.authentic, row.faces) for row in mine],
        tr("AUC"): ["" if row.auc is None else decimal(row.auc, 3, current()) for row in mine],
    }


def of_heatmaps(rows: Sequence[HeatmapRow]) -> dict[str, list[object]]:
    """Return how well the heatmaps of each model match the manipulated part, as columns."""
    return {tr(field.name): [getattr(row, field.name) for row in rows] for field in fields(HeatmapRow)}


def _share(count: int, of: int) -> str:
    low, high = wilson_interval(count, of)
    return tr("{share:.1%} ({low:.1%} to {high:.1%})", share=count / of, low=low, high=high)
