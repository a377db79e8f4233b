"""Pictures of the material to transform: held out of training, of both classes, from all sources in turn."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from PIL import Image

from faceloupe.training import material
from faceloupe.training.snapshots import Snapshots, Why, read_picture

SPLITS = ("val", "cross")
LONGEST = 640  # pixels; longer pictures are shrunk first, so that more pictures can be measured


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture of the material.

    Attributes:
        split: one of ``SPLITS``.
        label: 1 = manipulated, 0 = authentic.
        source: collection of the picture.
        location: location of the picture, see ``material.Entry``.
        picture: RGB, at most ``LONGEST`` pixels long.
    """

    split: str
    label: int
    source: str
    location: str
    picture: Image.Image


def drawn(data: Path, snapshots: Path, split: str, label: int, seed: int) -> Iterator[Drawn]:
    """Read the pictures of a split and class, one of each source in turn.

    Args:
        data: folder of ``stills.csv``, and of ``index.csv.gz`` for the split ``cross``.
        snapshots: folder of the repositories that the index names; unavailable pictures are skipped.
        split: one of ``SPLITS``; for ``val``, only the pictures that ``stills.csv`` lists.
        label: 1 = manipulated, 0 = authentic.
        seed: determines the order.

    Raises:
        DatasetError: the material is missing.
    """
    by_source: dict[str, list[material.Entry]] = defaultdict(list)
    for entry in material.read_listing(data).entries:
        if entry.split == split and entry.label == label and (split != "val" or not entry.repository):
            by_source[entry.source].append(entry)
    for source, entries in by_source.items():
        random.Random(f"{seed} {source}").shuffle(entries)
    order = chain.from_iterable(zip_longest(*(by_source[source] for source in sorted(by_source))))
    with Snapshots(snapshots) as readers:
        for entry in filter(None, order):
            read = read_picture(entry, data, readers)
            if not isinstance(read, Why):
                picture = Image.fromarray(read.rgb)
                picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
                yield Drawn(split, label, entry.source, entry.location, picture)
