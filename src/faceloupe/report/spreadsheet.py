"""CSV files that are safe to open in a spreadsheet: no cell is run as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

ENCODING = "utf-8-sig"  # with a byte order mark, from which spreadsheets detect the encoding
_RUN = ("=", "+", "-", "@", "\t", "\r")


def neutral(cell: object) -> object:
    """Return a cell for a CSV file, with an apostrophe before text that a spreadsheet would run as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_RUN) else cell


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV with RFC 4180 quoting; numbers are written in full, None as an empty cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([neutral(cell) for cell in row] for row in rows)
    return stream.getvalue()
