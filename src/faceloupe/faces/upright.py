"""Faces at any angle: found in the turned picture too, and turned upright before they are cut out.

The networks know upright faces. Angles are in degrees, clockwise as seen in the picture.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import cv2
import numpy as np

from faceloupe.faces.detector import SURE, FaceDetector
from faceloupe.faces.frame import Frame, inverted
from faceloupe.models.contract import FloatArray
from faceloupe.types import Box, DetectedFace

_UNMISTAKABLE = 0.99  # confidence: a face that lies on its head can be taken for an upright one, with less than this
_TURNED = 0.995  # confidence asked of a face in a turned picture: more searches find more that is not a face
_LEVEL = 12.0  # degrees of tilt that the networks have learned
_MOST_TILT = 60.0  # of a face in a picture turned by quarters; eyes further off the level are not those of a face
_SAME = 0.3  # overlap over union of two boxes of one face
_AROUND = 1.0  # longer sides of a box that are kept around it, in each direction: more than any model sees
_CLOSEST = 0.5  # longer sides from the middle of a box that are kept; what of them lies beyond the frame is reflection
_ROUNDED = 1e-6  # pixels
_TURNS = (1, 2, 3)  # quarters, counterclockwise
# Distances of the eyes by which the tip of the nose stands before the plane of eyes and mouth: 26 mm and 63 mm, of the
# generic head of six points that is in common use for estimates of pose (outer corners of the eyes 90 mm apart).
_NOSE_DEPTH = 0.41
_SHORTEST_EYE_LINE = 0.2  # of the box; in a profile the line between the eyes says nothing

_Search = Callable[[np.ndarray], list[DetectedFace]]
"""Finds the upright faces of an (H, W, 3) uint8 RGB picture."""


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

    def part(self, corners: tuple[int, int, int, int]) -> "Upright":
        """Return the part between whole-numbered corners, x0, y0, x1, y1."""
        x0, y0, x1, y1 = corners
        box = Box(self.box.x0 - x0, self.box.y0 - y0, self.box.x1 - x0, self.box.y1 - y0)
        inverse = self.inverse.copy()
        inverse[:, 2] += self.inverse[:, :2] @ (x0, y0)
        return Upright(np.ascontiguousarray(self.rgb[y0:y1, x0:x1]), box, self.turned_deg, inverse)

    def in_picture(self, box: Box, further: FloatArray | None = None) -> Box:
        """Return the smallest upright box of the picture around a box of these pixels.

        Args:
            box: in these pixels.
            further: (2, 3) from pixels of the picture to those that are asked for; None for the picture's.
        """
        if further is None:
            return _bounds(box, self.inverse)
        return _bounds(box, further[:, :2] @ self.inverse + np.array([(0.0, 0.0, 1.0)]) * further[:, 2:])


def find(rgb: np.ndarray, detector: Detector) -> list[DetectedFace]:
    """Find faces at any angle.

    A picture is searched once where a face is found for sure, and all of these are unmistakable. Where none is, it is
    searched on its sides and on its head as well; where one is not, its surroundings are. What is found in a turned
    picture is turned upright and looked at once more: the landmarks of a face that is seen too far from upright are
    wrong.

    Args:
        rgb: (H, W, 3) uint8.
        detector: finds upright faces.

    Returns:
        Faces from the largest to the smallest; boxes and landmarks in pixels of ``rgb``. The landmarks of a face that
        was found in a turned picture are left and right as seen in that, and its box is as large as it is upright.
    """
    faces = detector.detect(rgb)
    sure = [face for face in faces if face.confidence >= SURE]
    turns = {
        quarters for face in sure if face.confidence < _UNMISTAKABLE for quarters in _turns_around(face, rgb, detector)
    }
    if turns or not sure:
        turned = _turned(rgb, detector.detect, sorted(turns) or _TURNS, least=_TURNED)
        seen = [_straightened(face, rgb, detector.detect) or face for face in faces]
        faces = _distinct(
            seen + [face for turned_face in turned if (face := _straightened(turned_face, rgb, detector.detect))]
        )
    else:
        faces = [_straightened(face, rgb, detector.detect) or face for face in faces]
    return sorted(faces, key=lambda face: -face.box.width * face.box.height)


class Follower:
    """Finds faces at any angle in frames that come one by one. One thread at a time may call it.

    Where the first frame of a shot has no unmistakable face, it is searched on its sides and on its head as well, and
    those that follow are searched as its surest face was found. See ``detector.Follower`` for what is searched when.
    """

    def __init__(self, detector: FaceDetector) -> None:
        """Start with no frame."""
        self._detector, self._follower, self._quarters = detector, detector.follower(), 0

    def detect(self, rgb: np.ndarray, *, fresh: bool = False) -> list[DetectedFace]:
        """Find the faces of the next frame.

        Args:
            rgb: (H, W, 3) uint8.
            fresh: whether it is the first of a shot.

        Returns:
            Faces as ``find`` returns them.
        """
        faces = self._seen(rgb, fresh=fresh)
        if fresh and (quarters := self._surer_turn(rgb, faces)) is not None:
            self._quarters = quarters
            faces = self._seen(rgb, fresh=True)
        return [
            _straightened(face, rgb, partial(self._detector.search_between, known=[face])) or face for face in faces
        ]

    def _seen(self, rgb: np.ndarray, *, fresh: bool) -> list[DetectedFace]:
        inverse = _unturned(self._quarters, rgb.shape[1], rgb.shape[0], (0, 0))
        faces = self._follower.detect(_turned_by_quarters(rgb, self._quarters), fresh=fresh)
        return [_placed(face, inverse) for face in faces]

    def _surer_turn(self, rgb: np.ndarray, faces: Sequence[DetectedFace]) -> int | None:
        """Return the quarter turns that show a face beyond doubt where the present ones show none, or it with doubt."""
        sure = [face for face in faces if face.confidence >= SURE]
        if any(face.confidence >= _UNMISTAKABLE for face in sure):
            return None
        best, surest = None, _TURNED
        for quarters in {0, *_TURNS} - {self._quarters}:
            for face in _turned(rgb, self._detector.search_fully, [quarters], least=surest):
                if not sure or any(_overlap(face.box, other.box) > _SAME for other in sure):
                    best, surest = quarters, face.confidence
        return best


def roll(face: DetectedFace) -> float:
    """Return the clockwise tilt of a face, degrees, -180..180.

    It is that of the line from the left to the right eye. In a profile, the line from the middle of the eyes to the
    middle of the mouth decides.
    """
    left, right, _, *mouth = face.landmarks
    across = right - left
    if np.hypot(*across) < _SHORTEST_EYE_LINE * face.size_px:
        down = np.mean(mouth, 0) - (left + right) / 2
        across = np.array([down[1], -down[0]])
    return float(np.degrees(np.arctan2(across[1], across[0])))


def yaw(face: DetectedFace) -> float:
    """Estimate how far a face is turned to a side, degrees, -90..90; 0 looks straight ahead.

    Positive where the nose points to the right of the picture, the face being upright. The tip of the nose stands out
    of the plane of eyes and mouth by ``_NOSE_DEPTH`` distances of the eyes; a turn by an angle moves it aside by the
    sine of that, while the distance of the eyes shrinks by its cosine. Heads differ, so that this is an estimate of
    five or ten degrees; see ``tests/faces/test_upright.py``.
    """
    left, right, nose, *mouth = face.landmarks
    across = right - left
    down = np.mean(mouth, 0) - (left + right) / 2
    length = float(np.hypot(*down))
    if length == 0.0:
        return 0.0
    down = down / length
    sideways = np.array([down[1], -down[0]])  # to the right of the picture, of an upright face
    from_middle = nose - (left + right) / 2
    return float(np.degrees(np.arctan2(from_middle @ sideways, _NOSE_DEPTH * abs(across @ sideways))))


def upright(rgb: np.ndarray, face: DetectedFace, frame: Frame) -> Upright:
    """Turn a face upright, with what lies around it inside the frame of its picture.

    It is turned by quarters, which changes no pixel, and where it is then tilted by more than 12 degrees, by its eye
    line (bicubic).

    Args:
        rgb: (H, W, 3) uint8, the picture in which the face was found.
        face: with its landmarks, pixels of ``rgb``.
        frame: of ``rgb``, upright; see ``frame.PictureItself``.
    """
    tilt, longer = roll(face), max(face.box.width, face.box.height)
    if not _is_level(tilt):
        turned = _turned_by(rgb, face.box, tilt, (_AROUND + 0.5) * longer)
        inside = frame.moved(inverted(turned.inverse)).rectangle(
            turned.box, _CLOSEST * longer, most=turned.rgb.shape[0] / 2
        )
        return turned.part(_whole_pixels(inside, turned.rgb.shape))
    inside = frame.rectangle(face.box, _CLOSEST * longer)
    x0, y0, x1, y1 = _whole_pixels(inside, rgb.shape)
    quarters = _quarters(tilt)
    if quarters:
        near = _surroundings(face.box, _AROUND, rgb.shape)
        x0, y0, x1, y1 = max(x0, near[0]), max(y0, near[1]), min(x1, near[2]), min(y1, near[3])
    elif (x0, y0, x1, y1) == (0, 0, rgb.shape[1], rgb.shape[0]):
        return Upright(rgb, face.box, 0.0, np.eye(2, 3))
    turned_part = np.ascontiguousarray(np.rot90(rgb[y0:y1, x0:x1], quarters))
    inverse = _unturned(quarters, x1 - x0, y1 - y0, (x0, y0))
    return Upright(turned_part, _bounds(face.box, inverted(inverse)), signed(-90.0 * quarters), inverse)


def _turned_by(rgb: np.ndarray, box: Box, tilt: float, reach: float) -> Upright:
    """Turn the surroundings of a face; what lies beyond the picture is its reflection.

    Args:
        rgb: (H, W, 3) uint8.
        box: of the face, as large as it is upright.
        tilt: clockwise, degrees; it is undone.
        reach: from the middle of the box to the sides of the result, pixels.
    """
    center = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    side = max(2, round(2 * reach))
    # Of points; OpenCV counts from the x axis upward.
    forward: FloatArray = cv2.getRotationMatrix2D(center, tilt, 1.0).astype(np.float64)
    forward[:, 2] += np.array([side / 2 - center[0], side / 2 - center[1]])
    # A picture's first pixel has its middle at 0 for OpenCV, and at 0.5 for a box.
    shifted = forward.copy()
    shifted[:, 2] += forward[:, :2] @ (0.5, 0.5) - 0.5
    turned = cv2.warpAffine(rgb, shifted, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    half = np.array([box.width, box.height])[:: -1 if _quarters(tilt) % 2 else 1] / 2
    stood = Box(*(side / 2 - half), *(side / 2 + half))
    return Upright(turned, stood, signed(-tilt), inverted(forward))


def _whole_pixels(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the whole pixels inside a box, inside the picture."""
    x0, y0 = max(0, math.ceil(box.x0 - _ROUNDED)), max(0, math.ceil(box.y0 - _ROUNDED))
    return x0, y0, min(shape[1], math.floor(box.x1 + _ROUNDED)), min(shape[0], math.floor(box.y1 + _ROUNDED))


def _is_level(tilt: float) -> bool:
    """Whether turns by quarters leave no more than a slight tilt."""
    return abs(tilt - 90.0 * round(tilt / 90.0)) <= _LEVEL


def _quarters(tilt: float) -> int:
    """Quarter turns, counted counterclockwise, that undo most of a clockwise tilt: 0 to 3."""
    return round(tilt / 90.0) % 4


def _turned_by_quarters(rgb: np.ndarray, quarters: int) -> np.ndarray:
    """Return a picture after counterclockwise quarter turns, 0 to 3."""
    return np.ascontiguousarray(np.rot90(rgb, quarters)) if quarters else rgb


def signed(degrees: float) -> float:
    """Return the same angle in -180..180, excluding -180."""
    return 180.0 - (180.0 - degrees) % 360.0


def _unturned(quarters: int, width: int, height: int, corner: tuple[int, int]) -> np.ndarray:
    """(2, 3) from points of a part of a picture that ``np.rot90`` turned by quarters to points of the picture.

    Args:
        quarters: counterclockwise quarter turns of ``np.rot90``.
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
    moved: np.ndarray = points @ matrix[:, :2].T + matrix[:, 2]
    return moved


def _bounds(box: Box, matrix: np.ndarray) -> Box:
    corners = np.array([(x, y) for x in (box.x0, box.x1) for y in (box.y0, box.y1)])
    moved = _moved(corners, matrix)
    return Box(*(float(value) for value in (*moved.min(0), *moved.max(0))))


def _turned(
    rgb: np.ndarray, search: _Search, turns: Sequence[int], *, least: float, corner: tuple[int, int] = (0, 0)
) -> list[DetectedFace]:
    """Faces of a part of a picture that is turned by quarters.

    Args:
        rgb: (H, W, 3) uint8, the part.
        search: finds upright faces.
        turns: numbers of quarter turns to try.
        least: confidence that counts.
        corner: of the part in the picture.
    """
    height, width = rgb.shape[:2]
    faces: list[DetectedFace] = []
    for quarters in turns:
        inverse = _unturned(quarters, width, height, corner)
        for face in search(_turned_by_quarters(rgb, quarters)):
            if face.confidence >= least and abs(roll(face)) <= _MOST_TILT:
                faces.append(_placed(face, inverse))
    return faces


def _placed(face: DetectedFace, matrix: np.ndarray) -> DetectedFace:
    return DetectedFace(_bounds(face.box, matrix), face.confidence, _moved(face.landmarks, matrix))


def _turns_around(face: DetectedFace, rgb: np.ndarray, detector: Detector) -> list[int]:
    """Quarter turns by which a face is unmistakable in its surroundings; none where it stands as it was found."""
    x0, y0, x1, y1 = _surroundings(face.box, 0.5, rgb.shape)
    part = rgb[y0:y1, x0:x1]
    return [
        quarters
        for quarters in _TURNS
        for turned_face in _turned(part, detector.detect, [quarters], least=_UNMISTAKABLE, corner=(x0, y0))
        if _overlap(face.box, turned_face.box) > _SAME
    ]


def _straightened(face: DetectedFace, rgb: np.ndarray, search: _Search) -> DetectedFace | None:
    """Return the face as found again when turned upright by its eye line; None where that finding is not certain."""
    tilt = roll(face)
    if _is_level(tilt):
        return face
    stood = _turned_by(rgb, face.box, tilt, 1.1 * max(face.box.width, face.box.height))
    seen = [candidate for candidate in search(stood.rgb) if _overlap(candidate.box, stood.box) > _SAME]
    if not seen or (best := max(seen, key=lambda candidate: candidate.confidence)).confidence < SURE:
        return None
    landmarks = _moved(best.landmarks, stood.inverse)
    tilted = DetectedFace(face.box, best.confidence, landmarks)
    middle = np.array([(best.box.x0 + best.box.x1) / 2, (best.box.y0 + best.box.y1) / 2])
    x, y = _moved(middle[None], stood.inverse)[0].tolist()
    across, down = (best.box.width / 2, best.box.height / 2)[:: -1 if _quarters(roll(tilted)) % 2 else 1]
    height, width = rgb.shape[:2]
    if not (x + across > 0 and y + down > 0 and x - across < width and y - down < height):
        return None
    return replace(tilted, box=Box(x - across, y - down, x + across, y + down).clipped(width, height))


def _distinct(faces: Sequence[DetectedFace]) -> list[DetectedFace]:
    """Return the surest of several findings of one face."""
    distinct: list[DetectedFace] = []
    for face in sorted(faces, key=lambda face: -face.confidence):
        if not any(_overlap(face.box, other.box) > _SAME for other in distinct):
            distinct.append(face)
    return distinct


def _surroundings(box: Box, share: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return a box with so many of its longer sides around it, in whole pixels inside the picture."""
    reach = share * max(box.width, box.height)
    x0, y0 = max(0, round(box.x0 - reach)), max(0, round(box.y0 - reach))
    return x0, y0, min(shape[1], round(box.x1 + reach)), min(shape[0], round(box.y1 + reach))


def _overlap(first: Box, second: Box) -> float:
    """Intersection over union, 0..1."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (first.width * first.height + second.width * second.height - shared)
