"""The large material: reads, checks and hashes every picture, and drops pictures that would flatter the results.

``ingest`` stops at faults of ``stills.csv``, which belongs to the project. The index, in contrast, lists pictures in
other people's repositories, which come and go: unavailable pictures are counted and listed, and the rest is used.
"""

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Self

from faceloupe import media
from faceloupe.errors import DatasetError
from faceloupe.media.similarity import perceptual_hash
from faceloupe.system.files import replacing
from faceloupe.training import choosing, data, material
from faceloupe.training.ingest import thin_out
from faceloupe.training.lines import GrowingTable
from faceloupe.training.material import Entry, Still
from faceloupe.training.snapshots import Read, Snapshots, Why, read_picture

_SEEN_KEY = ("repository", "commit", "blob", "tile", "decoder")
_SEEN_COLUMNS = (*_SEEN_KEY, "width", "height", "pixels_sha256", "likeness", "detail")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 64  # entries in one task of a worker process
_NAMED = 5  # pictures listed for each reason; the others are only counted
_NAMES = {number: name for name, number in data.LABELS.items()}


@dataclass(frozen=True, slots=True)
class Missing:
    """A picture of the index that is not available."""

    entry: Entry
    why: Why


@dataclass(frozen=True, slots=True)
class Gathered:
    """The large material.

    Attributes:
        stills: the pictures to use, in the order of the lists.
        dropped: pictures that were read, but are not used.
        missing: listed pictures that are not available.
        notes: sentences on whole parts that the material lacks.
    """

    stills: tuple[Still, ...]
    dropped: tuple[choosing.Dropped, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


def _look_at(entry: Entry, folder: Path, snapshots: Snapshots) -> Still | Missing:
    picture = read_picture(entry, folder, snapshots)
    if not isinstance(picture, Read):
        return Missing(entry, picture)
    height, width = picture.rgb.shape[:2]
    pixels = hashlib.sha256(repr(picture.rgb.shape).encode() + picture.rgb.tobytes()).hexdigest()
    likeness, detail = perceptual_hash(picture.rgb), perceptual_hash(picture.rgb, choosing.DETAIL_SIDE)
    return Still(picture.entry, width, height, pixels, likeness, detail)


def _decoder() -> str:
    """Return a hash of the modules that decode and hash pictures; it changes with their source."""
    modules = sorted(Path(media.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()[:16]


class _Seen:
    """Results of pictures that were read before, from snapshots that are still at the same commit."""

    def __init__(self, path: Path, snapshots: Path | None) -> None:
        self._table = GrowingTable(path, _SEEN_COLUMNS)
        self._rows = {tuple(row[name] for name in _SEEN_KEY): row for row in self._table.rows}
        self._commit, self._decoder = cache(Snapshots(snapshots).head), _decoder()

    def _key(self, entry: Entry) -> tuple[str, ...] | None:
        """Return a key for the pixels of an entry; None without a commit, as for plain files, which may change."""
        commit = self._commit(entry.repository) if entry.repository else ""
        tile = ",".join(map(str, entry.tile or ()))
        return (entry.repository, commit, entry.blob, tile, self._decoder) if _COMMIT.fullmatch(commit) else None

    def find(self, entry: Entry) -> Still | None:
        row = self._rows.get(key) if (key := self._key(entry)) else None
        if row is None:
            return None
        hashes = row["pixels_sha256"], row["likeness"], row["detail"]
        return Still(entry, int(row["width"]), int(row["height"]), *hashes)

    def add(self, results: Iterable[Still | Missing]) -> None:
        stills = [(self._key(result.entry), result) for result in results if isinstance(result, Still)]
        self._table.add(
            (*key, still.width, still.height, still.pixels_sha256, still.likeness, still.detail)
            for key, still in stills
            if key
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()


def _look_at_some(folder: Path, snapshots: Path | None, entries: list[Entry]) -> list[Still | Missing]:
    with Snapshots(snapshots) as readers:
        return [_look_at(entry, folder, readers) for entry in entries]


def _without_snapshots(entries: Iterable[Entry], snapshots: Path | None) -> str:
    """Return a sentence if there is no snapshot of any repository, otherwise an empty text."""
    repositories = {entry.repository for entry in entries if entry.repository}
    if not repositories or any(Snapshots(snapshots).find(repository) for repository in repositories):
        return ""
    problem = f"{snapshots} holds no snapshot" if snapshots else "No folder of snapshots was given"
    return f"{problem} of the {len(repositories)} repositories of the index, so {material.STILLS} alone is used."


def gather(
    folder: Path,
    snapshots: Path | None = None,
    *,
    added: Path | None = None,
    caps: choosing.Caps = choosing.NO_CAPS_GIVEN,
    near_bits: int = choosing.NEAR_BITS,
    share: float = 1.0,
    workers: int | None = None,
    seen: Path | None = None,
) -> Gathered:
    """Read every picture that the lists of the material name, and choose the ones to use.

    The result does not depend on the number of workers.

    Args:
        folder: folder of ``stills.csv``, its pictures, and optionally ``index.csv.gz``.
        snapshots: folder of the snapshots, see ``snapshots``; without snapshots, only ``stills.csv`` is used.
        added: a further index, see ``material.read_listing``.
        caps: see ``choosing.bounded``.
        near_bits: see ``choosing.unlike``.
        share: share of the material, for a short run; see ``ingest.thin_out``.
        workers: number of processes; None for one on each core.
        seen: growing table of the pictures that were read from snapshots. With it, a killed run can continue, and a run
            over a longer list reads only new pictures. None reads everything.

    Raises:
        DatasetError: a list cannot be read, a file of ``stills.csv`` is missing or unreadable, or train or val is left
            without a class.
    """
    listing = material.read_listing(folder, added)
    note = _without_snapshots(listing.entries, snapshots)
    entries = [entry for entry in listing.entries if not (note and entry.repository)]
    entries = thin_out(entries, share)
    results = _read(entries, folder, snapshots, workers or os.cpu_count(), seen)
    stills = tuple(result for result in results if isinstance(result, Still))
    dropped: list[choosing.Dropped] = []
    for rule in (
        choosing.once_each,
        partial(choosing.unlike, near_bits=near_bits),
        choosing.whole_groups,
        partial(choosing.bounded, caps=caps),
    ):
        chosen = rule(stills)
        stills = chosen.stills
        dropped += chosen.dropped
    _check(stills)
    missing = tuple(result for result in results if isinstance(result, Missing))
    passed_over = [f"Passed over in the index: {count} {kind}." for kind, count in listing.passed_over.items()]
    notes = tuple(sentence for sentence in (listing.note, note, *passed_over) if sentence)
    return Gathered(stills, tuple(dropped), missing, notes)


def _read(
    entries: list[Entry], folder: Path, snapshots: Path | None, workers: int | None, seen: Path | None
) -> list[Still | Missing]:
    """Return the results for all entries, in their order; only pictures that were not read before are read."""
    with _Seen(seen, snapshots) if seen else nullcontext() as before:
        known = {number: before.find(entry) for number, entry in enumerate(entries)} if before else {}
        results: dict[int, Still | Missing] = {number: still for number, still in known.items() if still}
        left = [number for number in range(len(entries)) if number not in results]
        chunks = [left[start : start + _CHUNK] for start in range(0, len(left), _CHUNK)]
        task = partial(_look_at_some, folder, snapshots)
        with ProcessPoolExecutor(workers) as pool:
            read = pool.map(task, ([entries[number] for number in chunk] for chunk in chunks))
            for chunk, some in zip(chunks, read, strict=True):
                results.update(zip(chunk, some, strict=True))
                if before:
                    before.add(some)
    return [results[number] for number in range(len(entries))]


def _check(stills: Iterable[Still]) -> None:
    """Refuse material without both classes.

    Raises:
        DatasetError: the train or val split lacks a class.
    """
    labels: dict[str, set[int]] = {split: set() for split in material.SPLITS}
    for still in stills:
        labels[still.entry.split].add(still.entry.label)
    for split in data.SPLITS:
        if labels[split] != {0, 1}:
            raise DatasetError(f"The {split} split must hold both classes, it holds {sorted(labels[split])}.")


def write_missing(gathered: Gathered, path: Path) -> None:
    """Write a CSV of all pictures that are missing or were dropped, and why; ``summary`` only counts them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["source", "split", "place", "reason", "other"])
        for missing in gathered.missing:
            entry = missing.entry
            writer.writerow([entry.source, entry.split, entry.location, str(missing.why), ""])
        for dropped in gathered.dropped:
            entry = dropped.still.entry
            writer.writerow([entry.source, entry.split, entry.location, dropped.reason, dropped.other])


def summary(gathered: Gathered) -> str:
    """Return a text with the pictures by split and label, and the missing and dropped pictures by reason."""
    lines = list(gathered.notes)
    counts = Counter((still.entry.split, still.entry.label) for still in gathered.stills)
    for split in material.SPLITS:
        some = ", ".join(f"{counts[split, label]:,} {_NAMES[label]}" for label in _NAMES)
        sources = len({still.entry.source for still in gathered.stills if still.entry.split == split})
        lines.append(f"{split}: {some}, of {sources} sources")
    for why in Why:
        entries = [missing.entry for missing in gathered.missing if missing.why is why]
        if why is Why.NO_SNAPSHOT:
            named = sorted({entry.repository for entry in entries})
        else:
            named = [entry.location for entry in entries]
        lines += _counted(f"missing, {why}", len(entries), named)
    for reason in sorted({entry.reason for entry in gathered.dropped}):
        dropped = [each for each in gathered.dropped if each.reason == reason]
        named = [each.still.entry.location + (f" is {each.other}" if each.other else "") for each in dropped]
        lines += _counted(f"dropped, {reason}", len(dropped), named)
    return "\n".join(lines)


def _counted(what: str, count: int, named: list[str]) -> list[str]:
    if not count:
        return []
    more = [f"  and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return [f"{what}: {count:,}", *(f"  {name}" for name in named[:_NAMED]), *more]
