"""The outline of a picture on a ground of one color: a border, bars, or corners filled in when the picture was turned.

The ground shows nothing, but it changes how much context there seems to be around a face, and networks were not trained
on it. Crops around a face therefore stay inside the picture itself.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from faceloupe.models.contract import FloatArray
from faceloupe.types import Box, DetectedFace

_LONGEST = 800  # pixels; larger pictures are shrunk before the ground is looked for
# Color levels by which JPEG noise may make the ground differ from the corner where the fill starts; tried in turn.
_SAME_COLOR = (0, 3, 8, 20, 36)
_MOST_CORNERS = 10  # a rectangle that was turned and then clipped by the edges of the file has 8
_FILLED = 0.75  # least share of each side along which the picture reaches the side
_INSIDE = 3.0  # pixels inside a side at which this share is measured
# A turned picture must have ground along at least this many sides that are longer than this share of the longest.
_FEWEST_SIDES, _LONG = 3, 0.2
_LEVEL = 0.5  # degrees
_BENT = 0.006  # share of the diagonal by which a side may deviate from a straight line
_WHOLE, _LEAST = 0.99, 0.2  # share of the file: a larger picture has no ground, a smaller region is not a picture
_EDGE = 1.5  # pixels of the shrunk picture in which the edge of a turned picture blends with the ground
_GROUND_ROW, _FRAYED = 12, 16  # color levels; pixels by which the edge of an upright picture may be trimmed
_FEW = 1e-6


@dataclass(frozen=True)
class PictureOutline:
    """The outline of the picture itself.

    Attributes:
        corners: (K, 2) float64, corners of a convex polygon, x and y in pixels, clockwise as seen.
        tilt_deg: clockwise tilt of its edges, -45..45; 0 if the picture fills the file or has an upright border.
    """

    corners: FloatArray
    tilt_deg: float = 0.0

    @classmethod
    def of_size(cls, width: int, height: int) -> "PictureOutline":
        """Return the outline of a picture that fills its file."""
        return cls(np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64))

    def fills(self, width: int, height: int) -> bool:
        """Return whether the picture fills its file of that size, so that there is no ground."""
        return np.array_equal(self.corners, PictureOutline.of_size(width, height).corners)

    def moved(self, matrix: FloatArray) -> "PictureOutline":
        """Return the outline after an affine map, (2, 3), which must not mirror it."""
        return PictureOutline(self.corners @ matrix[:, :2].T + matrix[:, 2])

    @cached_property
    def _sides(self) -> tuple[FloatArray, FloatArray]:
        """The outward normals of the sides (K, 2), and the offsets of the sides along their normals (K,)."""
        along = np.roll(self.corners, -1, axis=0) - self.corners
        normals = np.stack([along[:, 1], -along[:, 0]], 1) / np.hypot(*along.T)[:, None]
        return normals, (normals * self.corners).sum(1)

    def rectangle(self, box: Box, reach: float, *, most: float = np.inf) -> Box:
        """Return an upright rectangle inside the outline, around a box.

        The rectangle grows from the middle of the box, equally on all sides. When a side meets the edge of the picture,
        only the other sides continue to grow.

        Args:
            box: in the same pixels.
            reach: least distance from the middle of the box to each side, in pixels, kept even outside the outline.
            most: greatest distance, in pixels.
        """
        normals, offsets = self._sides
        middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
        room = offsets - normals @ middle
        # For each side of the outline: how fast the rectangle nears it when it grows to the left, top, right, bottom.
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
class BorderlessPicture:
    """A picture without its ground, turned upright.

    Attributes:
        rgb: (h, w, 3) uint8.
        outline: outline of the picture in ``rgb``; if a turned picture was clipped, it does not fill ``rgb``.
        turned_deg: clockwise turn that made the picture upright.
        inverse: (2, 3) affine map from pixels of ``rgb`` to pixels of the file.
        has_ground: whether the file holds more than the picture.
    """

    rgb: np.ndarray
    outline: PictureOutline
    turned_deg: float
    inverse: FloatArray
    has_ground: bool

    @classmethod
    def whole(cls, rgb: np.ndarray) -> "BorderlessPicture":
        """Treat a whole file, (H, W, 3) uint8, as a picture without a ground."""
        return cls(rgb, PictureOutline.of_size(rgb.shape[1], rgb.shape[0]), 0.0, np.eye(2, 3), False)

    @classmethod
    def find_in(cls, rgb: np.ndarray) -> "BorderlessPicture":
        """Find the picture in a file, (H, W, 3) uint8, and undo its tilt if it has one (bicubic)."""
        outline = find_outline(rgb)
        if not outline.tilt_deg:
            (x0, y0), (x1, y1) = (
                np.round(outline.corners.min(0)).astype(int),
                np.round(outline.corners.max(0)).astype(int),
            )
            inverse = np.array([(1, 0, x0), (0, 1, y0)], np.float64)
            has_ground = not outline.fills(rgb.shape[1], rgb.shape[0])
            inside = np.ascontiguousarray(rgb[y0:y1, x0:x1]) if has_ground else rgb
            return cls(inside, outline.moved(inverted(inverse)), 0.0, inverse, has_ground)
        forward: FloatArray = cv2.getRotationMatrix2D((0, 0), outline.tilt_deg, 1.0).astype(np.float64)
        forward[:, 2] = -outline.moved(forward).corners.min(0)
        moved = outline.moved(forward)
        # The center of the first pixel is at 0 in OpenCV and at 0.5 in our boxes.
        shifted = forward.copy()
        shifted[:, 2] += forward[:, :2] @ (0.5, 0.5) - 0.5
        width, height = np.floor(moved.corners.max(0)).astype(int).tolist()
        ground = rgb[0, 0].tolist()  # also beyond the file: a reflection there could show faces
        turned = cv2.warpAffine(rgb, shifted, (width, height), flags=cv2.INTER_CUBIC, borderValue=ground)
        return cls(turned, moved, -outline.tilt_deg, inverted(forward), True)

    def to_file(self, face: DetectedFace) -> DetectedFace:
        """Return a face in pixels of the file; the size of its box does not change."""
        return _with_box_moved(face, self.inverse) if self.has_ground else face

    def from_file(self, face: DetectedFace) -> DetectedFace:
        """Return a face in pixels of ``rgb``, given in pixels of the file: the inverse of ``to_file``."""
        return _with_box_moved(face, inverted(self.inverse)) if self.has_ground else face


def _with_box_moved(face: DetectedFace, matrix: FloatArray) -> DetectedFace:
    """Map the middle of a face's box and its landmarks with an affine map, (2, 3); the size of the box is kept."""
    middle = np.array([(face.box.x0 + face.box.x1) / 2, (face.box.y0 + face.box.y1) / 2, 1.0])
    x, y = (matrix @ middle).tolist()
    across, down = face.box.width / 2, face.box.height / 2
    landmarks = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    return replace(face, box=Box(x - across, y - down, x + across, y + down), landmarks=landmarks)


def inverted(matrix: FloatArray) -> FloatArray:
    """Return the inverse of an affine map, (2, 3)."""
    inverse: FloatArray = cv2.invertAffineTransform(matrix).astype(np.float64)
    return inverse


def find_outline(rgb: np.ndarray) -> PictureOutline:
    """Find the outline of the picture on its ground.

    The ground is the region that has the color of a corner and is connected to it. It counts only if the rest is a
    convex polygon with straight edges; a head in front of a plain wall is not.

    Args:
        rgb: (H, W, 3) uint8.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    for tolerance in _SAME_COLOR:
        polygon = _outline(small, tolerance)
        if polygon is not None:
            outline = PictureOutline(polygon.inner() * (width / size[0], height / size[1]), polygon.tilt_deg)
            return outline if outline.tilt_deg else _trimmed(outline, rgb)
    return PictureOutline.of_size(width, height)


def _trimmed(outline: PictureOutline, rgb: np.ndarray) -> PictureOutline:
    """Return an upright outline without the edge rows and columns that JPEG noise left, which are mostly ground."""
    (x0, y0), (x1, y1) = np.round(outline.corners.min(0)).astype(int), np.round(outline.corners.max(0)).astype(int)

    def is_ground(line: np.ndarray, corner: np.ndarray) -> bool:
        """Return whether most of a row or column (N, 3) has the color of a corner (3,)."""
        return bool(np.median(np.abs(line.astype(int) - corner).max(1)) <= _GROUND_ROW)

    for _ in range(_FRAYED):
        x0 += bool(x0 and is_ground(rgb[y0:y1, x0], rgb[0, 0]))
        y0 += bool(y0 and is_ground(rgb[y0, x0:x1], rgb[0, 0]))
        x1 -= bool(x1 < rgb.shape[1] and is_ground(rgb[y0:y1, x1 - 1], rgb[-1, -1]))
        y1 -= bool(y1 < rgb.shape[0] and is_ground(rgb[y1 - 1, x0:x1], rgb[-1, -1]))
    return PictureOutline(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64))


def _outline(rgb: np.ndarray, tolerance: int) -> "_Outline | None":
    """Return the outline of the picture on its ground, or None if there is no ground.

    Args:
        rgb: (H, W, 3) uint8.
        tolerance: color levels by which the ground may differ from the corner where the fill starts.
    """
    height, width = rgb.shape[:2]
    at_corners = rgb[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    apart = np.abs(at_corners[:, None] - at_corners).max(-1)
    if np.count_nonzero(apart <= tolerance) <= len(at_corners):  # a ground covers two corners or more of one color
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
    return outline if outline.is_picture_outline(rgb, content, tolerance) else None


def _ends_of_rows(content: np.ndarray) -> NDArray[np.int32]:
    """Return x and y of the first and last content pixel of each row, (2 K, 2); these contain the hull's corners."""
    rows = np.flatnonzero(content.any(1))
    filled = content[rows] > 0
    first, last = filled.argmax(1), content.shape[1] - 1 - filled[:, ::-1].argmax(1)
    return np.stack([np.concatenate([first, last]), np.tile(rows, 2)], 1).astype(np.int32)


@dataclass(frozen=True, slots=True)
class _Outline:
    """A convex polygon around the part of a file that is not ground.

    Attributes:
        corners: (K, 2) float64, pixel indices, clockwise as seen.
        along: (K, 2) float64, vectors from each corner to the next.
        at_edge: (K,) bool, which sides lie on an edge of the file and so have no ground behind them.
    """

    corners: FloatArray
    along: FloatArray
    at_edge: NDArray[np.bool_]

    @classmethod
    def of(cls, polygon: FloatArray, size: tuple[int, int]) -> "_Outline":
        """Build the outline from a polygon in a picture of that width and height."""
        following = np.roll(polygon, -1, axis=0)
        if (polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1]).sum() < 0:
            polygon = polygon[::-1]
            following = np.roll(polygon, -1, axis=0)
        at_first = (polygon <= 0) & (following <= 0)
        at_last = (polygon >= np.array(size) - 1) & (following >= np.array(size) - 1)
        return cls(polygon, following - polygon, np.any(at_first | at_last, axis=1))

    @property
    def _angles(self) -> FloatArray:
        """Clockwise angles of the sides within their quarter turn, (K,), -45..45 degrees."""
        angles: FloatArray = (np.degrees(np.arctan2(self.along[:, 1], self.along[:, 0])) + 45.0) % 90.0 - 45.0
        return angles

    @property
    def _lengths(self) -> FloatArray:
        """Lengths of the sides, (K,), pixels."""
        lengths: FloatArray = np.hypot(*self.along.T)
        return lengths

    @property
    def tilt_deg(self) -> float:
        """Mean angle of the sides with ground behind them, weighted by squared length; 0 if below half a degree."""
        weights = np.where(self.at_edge, 0.0, self._lengths) ** 2
        longest = self._angles[np.argmax(weights)]
        others = (self._angles - longest + 45.0) % 90.0 - 45.0
        tilt = float(longest + (weights * others).sum() / max(weights.sum(), _FEW))
        return 0.0 if abs(tilt) < _LEVEL else tilt

    def is_picture_outline(self, rgb: np.ndarray, content: np.ndarray, tolerance: int) -> bool:
        """Return whether the polygon is a rectangle, perhaps clipped by the file, that the picture fills to its sides.

        Args:
            rgb: (H, W, 3) uint8.
            content: (H, W) uint8, 0 for ground.
            tolerance: see ``_outline``; around a turned picture, all four corners of the file must have one color.
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
        """Return the share of a side that the picture reaches; it is low along the hull of a head and shoulders."""
        length = float(np.hypot(*self.along[side]))
        inward = np.array([-self.along[side, 1], self.along[side, 0]]) / length
        shares = np.linspace(0.0, 1.0, max(int(length), 2))[:, None]
        points = self.corners[side] + shares * self.along[side] + _INSIDE * inward
        columns, rows = np.clip(points.round().astype(int), 0, np.array(content.shape)[::-1] - 1).T
        return float(np.count_nonzero(content[rows, columns])) / len(points)

    def inner(self) -> FloatArray:
        """Return the corners (K', 2) of the rectangle with exact right angles, without the blended edge of the picture.

        Corners are converted from pixel indices to coordinates: a pixel reaches half a pixel beyond its center. Short
        sides at rounded corners are left out.
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
    """Return the number of the first side that is parallel to the previous side, or None if there is none."""
    before = np.roll(normals, 1, axis=0)
    turns = np.abs(before[:, 0] * normals[:, 1] - before[:, 1] * normals[:, 0])
    parallel = np.flatnonzero(turns < _FEW)
    return int(parallel[0]) if len(parallel) else None
