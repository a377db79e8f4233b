"""Two pictures, brought to one size, looked at through one window."""

import io
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

from faceloupe.report.drawing.overlays import color_map

DIFFERENCE_MAX = 64  # levels of 255: the end of the fixed scale of differences
_SHOWN_SIDE = 900  # pixels of the longer side that a part is enlarged to
_BLINK_MS = 700  # that each picture is shown for


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a picture that is looked at.

    Attributes:
        zoom: sides of the picture divided by those of the part, at least 1.
        x: where its center lies between the leftmost and the rightmost place, 0..1.
        y: likewise between the uppermost and the lowest.
    """

    zoom: float = 1.0
    x: float = 0.5
    y: float = 0.5

    def cut(self, values: np.ndarray) -> np.ndarray:
        """Return the part of a picture (H, W) or (H, W, 3) as it is."""
        height, width = values.shape[:2]
        tall, wide = max(1, round(height / self.zoom)), max(1, round(width / self.zoom))
        top, left = round((height - tall) * self.y), round((width - wide) * self.x)
        return values[top : top + tall, left : left + wide]

    def enlarged(self, values: np.ndarray) -> np.ndarray:
        """Return the part enlarged without smoothing, so that its pixels are seen."""
        part = self.cut(values)
        tall, wide = part.shape[:2]
        scale = _SHOWN_SIDE / max(tall, wide)
        if scale <= 1.0:
            return part
        size = max(1, round(wide * scale)), max(1, round(tall * scale))
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_NEAREST))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures of one size, (H, W, 3) uint8 each.

    Attributes:
        resized: whether the second one was brought to the size of the first.
    """

    first: np.ndarray = field(repr=False)
    second: np.ndarray = field(repr=False)
    resized: bool

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> "Pair":
        """Bring the second picture to the size of the first, which may change its proportions."""
        size = first.shape[1], first.shape[0]
        resized = first.shape != second.shape
        shrunk = second.shape[0] * second.shape[1] > size[0] * size[1]
        way = cv2.INTER_AREA if shrunk else cv2.INTER_CUBIC
        return cls(first, np.asarray(cv2.resize(second, size, interpolation=way)) if resized else second, resized)

    def through(self, window: Window) -> "Pair":
        """Return the same part of both, enlarged without smoothing, so that their pixels are seen."""
        return Pair(window.enlarged(self.first), window.enlarged(self.second), self.resized)

    def difference(self) -> np.ndarray:
        """Return the greatest difference of the three channels in each pixel: (H, W) uint8, levels of 255."""
        return np.asarray(cv2.absdiff(self.first, self.second).max(axis=2))


def difference_picture(difference: np.ndarray) -> np.ndarray:
    """Color a difference on the fixed scale from 0 to ``DIFFERENCE_MAX``, so that a weak one looks weak.

    Args:
        difference: (H, W) uint8.

    Returns:
        (H, W, 3) uint8.
    """
    return color_map(difference.astype(np.float32) / DIFFERENCE_MAX)


def blinking(pair: Pair) -> bytes:
    """Return both pictures in turn, without end, as an animated PNG, which loses nothing."""
    stream = io.BytesIO()
    first, second = Image.fromarray(pair.first), Image.fromarray(pair.second)
    first.save(stream, "PNG", save_all=True, append_images=[second], duration=_BLINK_MS, loop=0)
    return stream.getvalue()
