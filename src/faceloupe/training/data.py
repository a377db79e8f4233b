"""The training material as typed items, and the main face that the project's own face finder finds in each."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from faceloupe.config import Settings
from faceloupe.errors import DatasetError, EvidenceError, UsageError
from faceloupe.faces.detector import SURE, FaceDetector
from faceloupe.media.evidence_file import open_evidence
from faceloupe.media.image import decode
from faceloupe.system.files import replacing
from faceloupe.types import Box

_CHUNK = 64  # items in one task of a worker process
SPLITS = ("train", "val")
LABELS = {"real": 0, "fake": 1}  # polarity everywhere: 1 = manipulated
_ORIGINALS = {
    "dfdc_faces": re.compile(r".+__orig_(.+)"),
    "ffpp_faces": re.compile(r"(\d+)_\d+_(\d+)"),
}
WITH_ORIGINALS = tuple(_ORIGINALS)
_CORNERS = ("x0", "y0", "x1", "y1")
_POINTS = tuple(f"{point}_{axis}" for point in ("eye1", "eye2", "nose", "mouth1", "mouth2") for axis in "xy")
COLUMNS = ("split", "source", "label", "group", "path", *_CORNERS, *_POINTS)


@dataclass(frozen=True, slots=True)
class Item:
    """One still of the training material.

    Attributes:
        split: train or val.
        source: collection of the picture.
        label: 1 = manipulated, 0 = authentic.
        group: person, pair of people, actor or video that must stay in one split; empty for an independent picture.
        path: relative to the folder of the material.
        box: face box in pixels of the picture; the whole picture if no face was found; None before ``prepare``.
        landmarks: x and y of the eyes, the nose and the corners of the mouth, pixels; empty if no face was found.
    """

    split: str
    source: str
    label: int
    group: str
    path: str
    box: Box | None = None
    landmarks: tuple[float, ...] = ()

    @property
    def has_face(self) -> bool:
        """Whether the box comes from the face finder."""
        return bool(self.landmarks)

    @property
    def face_box(self) -> Box:
        """The box of a prepared item.

        Raises:
            DatasetError: the item is not prepared.
        """
        if self.box is None:
            raise DatasetError(f"{self.path} has no face box yet: run `prepare` first.")
        return self.box

    @property
    def unit(self) -> str:
        """Name of the independent observation: the group, or the picture itself."""
        return f"{self.source}/{self.group}" if self.group else self.path

    @property
    def original(self) -> str | None:
        """Path of the pristine original of this picture, if its name states it.

        The name is ``X__orig_ORIGINAL`` in dfdc_faces; in ffpp_faces, ``TARGET_DONOR_FRAME`` was made from
        ``TARGET_FRAME``.
        """
        path = Path(self.path)
        match = _ORIGINALS[self.source].fullmatch(path.stem) if self.label and self.source in _ORIGINALS else None
        return str(path.parents[1] / "real" / ("_".join(match.groups()) + path.suffix)) if match else None


def read_rgb(path: Path) -> np.ndarray:
    """Decode a still of the training material as the app does: (H, W, 3) uint8 RGB.

    Raises:
        DatasetError: the file is missing or unreadable.
    """
    max_bytes = Settings().max_bytes
    try:
        evidence_file = open_evidence(path, max_bytes=max_bytes)
        return decode(evidence_file, max_bytes=max_bytes, max_pixels=Settings().max_pixels).rgb
    except (UsageError, EvidenceError) as problem:
        raise DatasetError(f"{path} is listed in the index, but cannot be used: {problem}") from problem


def check(items: Iterable[Item]) -> None:
    """Refuse material that would make results look too good.

    Raises:
        DatasetError: a group is in two splits, a picture is listed twice, or a split lacks a class.
    """
    items = list(items)
    splits_of_group: dict[tuple[str, str], set[str]] = {}
    seen: set[str] = set()
    for item in items:
        if item.path in seen:
            raise DatasetError(f"{item.path} is listed twice.")
        seen.add(item.path)
        if item.group:
            splits_of_group.setdefault((item.source, item.group), set()).add(item.split)
    for (source, group), splits in splits_of_group.items():
        if len(splits) > 1:
            raise DatasetError(f"Group {group} of {source} stands in {' and '.join(sorted(splits))}: a leak.")
    for split in SPLITS:
        labels = {item.label for item in items if item.split == split}
        if labels != {0, 1}:
            raise DatasetError(f"The {split} split must hold both classes, it holds {sorted(labels)}.")


def read_index(path: Path) -> list[Item]:
    """Read the train and val splits from the material's ``stills.csv``, or from the CSV that ``prepare`` wrote.

    Raises:
        DatasetError: the file is missing, or its contents fail ``check``.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is not there: give the folder that holds the training material.")
    items = []
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["split"] not in SPLITS:
                continue
            if row["label"] not in LABELS:
                raise DatasetError(f"{row['path']} has the label {row['label']!r}; real or fake was expected.")
            item = Item(row["split"], row["source"], LABELS[row["label"]], row["group"], row["path"])
            if _POINTS[0] in row:
                points = tuple(float(row[key]) for key in _POINTS if row[key])
                item = replace(item, box=Box(*(float(row[key]) for key in _CORNERS)), landmarks=points)
            items.append(item)
    check(items)
    return items


def _main_face(root: Path, detector: FaceDetector, item: Item) -> Item:
    rgb = read_rgb(root / item.path)
    height, width = rgb.shape[:2]
    faces = detector.detect(rgb)
    if not faces:
        return replace(item, box=Box(0.0, 0.0, float(width), float(height)))
    main = next((face for face in faces if face.confidence >= SURE), faces[0])  # the largest come first
    return replace(item, box=main.box, landmarks=tuple(float(value) for value in main.landmarks.ravel()))


def _find_some(root: Path, items: list[Item]) -> list[Item]:
    import torch  # in the worker: one thread each, the processes share the cores

    torch.set_num_threads(1)
    detector = FaceDetector(Settings())
    return [_main_face(root, detector, item) for item in items]


def find_faces(root: Path, items: list[Item], *, workers: int | None = None) -> Iterator[Item]:
    """Add to every item the box of its main face, or the whole picture if no face is found; yield them in order."""
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        for chunk_faces in pool.map(partial(_find_some, root), chunks):
            yield from chunk_faces


def write_faces(items: Iterable[Item], path: Path) -> None:
    """Write prepared items as CSV, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {number: name for name, number in LABELS.items()}
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for item in items:
            numbers = [round(value, 2) for value in (*item.face_box.corners, *item.landmarks)]
            blank = [""] * (len(_CORNERS) + len(_POINTS) - len(numbers))
            writer.writerow([item.split, item.source, names[item.label], item.group, item.path, *numbers, *blank])
