"""Degradations that a picture may suffer on its way to the examiner; models are measured under each of them."""

from collections.abc import Callable
from types import MappingProxyType

import cv2
import numpy as np

from faceloupe.training.scoring import Degrade
from faceloupe.types import Box


def _keeping(change: Callable[[np.ndarray], np.ndarray]) -> Degrade:
    return lambda rgb, box: (change(rgb), box)


def _jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(rgb: np.ndarray) -> np.ndarray:
        _, coded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB))

    return change


def _resized(rgb: np.ndarray, box: Box, factor: float, way: int) -> tuple[np.ndarray, Box]:
    height, width = rgb.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    x, y = size[0] / width, size[1] / height
    return cv2.resize(rgb, size, interpolation=way), Box(box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y)


def _smaller(factor: float) -> Degrade:
    return lambda rgb, box: _resized(rgb, box, factor, cv2.INTER_AREA)


def _noise(rgb: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0.0, 6.0, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def _screenshot(rgb: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
    """Simulate a screenshot that is sent through a messenger: two resizes and two compressions."""
    shown, box = _resized(_jpeg(80)(rgb), box, 1.3, cv2.INTER_LINEAR)
    sent, box = _resized(shown, box, 0.6, cv2.INTER_AREA)
    return _jpeg(70)(sent), box


CONDITIONS: MappingProxyType[str, Degrade | None] = MappingProxyType(
    {
        "as stored": None,
        "JPEG 90": _keeping(_jpeg(90)),
        "JPEG 70": _keeping(_jpeg(70)),
        "JPEG 50": _keeping(_jpeg(50)),
        "JPEG 30": _keeping(_jpeg(30)),
        "half size": _smaller(0.5),
        "quarter size": _smaller(0.25),
        "blur, sigma 1.5 px": _keeping(lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 1.5)),
        "noise, sigma 6 levels": _keeping(_noise),
        "screenshot, sent on": _screenshot,
    }
)
