"""A CSV file that only grows, so that a run that was killed at any byte can continue."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from faceloupe.errors import DatasetError


class GrowingTable:
    """Table whose rows are on disk once ``add`` returns. Only one writer at a time is allowed."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        """Open the table or create it; an incomplete last row is cut off.

        Raises:
            DatasetError: the file has other columns.
        """
        self._columns = columns
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._stream = path.open("r+b")
        content = self._stream.read()
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        header = _line(columns)
        if lines and lines[0] != header:
            self._stream.close()
            raise DatasetError(f"{path} has other columns than {', '.join(columns)}; remove it.")
        self.rows: list[dict[str, str]] = []
        self._ends = [len(header)]
        for line in lines[1:]:
            row = next(csv.reader([line.decode("utf-8", "replace")]), [])
            if len(row) != len(columns):
                break
            self.rows.append(dict(zip(columns, row, strict=True)))
            self._ends.append(self._ends[-1] + len(line))
        if not lines:
            self._write(header, 0)
        self.keep(len(self.rows))

    def keep(self, count: int) -> None:
        """Keep only the first ``count`` rows."""
        self._stream.truncate(self._ends[count])
        del self.rows[count:], self._ends[count + 1 :]

    def add(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Append rows with one value for each column; line breaks in a value become spaces."""
        texts = [[" ".join(str(value).splitlines()) for value in row] for row in rows]
        lines = [_line(row) for row in texts]
        self._write(b"".join(lines), self._ends[-1])
        for line in lines:
            self._ends.append(self._ends[-1] + len(line))
        self.rows += [dict(zip(self._columns, row, strict=True)) for row in texts]

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, content: bytes, offset: int) -> None:
        self._stream.seek(offset)
        self._stream.write(content)
        self._stream.flush()
        os.fsync(self._stream.fileno())


def _line(values: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(list(values))
    return text.getvalue().encode()
