"""Faces from the clips of the training material: a few frames of each clip, used only for measuring."""

import csv
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from faceloupe.config import Settings
from faceloupe.errors import DatasetError
from faceloupe.faces.detector import SURE, FaceDetector
from faceloupe.system.files import replacing
from faceloupe.training import data
from faceloupe.types import Box

SPLITS = ("val", "cross", "control")  # the train split of the clips is not used: training uses only the stills
INDEX, FOLDER = "clips.csv", "clips"  # in the working folder
FRAMES = 16  # read from each clip
MARGIN = 1.6  # side of the stored region divided by the longer side of the face box; the widest view is narrower
_NO_FACE = "none"  # the label of clips without a real or manipulated face
_NUMBERS = data.COLUMNS[data.COLUMNS.index("x0") :]
COLUMNS = ("split", "source", "label", "method", "group", "clip", "time_s", "path", *_NUMBERS)


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of the material.

    Attributes:
        split: val, cross or control.
        source: collection of the clip.
        label: 1 = manipulated, 0 = authentic.
        method: manipulation method; ``original`` for an authentic clip.
        group: group of people that must stay in one split; may be empty.
        path: relative to the folder of the material.
    """

    split: str
    source: str
    label: int
    method: str
    group: str
    path: str

    @property
    def name(self) -> str:
        """File name without its extension."""
        return Path(self.path).stem


@dataclass(frozen=True, slots=True)
class ClipFace:
    """The main face of one frame.

    Attributes:
        item: picture, box and landmarks; its path is relative to the working folder.
        method: see ``Clip``.
        clip: name of the clip.
        time_s: timestamp of the frame in its container, seconds.
    """

    item: data.Item
    method: str
    clip: str
    time_s: float

    @property
    def split(self) -> str:
        """The split of the clip."""
        return self.item.split


def read_videos(path: Path) -> list[Clip]:
    """Read the clips with a face, in the splits of ``SPLITS``, from the material's ``videos.csv``.

    Raises:
        DatasetError: the file is missing, lacks a column, gives two clips the same name, or holds an unknown label.
    """
    clips = []
    for row in _rows(path, ("split", "source", "label", "method", "group", "path")):
        if row["split"] in SPLITS and row["label"] != _NO_FACE:
            clips.append(
                Clip(row["split"], row["source"], _label(row), row["method"], row["group"], row["path"]),
            )
    names = [clip.name for clip in clips]
    for name in names:
        if names.count(name) > 1:
            raise DatasetError(f"Two clips of {path} are named {name}: their pictures would overwrite each other.")
    return clips


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        raise DatasetError(f"{path} is not there: give the folder that holds the training material.")
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise DatasetError(f"{path} lacks the columns {', '.join(missing)}.")
        return list(reader)


def _label(row: dict[str, str]) -> int:
    if row["label"] not in data.LABELS:
        raise DatasetError(f"{row['path']} has the label {row['label']!r}; real or fake was expected.")
    return data.LABELS[row["label"]]


def read_frames(path: Path, count: int) -> Iterator[tuple[int, Fraction, np.ndarray]]:
    """Read frames of a video, evenly spaced in time.

    The duration is divided into ``count`` equal parts; each part gives the frame on screen halfway through it. The
    video is decoded twice, since a container may state neither its duration nor its number of frames.

    Args:
        path: path of the video.
        count: frames wanted; a video with fewer gives each of its frames at most once.

    Yields:
        Number of the frame, from 0; its exact timestamp in seconds; its (H, W, 3) uint8 RGB pixels.

    Raises:
        DatasetError: the file is missing, not a video or damaged, or its frames carry no timestamps.
    """
    import av  # here: stills do not need it

    def decoded() -> Iterator[tuple[int, av.VideoFrame]]:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{path} is listed as a clip, but holds no video.")
            container.streams.video[0].codec_context.thread_count = 1  # the processes share the cores
            yield from enumerate(container.decode(video=0))

    try:
        times = []
        for _, frame in decoded():
            if frame.pts is None or frame.time_base is None:
                raise DatasetError(f"{path} cannot be used: its frames carry no timestamps.")
            times.append(Fraction(frame.pts * frame.time_base))
        wanted = _evenly_spaced(times, count)
        for number, frame in decoded():
            if number in wanted:
                yield number, times[number], frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, OSError) as problem:
        raise DatasetError(f"{path} is listed as a clip, but cannot be decoded: {problem}") from problem


def _evenly_spaced(times: list[Fraction], count: int) -> set[int]:
    """Return the numbers of the frames on screen halfway through each of ``count`` equal parts of the duration."""
    if not times:
        return set()
    order = sorted(range(len(times)), key=lambda number: times[number])
    ascending = [times[number] for number in order]
    span = ascending[-1] - ascending[0]
    span += span / max(len(times) - 1, 1)  # the last frame has a duration, too
    moments = [ascending[0] + span * (2 * part + 1) / (2 * count) for part in range(count)]
    return {order[bisect_right(ascending, moment) - 1] for moment in moments}


def _region(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the part of a frame to store: a square of ``MARGIN`` times the longer side of the box, within the frame.

    At the border the square is moved inside, as the app moves its crops. Every view of the face therefore has the same
    pixels, whether it is cut from the frame or from this part of it.
    """
    side = round(MARGIN * max(box.width, box.height))
    corners = []
    for low, high, limit in ((box.x0, box.x1, width), (box.y0, box.y1, height)):
        length = min(side, limit)
        start = min(max(round((low + high - length) / 2), 0), limit - length)
        corners.append((start, start + length))
    (x0, x1), (y0, y1) = corners
    return x0, y0, x1, y1


def _store(rgb: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Image.fromarray(rgb).save(temporary, format="PNG")


def _faces_of(root: Path, work: Path, clip: Clip, *, frames: int = FRAMES) -> list[ClipFace]:
    import torch  # in the worker: one thread each, the processes share the cores

    torch.set_num_threads(1)
    detector = FaceDetector(Settings())
    faces = []
    for number, time_s, rgb in read_frames(root / clip.path, frames):
        main = next((face for face in detector.detect(rgb) if face.confidence >= SURE), None)  # the largest come first
        if main is None:
            continue
        x0, y0, x1, y1 = _region(main.box, rgb.shape[1], rgb.shape[0])
        path = Path(FOLDER) / f"{clip.name}-{number:05d}.png"
        _store(rgb[y0:y1, x0:x1], work / path)
        shift = np.array([x0, y0])
        corners = (np.reshape(main.box.corners, (2, 2)) - shift).ravel().round(2).tolist()
        landmarks = (main.landmarks - shift).ravel().round(2).tolist()
        box, points = Box(*corners), tuple(landmarks)
        item = data.Item(clip.split, clip.source, clip.label, clip.group, path.as_posix(), box, points)
        faces.append(ClipFace(item, clip.method, clip.name, round(float(time_s), 6)))
    return faces


def find_faces(root: Path, work: Path, clips: list[Clip], *, workers: int | None = None) -> Iterator[list[ClipFace]]:
    """Store the main face of evenly spaced frames as lossless PNGs under ``work``.

    Args:
        root: folder of the material.
        work: working folder.
        clips: clips from ``read_videos``.
        workers: number of processes; by default one for each core.

    Yields:
        The faces of each clip, in order of time. Frames without a confidently detected face are left out.

    Raises:
        DatasetError: a clip is missing or cannot be decoded.
    """
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        yield from pool.map(partial(_faces_of, root, work), clips)


def write_clips(faces: Iterable[ClipFace], path: Path) -> None:
    """Write faces as CSV, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {number: name for name, number in data.LABELS.items()}
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for face in faces:
            item = face.item
            about = (item.split, item.source, names[item.label], face.method, item.group, face.clip, face.time_s)
            writer.writerow([*about, item.path, *item.face_box.corners, *item.landmarks])


def read_clips(path: Path) -> list[ClipFace]:
    """Read the faces that ``write_clips`` wrote.

    Raises:
        DatasetError: the file is missing or incomplete, or holds a split that is not for measuring.
    """
    faces = []
    for row in _rows(path, COLUMNS):
        if row["split"] not in SPLITS:
            raise DatasetError(f"{row['path']} is of the split {row['split']!r}; {', '.join(SPLITS)} were expected.")
        try:
            time_s, *numbers = (float(row[key]) for key in ("time_s", *_NUMBERS))
            box, points = Box(*numbers[:4]), tuple(numbers[4:])
        except (TypeError, ValueError) as problem:
            raise DatasetError(
                f"{path}: the row of {row['path']} is damaged ({problem}); prepare the clips anew."
            ) from None
        item = data.Item(row["split"], row["source"], _label(row), row["group"], row["path"], box, points)
        faces.append(ClipFace(item, row["method"], row["clip"], time_s))
    return faces


def prepare(
    root: Path, work: Path, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> list[ClipFace]:
    """Find and store the faces of all clips, and write ``clips.csv`` in the working folder at the end.

    Args:
        root: folder that holds ``videos.csv`` and the clips.
        work: working folder.
        workers: number of processes; by default one for each core.
        progress: called with the number of clips done and the total number.

    Raises:
        DatasetError: the material is incomplete; ``clips.csv`` is then not written.
    """
    clips = read_videos(root / "videos.csv")
    faces: list[ClipFace] = []
    for done, clip_faces in enumerate(find_faces(root, work, clips, workers=workers), 1):
        faces += clip_faces
        if progress:
            progress(done, len(clips))
    write_clips(faces, work / INDEX)
    return faces
