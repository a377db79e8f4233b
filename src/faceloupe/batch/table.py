"""The table of a batch: a CSV that grows by whole rows, survives a kill at any moment, and can be resumed."""

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
_SYNC_S = 1.0  # a power failure loses at most the rows of this time
_CHUNK = 1024 * 1024


class Row(NamedTuple):
    """One row as text, as written to the table: formulas are neutralized, and unknown values are empty."""

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
    """Position of a row in the table: offset and length in bytes."""

    offset: int
    length: int


def cell(value: object) -> str:
    """Return the text of a cell; empty for None."""
    return "" if value is None else str(neutral(value))


def line(cells: Sequence[str]) -> bytes:
    """Return a row as CSV bytes: RFC 4180, UTF-8."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerow(cells)
    return stream.getvalue().encode()


def header() -> bytes:
    """Return the first line of a table, after a byte order mark that tells spreadsheets the encoding."""
    return line(COLUMNS).decode().encode(ENCODING)


def _row(content: bytes) -> Row:
    """Parse a row.

    Raises:
        ValueError: the bytes are not a row of a batch table: wrong number of cells, invalid number or hash, or not
            UTF-8.
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
    """A CSV that is open for appending; no other batch can write to it at the same time.

    Each row is passed to the operating system in one piece, so a killed process leaves whole rows. If a row is cut off
    for another reason (full disk, power failure), its remains are removed at once or when the table is resumed.
    """

    def __init__(self, path: Path, *, resume: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Open the table for writing.

        Args:
            path: path of the CSV file.
            resume: whether to continue the table if the file exists.
            clock: monotonic clock in seconds.

        Raises:
            UsageError: the file exists and is not to be continued, is not a batch table, is being written by another
                batch, or cannot be written.
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
        """Device and inode number of the file."""
        state = os.fstat(self._descriptor)
        return state.st_dev, state.st_ino

    def close(self) -> None:
        """Close the file, so that other batches can write to it."""
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)

    def add(self, row: Row) -> Place:
        """Append a row, and return its place.

        Raises:
            UsageError: the disk is full or the file cannot be written; the table still consists of whole rows.
        """
        content = line(row)
        position = Place(self._size, len(content))
        self._append(content)
        if self._clock() - self._synced >= _SYNC_S:
            os.fsync(self._descriptor)
            self._synced = self._clock()
        return position

    def at(self, position: Place) -> Row:
        """Read the row at a place.

        Raises:
            UsageError: another program has changed the table.
        """
        try:
            return _row(os.pread(self._descriptor, position.length, position.offset))
        except ValueError:
            raise UsageError(f"{self._path} was changed while the batch ran; start a new table.") from None

    def rows(self) -> Iterator[tuple[Row, Place]]:
        """Yield all rows in order, with their places.

        Raises:
            UsageError: a row is not one of a batch table, for example because a spreadsheet program saved the file.
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
            # Some file systems have no locks. Nothing is lost there as long as only one batch writes the file.

    def _whole_rows(self) -> int:
        """Truncate the file after its last whole row, and return the new size in bytes.

        Raises:
            UsageError: the file is not a batch table.
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
        """Yield the whole records, with their places; an unquoted CR LF (after an even number of quotes) ends each."""
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
            while written < len(content):  # a full disk cuts a write short; the next one raises the error
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
