"""The table of a batch, read back: its rows for a page, and the files that the rows describe."""

import csv
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from faceloupe.batch.api import BatchSpec, inputs
from faceloupe.batch.inputs import with_embedded
from faceloupe.batch.readers import Reader
from faceloupe.batch.table import cell, line
from faceloupe.batch.tasks import Task
from faceloupe.config import Settings
from faceloupe.errors import UsageError
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.report.spreadsheet import ENCODING
from faceloupe.types import Outcome

MOST_ROWS = 200_000  # most rows that are read back, because a page cannot hold more; the CSV has all of them
SORTS: dict[str, tuple[str, bool]] = {  # label -> column, and whether the order is ascending
    "File order": ("", True),
    "Score, highest first": ("score", False),
    "Score, lowest first": ("score", True),
    "Path": ("path", True),
}
_TEXTS = ("path", "sha256", "media_type", "outcome", "reason", "duplicate_of", "near_duplicate_of", "model_id")
_NUMBERS = ("score", "log10_lr", "faces", "duration_s")


@dataclass(frozen=True, eq=False)
class BatchResults:
    """The rows of a table at one moment.

    Attributes:
        rows: text columns as strings, empty if unknown; numeric columns as floats, NaN if unknown.
        whole: whether these are all rows of the table.
    """

    rows: pd.DataFrame
    whole: bool

    @classmethod
    def read(cls, table: Path) -> "BatchResults":
        """Read a table; if it is still being written, read the rows written so far.

        Raises:
            UsageError: the table cannot be read.
        """
        types = dict.fromkeys(_TEXTS, str) | dict.fromkeys(_NUMBERS, float)
        try:
            rows = pd.read_csv(
                table,
                usecols=list(types),
                dtype=types,
                na_values={name: [""] for name in _NUMBERS},
                keep_default_na=False,
                nrows=MOST_ROWS + 1,
                on_bad_lines="skip",  # the last row is incomplete while it is being written
                encoding_errors="replace",
            )
        except (FileNotFoundError, pd.errors.EmptyDataError):  # the batch has only just begun
            return cls(pd.DataFrame({name: [] for name in types}), True)
        except (OSError, ValueError) as problem:
            raise UsageError(f"The table of the batch cannot be read ({problem}); run the batch again.") from problem
        rows = rows[rows["outcome"].isin([outcome.value for outcome in Outcome])]
        return cls(rows.iloc[:MOST_ROWS].reset_index(drop=True), len(rows) <= MOST_ROWS)

    def without(self, hashes: Collection[str]) -> "BatchResults":
        """Return the results without the rows of the evidence with these SHA-256 hashes."""
        remaining = ~self.rows["sha256"].isin(hashes)
        return self if remaining.all() else BatchResults(self.rows[remaining].reset_index(drop=True), self.whole)

    @property
    def model(self) -> str | None:
        """Id of the model that made all scores; None if there are no rows."""
        return self.rows["model_id"].iloc[0] if len(self.rows) else None

    @cached_property
    def counts(self) -> dict[Outcome, int]:
        """Number of rows for every outcome."""
        rows_by_outcome = self.rows["outcome"].value_counts()
        return {outcome: int(rows_by_outcome.get(outcome.value, 0)) for outcome in Outcome}

    def scores(self, outcome: Outcome) -> np.ndarray:
        """Return the scores of the scored rows with an outcome, (N,) float64, 0..1."""
        scores: np.ndarray = self.rows.loc[self.rows["outcome"] == outcome.value, "score"].dropna().to_numpy()
        return scores

    def chosen(self, *, outcome: Outcome | None = None, search: str = "", sort: str = "") -> pd.DataFrame:
        """Return the rows with an outcome whose path, hash or reason contains a text, in an order of ``SORTS``."""
        rows = self.rows
        if outcome is not None:
            rows = rows[rows["outcome"] == outcome.value]
        if wanted := search.strip().casefold():
            columns = [rows[name].str.casefold() for name in ("path", "sha256", "reason")]
            rows = rows[np.logical_or.reduce([column.str.contains(wanted, regex=False) for column in columns])]
        column, ascending = SORTS.get(sort, ("", True))
        return rows.sort_values(column, ascending=ascending, kind="stable") if column else rows


def csv_without(table: Path, hashes: Collection[str]) -> bytes:
    """Return the bytes of a table on disk, without the rows of the evidence with these SHA-256 hashes.

    Raises:
        UsageError: the table cannot be read.
    """
    try:
        content = table.read_bytes()
    except OSError as problem:
        raise UsageError(f"The table of the batch cannot be read ({problem.strerror}).") from problem
    if not hashes or not content:
        return content
    header, *rows = csv.reader(io.StringIO(content.decode(ENCODING), newline=""))
    column = header.index("sha256")
    left = (line(row) for row in (header, *rows) if len(row) == len(header) and row[column] not in hashes)
    return b"".join(left).decode().encode(ENCODING)


class Sources:
    """The files that rows of a table describe, opened again; the inputs are listed only once for all rows."""

    def __init__(self, spec: BatchSpec, paths: Collection[str], settings: Settings) -> None:
        """Choose the rows; the inputs are listed when the first file is opened.

        Args:
            spec: specification of the batch.
            paths: paths in the chosen rows.
            settings: settings with the limits for reading.
        """
        self._spec, self._paths, self._settings = spec, frozenset(paths), settings

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        behind: dict[str, Task] = {}
        for task in inputs(self._spec):
            for file in self._with_embedded(task):
                if (path := cell(file.shown)) in self._paths:
                    behind.setdefault(path, file)
            if len(behind) == len(self._paths):
                break
        return behind

    def _with_embedded(self, task: Task) -> Iterable[Task]:
        """Return a file, and the content embedded in it if one of the rows describes such content."""
        within = f"{cell(task.shown)}!"
        asked = self._spec.embedded and any(path.startswith(within) for path in self._paths)
        return with_embedded([task], self._settings) if asked else [task]

    def take(self, path: str, sha256: str, media_type: str) -> EvidenceFile:
        """Open the file that a row describes.

        Args:
            path: path in the row.
            sha256: SHA-256 in the row.
            media_type: media type in the row.

        Raises:
            FaceLoupeError: the file no longer exists, cannot be read, has changed, or is a video in a ZIP.
        """
        task = self._tasks.get(path)
        if task is None or task.problem:
            raise UsageError(f"{path} is missing or cannot be read; restore it.")
        if task.member is not None and media_type == "video":
            raise UsageError(f"{path} is inside a ZIP, where a segment of a video cannot be analyzed; unpack it.")
        reader = Reader(self._settings.max_bytes)
        try:
            return reader.take(replace(task, sha256=sha256, media_type=media_type)).evidence_file
        finally:
            reader.close()
