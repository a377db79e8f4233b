"""Clone: parts of a picture that were copied within it, found by similar keypoints."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from faceloupe.forensics.rates import rates_of
from faceloupe.forensics.results import Fact, Finding, LensPicture, LensResult, PictureScale, Severity
from faceloupe.forensics.source import LensSource

COPIED = "clone.copied"
LEAST_SCORE = 0.6
"""Minimum score at which the rule fires; set on one half of the material."""
_FEWEST_PAIRS = 6
_LEAST_SHARE = 0.01  # of the picture: less than a real copy of 3 %, as its edges and flat areas are not counted
_SIDES = (900, 1400)  # smallest and largest longer side of the searched picture, pixels
_MOST_ENLARGED = 3.0
_MOST_KEYPOINTS = 6000
_LEAST_CONTRAST = 0.008  # of a keypoint; so low that smooth parts have keypoints too
_FARTHEST = 0.45  # largest distance between the descriptors of a pair, which have length 1
_RATIO = 0.75  # of the distances to the best and the second-best keypoint (Lowe 2004)
_LEAST_MOVED = 0.04  # of the longer side: closer keypoints are on the same object
_TOLERANCE = 3.0  # pixels between a keypoint and its position according to the movement
_CANDIDATES = 3  # movements that are tried
_SCALES = (0.5, 2.0)
_WINDOW = 9  # side of the window of the local correlation, pixels
_LEAST_CORRELATION = 0.9
_LEAST_DEVIATION = 1.0  # of a window that is not flat, gray levels
_ROWS = 1000  # keypoints that are compared with all others at once


@dataclass(frozen=True, slots=True)
class Copy:
    """A part that occurs twice in a picture.

    Attributes:
        pairs: number of keypoint pairs that agree on the movement of the part.
        share: share of the picture that both places cover together, 0..1.
        columns: movement to the right, pixels of the picture.
        rows: movement downwards, pixels of the picture.
        correlation: (H, W) uint8, local correlation of each pixel with its counterpart: 0 is 0.9 or less, 255 is 1.
    """

    pairs: int
    share: float
    columns: int
    rows: int
    correlation: np.ndarray = field(repr=False, compare=False)

    @property
    def score(self) -> float:
        """Pairs times share; repeated patterns have many pairs on a small area, or few on a large one."""
        return self.pairs * self.share


def examine(source: LensSource) -> LensResult:
    """Search for a part that was copied within the picture.

    Raises:
        EvidenceError: the picture cannot be decoded.
    """
    copy = find(cv2.cvtColor(source.picture.rgb, cv2.COLOR_RGB2GRAY))
    if copy is None:
        return LensResult((Fact("Part that lies in the picture twice", "none"),))
    scale = PictureScale(
        "clone", "correlation of each place with the one that it was copied from or to", "0.9 or less", "1"
    )
    facts = (
        Fact("Part that lies in the picture twice", f"{copy.share:.1%} of it, both places together"),
        Fact("Moved by", f"{copy.columns} columns, {copy.rows} rows"),
        Fact("Keypoints that agree", f"{copy.pairs}; score {copy.score:.2f} (finding from {LEAST_SCORE:g} on)"),
    )
    picture = LensPicture(scale, copy.correlation)
    if copy.score < LEAST_SCORE:
        return LensResult(facts, pictures=(picture,))
    text = (
        f"A part of the picture lies in it twice, {abs(copy.columns)} columns and {abs(copy.rows)} rows apart: it was "
        "copied, or the picture shows two things that are alike, such as a pattern or printed letters."
    )
    return LensResult(facts, (Finding(COPIED, Severity.NOTICE, text, rates_of(COPIED)),), (picture,))


def find(gray: np.ndarray) -> Copy | None:
    """Search for the largest part that occurs twice in a picture.

    Similar keypoints (Lowe 2004) vote for a movement (Amerini et al. 2011). The copied part is the area where the
    picture and the moved picture are equal.

    Args:
        gray: (H, W) uint8.

    Returns:
        The part; None if no movement has enough keypoints and area.
    """
    longer = max(gray.shape)
    factor = min(max(_SIDES[0] / longer, 1.0), _MOST_ENLARGED, _SIDES[1] / longer)
    size = max(1, round(gray.shape[1] * factor)), max(1, round(gray.shape[0] * factor))
    searched = cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA)
    start, end = _pairs(searched)
    best: Copy | None = None
    for _ in range(_CANDIDATES):
        if len(start) < _FEWEST_PAIRS:
            break
        cv2.setRNGSeed(0)  # the same picture always gives the same result
        movement, inliers = cv2.estimateAffinePartial2D(
            start, end, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE, maxIters=3000, confidence=0.999
        )
        if movement is None or inliers.sum() < _FEWEST_PAIRS:
            break
        agree = inliers.ravel().astype(bool)
        if _SCALES[0] <= np.hypot(movement[0, 0], movement[1, 0]) <= _SCALES[1]:
            correlation = _correlation(searched, movement)
            share = float((correlation > 0).mean())
            if share >= _LEAST_SHARE and (best is None or share > best.share):
                columns, rows = np.median(end[agree] - start[agree], axis=0) / factor
                whole = cv2.resize(correlation, gray.shape[::-1], interpolation=cv2.INTER_NEAREST)
                best = Copy(int(agree.sum()), share, round(columns), round(rows), whole)
        start, end = start[~agree], end[~agree]
    return best


def _pairs(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of pairs of similar keypoints that are not close to each other, two (N, 2) float32."""
    detector = cv2.SIFT.create(nfeatures=_MOST_KEYPOINTS, contrastThreshold=_LEAST_CONTRAST)
    keypoints, descriptors = detector.detectAndCompute(gray, None)
    if len(keypoints) < _FEWEST_PAIRS:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    roots = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))  # Arandjelovic 2012
    nearest = _LEAST_MOVED * max(gray.shape)
    start, end = [], []
    for first in range(0, len(points), _ROWS):
        rows = slice(first, first + _ROWS)
        similarity = roots[rows] @ roots.T
        x, y = (np.abs(points[rows, None, axis] - points[None, :, axis]) < nearest for axis in (0, 1))
        similarity[x & y] = -1.0
        every, partners = np.arange(len(similarity)), similarity.argmax(axis=1)
        best = similarity[every, partners]
        similarity[every, partners] = -1.0
        pair = best, similarity.max(axis=1)
        distance, next_distance = (np.sqrt(np.maximum(2 - 2 * values, 1e-9)) for values in pair)
        alike = (distance < _FARTHEST) & (distance < _RATIO * next_distance)
        start.append(points[rows][alike])
        end.append(points[partners[alike]])
    ahead, behind = np.concatenate(start), np.concatenate(end)
    swapped = ahead @ (1, 1e-3) > behind @ (1, 1e-3)  # sort all pairs in the same direction
    ahead[swapped], behind[swapped] = behind[swapped], ahead[swapped].copy()
    return ahead, behind


def _correlation(gray: np.ndarray, movement: np.ndarray) -> np.ndarray:
    """Return where a picture equals the moved picture, at both places, (H, W) uint8; 0 where they differ."""
    height, width = gray.shape
    values = gray.astype(np.float32)
    both = np.zeros(gray.shape, np.float32)
    for matrix in (movement, cv2.invertAffineTransform(movement)):
        moved = cv2.warpAffine(values, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=-1000.0)
        both = np.maximum(both, _local_correlation(values, moved))
    levels: np.ndarray = np.clip((both - _LEAST_CORRELATION) / (1 - _LEAST_CORRELATION) * 255, 0, 255).astype(np.uint8)
    opened = cv2.morphologyEx((levels > 0).astype(np.uint8), cv2.MORPH_OPEN, np.ones((_WINDOW, _WINDOW), np.uint8))
    levels[opened == 0] = 0
    return levels


def _local_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the local correlation (H, W) of two pictures; 0 where either is flat."""
    window = (_WINDOW, _WINDOW)
    means = [cv2.blur(values, window) for values in (first, second)]
    variances = [
        np.maximum(cv2.blur(values * values, window) - mean * mean, 0)
        for values, mean in zip((first, second), means, strict=True)
    ]
    covariance = cv2.blur(first * second, window) - means[0] * means[1]
    correlation: np.ndarray = covariance / np.maximum(np.sqrt(variances[0] * variances[1]), 1e-3)
    correlation[np.minimum(*variances) < _LEAST_DEVIATION**2] = 0.0
    return correlation
