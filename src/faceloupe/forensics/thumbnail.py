"""Thumbnail: whether the thumbnail in EXIF shows the picture of the file."""

import cv2
import numpy as np

from faceloupe.forensics.rates import rates_of
from faceloupe.forensics.results import Fact, Finding, LensResult, Severity
from faceloupe.forensics.source import LensSource

DIFFERS = "thumbnail.differs"
LEAST_CORRELATION = 0.8
"""Minimum correlation of a thumbnail with its picture; set by hand before the rates of the rule were measured."""
_SIDE = 32  # side at which both are compared, pixels


def examine(source: LensSource) -> LensResult:
    """Compare the thumbnail in EXIF with the picture.

    Raises:
        EvidenceError: the picture or its thumbnail cannot be decoded.
    """
    thumbnail = source.thumbnail
    if thumbnail is None:
        return LensResult((Fact("EXIF thumbnail", "none"),))
    height, width = thumbnail.rgb.shape[:2]
    similarity = correlation(thumbnail.rgb, source.picture.rgb)
    facts = (
        Fact("EXIF thumbnail", f"{width} x {height} pixels"),
        Fact("Correlation with the picture", f"{similarity:.2f}"),
    )
    if similarity >= LEAST_CORRELATION:
        return LensResult(facts)
    text = (
        f"The EXIF thumbnail shows another picture (correlation {similarity:.2f}; less than {LEAST_CORRELATION:g}): "
        "the picture was changed by a program that left the thumbnail, or the thumbnail comes from another file."
    )
    return LensResult(facts, (Finding(DIFFERS, Severity.WARNING, text, rates_of(DIFFERS)),))


def correlation(thumbnail: np.ndarray, picture: np.ndarray) -> float:
    """Return the correlation of the gray levels of a thumbnail and a picture, -1..1, the best of all quarter turns.

    A thumbnail is stored in the orientation of the sensor. Because it can have bars, its middle is compared as well.

    Args:
        thumbnail: (h, w, 3) uint8 RGB.
        picture: (H, W, 3) uint8 RGB.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)
    best = -1.0
    for quarters in range(4):
        turned = np.rot90(gray, quarters)
        for view in (small, _without_bars(small, turned.shape[1] / turned.shape[0])):
            best = max(best, _correlation(_shrunk(view), _shrunk(turned)))
    return best


def _without_bars(gray: np.ndarray, aspect: float) -> np.ndarray:
    """Return the middle of a picture with the aspect ratio width / height; bars fill the rest of many thumbnails."""
    height, width = gray.shape
    rows, columns = min(height, max(1, round(width / aspect))), min(width, max(1, round(height * aspect)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return gray[top : top + rows, left : left + columns]


def _shrunk(gray: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(gray), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)


def _correlation(first: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation of two pictures of the same size; 1 if both are flat, 0 if one is."""
    spreads = first.std(), other.std()
    if min(spreads) < 1.0:  # gray levels
        return 1.0 if max(spreads) < 1.0 else 0.0
    return float(((first - first.mean()) * (other - other.mean())).mean() / (spreads[0] * spreads[1]))
