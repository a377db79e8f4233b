"""Looks at labeled faces: the cached features of a face under a treatment, and what is known about the face."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from faceloupe.errors import DatasetError
from faceloupe.faces.quality import color_spread
from faceloupe.scoring.preprocess import crop_square, cut
from faceloupe.training import features, regions
from faceloupe.training.features import Features
from faceloupe.training.material import Still
from faceloupe.training.regions import Region
from faceloupe.training.views import CROPS, SIDE

PHOTO, GENERATED, CHANGED = "photo", "generated", "changed"
SELF_BLENDS = "self_blends"  # source of the faces that were blended for training
NOT_SEEN = -1  # in place of a row number of the features
# Gate of the records. Nearly all photographs in color reach 4 and more; gray and toned ones lie below 2.
MIN_COLOR = 2.0


@dataclass(frozen=True, slots=True)
class Looks:
    """N looks; each array has one value for each look.

    Attributes:
        ids: str, ids of the pictures.
        treatments: str, see ``views.treat`` and ``features.BLENDED``.
        splits: str, train, val or cross.
        labels: int, 1 = manipulated.
        kinds: str, ``PHOTO``, ``GENERATED`` or ``CHANGED``.
        sources: str, the collection, with its method if it holds several.
        families: str, shared by collections of the same origin or generator, which are left out together.
        units: str, the independent unit: person, video or picture.
        context: float, shorter side of the picture divided by the longer side of the face box, at most the margin of
            ``FACE``.
        face_px: float, longer side of the face box when the crop was cut, pixels.
        tight, widest: int, row numbers of the features; ``NOT_SEEN`` if there is no such crop.
        scored: bool, whether the picture passes the gates of the expert, see ``gray_pictures``.
    """

    ids: np.ndarray
    treatments: np.ndarray
    splits: np.ndarray
    labels: np.ndarray
    kinds: np.ndarray
    sources: np.ndarray
    families: np.ndarray
    units: np.ndarray
    context: np.ndarray
    face_px: np.ndarray
    tight: np.ndarray
    widest: np.ndarray
    scored: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, keep: np.ndarray) -> "Looks":
        """Return the looks that a (N,) bool mask or an index array keeps."""
        return Looks(*(getattr(self, part.name)[keep] for part in fields(self)))


def source_names(stills: Iterable[Still]) -> dict[str, str]:
    """Return the source of each picture by id, with its method if the source's manipulated pictures have several."""
    stills, methods = list(stills), dict[str, set[str]]()
    for still in stills:
        if still.entry.label:
            methods.setdefault(still.entry.source, set()).add(still.entry.method)
    several = {source for source, names in methods.items() if len(names) > 1}

    def name(still: Still) -> str:
        entry = still.entry
        return f"{entry.source}/{entry.method}" if entry.label and entry.source in several else entry.source

    return {still.id: name(still) for still in stills}


def gather(
    stills: Iterable[Still],
    located: Mapping[str, Region],
    cache: Features,
    *,
    changed: Iterable[str],
    families: Mapping[str, str],
    gray: frozenset[str] = frozenset(),
    wide: str = "widest",
) -> Looks:
    """Combine the known properties of every cached view.

    Args:
        stills: the pictures to use; views of other pictures are skipped.
        located: regions by id.
        cache: features from the network.
        changed: sources whose manipulated faces were changed in part, not generated whole.
        families: family of each source, if it is not the source itself.
        gray: ids of the pictures that are gray or in one tone.
        wide: the crop beside the tight one; its row numbers become ``widest``.

    Raises:
        DatasetError: the cache holds no view of the material.
    """
    by_id = {still.id: still for still in stills if still.id in located}
    names = source_names(by_id.values())
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for row, (name, view) in enumerate(zip(cache.ids.tolist(), cache.views.tolist(), strict=True)):
        crop, _, treatment = view.partition("/")
        if name in by_id:
            rows.setdefault((name, treatment), {})[crop] = row
    if not rows:
        raise DatasetError("The cache holds no views of this material: run `features` first.")
    changed = frozenset(changed)
    values = []
    for (name, treatment), crops in rows.items():
        still, region = by_id[name], located[name]
        entry, box = still.entry, region.box
        assert box is not None
        blended = treatment.startswith(features.BLENDED)
        kind = CHANGED if blended or (entry.label and entry.source in changed) else GENERATED if entry.label else PHOTO
        tight, widest = crops.get("tight", NOT_SEEN), crops.get(wide, NOT_SEEN)
        values.append(
            (
                name,
                treatment,
                entry.split,
                1 if blended else entry.label,
                kind,
                SELF_BLENDS if blended else names[name],
                families.get(entry.source, entry.source),
                entry.unit,
                region.side / max(box.width, box.height),
                cache.face_px[widest if tight == NOT_SEEN else tight],
                tight,
                widest,
                name not in gray,
            )
        )
    return Looks(*(np.array(column) for column in zip(*values, strict=True)))


def read(
    stills: Iterable[Still],
    work: Path,
    *,
    changed: Iterable[str],
    families: Mapping[str, str],
) -> tuple[Looks, Features]:
    """Read the looks at the material, and the cache that they point into, from the folder of intermediate results.

    Args:
        stills: the pictures to use.
        work: folder that ``regions`` and ``features`` wrote to.
        changed: sources whose manipulated faces were changed in part.
        families: family of each source, see ``gather``.

    Raises:
        DatasetError: a stage has not run.
    """
    cache = features.read(work / "features")
    located = regions.read(work)
    gray = gray_pictures((located[name] for name in np.unique(cache.ids).tolist() if name in located), work)
    return gather(stills, located, cache, changed=changed, families=families, gray=gray), cache


def gray_pictures(with_faces: Iterable[Region], work: Path) -> frozenset[str]:
    """Return the ids of pictures that are gray or in one tone, which the gates of the expert's records reject.

    Args:
        with_faces: regions with a face.
        work: folder that ``regions`` wrote to.
    """

    def spread(region: Region) -> tuple[str, float]:
        rgb = regions.pixels(work, region)
        assert region.box is not None
        square = crop_square(region.box, region.side, region.side, CROPS["tight"])
        return region.id, color_spread(cut(rgb, square, SIDE))

    with ThreadPoolExecutor() as pool:
        return frozenset(name for name, color in pool.map(spread, with_faces) if color < MIN_COLOR)
