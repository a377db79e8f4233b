"""Comparison of two pictures at the same size and through the same window."""

import io
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

from faceloupe.report.drawing.overlays import color_map

DIFFERENCE_MAX = 64  # end of the fixed scale of differences, levels of 255
_SHOWN_SIDE = 900  # longer side of an enlarged part, pixels
_BLINK_MS = 700  # display time of each picture


@dataclass(frozen=True, slots=True)
class Window:
    """The visible part of a picture.

    Attributes:
        zoom: sides of the picture divided by the sides of the part, at least 1.
        x: horizontal position of the part, from 0 at the left edge to 1 at the right edge.
        y: vertical position of the part, from 0 at the top to 1 at the bottom.
    """

    zoom: float = 1.0
    x: float = 0.5
    y: float = 0.5

    def cut(self, values: np.ndarray) -> np.ndarray:
        """Return the visible part of a picture (H, W) or (H, W, 3), unchanged."""
        height, width = values.shape[:2]
        tall, wide = max(1, round(height / self.zoom)), max(1, round(width / self.zoom))
        top, left = round((height - tall) * self.y), round((width - wide) * self.x)
        return values[top : top + tall, left : left + wide]

    def enlarged(self, values: np.ndarray) -> np.ndarray:
        """Return the visible part, enlarged without smoothing so that its pixels are visible."""
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
        resized: whether the second picture was resized to the size of the first.
    """

    first: np.ndarray = field(repr=False)
    second: np.ndarray = field(repr=False)
    resized: bool

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> "Pair":
        """Resize the second picture to the size of the first, which may change its proportions."""
        size = first.shape[1], first.shape[0]
        resized = first.shape != second.shape
        shrunk = second.shape[0] * second.shape[1] > size[0] * size[1]
        way = cv2.INTER_AREA if shrunk else cv2.INTER_CUBIC
        return cls(first, np.asarray(cv2.resize(second, size, interpolation=way)) if resized else second, resized)

    def through(self, window: Window) -> "Pair":
        """Return the same part of both pictures, enlarged without smoothing so that the pixels are visible."""
        return Pair(window.enlarged(self.first), window.enlarged(self.second), self.resized)

    def difference(self) -> np.ndarray:
        """Return the largest difference of the three channels in each pixel: (H, W) uint8, levels of 255."""
        return np.asarray(cv2.absdiff(self.first, self.second).max(axis=2))


def difference_picture(difference: np.ndarray) -> np.ndarray:
    """Color a difference on the fixed scale from 0 to ``DIFFERENCE_MAX``, so that a weak difference looks weak.

    Args:
        difference: (H, W) uint8.

    Returns:
        (H, W, 3) uint8.
    """
    return color_map(difference.astype(np.float32) / DIFFERENCE_MAX, cv2.COLORMAP_INFERNO)  # 0 is black


def blinking(pair: Pair) -> bytes:
    """Return both pictures in alternation as an endless, lossless animated PNG."""
    stream = io.BytesIO()
    first, second = Image.fromarray(pair.first), Image.fromarray(pair.second)
    first.save(stream, "PNG", save_all=True, append_images=[second], duration=_BLINK_MS, loop=0)
    return stream.getvalue()
