"""Thumbnail against picture: whether the preview in EXIF shows the picture that is there."""

import cv2
import numpy as np

from faceloupe.forensics.rates import rates_of
from faceloupe.forensics.results import Fact, Finding, LensResult, Severity
from faceloupe.forensics.source import LensSource

DIFFERS = "thumbnail.differs"
LEAST_CORRELATION = 0.8
"""Of the gray levels of the same picture, small; set by hand before its rates were measured."""
_SIDE = 32  # pixels that both are compared at


def look(source: LensSource) -> LensResult:
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
    """Correlation of the gray levels of a thumbnail and a picture, -1..1, the best of all quarter turns.

    A thumbnail is stored as the sensor saw it, and one with bars is compared without them, too.

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
    """Return the middle of a picture, of that width divided by height: bars fill the rest of many thumbnails."""
    height, width = gray.shape
    rows, columns = min(height, max(1, round(width / aspect))), min(width, max(1, round(height * aspect)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return gray[top : top + rows, left : left + columns]


def _shrunk(gray: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(gray), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)


def _correlation(first: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of two pictures of a size; 1 where both are flat, 0 where one is."""
    spreads = first.std(), other.std()
    if min(spreads) < 1.0:  # gray levels
        return 1.0 if max(spreads) < 1.0 else 0.0
    return float(((first - first.mean()) * (other - other.mean())).mean() / (spreads[0] * spreads[1]))
