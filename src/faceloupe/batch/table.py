"""The table of a batch: a CSV that grows by whole rows, survives a kill at any moment, and can be taken up again."""

import contextlib
import csv
import errno
import fcntl
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from faceloupe.errors import UsageError
from faceloupe.report.spreadsheet import ENCODING, neutral

CONTRACT = (
    "path",
    "sha256",
    "media_type",
    "outcome",
    "score",
    "log10_lr",
    "faces",
    "reason",
    "duration_s",
    "model_id",
    "weights_sha256",
    "tool_version",
)
COLUMNS = (*CONTRACT, "duplicate_of", "near_duplicate_of", "perceptual_hash", "effort", "provenance", "generator")
_SYNC_S = 1.0  # a power failure costs no more than the rows of this time
_CHUNK = 1024 * 1024


class Row(NamedTuple):
    """One row as text, as it stands in the table: formulas neutralized, nothing for what is not known."""

    path: str
    sha256: str
    media_type: str
    outcome: str
    score: str
    log10_lr: str
    faces: str
    reason: str
    duration_s: str
    model_id: str
    weights_sha256: str
    tool_version: str
    duplicate_of: str
    near_duplicate_of: str
    perceptual_hash: str
    effort: str
    provenance: str
    generator: str


class Place(NamedTuple):
    """Where a row stands in the table, bytes."""

    offset: int
    length: int


def cell(value: object) -> str:
    """Return a value as it stands in a cell."""
    return "" if value is None else str(neutral(value))


def line(cells: Sequence[str]) -> bytes:
    """Return a row as bytes: RFC 4180, UTF-8."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerow(cells)
    return stream.getvalue().encode()


def header() -> bytes:
    """Return the first line of a table, behind the byte order mark by which spreadsheets know the encoding."""
    return line(COLUMNS).decode().encode(ENCODING)


def _row(content: bytes) -> Row:
    """Read a row.

    Raises:
        ValueError: it is not the row of a batch: another number of cells, a number or a hash that is none, no UTF-8.
    """
    try:
        cells, *others = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    except csv.Error as problem:
        raise ValueError(str(problem)) from None
    if others or len(cells) != len(COLUMNS):
        raise ValueError("another number of cells")
    row = Row(*cells)
    if len(bytes.fromhex(row.sha256)) not in (0, 32) or not 0 <= int(row.perceptual_hash or "0", 16) < 1 << 64:
        raise ValueError("a hash that is none")
    int(row.faces or "0")
    for number in (row.score, row.log10_lr, row.duration_s):
        float(number or "0")
    return row


class Table:
    """A CSV open for appending; no other batch may write it meanwhile.

    Each row goes to the system in one piece, so that a killed process leaves whole rows. Where a piece is cut all the
    same (a full disk, a power failure), the rest is removed: at once, or when the table is taken up again.
    """

    def __init__(self, path: Path, *, resume: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Open the table for writing.

        Args:
            path: of the CSV file.
            resume: take up the table if there is one.
            clock: returns seconds, steadily rising.

        Raises:
            UsageError: there is a file already and it was not to be continued, it is not the table of a batch, another
                batch writes it, or it cannot be written.
        """
        self._path, self._clock, self._synced = path, clock, clock()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | (0 if resume else os.O_EXCL), 0o644)
        except FileExistsError:
            raise UsageError(
                f"{path} already exists and is not overwritten; choose another name, or continue with --resume."
            ) from None
        except OSError as problem:
            raise self._unwritable(problem) from problem
        try:
            self._lock()
            self._size = self._whole_rows()
            if self._size == 0:
                self._append(header())
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def identity(self) -> tuple[int, int]:
        """Device and number of the file."""
        state = os.fstat(self._descriptor)
        return state.st_dev, state.st_ino

    def close(self) -> None:
        """Close the file and let other processes write it."""
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)

    def add(self, row: Row) -> Place:
        """Append a row.

        Raises:
            UsageError: the disk is full or the file cannot be written; the table holds whole rows all the same.
        """
        content = line(row)
        position = Place(self._size, len(content))
        self._append(content)
        if self._clock() - self._synced >= _SYNC_S:
            os.fsync(self._descriptor)
            self._synced = self._clock()
        return position

    def at(self, position: Place) -> Row:
        """Read a row back.

        Raises:
            UsageError: something else has changed the table.
        """
        try:
            return _row(os.pread(self._descriptor, position.length, position.offset))
        except ValueError:
            raise UsageError(f"{self._path} was changed while the batch ran; start a new table.") from None

    def rows(self) -> Iterator[tuple[Row, Place]]:
        """All rows from the first on, and where they stand.

        Raises:
            UsageError: something else than a batch has written one of them, such as a spreadsheet.
        """
        for number, (content, position) in enumerate(self._records()):
            if number:
                try:
                    yield _row(content), position
                except ValueError:
                    raise UsageError(
                        f"Row {number} of {self._path} is not one of a batch table; start a new table."
                    ) from None

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise UsageError(f"Another batch is writing to {self._path}; wait until it has finished.") from None
            # A file system without locks: nothing is lost as long as one batch writes the file.

    def _whole_rows(self) -> int:
        """Cut what follows the last whole row; bytes that are left.

        Raises:
            UsageError: the file is not the table of a batch.
        """
        end = 0
        for number, (content, position) in enumerate(self._records()):
            if number == 0 and content not in (header(), line(COLUMNS)):  # older tables have no byte order mark
                raise UsageError(
                    f"{self._path} is not a batch table of this version (its first line differs), so it cannot be "
                    "continued; "
                    "choose another name."
                )
            end = position.offset + position.length
        begun = os.pread(self._descriptor, len(header()), 0)
        if end == 0 and not (header().startswith(begun) or line(COLUMNS).startswith(begun)):
            raise UsageError(f"{self._path} is not a batch table, so it cannot be continued; choose another name.")
        if end < self._length():
            os.ftruncate(self._descriptor, end)
        return end

    def _length(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _records(self) -> Iterator[tuple[bytes, Place]]:
        r"""Whole records: up to a CR LF that is not quoted, that is, after an even number of quotes."""
        pending, offset, searched, position = b"", 0, 0, 0
        while chunk := os.pread(self._descriptor, _CHUNK, position):
            position += len(chunk)
            pending += chunk
            start = 0
            while (end := pending.find(b"\r\n", searched)) >= 0:
                searched = end + 2
                if pending.count(b'"', start, end) % 2 == 0:
                    yield pending[start:searched], Place(offset + start, searched - start)
                    start = searched
            pending, offset = pending[start:], offset + start
            searched = max(0, len(pending) - 1)

    def _append(self, content: bytes) -> None:
        try:
            written = 0
            while written < len(content):  # cut short by a full disk, the next attempt names the cause
                written += os.pwrite(self._descriptor, content[written:], self._size + written)
        except OSError as problem:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise self._unwritable(problem) from problem
        self._size += len(content)

    def _unwritable(self, problem: OSError) -> UsageError:
        return UsageError(
            f"{self._path} cannot be written ({problem.strerror or problem}); all rows in it are complete, so "
            "free some space and continue the batch."
        )
