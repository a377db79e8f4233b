"""The first stage: decodes and hashes every picture, and refuses material that would make results look too good."""

import csv
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from faceloupe.errors import DatasetError
from faceloupe.system.files import replacing
from faceloupe.training.data import LABELS, SPLITS, Item, check, read_index, read_rgb

_CHUNK = 64  # items in one task of a worker process
_NAMES = {number: name for name, number in LABELS.items()}
COLUMNS = ("split", "source", "label", "group", "path", "sha256")


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    Attributes:
        item: its row in the index.
        sha256: SHA-256 of the file's bytes, hexadecimal.
        pixels_sha256: SHA-256 of the size and the RGB values; equal for the same picture in another file.
    """

    item: Item
    sha256: str
    pixels_sha256: str


@dataclass(frozen=True, slots=True)
class Ingested:
    """The checked material for the other stages.

    Attributes:
        pictures: in the order of the index.
        dropped: path of each duplicate, and the path of the picture that was kept.
    """

    pictures: tuple[Picture, ...]
    dropped: tuple[tuple[str, str], ...]

    @property
    def items(self) -> list[Item]:
        """The items of the pictures."""
        return [picture.item for picture in self.pictures]


class Sampled(Protocol):
    """The attributes of a picture that ``thin_out`` needs."""

    @property
    def split(self) -> str:
        """Name of the split."""

    @property
    def source(self) -> str:
        """Name of the collection."""

    @property
    def label(self) -> int:
        """1 = manipulated, 0 = authentic."""

    @property
    def unit(self) -> str:
        """Name of the independent observation."""


S = TypeVar("S", bound=Sampled)


def thin_out(items: Iterable[S], share: float) -> list[S]:
    """Keep about a share of the material, for a short run.

    Units stay whole. The choice depends only on their names, so it is the same on every machine. Every class that a
    source has in a split is still present afterwards.

    Args:
        items: the whole material.
        share: share of the units of each source in each split, above 0, up to 1.

    Raises:
        DatasetError: the share is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise DatasetError(f"The share of the material must be above 0 and at most 1, not {share:g}.")
    items = list(items)
    labels_of: dict[tuple[str, str], dict[str, set[int]]] = {}
    for item in items:
        labels_of.setdefault((item.source, item.split), {}).setdefault(item.unit, set()).add(item.label)
    retained: set[tuple[str, str, str]] = set()
    for (source, split), units in labels_of.items():
        shuffled = sorted(units, key=lambda unit: hashlib.sha256(unit.encode()).digest())
        chosen = shuffled[: math.ceil(share * len(shuffled))]
        for label in set().union(*units.values()).difference(*(units[unit] for unit in chosen)):
            chosen.append(next(unit for unit in shuffled if label in units[unit]))
        retained.update((source, split, unit) for unit in chosen)
    return [item for item in items if (item.source, item.split, item.unit) in retained]


def _look_at(root: Path, item: Item) -> Picture:
    rgb = read_rgb(root / item.path)
    pixels = hashlib.sha256(repr(rgb.shape).encode() + rgb.tobytes())
    return Picture(item, hashlib.sha256((root / item.path).read_bytes()).hexdigest(), pixels.hexdigest())


def _described(item: Item) -> str:
    return f"{item.path} ({item.split}, {_NAMES[item.label]})"


def _once_each(pictures: Iterable[Picture]) -> Ingested:
    """Keep the first of identical pictures.

    Raises:
        DatasetError: identical pictures have different labels, or are in two splits.
    """
    first: dict[str, Picture] = {}
    remaining, dropped = [], []
    for picture in pictures:
        item = picture.item
        before = first.setdefault(picture.pixels_sha256, picture)
        if before is picture:
            remaining.append(picture)
            continue
        both = f"{_described(before.item)} and {_described(item)} are the same picture"
        if before.item.label != item.label:
            raise DatasetError(f"{both} under both labels; remove at least the wrong one from stills.csv.")
        if before.item.split != item.split:
            raise DatasetError(f"{both} in two splits, a leak; remove one of them from stills.csv.")
        dropped.append((item.path, before.item.path))
    return Ingested(tuple(remaining), tuple(dropped))


def ingest(root: Path, *, share: float = 1.0, workers: int | None = None) -> Ingested:
    """Read ``stills.csv``, and decode and hash every picture that it lists for training and validation.

    Args:
        root: folder that holds ``stills.csv`` and the pictures.
        share: see ``thin_out``.
        workers: number of processes; None for one on each core.

    Raises:
        DatasetError: the index is missing or fails ``data.check``, a picture is missing or cannot be decoded, or
            identical pictures have different labels or are in two splits.
    """
    items = thin_out(read_index(root / "stills.csv"), share)
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        ingested = _once_each(pool.map(partial(_look_at, root), items, chunksize=_CHUNK))
    check(ingested.items)
    return ingested


def write_items(ingested: Ingested, path: Path) -> None:
    """Write the material as CSV for ``data.read_index``, completely or not at all.

    Each row includes the hash of the file. If a picture is replaced under its old name, the CSV changes as well, and
    the stages that depend on it run again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for picture in ingested.pictures:
            item = picture.item
            writer.writerow([item.split, item.source, _NAMES[item.label], item.group, item.path, picture.sha256])


def summary(ingested: Ingested) -> str:
    """Return a table by source, split and label, followed by the dropped duplicates."""
    counts = Counter((item.source, item.split, item.label) for item in ingested.items)
    columns = [(split, label) for split in SPLITS for label in _NAMES]
    rows = [["source", *(f"{split} {_NAMES[label]}" for split, label in columns)]]
    for source in sorted({source for source, _, _ in counts}):
        rows.append([source, *(f"{counts[source, *column]:,}" for column in columns)])
    totals = [sum(n for (_, *key), n in counts.items() if tuple(key) == column) for column in columns]
    rows.append(["all", *(f"{total:,}" for total in totals)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    lines.append(f"dropped as duplicates: {len(ingested.dropped)}")
    lines += [f"  {path} is {original}" for path, original in ingested.dropped]
    return "\n".join(lines)
