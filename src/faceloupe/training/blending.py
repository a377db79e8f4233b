"""Synthetic manipulations of authentic faces, with masks of the changed pixels.

Self-blended images (Shiohara and Yamasaki 2022, "Detecting Deepfakes with Self-Blended Images"): a face is blended with
a slightly changed copy of itself, so that only the seam, the color and the sharpness differ. If a donor is given,
another person's face is warped onto the landmarks instead, as early face swaps did.

The outlines of the face and its parts come from a mean face that is fitted to the five landmarks of the face finder.
Its unit is the distance between the eyes, and its origin lies halfway between them.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from faceloupe.types import Box

REGION_MARGIN = 1.6  # side of the processed region, divided by the longer side of the face box
REGION_MAX_PX = 320  # larger regions are shrunk first: no network input shows more detail
# Eyes, nose and corners of the mouth: the usual template of face recognition (ArcFace, Deng et al. 2019), in that unit.
_LANDMARKS = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.57], [-0.41, 1.155], [0.42, 1.155]])
_JAW = [(1.12, 0.1), (1.08, 0.6), (0.97, 1.1), (0.75, 1.52), (0.4, 1.82), (0.0, 1.92)]
_JAW += [(-x, y) for x, y in reversed(_JAW[:-1])]
_BROWS = [(-0.95, -0.32), (-0.6, -0.5), (-0.2, -0.42), (0.2, -0.42), (0.6, -0.5), (0.95, -0.32)]


def _ellipse(x: float, y: float, across: float, down: float) -> list[tuple[float, float]]:
    angles = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
    return [(x + across * np.cos(a), y + down * np.sin(a)) for a in angles]


# Name -> polygons, and probability of being drawn. The mouth stands for reenactment, eyes and nose for composites.
_PARTS: dict[str, tuple[list[list[tuple[float, float]]], float]] = {
    "face": ([_BROWS + _JAW], 0.52),
    "face and forehead": ([[(-0.95, -0.7), (-0.5, -1.05), (0.5, -1.05), (0.95, -0.7), *_JAW]], 0.12),
    "lower face": ([[(-0.55, 0.75), (0.0, 0.55), (0.55, 0.75), *_JAW[2:-2]]], 0.12),
    "mouth": ([_ellipse(0.0, 1.16, 0.6, 0.33)], 0.08),
    "eyes": ([_ellipse(-0.5, 0.0, 0.4, 0.26), _ellipse(0.5, 0.0, 0.4, 0.26)], 0.10),
    "nose": ([_ellipse(0.0, 0.4, 0.36, 0.48)], 0.06),
}
_STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
_COVERED = (0.01, 0.75)  # allowed share of the region under a mask; the seam must lie inside the region to be visible
_ATTEMPTS = 6
_DISTORTION = 1.6  # largest ratio of the two scales of a donor's warp; a donor in another pose needs a larger one


@dataclass(frozen=True, slots=True)
class Region:
    """A face with its surroundings, cut out of a picture.

    Attributes:
        rgb: (H, W, 3) uint8.
        box: face box, pixels of ``rgb``.
        landmarks: (5, 2) float64, pixels of ``rgb``.
    """

    rgb: np.ndarray
    box: Box
    landmarks: np.ndarray


def region(rgb: np.ndarray, box: Box, landmarks: tuple[float, ...]) -> Region:
    """Cut out the region of a face for blending, shrunk to at most ``REGION_MAX_PX``.

    Args:
        rgb: (H, W, 3) uint8 picture.
        box: face box, pixels of the picture.
        landmarks: ten numbers, x and y of the five landmarks.
    """
    x0, y0, x1, y1 = _bounds(rgb, box)
    part = rgb[y0:y1, x0:x1]
    scale = min(1.0, REGION_MAX_PX / max(part.shape[:2]))
    if scale < 1.0:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return _placed(part, box, landmarks, (x0, y0), scale)


def _bounds(rgb: np.ndarray, box: Box) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the region of a face, pixels of the picture."""
    height, width = rgb.shape[:2]
    half = REGION_MARGIN * max(box.width, box.height) / 2
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    x0, y0 = max(0, int(x - half)), max(0, int(y - half))
    return x0, y0, min(width, int(x + half) + 1), min(height, int(y + half) + 1)


def _placed(
    part: np.ndarray, box: Box, landmarks: tuple[float, ...], corner: tuple[int, int], scale: float = 1.0
) -> Region:
    """Return a region made of ``part``; ``corner`` is its top left corner in the picture, before scaling."""
    corners = [(value - offset) * scale for value, offset in zip(box.corners, (*corner, *corner), strict=True)]
    return Region(part, Box(*corners), (np.array(landmarks).reshape(5, 2) - corner) * scale)


def _unit(face: Region) -> float:
    """Return the distance between the eyes, pixels, at least 4."""
    return max(float(np.linalg.norm(face.landmarks[1] - face.landmarks[0])), 4.0)


def _affine(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the (2, 3) least-squares affine map from (N, 2) source points to target points."""
    known = np.hstack([source, np.ones((len(source), 1))])
    solution: np.ndarray = np.linalg.lstsq(known, target, rcond=None)[0]
    return solution.T


def _mask(random: np.random.Generator, face: Region) -> np.ndarray:
    """Draw a mask, (H, W) float32 in 0..1: the share of each pixel that is replaced."""
    names = list(_PARTS)
    shares = np.array([_PARTS[name][1] for name in names])
    fit = _affine(_LANDMARKS, face.landmarks)
    unit = _unit(face)
    for _ in range(_ATTEMPTS):
        polygons, _ = _PARTS[names[random.choice(len(names), p=shares / shares.sum())]]
        mask = np.zeros(face.rgb.shape[:2], np.float32)
        segment, shift = random.uniform(0.85, 1.12, 2), random.normal(0.0, 0.04, 2)
        for polygon in polygons:
            points = np.array(polygon) * segment + shift + random.normal(0.0, 0.03, (len(polygon), 2))
            placed = points @ fit[:, :2].T + fit[:, 2]
            cv2.fillPoly(mask, [np.round(placed * 8).astype(np.int32)], 1.0, lineType=cv2.LINE_8, shift=3)
        if _COVERED[0] <= float(mask.mean()) <= _COVERED[1]:
            break
    mask = np.minimum(cv2.GaussianBlur(mask, (0, 0), max(random.uniform(0.01, 0.16) * unit, 0.4)), 1.0)  # rounding
    if random.random() < 0.5:  # the seam moves inward, as after an erosion
        mask = np.clip((mask - 0.3) / 0.7, 0.0, 1.0)
    return mask


def _change(random: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """Return a copy with a random change of color, sharpness, or both."""
    changed: np.ndarray = rgb.astype(np.float32)
    if random.random() < 0.6:
        changed += random.uniform(-18.0, 18.0, 3).astype(np.float32)
    if random.random() < 0.5:
        changed = (changed - changed.mean()) * random.uniform(0.85, 1.15) + changed.mean() + random.uniform(-12, 12)
    if random.random() < 0.4:
        gray = changed.mean(axis=2, keepdims=True)
        changed = gray + (changed - gray) * random.uniform(0.7, 1.3)
    changed = np.clip(changed, 0, 255).astype(np.uint8)
    kind = random.random()
    if kind < 0.4:
        height, width = rgb.shape[:2]
        factor = random.uniform(1.3, 4.0)
        small = cv2.resize(
            changed, (max(8, int(width / factor)), max(8, int(height / factor))), interpolation=cv2.INTER_AREA
        )
        way = int(random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
        changed = cv2.resize(small, (width, height), interpolation=way)
    elif kind < 0.6:
        soft = cv2.GaussianBlur(changed, (0, 0), random.uniform(0.8, 2.0))
        changed = cv2.addWeighted(changed, 1.0 + (amount := random.uniform(0.3, 1.2)), soft, -amount, 0.0)
    elif kind < 0.75:
        _, coded = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 80))])
        changed = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return changed


def _moved(random: np.random.Generator, rgb: np.ndarray, unit: float) -> np.ndarray:
    """Return a copy that is slightly shifted, scaled and bent, so that the landmarks no longer line up."""
    height, width = rgb.shape[:2]
    scale, turn = random.uniform(0.95, 1.05), random.uniform(-2.0, 2.0)
    matrix: np.ndarray = cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale)
    matrix[:, 2] += random.uniform(-0.07, 0.07, 2) * unit
    if random.random() < 0.4:
        grid = random.normal(0.0, 0.05 * unit, (2, 5, 5)).astype(np.float32)
        bend = [cv2.resize(axis, (width, height), interpolation=cv2.INTER_CUBIC) for axis in grid]
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        rgb = cv2.remap(rgb, columns + bend[0], rows + bend[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _donated(face: Region, donor: Region, fit: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Warp the donor's face onto this one and match its colors; return it, and the mask where the donor has pixels."""
    height, width = face.rgb.shape[:2]
    laid = cv2.warpAffine(donor.rgb, fit, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    there = cv2.warpAffine(np.ones(donor.rgb.shape[:2], np.float32), fit, (width, height), flags=cv2.INTER_LINEAR)
    there = np.clip(2.0 * cv2.GaussianBlur(there, (0, 0), 0.06 * _unit(face)) - 1.0, 0.0, 1.0)
    inside = mask > 0.5
    if inside.sum() > 20:
        of_donor, of_face = laid[inside].astype(np.float32), face.rgb[inside].astype(np.float32)
        gain = np.clip(of_face.std(0) / np.maximum(of_donor.std(0), 1.0), 0.6, 1.6)
        laid = np.clip((laid - of_donor.mean(0)) * gain + of_face.mean(0), 0, 255).astype(np.uint8)
    return laid, mask * there


def blend(random: np.random.Generator, face: Region, donor: Region | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Manipulate an authentic face.

    Args:
        random: source of the random choices.
        face: the authentic face.
        donor: another person's face. If it is None or its pose differs too much, the face is blended with a changed
            copy of itself.

    Returns:
        (H, W, 3) uint8 picture of the region, and the (H, W) float32 mask of the change, 0..1.
    """
    mask = _mask(random, face)
    inner, outer = face.rgb, face.rgb
    fit = None if donor is None else _affine(donor.landmarks, face.landmarks)
    if fit is not None:
        segment = np.linalg.svd(fit[:, :2], compute_uv=False)
        fit = fit if segment[0] <= _DISTORTION * max(segment[1], 1e-6) else None
    if donor is not None and fit is not None:
        inner, mask = _donated(face, donor, fit, mask)
        if random.random() < 0.5:
            inner = _change(random, inner)
    else:
        if random.random() < 0.5:
            inner = _change(random, inner)
        else:
            outer = _change(random, outer)
        inner = _moved(random, inner, _unit(face))
        mask = mask * float(random.choice(_STRENGTHS))
    share = mask[..., None]
    blended = inner.astype(np.float32) * share + outer.astype(np.float32) * (1.0 - share)
    return np.clip(np.round(blended), 0, 255).astype(np.uint8), mask


def blend_within(random: np.random.Generator, rgb: np.ndarray, box: Box, landmarks: tuple[float, ...]) -> np.ndarray:
    """Blend a face with a changed copy of itself, at the picture's own resolution.

    Args:
        random: source of the random choices.
        rgb: (H, W, 3) uint8 picture.
        box: face box, pixels of the picture.
        landmarks: ten numbers, x and y of the five landmarks.

    Returns:
        (H, W, 3) uint8: the picture, changed only around the face.
    """
    x0, y0, x1, y1 = _bounds(rgb, box)
    blended, _ = blend(random, _placed(rgb[y0:y1, x0:x1], box, landmarks, (x0, y0)))
    whole = rgb.copy()
    whole[y0:y1, x0:x1] = blended
    return whole
