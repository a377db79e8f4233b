"""Faces at any angle: found in the turned picture too, and turned upright before they are cut out.

The networks know upright faces. Angles are in degrees, clockwise as seen in the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from faceloupe.faces.detector import SURE
from faceloupe.types import Box, DetectedFace

_UNMISTAKABLE = 0.99  # confidence: a face that lies on its head can be taken for an upright one, with less than this
_LEVEL = 12.0  # degrees of tilt that the networks have learned
_MOST_TILT = 60.0  # of a face in a picture turned by quarters; eyes further off the level are not those of a face
_SAME = 0.3  # overlap over union of two boxes of one face
_AROUND = 1.5  # sides of a box that are cut out around it, in each direction: more than any model sees
_SHORTEST_EYE_LINE = 0.2  # of the box; in a profile the line between the eyes says nothing


class Detector(Protocol):
    """See ``faces.detector.FaceDetector``."""

    def detect(self, rgb: np.ndarray) -> list[DetectedFace]:
        """All faces of an (H, W, 3) uint8 RGB picture."""


@dataclass(frozen=True, slots=True)
class Upright:
    """Pixels in which a face stands upright.

    Attributes:
        rgb: (h, w, 3) uint8: the picture itself, or the part around the face, turned.
        box: of the face in them.
        turned_deg: clockwise turn that made them; 0 where they are the picture itself.
        inverse: (2, 3) from their pixels to those of the picture.
    """

    rgb: np.ndarray
    box: Box
    turned_deg: float
    inverse: np.ndarray

    def in_picture(self, box: Box) -> Box:
        """The smallest upright box of the picture around a box of these pixels."""
        if not self.turned_deg:
            return box
        return _bounds(box, self.inverse)


def find(rgb: np.ndarray, detector: Detector) -> list[DetectedFace]:
    """Find faces at any angle.

    A picture with a face that is found for sure is searched once. Else it is searched on its sides and on its head as
    well; there, only sure faces count.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        Faces from the largest to the smallest; boxes and landmarks in pixels of ``rgb``. The landmarks of a face that
        was found in a turned picture are left and right as seen in that.
    """
    found = detector.detect(rgb)
    if any(face.confidence >= SURE for face in found):
        found = [face if _sure_of_angle(face) else _reconsidered(face, rgb, detector) for face in found]
    else:
        turned = _turned_searches(rgb, detector)
        found = turned + [face for face in found if not any(_overlap(face.box, one.box) > _SAME for one in turned)]
    return sorted(found, key=lambda face: -face.box.width * face.box.height)


def roll(face: DetectedFace) -> float:
    """Clockwise tilt of a face, -180..180: of the line from its left to its right eye. In a profile, the line from the
    middle of the eyes to that of the mouth decides."""
    left, right, _, *mouth = face.landmarks
    across = right - left
    if np.hypot(*across) < _SHORTEST_EYE_LINE * face.size_px:
        down = np.mean(mouth, 0) - (left + right) / 2
        across = np.array([down[1], -down[0]])
    return float(np.degrees(np.arctan2(across[1], across[0])))


def upright(rgb: np.ndarray, face: DetectedFace) -> Upright:
    """Turn a face upright: by quarters, which changes no pixel, and where it is then tilted by more than 12 degrees, by
    its eye line (bicubic; what lies beyond the picture is its reflection).

    Args:
        rgb: (H, W, 3) uint8, the picture in which the face was found.
    """
    tilt = roll(face)
    quarters = round(tilt / 90.0) % 4
    rest = (tilt - 90.0 * quarters + 180.0) % 360.0 - 180.0
    height, width = rgb.shape[:2]
    if not quarters and abs(rest) <= _LEVEL:
        return Upright(rgb, face.box, 0.0, np.eye(2, 3))
    reach = _AROUND * max(face.box.width, face.box.height)
    center = (face.box.x0 + face.box.x1) / 2, (face.box.y0 + face.box.y1) / 2
    if abs(rest) <= _LEVEL:
        x0, x1 = max(0, round(face.box.x0 - reach)), min(width, round(face.box.x1 + reach))
        y0, y1 = max(0, round(face.box.y0 - reach)), min(height, round(face.box.y1 + reach))
        turned = np.ascontiguousarray(np.rot90(rgb[y0:y1, x0:x1], quarters))
        inverse = _unturned(quarters, x1 - x0, y1 - y0, (x0, y0))
        return Upright(
            turned, _bounds(face.box, cv2.invertAffineTransform(inverse)), _signed(-90.0 * quarters), inverse
        )
    side = max(2, round(2 * reach))
    forward = cv2.getRotationMatrix2D(center, tilt, 1.0)  # of points; OpenCV counts from the x axis upward
    forward[:, 2] += (side / 2 - center[0], side / 2 - center[1])
    # A picture's first pixel has its middle at 0 for OpenCV, and at 0.5 for a box.
    shifted = forward.copy()
    shifted[:, 2] += forward[:, :2] @ (0.5, 0.5) - 0.5
    turned = cv2.warpAffine(rgb, shifted, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    half = np.array([face.box.width, face.box.height])[:: -1 if quarters % 2 else 1] / 2
    box = Box(*(side / 2 - half), *(side / 2 + half))
    return Upright(turned, box, _signed(-tilt), cv2.invertAffineTransform(forward))


def _signed(degrees: float) -> float:
    """The same angle in -180..180, excluding -180."""
    return -((-degrees + 180.0) % 360.0 - 180.0)


def _unturned(quarters: int, width: int, height: int, corner: tuple[int, int]) -> np.ndarray:
    """(2, 3) from points of a part of a picture that ``np.rot90`` turned by quarters to points of the picture.

    Args:
        width: of the part before it was turned, pixels.
        height: likewise.
        corner: of the part in the picture.
    """
    x, y = corner
    return np.array(
        (
            ((1, 0, x), (0, 1, y)),
            ((0, -1, x + width), (1, 0, y)),
            ((-1, 0, x + width), (0, -1, y + height)),
            ((0, 1, x), (-1, 0, y + height)),
        )[quarters],
        float,
    )


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _bounds(box: Box, matrix: np.ndarray) -> Box:
    corners = np.array([(x, y) for x in (box.x0, box.x1) for y in (box.y0, box.y1)])
    moved = _moved(corners, matrix)
    return Box(*(float(value) for value in (*moved.min(0), *moved.max(0))))


def _turned_searches(
    rgb: np.ndarray, detector: Detector, corner: tuple[int, int] = (0, 0), least: float = SURE
) -> list[DetectedFace]:
    """Sure faces of a part of a picture that is turned by 90, 180 and 270 degrees; of several for one face, the surest.

    Args:
        corner: of the part in the picture.
        least: confidence that counts.
    """
    height, width = rgb.shape[:2]
    found: list[DetectedFace] = []
    for quarters in (1, 2, 3):
        inverse = _unturned(quarters, width, height, corner)
        for face in detector.detect(np.ascontiguousarray(np.rot90(rgb, quarters))):
            if face.confidence >= least and abs(roll(face)) <= _MOST_TILT:
                box, landmarks = _bounds(face.box, inverse), _moved(face.landmarks, inverse)
                found.append(DetectedFace(box, face.confidence, landmarks))
    return _distinct(found)


def _distinct(faces: Sequence[DetectedFace]) -> list[DetectedFace]:
    kept: list[DetectedFace] = []
    for face in sorted(faces, key=lambda face: -face.confidence):
        if not any(_overlap(face.box, one.box) > _SAME for one in kept):
            kept.append(face)
    return kept


def _sure_of_angle(face: DetectedFace) -> bool:
    return not SURE <= face.confidence < _UNMISTAKABLE


def _reconsidered(face: DetectedFace, rgb: np.ndarray, detector: Detector) -> DetectedFace:
    """The face as it is found in its surroundings when these are turned, where that is unmistakable; else itself."""
    reach, (height, width) = max(face.box.width, face.box.height) / 2, rgb.shape[:2]
    x0, x1 = max(0, round(face.box.x0 - reach)), min(width, round(face.box.x1 + reach))
    y0, y1 = max(0, round(face.box.y0 - reach)), min(height, round(face.box.y1 + reach))
    turned = _turned_searches(rgb[y0:y1, x0:x1], detector, (x0, y0), _UNMISTAKABLE)
    return next((one for one in turned if _overlap(face.box, one.box) > _SAME), face)


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0..1."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one.width * one.height + other.width * other.height - shared)
