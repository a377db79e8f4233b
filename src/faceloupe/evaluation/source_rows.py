"""What the models of the efforts say of the faces of each source: the tables beside their cards."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from faceloupe.errors import WeightsError
from faceloupe.models.record import ModelRecord
from faceloupe.system.files import replacing

HELD_OUT, LEFT_OUT = "held-out.csv", "left-out.csv"
OWNER = "record.json"  # beside the tables: the record that they were counted with
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


def write_owner(record: ModelRecord, folder: Path) -> None:
    """Write down which record the tables in a folder were counted with."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / OWNER) as temporary:
        temporary.write_text(json.dumps(_owner(record), indent=2) + "\n", encoding="utf-8")


def are_of(folder: Path, record: ModelRecord) -> bool:
    """Whether the tables in a folder were counted with this very record.

    Raises:
        WeightsError: what says so is missing or damaged.
    """
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        state = "missing" if isinstance(problem, FileNotFoundError) else "damaged"
        raise WeightsError(f"The file {OWNER} beside the tables of error rates is {state}; restore it.") from problem
    return bool(owner == _owner(record))


def _owner(record: ModelRecord) -> dict[str, str]:
    return {"id": record.id, "record_sha256": record.sha256}
