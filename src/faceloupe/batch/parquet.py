"""The finished table as Parquet, with typed columns."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from faceloupe.batch.table import COLUMNS, Row, Table
from faceloupe.report.write import publish_file

_ROWS = 10_000  # rows held in memory at a time
_TYPES = {"score": pa.float64(), "log10_lr": pa.float64(), "duration_s": pa.float64(), "faces": pa.int64()}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in COLUMNS])


def write(table: Table, path: Path) -> None:
    """Write the rows of a table as Parquet, either completely or not at all; an empty cell becomes null.

    Raises:
        UsageError: the file already exists, or cannot be written.
    """
    publish_file(lambda temporary: _fill(table, temporary), path)


def _fill(table: Table, path: Path) -> None:
    rows = (row for row, _ in table.rows())
    with pq.ParquetWriter(path, _SCHEMA) as writer:
        while some := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_arrays(list(_columns(some)), schema=_SCHEMA))


def _columns(rows: list[Row]) -> Iterator[pa.Array]:
    for item, texts in zip(_SCHEMA, zip(*rows), strict=True):
        convert = {pa.float64(): float, pa.int64(): int}.get(item.type, str)
        yield pa.array([convert(text) if text else None for text in texts], item.type)
