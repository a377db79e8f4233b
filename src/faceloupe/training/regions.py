"""The face of every picture of the large material, with the part of the picture around it, stored once.

All later processing of a face (crops, degradations, augmentation) starts from one of two regions. ``FACE`` is 2.6 times
as wide as the face, which leaves room to turn and move a tight crop. ``SURROUNDINGS`` is the largest square of the
picture around the face; it exists only if it shows more than the face.
"""

import csv
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from faceloupe.config import Settings
from faceloupe.errors import DatasetError
from faceloupe.faces.detector import SURE, FaceDetector
from faceloupe.scoring.preprocess import crop_square
from faceloupe.system.files import replacing
from faceloupe.training.lines import GrowingTable
from faceloupe.training.material import Still
from faceloupe.training.snapshots import Read, Snapshots, read_picture
from faceloupe.types import Box, DetectedFace

LONGEST_PX = 800  # larger regions are shrunk to this; the encoder's input is only 224 px wide
SMALLEST_FACE_PX = 36  # shorter side of the box; smaller faces have too little detail left
_LOG = "log.csv"
_CHUNK = 16  # pictures in one task of a worker process; a killed run loses its open tasks
_CORNERS = ("x0", "y0", "x1", "y1")
_POINTS = tuple(f"{point}_{axis}" for point in ("eye1", "eye2", "nose", "mouth1", "mouth2") for axis in "xy")
COLUMNS = ("id", "reason", "side", "scale", "width", "height", "confidence", *_CORNERS, *_POINTS)
_LOG_COLUMNS = (*COLUMNS, "made_by")
NO_FACE, SMALL_FACE, FACE_ALONE = "no face was found", "the face is too small", "there is little but the face"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of region.

    Attributes:
        folder, table: names of the picture folder and of the table, in the folder of intermediate results.
        margin: side of the region divided by the longer side of the face box; less if the picture ends.
        least: smallest such ratio; below it there is no region.
    """

    folder: str
    table: str
    margin: float
    least: float = 0.0


WHOLE_PICTURE = 100.0  # margin beyond any picture: the square is as large as the picture allows
FACE = Kind("regions", "regions.csv", 2.6)
SURROUNDINGS = Kind("surroundings", "surroundings.csv", WHOLE_PICTURE, 1.7)


@dataclass(frozen=True, slots=True)
class Region:
    """A stored region around a face.

    Attributes:
        id: id of the picture.
        reason: why there is no region; empty if there is one.
        side: side of the square region, pixels.
        scale: pixels of the region for each pixel of the picture, at most 1.
        width, height: size of the whole picture, pixels of the picture.
        confidence: confidence of the face finder, 0..1; 0 if the whole picture is taken as the face.
        box: face box, pixels of the region; None if there is no region.
        landmarks: x and y of the eyes, the nose and the corners of the mouth, pixels of the region; empty if the whole
            picture is taken as the face.
    """

    id: str
    reason: str = ""
    side: int = 0
    scale: float = 1.0
    width: int = 0
    height: int = 0
    confidence: float = 0.0
    box: Box | None = None
    landmarks: tuple[float, ...] = ()

    @property
    def face_box(self) -> Box:
        """Face box of an existing region.

        Raises:
            DatasetError: there is no region.
        """
        if self.box is None:
            raise DatasetError(f"There is no region of {self.id}: {self.reason}.")
        return self.box

    @property
    def has_surroundings(self) -> bool:
        """Whether the picture shows more than the face, so that it also has a region of ``SURROUNDINGS``."""
        return self.box is not None and self.side >= SURROUNDINGS.least * max(self.box.width, self.box.height)

    @property
    def picture_px(self) -> float:
        """The longer side of the whole picture, in pixels of the region."""
        return max(self.width, self.height) * self.scale


def _row(region: Region) -> tuple[object, ...]:
    box = [f"{value:.2f}" for value in region.box.corners] if region.box else [""] * len(_CORNERS)
    points = [f"{value:.2f}" for value in region.landmarks] or [""] * len(_POINTS)
    numbers = (region.side, f"{region.scale:.6f}", region.width, region.height, f"{region.confidence:.4f}")
    return (region.id, region.reason, *numbers, *box, *points)


def _region(row: dict[str, str]) -> Region:
    box = Box(*(float(row[name]) for name in _CORNERS)) if row[_CORNERS[0]] else None
    points = tuple(float(row[name]) for name in _POINTS if row[name])
    sizes = int(row["side"]), float(row["scale"]), int(row["width"]), int(row["height"]), float(row["confidence"])
    return Region(row["id"], row["reason"], *sizes, box, points)


def main_face(faces: Iterable[DetectedFace]) -> DetectedFace | None:
    """Return the largest face that the finder is sure of; None if there is no such face."""
    return next((face for face in faces if face.confidence >= SURE), None)


def cut_out(rgb: np.ndarray, face: DetectedFace | None, name: str, kind: Kind = FACE) -> tuple[Region, np.ndarray]:
    """Cut out the region of a face.

    Args:
        rgb: (H, W, 3) uint8 RGB, the whole picture.
        face: the face; None if the whole picture is a tight crop of a face.
        name: id of the picture.
        kind: kind of the region.

    Returns:
        The region and its (S, S, 3) uint8 RGB pixels, S up to ``LONGEST_PX``; the pixels are empty if there is no
        region.
    """
    height, width = rgb.shape[:2]
    box = face.box.clipped(width, height) if face else Box(0.0, 0.0, float(width), float(height))
    small = min(box.width, box.height) < SMALLEST_FACE_PX
    x0, y0, x1, y1 = (int(value) for value in crop_square(box, width, height, kind.margin).corners)
    if small or x1 - x0 < kind.least * max(box.width, box.height):
        reason = SMALL_FACE if small else FACE_ALONE
        return Region(name, reason, width=width, height=height), np.empty((0, 0, 3), np.uint8)
    pixels = rgb[y0:y1, x0:x1]
    scale = min(1.0, LONGEST_PX / (x1 - x0))
    if scale < 1.0:
        pixels = cv2.resize(pixels, (LONGEST_PX, LONGEST_PX), interpolation=cv2.INTER_AREA)
    corners = (np.array(box.corners).reshape(2, 2) - (x0, y0)) * scale
    points = ((face.landmarks - (x0, y0)) * scale).ravel() if face else ()
    region = Region(
        name,
        "",
        pixels.shape[0],
        scale,
        width,
        height,
        face.confidence if face else 0.0,
        Box(*(float(value) for value in corners.ravel())),
        tuple(float(value) for value in points),
    )
    return region, np.ascontiguousarray(pixels)


def _store(pixels: np.ndarray, path: Path) -> None:
    """Write pixels as PNG, completely or not at all."""
    _, coded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    with replacing(path) as temporary:
        temporary.write_bytes(coded.tobytes())


_Find = Callable[[np.ndarray], list[DetectedFace]]
_finder: FaceDetector | None = None  # one for each worker process


def _find(rgb: np.ndarray) -> list[DetectedFace]:
    """Detect faces in a worker process, in a single thread, since the processes share the cores."""
    global _finder
    if _finder is None:
        import torch  # here: reading regions does not need torch

        torch.set_num_threads(1)
        _finder = FaceDetector(Settings())
    return _finder.detect(rgb)


@dataclass(frozen=True, slots=True)
class _Task:
    """Task of a worker process; see ``make`` for its fields."""

    folder: Path
    snapshots: Path | None
    target: Path
    crops: frozenset[str]
    find: _Find
    kind: Kind

    def __call__(self, stills: list[Still]) -> list[Region]:
        with Snapshots(self.snapshots) as snapshots:
            return [self._make(still, snapshots) for still in stills]

    def _make(self, still: Still, snapshots: Snapshots) -> Region:
        picture = read_picture(still.entry, self.folder, snapshots)
        if not isinstance(picture, Read):
            return Region(still.id, str(picture))
        face = main_face(self.find(picture.rgb))
        if face is None and still.entry.source not in self.crops:
            return Region(still.id, NO_FACE, width=still.width, height=still.height)
        region, pixels = cut_out(picture.rgb, face, still.id, self.kind)
        if not region.reason:
            _store(pixels, self.target / f"{still.id}.png")
        return region


def made_by(crops: Iterable[str], kind: Kind = FACE) -> str:
    """Return the parameters that determine a region of a kind; regions made with other parameters are made anew."""
    settings = Settings()
    finder = settings.detection_long_side, settings.smallest_sought_px, settings.detection_confidence
    return "/".join(map(str, (kind.margin, LONGEST_PX, SMALLEST_FACE_PX, SURE, *finder, "+".join(sorted(crops)))))


def make(
    stills: Iterable[Still],
    folder: Path,
    snapshots: Path | None,
    work: Path,
    *,
    crops: Iterable[str] = (),
    workers: int | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
    find: _Find = _find,
    kind: Kind = FACE,
) -> list[Region]:
    """Find the face of every picture and store its region as PNG in the folder of the kind.

    Regions stored by an earlier run are kept, even if that run was killed. The table of the kind is written at the end,
    in the order of the pictures.

    Args:
        stills: the material.
        folder: folder of ``stills.csv``.
        snapshots: folder of the snapshots.
        work: folder for intermediate results.
        crops: sources whose pictures are tight crops of a face: if no face is found there, the whole picture is taken
            as the face.
        workers: number of processes; None for one on each core, 0 to work in this process.
        report: called with the number of pictures done and the total number.
        find: returns the faces of an (H, W, 3) uint8 RGB picture, from the largest to the smallest.
        kind: kind of the regions.

    Returns:
        One region for each picture, in order; if there is no region, the reason is given.

    Raises:
        DatasetError: a file of ``stills.csv`` is missing or unreadable.
    """
    stills, target = list(stills), work / kind.folder
    target.mkdir(parents=True, exist_ok=True)
    crops = frozenset(crops)
    mark = made_by(crops, kind)
    log = GrowingTable(target / _LOG, _LOG_COLUMNS)
    try:
        known = {row["id"]: _region(row) for row in log.rows if row["made_by"] == mark}
        known = {name: region for name, region in known.items() if _stands(region, target)}
        left = [still for still in stills if still.id not in known]
        chunks = [left[start : start + _CHUNK] for start in range(0, len(left), _CHUNK)]
        task = _Task(folder, snapshots, target, crops, find, kind)
        done = len(stills) - len(left)
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            for made in map(task, chunks) if workers == 0 else pool.map(task, chunks):
                log.add((*_row(region), mark) for region in made)
                known |= {region.id: _region(dict(zip(COLUMNS, map(str, _row(region))))) for region in made}
                done += len(made)
                report(done, len(stills))
    finally:
        log.close()
    regions = [known[still.id] for still in stills]
    _write(regions, work / kind.table)
    return regions


def _stands(region: Region, target: Path) -> bool:
    """Whether a region of an earlier run can be kept; pictures that were not available then are tried again."""
    if region.reason:
        return region.reason in (NO_FACE, SMALL_FACE, FACE_ALONE)
    return (target / f"{region.id}.png").is_file()


def _write(regions: Iterable[Region], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(region) for region in regions)


def read(work: Path, kind: Kind = FACE) -> dict[str, Region]:
    """Return the regions of a kind that ``make`` stored, by id; pictures without one are left out.

    Raises:
        DatasetError: the table is missing.
    """
    path = work / kind.table
    if not path.is_file():
        raise DatasetError(f"{path} is not there: run `regions` first.")
    with path.open(newline="", encoding="utf-8") as stream:
        located = [_region(row) for row in csv.DictReader(stream)]
    return {region.id: region for region in located if not region.reason}


def pixels(work: Path, region: Region, kind: Kind = FACE) -> np.ndarray:
    """Return the (S, S, 3) uint8 RGB pixels of a region of a kind.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    path = work / kind.folder / f"{region.id}.png"
    decoded = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if decoded is None or decoded.shape[:2] != (region.side, region.side):
        raise DatasetError(f"{path} is missing or damaged: remove it, and run `regions` again.")
    return decoded
