"""The encoder's features of every view, computed once and cached, so that heads can be trained in minutes.

``features.bin`` holds records of (L, D) float16, one after the other; ``features.csv`` names the picture and the view
of each record. Both files only grow, and a record is on disk before its row. If a run is killed, at any byte, the
records that have a row are complete and are kept; the rest is cut off and computed again.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faceloupe.errors import DatasetError
from faceloupe.models.contract import InputContract
from faceloupe.scoring.preprocess import normalize
from faceloupe.system.files import replacing
from faceloupe.training import blending, regions, views
from faceloupe.training.choosing import Caps, bounded
from faceloupe.training.lines import GrowingTable
from faceloupe.training.material import Still
from faceloupe.training.regions import FACE, SURROUNDINGS, Kind, Region

VALUES, TABLE, MADE_BY = "features.bin", "features.csv", "features.json"
COLUMNS = ("id", "view", "face_px", "ratio")
BATCH = 32  # crops that are stored at once
_PASS = 4  # crops in one pass: more do not fit into a CPU core's cache, and each takes longer
_AHEAD = 16  # pictures that are read and cropped while the encoder runs
# CLIP's own: the means and standard deviations of the channels of its training pictures (Radford et al. 2021).
CONTRACT = InputContract(
    size=views.SIDE, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)

# Crop -> the region that it is cut out of.
REGIONS: Mapping[str, Kind] = {"tight": FACE, "widest": SURROUNDINGS}
# Prefix to the name of another treatment: the face is first blended with a changed copy of itself, see ``blending``.
BLENDED = "blended/"


@dataclass(frozen=True, slots=True)
class Crops:
    """The crops of a face that a network gets.

    Attributes:
        regions: name in ``views.CROPS`` -> the region that the crop is cut out of.
        side: side of the crops, pixels.
    """

    regions: Mapping[str, Kind]
    side: int = views.SIDE


# (N, S, S, 3) uint8 RGB crops -> (N, L, D) float32 features of each
Encode = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class View:
    """One look at a face: a crop of ``views.CROPS`` after a treatment, see ``views.treat`` and ``BLENDED``."""

    crop: str
    treatment: str

    @property
    def name(self) -> str:
        """Crop and treatment: the name of the view in the cache."""
        return f"{self.crop}/{self.treatment}"


def load_encoder(path: Path) -> tuple[Encode, tuple[int, int], str]:
    """Load the encoder's file.

    Returns:
        The encoder, the shape (L, D) of its features of one crop, and the SHA-256 of its file, hexadecimal.

    Raises:
        DatasetError: the file is missing.
        WeightsError: the file does not hold the encoder.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is not there: run `encoder` first.")
    import torch  # here: reading features does not need torch

    from faceloupe.models.encoder import Encoder

    content = path.read_bytes()
    encoder = Encoder.load(content)

    def encoded(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            features: np.ndarray = encoder(torch.from_numpy(normalize(crops, CONTRACT))).numpy()
        return features

    torch.set_num_threads(1)  # parallel passes take half the time of one pass that is spread over two CPU cores
    pool = ThreadPoolExecutor(os.cpu_count())

    def encode(crops: np.ndarray) -> np.ndarray:
        parts = [crops[start : start + _PASS] for start in range(0, len(crops), _PASS)]
        return np.concatenate(list(pool.map(encoded, parts)))

    shape = encode(np.zeros((1, views.SIDE, views.SIDE, 3), np.uint8)).shape[1:]
    return encode, shape, hashlib.sha256(content).hexdigest()


class FeatureStore:
    """The growing cache of features, a context manager. Only one writer at a time is allowed."""

    def __init__(self, folder: Path, shape: tuple[int, int], made_by: str) -> None:
        """Open a cache or create it; incomplete records of a killed run are cut off.

        Args:
            folder: folder of the cache.
            shape: (L, D) of one record.
            made_by: SHA-256 of the encoder's file; besides the picture, the features depend only on it.

        Raises:
            DatasetError: the cache is of another encoder or shape, or its description is missing or damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._shape = shape
        self._record = int(np.prod(shape)) * np.dtype(np.float16).itemsize
        description = {"shape": list(shape), "made_by": made_by}
        description_path = folder / MADE_BY
        if not description_path.is_file():
            if (folder / TABLE).is_file():
                raise DatasetError(f"{folder} holds features, but not {MADE_BY}: move the folder away.")
            with replacing(description_path) as temporary:
                temporary.write_text(json.dumps(description) + "\n", encoding="utf-8")
        elif _described(description_path) != description:
            raise DatasetError(
                f"{folder} holds features of another encoder: move the folder away, or give its encoder."
            )
        self._table = GrowingTable(folder / TABLE, COLUMNS)
        path = folder / VALUES
        path.touch()
        self._values = path.open("r+b")
        count = min(len(self._table.rows), path.stat().st_size // self._record)
        self._table.keep(count)
        self._values.truncate(count * self._record)
        self._known = {(row["id"], row["view"]) for row in self._table.rows}

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()
        self._values.close()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, of: tuple[str, str]) -> bool:
        """Whether the cache holds features of an id and a view name."""
        return of in self._known

    def add(self, of: Iterable[tuple[str, str, float, float]], values: np.ndarray) -> None:
        """Add records; they are on disk when this returns.

        Args:
            of: id, view name, face size in pixels and crop ratio (see ``views.Crop``) of each of the N records.
            values: (N, L, D), stored as float16.

        Raises:
            ValueError: the values have another shape, or are not finite in float16.
        """
        rows = [(name, view, f"{face_px:.1f}", f"{ratio:.3f}") for name, view, face_px, ratio in of]
        if values.shape != (len(rows), *self._shape):
            raise ValueError(f"{len(rows)} records of {self._shape} were expected, not {values.shape}.")
        with np.errstate(over="ignore"):
            small = values.astype("<f2")
        if not np.isfinite(small).all():
            raise ValueError("The features are not finite in float16.")
        self._values.seek(0, os.SEEK_END)
        self._values.write(small.tobytes())
        self._values.flush()
        os.fsync(self._values.fileno())
        self._table.add(rows)
        self._known |= {(name, view) for name, view, *_ in rows}


def _described(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return values
    except (OSError, ValueError) as problem:
        raise DatasetError(f"{path} is damaged or missing: move its folder away.") from problem


@dataclass(frozen=True, slots=True)
class Features:
    """Contents of the cache.

    Attributes:
        ids: (N,) str, ids of the pictures.
        views: (N,) str, names of the views.
        face_px: (N,) float64, longer side of the face box before the crop was resized, pixels.
        ratio: (N,) float64, side of the crop divided by the longer side of the face box.
        values: (N, L, D) float16, a read-only memory map.
        made_by: see ``FeatureStore``.
    """

    ids: np.ndarray
    views: np.ndarray
    face_px: np.ndarray
    ratio: np.ndarray
    values: np.ndarray
    made_by: str


def read(folder: Path) -> Features:
    """Read a cache; another process may be adding to it.

    Raises:
        DatasetError: there is no cache, it is empty, or it is damaged.
    """
    description = _described(folder / MADE_BY)
    shape = tuple(description["shape"])
    record = int(np.prod(shape)) * np.dtype(np.float16).itemsize
    content = (folder / TABLE).read_text(encoding="utf-8") if (folder / TABLE).is_file() else ""
    rows = [line.split(",") for line in content[: content.rfind("\n") + 1].splitlines()[1:]]
    count = min(len(rows), (folder / VALUES).stat().st_size // record if (folder / VALUES).is_file() else 0)
    if not count:
        raise DatasetError(f"{folder} holds no features: run `features` first.")
    ids, names, face_px, ratio = zip(*rows[:count], strict=True)
    values = np.memmap(folder / VALUES, "<f2", "r", shape=(count, *shape))
    return Features(
        np.array(ids), np.array(names), np.array(face_px, float), np.array(ratio, float), values, description["made_by"]
    )


def extract(
    stills: Iterable[Still],
    located: Mapping[Kind, Mapping[str, Region]],
    work: Path,
    store: FeatureStore,
    encode: Encode,
    *,
    treatments: Mapping[str, tuple[str, ...]],
    view_caps: Mapping[str, Caps] | None = None,
    tight_only: Iterable[str] = (),
    crops: Crops = Crops(REGIONS),
    batch: int = BATCH,
    report: Callable[[str, int, int], None] = lambda treatment, done, of: None,
) -> None:
    """Compute the missing features, one treatment after the other, so that an aborted run has completed the first ones.

    Args:
        stills: the material.
        located: regions of each kind by id, see ``regions.read``; pictures without a face are skipped.
        work: folder that ``regions.make`` wrote to.
        store: the cache to add to.
        encode: the encoder.
        treatments: treatments of each split, see ``views.treat``; the treatments of all splits run in the order in
            which they are first named. Only photographs with known landmarks get ``BLENDED`` treatments. Random
            treatments are not applied to the ``widest`` crop: a head for that crop learned worse with these views.
        view_caps: caps of the pictures under each treatment, see ``choosing.bounded``; no caps for treatments that are
            not listed.
        tight_only: sources without a ``widest`` crop: only the face of their pictures was edited, or they show little
            else.
        crops: the crops to cut.
        batch: number of crops encoded at once; may be exceeded by one.
        report: called with a treatment, the number of its pictures done, and their total number.

    Raises:
        DatasetError: a treatment is unknown, or a region is missing or damaged.
    """
    faces = located[FACE]
    stills = [still for still in stills if still.id in faces]
    tight_only = frozenset(tight_only)
    waiting: list[tuple[tuple[str, str, float, float], np.ndarray]] = []

    def flush() -> None:
        if waiting:
            store.add([of for of, _ in waiting], encode(np.stack([rgb for _, rgb in waiting])))
            waiting.clear()

    def lacking(still: Still, treatment: str) -> list[View]:
        narrow = treatment not in views.TIERS or still.entry.source in tight_only
        names = [name for name in crops.regions if name != "widest" or not narrow]
        return [View(name, treatment) for name in names if (still.id, f"{name}/{treatment}") not in store]

    def regions_of(still: Still) -> dict[Kind, Region]:
        known = {kind: located[kind].get(still.id) for kind in crops.regions.values()}
        return {kind: region for kind, region in known.items() if region}

    view_caps = view_caps or {}
    with ThreadPoolExecutor(1) as reader:
        for treatment in dict.fromkeys(name for some in treatments.values() for name in some):
            chosen = [still for still in stills if treatment in treatments.get(still.entry.split, ())]
            if treatment.startswith(BLENDED):
                chosen = [still for still in chosen if not still.entry.label and faces[still.id].landmarks]
            if treatment in view_caps:
                chosen = list(bounded(chosen, view_caps[treatment]).stills)
            tasks = ((still, work, lacking(still, treatment), crops, regions_of(still)) for still in chosen)
            for number, looks in enumerate(_ahead(reader, tasks), 1):
                waiting += looks
                if len(waiting) >= batch:
                    flush()
                report(treatment, number, len(chosen))
            flush()


_Look = tuple[tuple[str, str, float, float], np.ndarray]  # row of a crop, see ``FeatureStore.add``, and its pixels
_Task = tuple[Still, Path, list[View], Crops, Mapping[Kind, Region]]  # arguments of ``_looks``


def _ahead(reader: ThreadPoolExecutor, tasks: Iterable[_Task]) -> Iterator[list[_Look]]:
    """Yield the crops of each task in order; the next ones are cut in advance."""
    pending: deque[Future[list[_Look]]] = deque()
    for task in tasks:
        pending.append(reader.submit(_looks, *task))
        if len(pending) > _AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _looks(
    still: Still,
    work: Path,
    wanted: Iterable[View],
    crops: Crops,
    located: Mapping[Kind, Region],
) -> list[_Look]:
    """Return the wanted views of a picture, as far as its regions exist; a region is treated only once."""
    looks: list[_Look] = []
    treated: dict[tuple[Kind, str], tuple[views.Face, views.Framing]] = {}
    for view in wanted:
        kind = crops.regions[view.crop]
        if kind not in located:
            continue
        if (kind, view.treatment) not in treated:
            treated[kind, view.treatment] = _treated(still, work, view.treatment, kind, located[kind])
        face, framing = treated[kind, view.treatment]
        cropped = views.crop(face, view.crop, framing, crops.side)
        looks.append(((still.id, view.name, cropped.face_px, cropped.ratio), cropped.rgb))
    return looks


def _treated(still: Still, work: Path, treatment: str, kind: Kind, region: Region) -> tuple[views.Face, views.Framing]:
    pixels = regions.pixels(work, region, kind)
    if treatment.startswith(BLENDED):
        random = np.random.default_rng(int(hashlib.sha256(f"blend{still.id}".encode()).hexdigest()[:12], 16))
        pixels = blending.blend_within(random, pixels, region.face_box, region.landmarks)
    face = views.Face(pixels, region.face_box, region.picture_px)
    return views.treat(face, treatment.removeprefix(BLENDED), still.entry.pair or still.id)
