"""JPEG structure: tables, quality, sampling and the order of the segments."""

from functools import cache

import numpy as np

from faceloupe.errors import EvidenceError
from faceloupe.forensics.results import Fact, LensResult
from faceloupe.forensics.source import LensSource
from faceloupe.media.jpeg_structure import JpegStructure

# Quantization tables of ITU-T T.81, annex K.1, row by row.
_LUMINANCE = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""
_CHROMINANCE = """
17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99
"""
_SUBSAMPLING = {"1x1": "4:4:4", "2x1": "4:2:2", "2x2": "4:2:0", "1x2": "4:4:0", "4x1": "4:1:1"}


@cache
def _zigzag() -> np.ndarray:
    """Return the positions of the zigzag sequence (T.81, figure A.6), (64,), counted row by row."""
    cells = [(row, column) for row in range(8) for column in range(8)]
    # Diagonals run upwards and downwards alternately.
    cells.sort(key=lambda cell: (sum(cell), cell[0] if sum(cell) % 2 else cell[1]))
    return np.array([8 * row + column for row, column in cells])


@cache
def standard_tables(chrominance: bool) -> np.ndarray:
    """Scale the standard table to each quality, as the library of the Independent JPEG Group does.

    Args:
        chrominance: whether to scale the chrominance table instead of the luminance table.

    Returns:
        (100, 64) int64 steps in zigzag order, for the qualities 1 to 100: jcparam.c, jpeg_quality_scaling.
    """
    base = np.array((_CHROMINANCE if chrominance else _LUMINANCE).split(), int)[_zigzag()]
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None]
    tables: np.ndarray = np.clip((base * scale + 50) // 100, 1, 255)
    return tables


def in_rows(table: np.ndarray) -> np.ndarray:
    """Convert a table in zigzag order to rows, (8, 8)."""
    rows = np.empty(64, table.dtype)
    rows[_zigzag()] = table
    return rows.reshape(8, 8)


def quality(structure: JpegStructure) -> tuple[int, bool] | None:
    """Estimate the quality that a JPEG was saved at, on the scale of the Independent JPEG Group.

    Args:
        structure: structure of the file.

    Returns:
        The quality, 1..100, whose standard tables are nearest to those of the file, and whether they are equal; None
        if the file has no tables.
    """
    distances, components = np.zeros(100), 0
    for number, table in enumerate(dict.fromkeys(structure.table_of)):
        if table in structure.tables and number < 2:
            distances += np.abs(standard_tables(number == 1) - np.array(structure.tables[table])).sum(axis=1)
            components += 1
    if not components:
        return None
    return int(distances.argmin()) + 1, bool(distances.min() == 0)


def examine(source: LensSource) -> LensResult:
    """Describe the structure of a JPEG file.

    Raises:
        EvidenceError: the file is not a JPEG, or cannot be read.
    """
    structure = source.metadata.jpeg
    if structure is None:
        raise EvidenceError("The file is not a JPEG picture; this lens reads nothing else.")
    facts = [
        Fact("Coding", f"{'progressive' if structure.progressive else 'sequential'}, {structure.bits} bits"),
        Fact("Segments", ", ".join(structure.segments)),
    ]
    if estimate := quality(structure):
        near = "standard tables" if estimate[1] else "nearest standard tables; the file's own tables differ"
        facts.insert(0, Fact("Quality", f"{estimate[0]} of 100 ({near})"))
    else:
        facts.insert(0, Fact("Quality", "unknown (no quantization tables)"))
    if len(structure.sampling) == 3 and set(structure.sampling[1:]) == {"1x1"}:
        first = structure.sampling[0]
        facts.append(Fact("Color sampling", _SUBSAMPLING.get(first, first)))
    elif structure.sampling:
        facts.append(Fact("Sampling factors", ", ".join(structure.sampling)))
    for number, steps in sorted(structure.tables.items()):
        facts.append(Fact(f"Quantization table {number} (zigzag)", " ".join(map(str, steps))))
    return LensResult(tuple(facts))
