"""Which pictures of the large material are kept: each once, people on one side of a split, no source above its share.

Every choice follows from names and contents alone, so that it is the same on every machine.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from faceloupe.media import similarity
from faceloupe.training.material import HELD_OUT, Still

DETAIL_SIDE = 16  # of the perceptual hash that settles what is alike: 256 bits
# Of those 256. On 700 faces of four sources, cut and aligned alike, copies at .6 of the size and JPEG 50 differed in
# up to 8 bits, and no two people in fewer than 41; in the batch's 64 bits, two people in as few as 4.
NEAR_BITS = 24

_FIRST_KEPT = (HELD_OUT, "val", "train")  # where a picture stands in two splits, the one held out longer keeps it


@dataclass(frozen=True, slots=True)
class Cap:
    """How many pictures may be used at most.

    Attributes:
        pictures: of one source, method and label in one split.
        person: of one group in one split.
    """

    pictures: int = 600
    person: int = 60


@dataclass(frozen=True, slots=True)
class Caps:
    """The bounds of every source.

    Attributes:
        default: of a source that has none of its own.
        of_source: source -> its own.
    """

    default: Cap = Cap()
    of_source: dict[str, Cap] = field(default_factory=dict)

    def of(self, source: str) -> Cap:
        """Return the bounds of a source."""
        return self.of_source.get(source, self.default)


NO_CAPS_GIVEN = Caps()


@dataclass(frozen=True, slots=True)
class Dropped:
    """A picture that is not used.

    Attributes:
        still: the picture.
        reason: in a few words.
        other: place of the picture that it had to make way for; empty where there is none.
    """

    still: Still
    reason: str
    other: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a rule left, in the order in which it came, and what it took away."""

    stills: tuple[Still, ...]
    dropped: tuple[Dropped, ...]


def _by_splits(stills: list[Still]) -> list[int]:
    """Positions, those of the pictures that are held out longest first, else in order."""
    return sorted(range(len(stills)), key=lambda position: _FIRST_KEPT.index(stills[position].entry.split))


def _chosen(stills: list[Still], dropped: dict[int, Dropped]) -> Chosen:
    remaining = tuple(still for position, still in enumerate(stills) if position not in dropped)
    return Chosen(remaining, tuple(dropped[position] for position in sorted(dropped)))


def once_each(stills: Iterable[Still]) -> Chosen:
    """Keep one of several equal pictures.

    Equal are those of the same pixels. The first of them stays; of those in different splits, the one in cross before
    that in val before that in train. Where they stand under both labels, none stays: neither label can be believed.
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
    """Drop pictures that look like one of another split, or like one of another source under the same label.

    Which one stays is settled as in ``once_each``. Across splits the label does not count, as an edit gives its
    original away. Within a split, likeness under the other label is what pairs of an original and its edit have, and
    likeness within a source is how the source is made: aligned crops, frames of a clip.

    Args:
        stills: the pictures, in order.
        near_bits: of the 256 of ``Still.detail`` that may differ. Candidates are what the batch would mark.
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
    """Bits of the detailed hashes that differ."""
    return (int(first.detail, 16) ^ int(second.detail, 16)).bit_count()


def _kind(still: Still) -> tuple[str, str, int]:
    return still.entry.split, still.entry.source, still.entry.label


def whole_groups(stills: Iterable[Still]) -> Chosen:
    """Leave each person on one side of the splits.

    A group that stands in train and val stays where more of its pictures are, in val if as many; cross keeps its own.
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
    """By chance, but by names alone. What belongs to one pristine picture comes together, so that pairs stay pairs."""
    entry = still.entry
    pair, own = (hashlib.sha256(name.encode()).digest() for name in (entry.pair or entry.location, entry.location))
    return pair, own


def bounded(stills: Iterable[Still], caps: Caps) -> Chosen:
    """Keep at most so many pictures of a person, then of a source, method and label in a split."""
    stills = list(stills)
    of_person: Counter[tuple[str, int, str]] = Counter()
    of_kind: Counter[tuple[str, str, int, str]] = Counter()
    dropped = {}
    for position in sorted(range(len(stills)), key=lambda position: _order(stills[position])):
        still = stills[position]
        entry, cap = still.entry, caps.of(still.entry.source)
        person = (entry.split, entry.label, entry.unit)  # who stands in several sources counts over all of them
        kind = (entry.split, entry.source, entry.label, entry.method)
        if entry.group and of_person[person] >= cap.person:
            dropped[position] = Dropped(still, "above the bound of its person")
        elif of_kind[kind] >= cap.pictures:
            dropped[position] = Dropped(still, "above the bound of its source")
        else:
            of_person[person] += 1
            of_kind[kind] += 1
    return _chosen(stills, dropped)
