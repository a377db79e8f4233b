"""Pictures without traces of block compression: pictures of the material, made smaller."""

import csv
import random
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
_PHOTOGRAPHS = ("C.jpg", "IMG_0003.jpg", "P1000827.jpg", "sample1.heic", "sample1.avif")
_FRAMES = 2  # of a clip, at most; only key frames are used
_SCALE = 0.7
_STILLS, _SEED = 300, 7


@dataclass(frozen=True, slots=True)
class Material:
    """A picture to make examples from.

    Attributes:
        name: name of its file.
        rgb: (H, W, 3) uint8.
        small: whether it is a crop of a face, about 200 pixels wide.
    """

    name: str
    rgb: np.ndarray = field(repr=False)
    small: bool = False

    @property
    def to_set(self) -> bool:
        """Whether thresholds are set on it; rates are measured on the others. All frames of a clip are in one half."""
        return zlib.crc32(self.name.encode()) % 2 == 0


def material(data: Path) -> list[Material]:
    """Return generated portraits, photographs, frames of unmanipulated clips, and crops of faces.

    Args:
        data: folder of the training material.
    """
    large = sorted((data / "samples").glob("*.jpg")) + [data / "formats" / name for name in _PHOTOGRAPHS]
    pictures = [Material(path.name, _smaller(Image.open(path).convert("RGB"))) for path in large]
    with (data / "videos.csv").open(encoding="utf-8") as file:
        clips = [row for row in csv.DictReader(file) if row["label"] != "fake"]
    for clip in clips:
        with av.open(data / clip["path"]) as container:
            container.streams.video[0].codec_context.skip_frame = "NONKEY"
            frames = [frame.to_image() for frame in container.decode(video=0)]
        pictures += [Material(clip["path"], _smaller(frame)) for frame in frames[:: -(-len(frames) // _FRAMES)]]
    with (data / "stills.csv").open(encoding="utf-8") as file:
        train = [row for row in csv.DictReader(file) if row["split"] == "train"]
    return pictures + [
        Material(row["path"], _smaller(Image.open(data / row["path"]).convert("RGB")), small=True)
        for row in random.Random(_SEED).sample(train, _STILLS)
    ]


def _smaller(image: Image.Image) -> np.ndarray:
    size = round(image.width * _SCALE), round(image.height * _SCALE)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
