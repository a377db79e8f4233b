"""Tables of an evaluation, as columns that a page can show."""

from typing import Any

from faceloupe.evaluation import measures


def full(rows: list[dict[str, Any]], head: str, *, first: str = "part") -> dict[str, list[str]]:
    """All measures as columns, every number with its interval."""
    columns = {head: [row[first] for row in rows]}
    columns["authentic / manipulated"] = [f"{row['n_real']} / {row['n_fake']}" for row in rows]
    return columns | {name: [measures.shown(row[key]) for row in rows] for key, name in measures.NAMES.items()}


def across(rows: list[dict[str, Any]], measure: str, head: str) -> dict[str, list[str]]:
    """One measure of all models as columns, a row for each part where any of them has it."""
    models, body = measures.across(rows, measure)
    columns = {head: [part for part, _ in body]}
    return columns | {model: [cells[number] for _, cells in body] for number, model in enumerate(models)}
