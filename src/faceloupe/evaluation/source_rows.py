"""What the default model says of the faces of each source: the tables beside the card of the expert."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from faceloupe.errors import WeightsError
from faceloupe.system.files import replacing

HELD_OUT, LEFT_OUT = "held-out.csv", "left-out.csv"
AS_IS = "as is"  # the view of pictures that nothing was done to


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What was said of the faces of one source and class.

    Attributes:
        source: the collection; ``all`` for all of a class.
        label: authentic or manipulated.
        view: what was done to the picture, in words.
        faces: how many.
        manipulated, authentic: how many were called so.
        auc: against all faces of the other class of the same view, their sources weighing alike; None where there are
            none. For ``all`` both sides weigh by source.
        cost: mean of log2(1 + 1 / LR of the truth), bits: the class's half of Cllr; 1 says nothing, 0 is perfect.
    """

    source: str
    label: str
    view: str
    faces: int
    manipulated: int
    authentic: int
    auc: float | None
    cost: float

    @property
    def wrong(self) -> int:
        """How many faces were called what they are not."""
        return self.manipulated if self.label == "authentic" else self.authentic


COLUMNS = tuple(column.name for column in fields(SourceRow))


def write_rows(rows: Iterable[SourceRow], path: Path) -> None:
    """Write rows as CSV, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            values = [getattr(row, name) for name in COLUMNS]
            writer.writerow(["" if value is None else value for value in values])


def read_rows(path: Path) -> list[SourceRow]:
    """Read what ``write_rows`` wrote.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [
                SourceRow(
                    row["source"],
                    row["label"],
                    row["view"],
                    int(row["faces"]),
                    int(row["manipulated"]),
                    int(row["authentic"]),
                    float(row["auc"]) if row["auc"] else None,
                    float(row["cost"]),
                )
                for row in csv.DictReader(stream)
            ]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        state = "missing" if isinstance(problem, FileNotFoundError) else "damaged"
        raise WeightsError(f"The table {path.name} of measured error rates is {state}; restore it.") from problem
