"""Faces at any angle: they are also looked for in the turned picture, and turned upright before they are cropped.

The networks were trained on upright faces. Angles are in degrees, clockwise as seen in the picture.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import cv2
import numpy as np

from faceloupe.faces.detector import SURE, FaceDetector
from faceloupe.faces.outline import PictureOutline, inverted
from faceloupe.models.contract import FloatArray
from faceloupe.types import Box, DetectedFace

_UNMISTAKABLE = 0.99  # confidence; below it, the detector may have taken an upside-down face for an upright one
_TURNED = 0.995  # least confidence of a face in a turned picture, because more searches yield more false positives
_LEVEL = 12.0  # degrees of tilt that the networks were trained on
_MOST_TILT = 60.0  # degrees, in a picture turned by quarters; detections with a steeper eye line are not faces
_SAME = 0.3  # least intersection over union of two boxes of one face
_AROUND = 1.0  # context kept around a box in each direction, in longer sides of the box: more than any model uses
_CLOSEST = 0.5  # least extent from the middle of a box, in its longer sides; beyond the outline, it is a reflection
_ROUNDED = 1e-6  # pixels
_MOST_PIXELS = 24_000_000  # of a picture whose proportions are restored
_TURNS = (1, 2, 3)  # quarter turns, counterclockwise
# Height of the tip of the nose above the plane of eyes and mouth, in distances between the eyes: 26 mm and 63 mm in the
# generic six-point head that is in common use for pose estimation (outer corners of the eyes 90 mm apart).
_NOSE_DEPTH = 0.41
_SHORTEST_EYE_LINE = 0.2  # of the box; in a profile, the line between the eyes says nothing about the tilt

_Search = Callable[[np.ndarray], list[DetectedFace]]
"""Function that finds the upright faces in an (H, W, 3) uint8 RGB picture."""


class Detector(Protocol):
    """A detector for upright faces, such as ``faces.detector.FaceDetector``."""

    def detect(self, rgb: np.ndarray) -> list[DetectedFace]:
        """Find all faces of an (H, W, 3) uint8 RGB picture."""


@dataclass(frozen=True, slots=True)
class Upright:
    """A picture, or the turned part of one, in which a face is upright.

    Attributes:
        rgb: (h, w, 3) uint8: the picture itself, or the turned part around the face.
        box: box of the face in ``rgb``.
        turned_deg: clockwise turn from the picture to ``rgb``; 0 if it was not turned.
        inverse: (2, 3) affine map from pixels of ``rgb`` to pixels of the picture.
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

    def widened(self, factor: float) -> "Upright":
        """Return the same face after its picture was made wider for its height.

        One axis is enlarged (bicubic). A picture with more than ``_MOST_PIXELS`` is shrunk to this number (by area).

        Args:
            factor: new width as a multiple of the present one, for an unchanged height; below 1, the height is enlarged
                instead.
        """
        height, width = self.rgb.shape[:2]
        pixels = width * height * max(factor, 1.0 / factor)
        shrink = min(1.0, math.sqrt(_MOST_PIXELS / pixels))
        across = max(round(width * max(factor, 1.0) * shrink), 1)
        down = max(round(height / min(factor, 1.0) * shrink), 1)
        x, y = across / width, down / height
        box = Box(self.box.x0 * x, self.box.y0 * y, self.box.x1 * x, self.box.y1 * y)
        inverse = self.inverse @ np.diag([1.0 / x, 1.0 / y, 1.0])
        interpolation = cv2.INTER_CUBIC if shrink == 1.0 else cv2.INTER_AREA
        rgb = cv2.resize(self.rgb, (across, down), interpolation=interpolation)
        return Upright(rgb, box, self.turned_deg, inverse)

    def in_picture(self, box: Box, further: FloatArray | None = None) -> Box:
        """Return the smallest upright box of the picture that encloses a box of ``rgb``.

        Args:
            box: in pixels of ``rgb``.
            further: (2, 3) affine map to apply after the map to the picture; None returns pixels of the picture.
        """
        if further is None:
            return _bounds(box, self.inverse)
        return _bounds(box, further[:, :2] @ self.inverse + np.array([(0.0, 0.0, 1.0)]) * further[:, 2:])


def find(rgb: np.ndarray, detector: Detector) -> list[DetectedFace]:
    """Find faces at any angle.

    One search is enough if it finds certain faces and they are all unmistakable. If it finds no certain face, the
    picture is searched again in the other three quarter turns. If a certain face is not unmistakable, its surroundings
    are searched in these turns, and then the picture in the turns in which the face is unmistakable. Tilted faces are
    turned upright and detected once more, because landmarks are wrong if the face is far from upright.

    Args:
        rgb: (H, W, 3) uint8.
        detector: finds upright faces.

    Returns:
        Faces from the largest to the smallest; boxes and landmarks in pixels of ``rgb``. For a face that was found in a
        turned picture, left and right landmarks are as seen in the turned picture, and the box has the size that it has
        when the face is upright.
    """
    faces = detector.detect(rgb)
    sure = [face for face in faces if face.confidence >= SURE]
    turns = {
        quarters for face in sure if face.confidence < _UNMISTAKABLE for quarters in _turns_around(face, rgb, detector)
    }
    if turns or not sure:
        turned = _turned(rgb, detector.detect, sorted(turns) or _TURNS, least=_TURNED)
        seen = [_redetect_upright(face, rgb, detector.detect) or face for face in faces]
        faces = _distinct(
            seen + [face for turned_face in turned if (face := _redetect_upright(turned_face, rgb, detector.detect))]
        )
    else:
        faces = [_redetect_upright(face, rgb, detector.detect) or face for face in faces]
    return sorted(faces, key=lambda face: -face.box.width * face.box.height)


class AnyAngleVideoDetector:
    """A detector for faces at any angle in successive frames. Only one thread at a time may call it.

    If the first frame of a shot has no unmistakable face, it is also searched in the other quarter turns. The following
    frames of the shot are then searched in the turn that showed the most certain face. ``detector.VideoFaceDetector``
    describes which frames are searched fully.
    """

    def __init__(self, detector: FaceDetector) -> None:
        """Start with no frame."""
        self._detector, self._video_detector, self._quarters = detector, detector.for_video(), 0

    def detect(self, rgb: np.ndarray, *, fresh: bool = False) -> list[DetectedFace]:
        """Find the faces of the next frame.

        Args:
            rgb: (H, W, 3) uint8.
            fresh: whether the frame is the first of a shot.

        Returns:
            The faces of the frame, as ``find`` returns them.
        """
        faces = self._detect_turned(rgb, fresh=fresh)
        if fresh and (quarters := self._surer_turn(rgb, faces)) is not None:
            self._quarters = quarters
            faces = self._detect_turned(rgb, fresh=True)
        return [
            _redetect_upright(face, rgb, partial(self._detector.search_between, known=[face])) or face for face in faces
        ]

    def _detect_turned(self, rgb: np.ndarray, *, fresh: bool) -> list[DetectedFace]:
        inverse = _unturned(self._quarters, rgb.shape[1], rgb.shape[0], (0, 0))
        faces = self._video_detector.detect(_turned_by_quarters(rgb, self._quarters), fresh=fresh)
        return [_map_face(face, inverse) for face in faces]

    def _surer_turn(self, rgb: np.ndarray, faces: Sequence[DetectedFace]) -> int | None:
        """Return the quarter turns that show a face most certainly; None to keep the present turns.

        The present turns are kept if they show an unmistakable face, or if no other turns show one. If they show
        certain faces, other turns count only for a face that overlaps one of these.
        """
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

    It is the tilt of the line from the left to the right eye. In a profile, the line from the middle of the eyes to the
    middle of the mouth is used instead.
    """
    left, right, _, *mouth = face.landmarks
    across = right - left
    if np.hypot(*across) < _SHORTEST_EYE_LINE * face.size_px:
        down = np.mean(mouth, 0) - (left + right) / 2
        across = np.array([down[1], -down[0]])
    return float(np.degrees(np.arctan2(across[1], across[0])))


def yaw(face: DetectedFace) -> float:
    """Estimate how far a face is turned to a side, degrees, -90..90; 0 is a frontal face.

    The angle is positive if the nose of the upright face points to the right of the picture. The tip of the nose stands
    out of the plane of eyes and mouth by ``_NOSE_DEPTH`` times the distance between the eyes. A turn moves the tip
    aside by the sine of the angle and shrinks the distance between the eyes by its cosine. Heads differ, so the
    estimate is accurate to five or ten degrees; see ``tests/faces/test_upright.py``.
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


def upright(rgb: np.ndarray, face: DetectedFace, outline: PictureOutline) -> Upright:
    """Turn a face upright, together with its surroundings inside the outline of the picture.

    If quarter turns leave a tilt of at most 12 degrees, only they are applied, which changes no pixel values. Otherwise
    the face is turned by its tilt (bicubic).

    Args:
        rgb: (H, W, 3) uint8, the picture in which the face was found.
        face: the face, in pixels of ``rgb``.
        outline: outline of the picture in ``rgb``, upright; see ``outline.BorderlessPicture``.
    """
    tilt, longer = roll(face), max(face.box.width, face.box.height)
    if not _is_level(tilt):
        turned = _turned_by(rgb, face.box, tilt, (_AROUND + 0.5) * longer)
        inside = outline.moved(inverted(turned.inverse)).rectangle(
            turned.box, _CLOSEST * longer, most=turned.rgb.shape[0] / 2
        )
        return turned.part(_whole_pixels(inside, turned.rgb.shape))
    inside = outline.rectangle(face.box, _CLOSEST * longer)
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
    """Turn the surroundings of a face upright; beyond its edges, the picture is reflected.

    Args:
        rgb: (H, W, 3) uint8.
        box: box of the face, with the size that it has when the face is upright.
        tilt: clockwise tilt to undo, degrees.
        reach: distance from the middle of the box to the sides of the result, pixels.
    """
    center = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    side = max(2, round(2 * reach))
    # The matrix maps points. OpenCV counts angles counterclockwise.
    forward: FloatArray = cv2.getRotationMatrix2D(center, tilt, 1.0).astype(np.float64)
    forward[:, 2] += np.array([side / 2 - center[0], side / 2 - center[1]])
    # The center of the first pixel is at 0 in OpenCV and at 0.5 in our boxes.
    shifted = forward.copy()
    shifted[:, 2] += forward[:, :2] @ (0.5, 0.5) - 0.5
    turned = cv2.warpAffine(rgb, shifted, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    half = np.array([box.width, box.height])[:: -1 if _quarters(tilt) % 2 else 1] / 2
    stood = Box(*(side / 2 - half), *(side / 2 + half))
    return Upright(turned, stood, signed(-tilt), inverted(forward))


def _whole_pixels(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the largest box of whole pixels inside a box and inside the picture, as x0, y0, x1, y1."""
    x0, y0 = max(0, math.ceil(box.x0 - _ROUNDED)), max(0, math.ceil(box.y0 - _ROUNDED))
    return x0, y0, min(shape[1], math.floor(box.x1 + _ROUNDED)), min(shape[0], math.floor(box.y1 + _ROUNDED))


def _is_level(tilt: float) -> bool:
    """Return whether quarter turns can bring the tilt down to at most ``_LEVEL``."""
    return abs(tilt - 90.0 * round(tilt / 90.0)) <= _LEVEL


def _quarters(tilt: float) -> int:
    """Return the number of counterclockwise quarter turns, 0 to 3, that undo most of a clockwise tilt."""
    return round(tilt / 90.0) % 4


def _turned_by_quarters(rgb: np.ndarray, quarters: int) -> np.ndarray:
    """Return a picture after counterclockwise quarter turns, 0 to 3."""
    return np.ascontiguousarray(np.rot90(rgb, quarters)) if quarters else rgb


def signed(degrees: float) -> float:
    """Return the same angle in the range -180..180, excluding -180."""
    return 180.0 - (180.0 - degrees) % 360.0


def _unturned(quarters: int, width: int, height: int, corner: tuple[int, int]) -> np.ndarray:
    """Return the (2, 3) affine map from pixels of a part after ``np.rot90`` to pixels of the whole picture.

    Args:
        quarters: counterclockwise quarter turns of ``np.rot90``.
        width: width of the part before it was turned, pixels.
        height: height of the part before it was turned, pixels.
        corner: top left corner of the part in the picture.
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
    """Return the faces found in a part of a picture after quarter turns, in pixels of the picture.

    Args:
        rgb: (H, W, 3) uint8, the part.
        search: finds upright faces.
        turns: numbers of quarter turns to try.
        least: least confidence of the faces returned.
        corner: top left corner of the part in the picture.
    """
    height, width = rgb.shape[:2]
    faces: list[DetectedFace] = []
    for quarters in turns:
        inverse = _unturned(quarters, width, height, corner)
        for face in search(_turned_by_quarters(rgb, quarters)):
            if face.confidence >= least and abs(roll(face)) <= _MOST_TILT:
                faces.append(_map_face(face, inverse))
    return faces


def _map_face(face: DetectedFace, matrix: np.ndarray) -> DetectedFace:
    return DetectedFace(_bounds(face.box, matrix), face.confidence, _moved(face.landmarks, matrix))


def _turns_around(face: DetectedFace, rgb: np.ndarray, detector: Detector) -> list[int]:
    """Return the quarter turns in which a face is unmistakable in its surroundings; empty if it is upright as found."""
    x0, y0, x1, y1 = _surroundings(face.box, 0.5, rgb.shape)
    part = rgb[y0:y1, x0:x1]
    return [
        quarters
        for quarters in _TURNS
        for turned_face in _turned(part, detector.detect, [quarters], least=_UNMISTAKABLE, corner=(x0, y0))
        if _overlap(face.box, turned_face.box) > _SAME
    ]


def _redetect_upright(face: DetectedFace, rgb: np.ndarray, search: _Search) -> DetectedFace | None:
    """Turn a tilted face upright and detect it again; return None if it is not certain then.

    A face that is level in some quarter turn is returned unchanged.
    """
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
    """Return one detection per face: the most certain of those that overlap."""
    distinct: list[DetectedFace] = []
    for face in sorted(faces, key=lambda face: -face.confidence):
        if not any(_overlap(face.box, other.box) > _SAME for other in distinct):
            distinct.append(face)
    return distinct


def _surroundings(box: Box, share: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return a box enlarged in each direction by a share of its longer side, in whole pixels inside the picture."""
    reach = share * max(box.width, box.height)
    x0, y0 = max(0, round(box.x0 - reach)), max(0, round(box.y0 - reach))
    return x0, y0, min(shape[1], round(box.x1 + reach)), min(shape[0], round(box.y1 + reach))


def _overlap(first: Box, second: Box) -> float:
    """Return the intersection over union, 0..1."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (first.width * first.height + second.width * second.height - shared)
