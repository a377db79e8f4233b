"""Where the picture lies on a ground of one color: a border, bars, or corners filled in when the picture was turned.

Such a ground shows nothing, but it changes how much there seems to be around a face, and it is what a network has not
learned. What is cut out around a face is therefore kept inside the picture itself.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from faceloupe.models.contract import FloatArray
from faceloupe.types import Box, DetectedFace

_LONGEST = 800  # pixels; larger pictures are shrunk before the ground is sought
# Levels by which the ground may differ from the corner that it starts at, tried in turn: noise of a JPEG.
_SAME_COLOR = (0, 3, 8, 20, 36)
_MOST_CORNERS = 10  # a rectangle that was turned and cut off by the edges of the file has 8
_FILLED = 0.75  # share of each side behind which the picture begins at once
_INSIDE = 3.0  # pixels behind a side, where that is looked at
_FEWEST_SIDES, _LONG = 3, 0.2  # with ground behind them, where the picture was turned; of the longest of them
_LEVEL = 0.5  # degrees
_BENT = 0.006  # of the diagonal, by which a side may depart from a straight line
_WHOLE, _LEAST = 0.99, 0.2  # share of the file: a picture that takes more has no ground, what takes less is no picture
_EDGE = 1.5  # pixels, of the shrunk picture, in which the edge of a turned picture and the ground are mixed
_GROUND_ROW, _FRAYED = 12, 16  # levels; pixels that the edge of an upright picture is sought inward
_FEW = 1e-6


@dataclass(frozen=True)
class Frame:
    """The outline of the picture itself.

    Attributes:
        corners: (K, 2) float64 of a convex polygon, x and y in pixels, clockwise as seen.
        tilt_deg: clockwise turn of its edges, -45..45; 0 where the picture fills the file or has an upright border.
    """

    corners: FloatArray
    tilt_deg: float = 0.0

    @classmethod
    def of_size(cls, width: int, height: int) -> "Frame":
        """Return the frame of a picture that fills its file."""
        return cls(np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64))

    def fills(self, width: int, height: int) -> bool:
        """Whether the picture fills its file of that size: there is no ground."""
        return np.array_equal(self.corners, Frame.of_size(width, height).corners)

    def moved(self, matrix: FloatArray) -> "Frame":
        """Return the frame after an affine map, (2, 3), that keeps the sense of rotation."""
        return Frame(self.corners @ matrix[:, :2].T + matrix[:, 2])

    @cached_property
    def _sides(self) -> tuple[FloatArray, FloatArray]:
        """Outward normals (K, 2), and how far the sides lie along them (K,)."""
        along = np.roll(self.corners, -1, axis=0) - self.corners
        normals = np.stack([along[:, 1], -along[:, 0]], 1) / np.hypot(*along.T)[:, None]
        return normals, (normals * self.corners).sum(1)

    def rectangle(self, box: Box, reach: float, *, most: float = np.inf) -> Box:
        """Return an upright rectangle inside the frame, around a box.

        It grows from the middle of the box on all sides alike, and where one side meets the edge of the picture, on the
        others.

        Args:
            box: in the same pixels.
            reach: distance from the middle of the box that is kept on all sides even outside of the frame.
            most: distance that none exceeds.
        """
        normals, offsets = self._sides
        middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
        room = offsets - normals @ middle
        # Of each side of the frame: how much a growth to the left, top, right and bottom brings the rectangle nearer.
        nearer = np.maximum(np.concatenate([-normals, normals], 1), 0.0)
        reaches, growing = np.full(4, reach, np.float64), np.ones(4, bool)
        while growing.any():
            left, speed = room - nearer @ reaches, nearer[:, growing].sum(1)
            meets = speed > _FEW
            growth = min(float((left[meets] / speed[meets]).min(initial=np.inf)), most - float(reaches[growing].max()))
            reaches[growing] += max(growth, 0.0)
            if not np.isfinite(growth) or (reaches[growing] >= most).all():
                break
            hit = meets & (room - nearer @ reaches <= _FEW)
            growing &= ~(nearer[hit] > _FEW).any(0)
        return Box(*(middle - reaches[:2]).tolist(), *(middle + reaches[2:]).tolist())


@dataclass(frozen=True, slots=True)
class PictureItself:
    """A picture without the ground that it lies on, upright.

    Attributes:
        rgb: (h, w, 3) uint8.
        frame: its outline in these pixels; where a turned picture was cut off, not all of them.
        turned_deg: clockwise turn that made it.
        inverse: (2, 3) from its pixels to those of the file.
        has_ground: whether the file holds more than the picture.
    """

    rgb: np.ndarray
    frame: Frame
    turned_deg: float
    inverse: FloatArray
    has_ground: bool

    @classmethod
    def whole(cls, rgb: np.ndarray) -> "PictureItself":
        """Take a file, (H, W, 3) uint8, for a picture without a ground."""
        return cls(rgb, Frame.of_size(rgb.shape[1], rgb.shape[0]), 0.0, np.eye(2, 3), False)

    @classmethod
    def of(cls, rgb: np.ndarray) -> "PictureItself":
        """Find a picture in its file, (H, W, 3) uint8, and turn it by its own tilt where it has one (bicubic)."""
        frame = frame_of(rgb)
        if not frame.tilt_deg:
            (x0, y0), (x1, y1) = np.round(frame.corners.min(0)).astype(int), np.round(frame.corners.max(0)).astype(int)
            inverse = np.array([(1, 0, x0), (0, 1, y0)], np.float64)
            has_ground = not frame.fills(rgb.shape[1], rgb.shape[0])
            inside = np.ascontiguousarray(rgb[y0:y1, x0:x1]) if has_ground else rgb
            return cls(inside, frame.moved(inverted(inverse)), 0.0, inverse, has_ground)
        forward: FloatArray = cv2.getRotationMatrix2D((0, 0), frame.tilt_deg, 1.0).astype(np.float64)
        forward[:, 2] = -frame.moved(forward).corners.min(0)
        moved = frame.moved(forward)
        # A picture's first pixel has its middle at 0 for OpenCV, and at 0.5 for a box.
        shifted = forward.copy()
        shifted[:, 2] += forward[:, :2] @ (0.5, 0.5) - 0.5
        width, height = np.floor(moved.corners.max(0)).astype(int).tolist()
        ground = rgb[0, 0].tolist()  # beyond the file too: in a reflection, faces would be found
        turned = cv2.warpAffine(rgb, shifted, (width, height), flags=cv2.INTER_CUBIC, borderValue=ground)
        return cls(turned, moved, -frame.tilt_deg, inverted(forward), True)

    def in_file(self, face: DetectedFace) -> DetectedFace:
        """Return a face in pixels of the file; its box is as large as it is here."""
        return _with_box_moved(face, self.inverse) if self.has_ground else face

    def out_of_file(self, face: DetectedFace) -> DetectedFace:
        """Return a face in these pixels that ``in_file`` gave in those of the file."""
        return _with_box_moved(face, inverted(self.inverse)) if self.has_ground else face


def _with_box_moved(face: DetectedFace, matrix: FloatArray) -> DetectedFace:
    """Move the middle of a face's box and its landmarks by an affine map, (2, 3); the box stays as large."""
    middle = np.array([(face.box.x0 + face.box.x1) / 2, (face.box.y0 + face.box.y1) / 2, 1.0])
    x, y = (matrix @ middle).tolist()
    across, down = face.box.width / 2, face.box.height / 2
    landmarks = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    return replace(face, box=Box(x - across, y - down, x + across, y + down), landmarks=landmarks)


def inverted(matrix: FloatArray) -> FloatArray:
    """Return the affine map, (2, 3), that undoes another."""
    inverse: FloatArray = cv2.invertAffineTransform(matrix).astype(np.float64)
    return inverse


def frame_of(rgb: np.ndarray) -> Frame:
    """Find the outline of the picture on its ground.

    The ground is what has the color of a corner and is joined to it. It counts where what it leaves is a convex polygon
    with straight edges: a head before a plain wall is not.

    Args:
        rgb: (H, W, 3) uint8.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    for tolerance in _SAME_COLOR:
        outline = _outline(small, tolerance)
        if outline is not None:
            frame = Frame(outline.inner() * (width / size[0], height / size[1]), outline.tilt_deg)
            return frame if frame.tilt_deg else _trimmed(frame, rgb)
    return Frame.of_size(width, height)


def _trimmed(frame: Frame, rgb: np.ndarray) -> Frame:
    """Return an upright frame without the rows and columns at its edges that are mostly ground: noise of a JPEG."""
    (x0, y0), (x1, y1) = np.round(frame.corners.min(0)).astype(int), np.round(frame.corners.max(0)).astype(int)

    def is_ground(line: np.ndarray, corner: np.ndarray) -> bool:
        """Whether most of a row or column (N, 3) has the color of a corner (3,)."""
        return bool(np.median(np.abs(line.astype(int) - corner).max(1)) <= _GROUND_ROW)

    for _ in range(_FRAYED):
        x0 += bool(x0 and is_ground(rgb[y0:y1, x0], rgb[0, 0]))
        y0 += bool(y0 and is_ground(rgb[y0, x0:x1], rgb[0, 0]))
        x1 -= bool(x1 < rgb.shape[1] and is_ground(rgb[y0:y1, x1 - 1], rgb[-1, -1]))
        y1 -= bool(y1 < rgb.shape[0] and is_ground(rgb[y1 - 1, x0:x1], rgb[-1, -1]))
    return Frame(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64))


def _outline(rgb: np.ndarray, tolerance: int) -> "_Outline | None":
    """Return the outline of the picture on its ground; None where there is no ground.

    Args:
        rgb: (H, W, 3) uint8.
        tolerance: levels by which the ground may differ from the corner that it starts at.
    """
    height, width = rgb.shape[:2]
    at_corners = rgb[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    apart = np.abs(at_corners[:, None] - at_corners).max(-1)
    if np.count_nonzero(apart <= tolerance) <= len(at_corners):  # each with itself: a ground takes two corners or more
        return None
    ground = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (255 << 8)
    for corner in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        cv2.floodFill(rgb, ground, corner, 0, (tolerance,) * 3, (tolerance,) * 3, flags)
    content = cv2.morphologyEx(255 - ground[1:-1, 1:-1], cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if not _LEAST < np.count_nonzero(content) / content.size < _WHOLE:
        return None
    hull = cv2.convexHull(_ends_of_rows(content), clockwise=False)
    polygon = cv2.approxPolyDP(hull, _BENT * float(np.hypot(width, height)), True)[:, 0].astype(np.float64)
    if not 4 <= len(polygon) <= _MOST_CORNERS:
        return None
    outline = _Outline.of(polygon, (width, height))
    return outline if outline.is_frame(rgb, content, tolerance) else None


def _ends_of_rows(content: np.ndarray) -> NDArray[np.int32]:
    """Return x and y of the first and last pixel of content in each row, (2 K, 2): the hull has its corners there."""
    rows = np.flatnonzero(content.any(1))
    filled = content[rows] > 0
    first, last = filled.argmax(1), content.shape[1] - 1 - filled[:, ::-1].argmax(1)
    return np.stack([np.concatenate([first, last]), np.tile(rows, 2)], 1).astype(np.int32)


@dataclass(frozen=True, slots=True)
class _Outline:
    """A convex polygon around what is not ground.

    Attributes:
        corners: (K, 2) float64, indices of pixels, clockwise as seen.
        along: (K, 2) from each corner to the next.
        at_edge: (K,) bool, which sides are edges of the file, without ground behind them.
    """

    corners: FloatArray
    along: FloatArray
    at_edge: NDArray[np.bool_]

    @classmethod
    def of(cls, polygon: FloatArray, size: tuple[int, int]) -> "_Outline":
        """Describe a polygon in a picture of that width and height."""
        following = np.roll(polygon, -1, axis=0)
        if (polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1]).sum() < 0:
            polygon = polygon[::-1]
            following = np.roll(polygon, -1, axis=0)
        at_first = (polygon <= 0) & (following <= 0)
        at_last = (polygon >= np.array(size) - 1) & (following >= np.array(size) - 1)
        return cls(polygon, following - polygon, np.any(at_first | at_last, axis=1))

    @property
    def _angles(self) -> FloatArray:
        """(K,) clockwise angles of the sides within their quarter, -45..45 degrees."""
        angles: FloatArray = (np.degrees(np.arctan2(self.along[:, 1], self.along[:, 0])) + 45.0) % 90.0 - 45.0
        return angles

    @property
    def _lengths(self) -> FloatArray:
        """(K,) of the sides, pixels."""
        lengths: FloatArray = np.hypot(*self.along.T)
        return lengths

    @property
    def tilt_deg(self) -> float:
        """Mean angle of the sides with ground behind them, long ones first; 0 where it is within half a degree."""
        weights = np.where(self.at_edge, 0.0, self._lengths) ** 2
        longest = self._angles[np.argmax(weights)]
        others = (self._angles - longest + 45.0) % 90.0 - 45.0
        tilt = float(longest + (weights * others).sum() / max(weights.sum(), _FEW))
        return 0.0 if abs(tilt) < _LEVEL else tilt

    def is_frame(self, rgb: np.ndarray, content: np.ndarray, tolerance: int) -> bool:
        """Whether the polygon is a rectangle, perhaps cut off by the file, that the picture fills up to its sides.

        Args:
            rgb: (H, W, 3) uint8.
            content: (H, W) uint8, 0 where the ground is.
            tolerance: see ``_outline``; the corners of a picture that was turned have one color.
        """
        grounded = np.flatnonzero(~self.at_edge)
        if not len(grounded):
            return False
        off = np.abs((self._angles[grounded] - self.tilt_deg + 45.0) % 90.0 - 45.0)
        lengths = np.hypot(*self.along[grounded].T)
        if (np.radians(off) * lengths).max() > _BENT * np.hypot(*content.shape):
            return False
        if self.tilt_deg and (
            np.count_nonzero(lengths > _LONG * lengths.max()) < _FEWEST_SIDES
            or np.ptp(rgb[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int), axis=0).max() > tolerance
        ):
            return False
        return all(self._filled(content, int(side)) >= _FILLED for side in grounded)

    def _filled(self, content: np.ndarray, side: int) -> float:
        """Share of a side behind which the picture begins at once: less along the hull of a head and shoulders."""
        length = float(np.hypot(*self.along[side]))
        inward = np.array([-self.along[side, 1], self.along[side, 0]]) / length
        shares = np.linspace(0.0, 1.0, max(int(length), 2))[:, None]
        points = self.corners[side] + shares * self.along[side] + _INSIDE * inward
        columns, rows = np.clip(points.round().astype(int), 0, np.array(content.shape)[::-1] - 1).T
        return float(np.count_nonzero(content[rows, columns])) / len(points)

    def inner(self) -> FloatArray:
        """(K', 2) corners of the same rectangle with exact right angles, without the mixed edge of the picture.

        A pixel reaches half a pixel beyond its middle. Short sides at rounded corners are left out.
        """
        angles = np.degrees(np.arctan2(self.along[:, 1], self.along[:, 0]))
        exact = np.where(self.at_edge, 0.0, self.tilt_deg)
        angles = np.radians(exact + 90.0 * np.round((angles - exact) / 90.0))
        normals = np.stack([np.sin(angles), -np.cos(angles)], 1)
        offsets = (normals * (self.corners + self.along / 2 + 0.5)).sum(1)
        offsets += np.where(self.at_edge, 0.5, -_EDGE if self.tilt_deg else 0.5)
        sides = list(range(len(angles)))
        while (parallel := _parallel_neighbors(normals[sides])) is not None:
            pair = sides[parallel - 1], sides[parallel]
            sides.remove(min(pair, key=lambda side: self._lengths[side]))
        normals, offsets = normals[sides], offsets[sides]
        pairs = zip(np.roll(normals, 1, axis=0), normals, np.roll(offsets, 1), offsets, strict=True)
        return np.stack(
            [np.linalg.solve(np.stack([left, right]), [first, second]) for left, right, first, second in pairs]
        )


def _parallel_neighbors(normals: FloatArray) -> int | None:
    """Return the number of the first side that goes on along the one before it; None where all make corners."""
    before = np.roll(normals, 1, axis=0)
    turns = np.abs(before[:, 0] * normals[:, 1] - before[:, 1] * normals[:, 0])
    parallel = np.flatnonzero(turns < _FEW)
    return int(parallel[0]) if len(parallel) else None
