"""The large material as typed entries, from ``stills.csv`` and from ``index.csv.gz`` beside it.

The index names pictures in public repositories by their Git blob, so that anyone can get the same bytes. ``ADDED`` is
an index in the same format that is part of the project: pictures that were found and inspected later. The split
``cross`` only measures how well a model generalizes: its entries are read, but refused wherever a model is fitted.
"""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faceloupe.errors import DatasetError
from faceloupe.system.files import replacing
from faceloupe.training import data

STILLS, INDEX = "stills.csv", "index.csv.gz"
ADDED = Path(__file__).with_name("added.csv.gz")
HELD_OUT = "cross"
SPLITS = (*data.SPLITS, HELD_OUT)
_CLIPS = (".mp4", ".gif", ".mov", ".avi", ".webm")
_NO_VERDICT = "borderline"  # label in the index for pictures of neither class
_EVERYONE_APART = "file name = person"  # group in the index if each file name is a person
_BLOB = re.compile(r"[0-9a-f]{40}")
_CORNERS = ("x0", "y0", "x1", "y1")
_COLUMNS = ("split", "source", "label", "method", "group", "pair", "repository", "blob", "path", *_CORNERS)
_ID_DIGITS = 16  # digits of the blob in an id; 64 bits tell a million pictures apart


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of the material.

    Attributes:
        split: train, val or cross.
        source: collection of the picture.
        label: 1 = manipulated, 0 = authentic.
        method: how it was made; empty if unknown.
        group: person, pair of people or sheet that must stay in one split, across all sources of the index; empty for
            an independent picture.
        pair: shared by a pristine picture and the pictures made from it; empty if there are none.
        repository: ``owner/name`` on GitHub; empty for a file in the folder of ``stills.csv``.
        blob: SHA-1 of the Git blob, 40 hexadecimal digits; empty for a file in that folder until it is read.
        path: path in the repository, or relative to the folder.
        tile: left, top, right and bottom, pixels, if the picture is a part of a contact sheet; otherwise None.
    """

    split: str
    source: str
    label: int
    method: str
    group: str
    pair: str
    repository: str
    blob: str
    path: str
    tile: tuple[int, int, int, int] | None = None

    @property
    def id(self) -> str:
        """Id of the pixels, shared by entries with the same bytes and tile; requires the blob."""
        return "-".join([self.blob[:_ID_DIGITS], *map(str, self.tile or ())])

    @property
    def location(self) -> str:
        """Location as text; it is known before anything is read, and choices by name use it."""
        tile = f" at {','.join(map(str, self.tile))}" if self.tile else ""
        return f"{self.repository}:{self.path}{tile}" if self.repository else self.path

    @property
    def unit(self) -> str:
        """Name of the independent observation: the group, or the picture itself."""
        if not self.group:
            return self.location
        return self.group if self.repository else f"{self.source}/{self.group}"


@dataclass(frozen=True, slots=True)
class Listing:
    """Contents of the lists.

    Attributes:
        entries: entries of ``stills.csv`` first, each list in its own order.
        passed_over: number of index entries that are not labeled images, by kind.
        note: a sentence if the index is missing; otherwise empty.
    """

    entries: tuple[Entry, ...]
    passed_over: Counter[str]
    note: str = ""


def _rows(path: Path, stream: Iterable[str], columns: Iterable[str]) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(stream)
    missing = set(columns) - set(reader.fieldnames or ())
    if missing:
        raise DatasetError(f"{path} has no column {', '.join(sorted(missing))}; get a complete copy.")
    yield from reader


def _known(row: dict[str, str], path: Path) -> None:
    if row["split"] not in SPLITS or row["label"] not in data.LABELS:
        raise DatasetError(
            f"{path}: {row['path']} has the split {row['split']!r} and the label {row['label']!r}; "
            f"{', '.join(SPLITS)} and {', '.join(data.LABELS)} were expected."
        )


def _tile(row: dict[str, str], path: Path) -> tuple[int, int, int, int] | None:
    corners = [row[name] for name in _CORNERS]
    if not any(corners):
        return None
    try:
        x0, y0, x1, y1 = map(int, corners)
    except ValueError:
        x0 = y0 = x1 = y1 = 0
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise DatasetError(f"{path}: {row['path']} has the tile {corners}; four growing whole numbers were expected.")
    return x0, y0, x1, y1


def _of_index(row: dict[str, str], path: Path) -> Entry:
    _known(row, path)
    if not _BLOB.fullmatch(row["blob"]) or row["repository"].count("/") != 1:
        raise DatasetError(
            f"{path}: {row['path']} names the blob {row['blob']!r} of {row['repository']!r}; "
            "40 hexadecimal digits and owner/name were expected."
        )
    group = row["group"]
    if group == _EVERYONE_APART:
        group = f"speaker:{Path(row['path']).stem.lower()}"
    return Entry(
        row["split"],
        row["source"],
        data.LABELS[row["label"]],
        row["method"],
        group,
        row["pair"],
        row["repository"],
        row["blob"],
        row["path"],
        _tile(row, path),
    )


def _of_stills(row: dict[str, str], path: Path) -> Entry:
    _known(row, path)
    item = data.Item(row["split"], row["source"], data.LABELS[row["label"]], row["group"], row["path"])
    pair = (item.original or item.path) if item.source in data.WITH_ORIGINALS else ""
    return Entry(item.split, item.source, item.label, "", item.group, pair, "", "", item.path)


def read_listing(folder: Path, added: Path | None = None) -> Listing:
    """Read ``stills.csv`` and, if present, ``index.csv.gz`` of a folder.

    Args:
        folder: folder of the two lists.
        added: a further index, read only if the folder has one.

    Raises:
        DatasetError: ``stills.csv`` is missing, or a list lacks a column or has a row that cannot be read.
    """
    path = folder / STILLS
    if not path.is_file():
        raise DatasetError(f"{path} is not there: give the folder that holds the training material.")
    with path.open(newline="", encoding="utf-8") as stream:
        entries = [_of_stills(row, path) for row in _rows(path, stream, ("split", "source", "label", "group", "path"))]
    path = folder / INDEX
    passed_over: Counter[str] = Counter()
    if not path.is_file():
        return Listing(tuple(entries), passed_over, f"{path} is not there, so {STILLS} alone is used.")
    for index in (path, added):
        if index:
            entries += _read_index(index, passed_over)
    return Listing(tuple(entries), passed_over)


def _read_index(path: Path, passed_over: Counter[str]) -> list[Entry]:
    """Read the labeled images of an index; count the other entries by kind in ``passed_over``."""
    entries = []
    try:
        with gzip.open(path, "rt", newline="", encoding="utf-8") as stream:
            for row in _rows(path, stream, _COLUMNS):
                if row["path"].lower().endswith(_CLIPS):
                    passed_over["clips"] += 1
                elif row["label"] == _NO_VERDICT:
                    passed_over[_NO_VERDICT] += 1
                else:
                    entries.append(_of_index(row, path))
    except (OSError, EOFError, UnicodeDecodeError) as problem:
        raise DatasetError(f"{path} is damaged ({problem}); get a complete copy.") from problem
    return entries


def refuse_held_out(entries: Iterable[Entry]) -> None:
    """Refuse held-out pictures; to be called before anything is trained or calibrated.

    Raises:
        DatasetError: a picture is not in train or val.
    """
    held_out = [entry for entry in entries if entry.split not in data.SPLITS]
    if held_out:
        raise DatasetError(
            f"{len(held_out)} pictures of the split {held_out[0].split}, {held_out[0].location} first, are for looking "
            f"only; train and calibrate on {' and '.join(data.SPLITS)}."
        )


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of the material that was read.

    Attributes:
        entry: entry with its blob.
        width, height: pixels of the picture, or of its tile.
        pixels_sha256: SHA-256 of height, width and RGB values; equal for the same picture in another file.
        likeness: perceptual hash of 64 bits, hexadecimal; see ``media.similarity``.
        detail: perceptual hash of 256 bits, which tells aligned faces of different people apart.
    """

    entry: Entry
    width: int
    height: int
    pixels_sha256: str
    likeness: str
    detail: str

    @property
    def id(self) -> str:
        """Id of the entry."""
        return self.entry.id


MANIFEST_COLUMNS = ("id", *_COLUMNS, "width", "height", "pixels_sha256", "likeness", "detail")
_NAMES = {number: name for name, number in data.LABELS.items()}


def write_manifest(stills: Iterable[Still], path: Path) -> None:
    """Write the material as CSV, completely or not at all; equal material gives equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(MANIFEST_COLUMNS)
        for still in stills:
            entry = still.entry
            names = (entry.split, entry.source, _NAMES[entry.label], entry.method, entry.group, entry.pair)
            tile = entry.tile or ("",) * len(_CORNERS)
            read = (still.width, still.height, still.pixels_sha256, still.likeness, still.detail)
            writer.writerow([entry.id, *names, entry.repository, entry.blob, entry.path, *tile, *read])


def read_manifest(path: Path, splits: tuple[str, ...] = data.SPLITS) -> list[Still]:
    """Read the pictures that ``write_manifest`` wrote.

    Args:
        path: path of the manifest.
        splits: splits to read; ``cross`` is only read if it is named here.

    Raises:
        DatasetError: the file is missing or no manifest, or a split is unknown.
    """
    if unknown := set(splits) - set(SPLITS):
        raise DatasetError(f"There is no split {', '.join(sorted(unknown))}; known are {', '.join(SPLITS)}.")
    if not path.is_file():
        raise DatasetError(f"{path} is not there: run `gather` first.")
    stills = []
    with path.open(newline="", encoding="utf-8") as stream:
        for row in _rows(path, stream, MANIFEST_COLUMNS):
            if row["split"] in splits:
                _known(row, path)
                entry = Entry(
                    split=row["split"],
                    source=row["source"],
                    label=data.LABELS[row["label"]],
                    method=row["method"],
                    group=row["group"],
                    pair=row["pair"],
                    repository=row["repository"],
                    blob=row["blob"],
                    path=row["path"],
                    tile=_tile(row, path),
                )
                size = int(row["width"]), int(row["height"])
                stills.append(Still(entry, *size, row["pixels_sha256"], row["likeness"], row["detail"]))
    return stills
