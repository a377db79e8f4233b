"""Tables of an evaluation, as columns that a page can show."""

from collections.abc import Sequence

from faceloupe.evaluation import measures
from faceloupe.evaluation.measures import AucRow, Measures


def full(rows: Sequence[tuple[str, Measures]], head: str) -> dict[str, list[str]]:
    """All measures of named parts as columns, every number with its interval."""
    columns = {head: [part for part, _ in rows]}
    columns["authentic / manipulated"] = [f"{row.n_real} / {row.n_fake}" for _, row in rows]
    return columns | {
        name: [measures.shown(getattr(row, key)) for _, row in rows] for key, name in measures.NAMES.items()
    }


def across(rows: Sequence[AucRow], measure: str, head: str) -> dict[str, list[str]]:
    """One measure of all models as columns, a row for each part where any of them has it."""
    models, body = measures.across(rows, measure)
    columns = {head: [part for part, _ in body]}
    return columns | {model: [cells[number] for _, cells in body] for number, model in enumerate(models)}
