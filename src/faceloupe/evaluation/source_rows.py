"""The tables beside the model cards: the results of the efforts' models on the faces of each source."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from faceloupe.errors import WeightsError
from faceloupe.models.record import ModelRecord
from faceloupe.system.files import replacing

HELD_OUT, LEFT_OUT = "held-out.csv", "left-out.csv"
OWNER = "record.json"  # file beside the tables that names the model record used for them
AS_IS = "as is"  # the view of unchanged pictures


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A model's results on the faces of one source and class.

    Attributes:
        source: the collection; ``all`` for all sources of a class.
        label: authentic or manipulated.
        view: how the picture was processed, as text.
        faces: number of faces.
        manipulated, authentic: number of faces that were called manipulated or authentic.
        auc: AUC against all faces of the other class in the same view, with equal weights for their sources; None if
            there are none. For ``all``, the sources have equal weights on both sides.
        cost: mean of log2(1 + 1 / LR of the truth), bits: the class's half of Cllr; 0 is perfect, 1 is no information.
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
        """The number of faces with a wrong verdict."""
        return self.manipulated if self.label == "authentic" else self.authentic


COLUMNS = tuple(column.name for column in fields(SourceRow))


def write_rows(rows: Iterable[SourceRow], path: Path) -> None:
    """Write rows as CSV, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            values = [getattr(row, name) for name in COLUMNS]
            writer.writerow(["" if value is None else value for value in values])


def read_rows(path: Path) -> list[SourceRow]:
    """Read rows that ``write_rows`` wrote.

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
    """Write the file that names the record used for the tables in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / OWNER) as temporary:
        temporary.write_text(json.dumps(_owner(record), indent=2) + "\n", encoding="utf-8")


def are_of(folder: Path, record: ModelRecord) -> bool:
    """Return whether the tables in a folder were made with exactly this record.

    Raises:
        WeightsError: the file that names the record is missing or damaged.
    """
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        state = "missing" if isinstance(problem, FileNotFoundError) else "damaged"
        raise WeightsError(f"The file {OWNER} beside the tables of error rates is {state}; restore it.") from problem
    return bool(owner == _owner(record))


def _owner(record: ModelRecord) -> dict[str, str]:
    return {"id": record.id, "record_sha256": record.sha256}
