"""Rules that select pictures of the large material: no duplicates, each person in one split, a cap for each source.

The selection depends only on names and contents, so it is the same on every machine.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from faceloupe.media import similarity
from faceloupe.training.material import HELD_OUT, Still

DETAIL_SIDE = 16  # side of the perceptual hash that decides whether pictures are alike: 256 bits
# Out of these 256. On 700 faces of four sources, cut and aligned alike, copies at 0.6 of the size and JPEG 50 differed
# in at most 8 bits, and two people in at least 41; in the 64 bits of the batch, two people differed in as few as 4.
NEAR_BITS = 24

_FIRST_KEPT = (HELD_OUT, "val", "train")  # a picture in two splits stays in the one that is held out longer


@dataclass(frozen=True, slots=True)
class Cap:
    """Largest number of pictures that may be used.

    Attributes:
        pictures: limit for one source, method and label in one split.
        person: limit for one group and label in one split.
    """

    pictures: int = 600
    person: int = 60


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps of all sources.

    Attributes:
        default: cap of sources without their own.
        of_source: cap by source.
    """

    default: Cap = Cap()
    of_source: dict[str, Cap] = field(default_factory=dict)

    def of(self, source: str) -> Cap:
        """Return the cap of a source."""
        return self.of_source.get(source, self.default)


NO_CAPS_GIVEN = Caps()


@dataclass(frozen=True, slots=True)
class Dropped:
    """A picture that is not used.

    Attributes:
        still: the picture.
        reason: short text.
        other: location of the picture that it duplicates or resembles; empty if there is none.
    """

    still: Still
    reason: str
    other: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Result of a rule: the remaining pictures in their original order, and the dropped ones."""

    stills: tuple[Still, ...]
    dropped: tuple[Dropped, ...]


def _by_splits(stills: list[Still]) -> list[int]:
    """Return positions ordered by split, the one held out longest first; each split keeps its order."""
    return sorted(range(len(stills)), key=lambda position: _FIRST_KEPT.index(stills[position].entry.split))


def _chosen(stills: list[Still], dropped: dict[int, Dropped]) -> Chosen:
    remaining = tuple(still for position, still in enumerate(stills) if position not in dropped)
    return Chosen(remaining, tuple(dropped[position] for position in sorted(dropped)))


def once_each(stills: Iterable[Still]) -> Chosen:
    """Keep one picture of each set of identical pictures.

    Pictures are identical if their pixels are equal. The first one is kept; across splits, cross comes before val, and
    val before train. If identical pictures have different labels, none is kept, since neither label can be trusted.
    """
    stills = list(stills)
    labels: dict[str, set[int]] = defaultdict(set)
    for still in stills:
        labels[still.pixels_sha256].add(still.entry.label)
    first: dict[str, Still] = {}
    dropped = {}
    for position in _by_splits(stills):
        still = stills[position]
        before = first.setdefault(still.pixels_sha256, still)
        if len(labels[still.pixels_sha256]) > 1:
            other = "" if before is still else before.entry.location
            dropped[position] = Dropped(still, "the same picture under both labels", other)
        elif before is not still:
            dropped[position] = Dropped(still, "the same picture", before.entry.location)
    return _chosen(stills, dropped)


def unlike(stills: Iterable[Still], near_bits: int = NEAR_BITS) -> Chosen:
    """Drop pictures that resemble one of another split, or one of another source with the same label.

    The picture to keep is selected as in ``once_each``. Across splits the label does not matter, since an edit reveals
    its original. Within a split, pictures with different labels are alike if they are an original and its edit, and
    pictures of one source are alike because of how the source was made: aligned crops, frames of a clip.

    Args:
        stills: the pictures, in order.
        near_bits: largest number of the 256 bits of ``Still.detail`` that may differ. Only pairs that the batch would
            mark as similar are compared.
    """
    stills = list(stills)
    hashes = np.zeros(len(stills), np.uint64)
    kinds = np.zeros((len(stills), 3), np.int32)  # split, source and label, as numbers
    numbers: tuple[dict[object, int], ...] = ({}, {}, {})
    places = np.zeros(len(stills), np.int64)
    count = 0
    dropped: dict[int, Dropped] = {}
    for position in _by_splits(stills):
        still = stills[position]
        entry, own = still.entry, np.uint64(int(still.likeness, 16))
        kind = [known.setdefault(value, len(known)) for known, value in zip(numbers, _kind(still))]
        near = np.flatnonzero(np.bitwise_count(hashes[:count] ^ own) <= similarity.NEAR_BITS)
        split, source, label = (kinds[near, column] == kind[column] for column in range(3))
        rivals = (stills[places[neighbor]] for neighbor in near[~split | (~source & label)])
        rival = next((candidate for candidate in rivals if _differing(candidate, still) <= near_bits), None)
        if rival is not None:
            other = rival.entry
            crossed = "another split" if other.split != entry.split else "another source"
            dropped[position] = Dropped(still, f"nearly the same picture in {crossed}", other.location)
            continue
        hashes[count], kinds[count], places[count] = own, kind, position
        count += 1
    return _chosen(stills, dropped)


def _differing(first: Still, second: Still) -> int:
    """Return the number of bits that differ between the detailed hashes."""
    return (int(first.detail, 16) ^ int(second.detail, 16)).bit_count()


def _kind(still: Still) -> tuple[str, str, int]:
    return still.entry.split, still.entry.source, still.entry.label


def whole_groups(stills: Iterable[Still]) -> Chosen:
    """Keep the pictures of each group in one split.

    A group in train and val stays in the split with more of its pictures, or in val if there are equally many. A group
    in cross stays in cross.
    """
    stills = list(stills)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for still in stills:
        if still.entry.group:
            counts[still.entry.unit][still.entry.split] += 1
    home = {
        unit: max(_FIRST_KEPT, key=lambda split: (split == HELD_OUT and split in splits, splits[split]))
        for unit, splits in counts.items()
    }
    dropped = {
        position: Dropped(still, f"of a group that stays in {home[still.entry.unit]}")
        for position, still in enumerate(stills)
        if still.entry.group and home[still.entry.unit] != still.entry.split
    }
    return _chosen(stills, dropped)


def _order(still: Still) -> tuple[bytes, bytes]:
    """Return a random but reproducible sort key, from names only; pictures of one original sort together."""
    entry = still.entry
    pair, own = (hashlib.sha256(name.encode()).digest() for name in (entry.pair or entry.location, entry.location))
    return pair, own


def bounded(stills: Iterable[Still], caps: Caps) -> Chosen:
    """Apply the caps: on the pictures of a person, then on those of a source, method and label in a split."""
    stills = list(stills)
    of_person: Counter[tuple[str, int, str]] = Counter()
    of_kind: Counter[tuple[str, str, int, str]] = Counter()
    dropped = {}
    for position in sorted(range(len(stills)), key=lambda position: _order(stills[position])):
        still = stills[position]
        entry, cap = still.entry, caps.of(still.entry.source)
        person = (entry.split, entry.label, entry.unit)  # a person in several sources is counted over all of them
        kind = (entry.split, entry.source, entry.label, entry.method)
        if entry.group and of_person[person] >= cap.person:
            dropped[position] = Dropped(still, "above the bound of its person")
        elif of_kind[kind] >= cap.pictures:
            dropped[position] = Dropped(still, "above the bound of its source")
        else:
            of_person[person] += 1
            of_kind[kind] += 1
    return _chosen(stills, dropped)
