"""Fitting of the map that measures how far a picture is stretched, see ``models.proportions``.

Pictures with natural proportions are shrunk along one axis by known factors. A linear map from the encoder's features
of the face to the logarithm of the factor is fitted by ridge regression, and judged on faces that it was not fitted on.
"""

import csv
import hashlib
import math
import os
import random
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from faceloupe.config import Settings
from faceloupe.errors import DatasetError
from faceloupe.faces.detector import SURE, FaceDetector
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.faces.upright import find, upright
from faceloupe.models.encoder import ROWS
from faceloupe.models.proportions import Proportions
from faceloupe.models.record import COMPONENTS, ComponentRecord
from faceloupe.scoring.preprocess import FACE_ALONE, crop_square, cut
from faceloupe.system.files import replacing
from faceloupe.training import heads
from faceloupe.training.expert_records import LICENSE
from faceloupe.training.features import Encode
from faceloupe.training.material import HELD_OUT, Entry
from faceloupe.training.settings import PARAMS, build, mapping, names_of, read_entry
from faceloupe.training.snapshots import Snapshots, Why, read_picture
from faceloupe.training.views import SIDE

ARCHITECTURE = "linear_proportions"
TABLE = "proportions.csv"
_READ = ("class 7", "mean 6", "mean 7", "mean 8")  # rows of the features; later rows say less about shapes
_MEASURED = (0.7, 1 / 0.7)  # stretches at which the map is judged
_CLOSE = math.log(1.1)  # a measured stretch counts as right if it is off by at most a tenth
_LEAST_SPREAD = 1e-6
_AHEAD = 4  # pictures that are read while others are being measured
_LONGEST = 1600  # pixels; longer pictures are shrunk first, which saves half of the time


@dataclass(frozen=True, slots=True)
class ProportionSettings:
    """Settings for fitting the map.

    Attributes:
        version: part of the component's id.
        sources: collections of pictures with natural proportions, to fit and to judge the map.
        pictures: most pictures of a source.
        strongest: greatest absolute natural logarithm of a factor by which a picture is stretched to fit the map.
        decay: strength of the ridge penalty, relative to the number of inputs and of views.
        limit: see ``Proportions``.
        seed: determines the choice of pictures and the factors.
    """

    version: int = 1
    sources: tuple[str, ...] = ()
    pictures: int = 20
    strongest: float = 0.55
    decay: float = 0.001
    limit: float = 0.2
    seed: int = 20261201


@dataclass(frozen=True, slots=True)
class StretchedFace:
    """A face in a picture that was stretched by a known factor.

    Attributes:
        source: collection of the picture.
        log_stretch: natural logarithm of the factor; 0 for the picture as it is.
        features: (15, 768) float32, the encoder's features of the face.
    """

    source: str
    log_stretch: float
    features: np.ndarray


def read_settings(path: Path = PARAMS) -> ProportionSettings:
    """Read the entry ``proportions`` of ``params.yaml``.

    Raises:
        DatasetError: the file is missing, a key is unknown, or a value is of the wrong kind.
    """
    values = dict(mapping(read_entry(path, "proportions"), "proportions"))
    values["sources"] = names_of(values.get("sources", []), "proportions.sources")
    return build(ProportionSettings, values, "proportions")


def choose(entries: Iterable[Entry], settings: ProportionSettings, split: str) -> list[Entry]:
    """Choose the pictures of a split: at most ``settings.pictures`` of each source, by chance.

    All sources of the split ``cross`` are used, because it only measures; they are named nowhere in the settings.
    """
    mine = [entry for entry in entries if entry.split == split]
    mine = [entry for entry in mine if split == HELD_OUT or entry.source in settings.sources]
    mine.sort(key=lambda entry: hashlib.sha256(f"{settings.seed} {entry.location}".encode()).digest())
    taken: Counter[str] = Counter()
    chosen = []
    for entry in mine:
        taken[entry.source] += 1
        if taken[entry.source] <= settings.pictures:
            chosen.append(entry)
    return chosen


def _shrunk(rgb: np.ndarray) -> np.ndarray:
    """Shrink an (H, W, 3) picture to ``_LONGEST``; never enlarge."""
    scale = _LONGEST / max(rgb.shape[:2])
    if scale >= 1.0:
        return rgb
    size = max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1)
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def stretched(rgb: np.ndarray, log_stretch: float) -> np.ndarray:
    """Stretch an (H, W, 3) picture by a factor, given as a natural logarithm, by shrinking one axis."""
    height, width = rgb.shape[:2]
    factor = math.exp(-abs(log_stretch))
    size = (round(width * factor), height) if log_stretch < 0 else (width, round(height * factor))
    return cv2.resize(rgb, (max(size[0], 1), max(size[1], 1)), interpolation=cv2.INTER_AREA) if log_stretch else rgb


def stretched_faces(
    entries: Sequence[Entry],
    data: Path,
    snapshots: Snapshots,
    *,
    encode: Encode,
    factors: Callable[[Entry], Sequence[float]],
    report: Callable[[str], None],
) -> Iterator[StretchedFace]:
    """Stretch pictures, and compute the features of the largest face in each.

    Args:
        entries: the pictures; those without a snapshot are skipped.
        data: folder of ``stills.csv``.
        snapshots: snapshots of the repositories.
        encode: the encoder.
        factors: natural logarithms of the factors for a picture.
        report: called with progress messages.
    """
    detector = FaceDetector(Settings())
    torch.set_num_threads(1)

    def of(source: str, rgb: np.ndarray, log_stretch: float) -> StretchedFace | None:
        picture = BorderlessPicture.find_in(stretched(rgb, log_stretch))
        faces = find(picture.rgb, detector)
        if not faces or faces[0].confidence < SURE:
            return None
        face = upright(picture.rgb, faces[0], picture.outline)
        square = crop_square(face.box, face.rgb.shape[1], face.rgb.shape[0], FACE_ALONE)
        return StretchedFace(source, log_stretch, encode(cut(face.rgb, square, SIDE)[None])[0])

    def done(futures: Sequence[Future[StretchedFace | None]]) -> Iterator[StretchedFace]:
        yield from filter(None, (future.result() for future in futures))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending: deque[list[Future[StretchedFace | None]]] = deque()
        for number, entry in enumerate(entries, 1):
            read = read_picture(entry, data, snapshots)
            if not isinstance(read, Why):
                rgb = _shrunk(read.rgb)
                pending.append([pool.submit(of, entry.source, rgb, factor) for factor in factors(entry)])
            if len(pending) > _AHEAD:
                yield from done(pending.popleft())
            if number % 100 == 0:
                report(f"{number} of {len(entries)} pictures")
        for futures in pending:
            yield from done(futures)


def training_factors(entry: Entry, settings: ProportionSettings) -> Sequence[float]:
    """Return the factors for fitting, as natural logarithms: none, one that squeezes, and one that widens."""
    chance = random.Random(f"{settings.seed} {entry.location}")
    least = settings.strongest / 5
    return 0.0, -chance.uniform(least, settings.strongest), chance.uniform(least, settings.strongest)


def measured_factors(_: Entry) -> Sequence[float]:
    """Return the factors for judging, as natural logarithms."""
    return 0.0, *(math.log(stretch) for stretch in _MEASURED)


def fit(faces: Sequence[StretchedFace], settings: ProportionSettings) -> dict[str, torch.Tensor]:
    """Fit the map; return its tensors, see ``Proportions``.

    Every source has the same weight, however many faces it has.

    Raises:
        DatasetError: there are no faces.
    """
    if not faces:
        raise DatasetError("No face was found in the pictures, so the proportions cannot be fitted.")
    rows = [ROWS.index(name) for name in _READ]
    inputs = np.stack([face.features[rows].ravel() for face in faces]).astype(np.float64)
    targets = np.array([face.log_stretch for face in faces])
    counts = Counter(face.source for face in faces)
    weights = np.array([1.0 / counts[face.source] for face in faces])
    weights *= len(faces) / weights.sum()
    mean, spread = inputs.mean(0), inputs.std(0) + _LEAST_SPREAD
    scaled = np.sqrt(weights)[:, None] * (inputs - mean) / spread
    middle = float(np.average(targets, weights=weights))
    gram = scaled @ scaled.T + settings.decay * inputs.size * np.eye(len(faces))
    linear = scaled.T @ np.linalg.solve(gram, np.sqrt(weights) * (targets - middle)) / spread
    return {
        "rows": torch.tensor(rows),
        "linear": torch.from_numpy(linear.astype(np.float32)),
        "bias": torch.tensor([middle - float(mean @ linear)], dtype=torch.float32),
        "limit": torch.tensor([settings.limit], dtype=torch.float32),
    }


@dataclass(frozen=True, slots=True)
class ProportionRow:
    """How well the map measures the pictures of one source.

    Attributes:
        split: val or cross.
        source: the collection; ``all`` for the sum.
        stretch: factor by which the pictures were stretched; 1.0 for the pictures as they are.
        faces: number of faces.
        median: median of the measured stretch.
        beyond: faces whose measured stretch is beyond the limit, so that their proportions would be restored.
        right: faces whose measured stretch is off by at most a tenth.
    """

    split: str
    source: str
    stretch: float
    faces: int
    median: float
    beyond: int
    right: int


def judge(faces: Sequence[StretchedFace], proportions: Proportions, split: str) -> list[ProportionRow]:
    """Measure faces, by source and stretch, and over all sources."""
    if not faces:
        return []
    features = torch.from_numpy(np.stack([face.features for face in faces]))
    measured = proportions.log_stretch(features).double().numpy()
    beyond = np.array([proportions.stretch(row[None]) != 1.0 for row in features])
    truth = np.array([face.log_stretch for face in faces])
    sources = np.array([face.source for face in faces])
    rows = []
    for source in (*sorted(set(sources.tolist())), "all"):
        for log_stretch in np.unique(truth):
            mine = ((sources == source) | (source == "all")) & (truth == log_stretch)
            if mine.any():
                rows.append(
                    ProportionRow(
                        split,
                        source,
                        round(math.exp(log_stretch), 3),
                        int(mine.sum()),
                        round(math.exp(float(np.median(measured[mine]))), 3),
                        int(beyond[mine].sum()),
                        int((np.abs(measured - truth)[mine] <= _CLOSE).sum()),
                    )
                )
    return rows


def write_rows(rows: Sequence[ProportionRow], path: Path) -> None:
    """Write the rows as CSV."""
    names = ("split", "source", "stretch", "faces", "median", "beyond", "right")
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([getattr(row, name) for name in names] for row in rows)


def write(tensors: dict[str, torch.Tensor], settings: ProportionSettings, faces: int, folder: Path) -> ComponentRecord:
    """Write the weights file and its record into a folder, which is replaced; return the record."""
    name = f"faceloupe-proportions-{settings.version}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / COMPONENTS).mkdir(parents=True)
    digest = heads.write(tensors, [], folder / f"{name}.safetensors")
    record = ComponentRecord(
        id=name,
        architecture=ARCHITECTURE,
        parameters=sum(tensor.numel() for key, tensor in tensors.items() if key != "rows"),
        weights_file=f"{name}.safetensors",
        weights_sha256=digest,
        license=LICENSE,
        origin=f"Fitted on the encoder's features of {faces:,} faces in pictures of {len(settings.sources)} "
        "collections, as they are and stretched by known factors.",
    )
    (folder / COMPONENTS / f"{name}.json").write_text(record.to_json(), encoding="utf-8")
    return record


def make(
    entries: Sequence[Entry],
    settings: ProportionSettings,
    *,
    find: Callable[..., Iterator[StretchedFace]],
    target: Path,
    report: Callable[[str], None],
) -> tuple[ComponentRecord, list[ProportionRow]]:
    """Fit the map on the split ``train``, write it, and judge it on the other splits.

    Args:
        entries: all pictures of the material.
        settings: settings of the fit.
        find: ``stretched_faces`` with its data and encoder.
        target: folder for the weights file and the record.
        report: called with progress messages.
    """
    training = list(
        find(choose(entries, settings, "train"), factors=partial(training_factors, settings=settings), report=report)
    )
    tensors, rows = fit(training, settings), []
    proportions = Proportions(tensors)
    for split in ("val", HELD_OUT):
        judged = list(find(choose(entries, settings, split), factors=measured_factors, report=report))
        rows += judge(judged, proportions, split)
    return write(tensors, settings, len(training), target), rows
