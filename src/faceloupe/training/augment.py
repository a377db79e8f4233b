"""Augmentation of the traits that identify a source: sharpness, JPEG quality, resolution, framing, color.

A network must not learn these traits. All random choices are drawn into a ``Recipe`` first and then applied. A fake and
its pristine counterpart can therefore get the same treatment, so that only the manipulation differs between them.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from faceloupe.models.contract import InputContract
from faceloupe.scoring.preprocess import crop_square, cut
from faceloupe.types import Box

_RESAMPLING = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Parameters drawn for one augmentation; shares are relative to the side of the crop unless stated otherwise.

    Attributes:
        zoom: factor applied to the crop margin.
        shift: displacement of the crop's center in x and y, as a share of the face box's width and height.
        turn: rotation in the picture's plane, degrees.
        flip: whether to mirror left to right.
        working_px: side at which the degradations are applied, pixels; below the input size, detail is lost for good.
        resampling: OpenCV interpolation that resizes the crop to ``working_px``.
        blur_sigma: sigma of the Gaussian blur, pixels; 0 for none; negative: strength of an unsharp mask.
        noise_std: standard deviation of the Gaussian noise, gray levels; 0 for none.
        jpeg: qualities of the recompressions, in order; empty for none.
        gain, offset: contrast of each channel, and brightness added to all channels, on the 0..255 scale.
        gamma: exponent of the tone curve.
        saturation: 0 is gray, 1 leaves the colors unchanged, above 1 is stronger.
        hole: x, y, width and height of a blanked rectangle, as shares; None for none.
        seed: seed of the noise.
    """

    zoom: float
    shift: tuple[float, float]
    turn: float
    flip: bool
    working_px: int
    resampling: int
    blur_sigma: float
    noise_std: float
    jpeg: tuple[int, ...]
    gain: tuple[float, float, float]
    offset: float
    gamma: float
    saturation: float
    hole: tuple[float, float, float, float] | None
    seed: int


def draw(random: np.random.Generator, size: int) -> Recipe:
    """Draw a recipe for an input of ``size`` pixels."""
    blur = 0.0
    if random.random() < 0.22:
        blur = random.uniform(0.3, 1.6) if random.random() < 0.75 else -random.uniform(0.2, 1.0)
    contrast = random.uniform(0.75, 1.3)
    return Recipe(
        zoom=random.uniform(0.72, 1.2),
        turn=random.uniform(-12.0, 12.0) if random.random() < 0.5 else 0.0,
        shift=(random.uniform(-0.07, 0.07), random.uniform(-0.07, 0.07)),
        flip=random.random() < 0.5,
        working_px=int(size * random.uniform(0.35, 1.0)) if random.random() < 0.3 else size,
        resampling=int(random.choice(_RESAMPLING)),
        blur_sigma=blur,
        noise_std=random.uniform(1.0, 8.0) if random.random() < 0.1 else 0.0,
        jpeg=tuple(int(quality) for quality in random.integers(35, 98, random.choice([0, 1, 2], p=[0.45, 0.45, 0.1]))),
        gain=(
            contrast * random.uniform(0.93, 1.07),
            contrast * random.uniform(0.93, 1.07),
            contrast * random.uniform(0.93, 1.07),
        ),
        offset=random.uniform(-25.0, 25.0),
        gamma=float(np.exp(random.uniform(-0.25, 0.25))),
        saturation=0.0 if random.random() < 0.04 else random.uniform(0.6, 1.4),
        hole=(random.uniform(0, 0.7), random.uniform(0, 0.7), random.uniform(0.1, 0.4), random.uniform(0.1, 0.4))
        if random.random() < 0.35
        else None,
        seed=int(random.integers(2**31)),
    )


def _color(crop: np.ndarray, recipe: Recipe) -> np.ndarray:
    levels = np.arange(256, dtype=np.float32) / 255.0
    curve = 255.0 * levels**recipe.gamma
    tables = [np.clip((curve - 127.5) * gain + 127.5 + recipe.offset, 0, 255) for gain in recipe.gain]
    table = np.stack(tables, axis=1).astype(np.uint8)[None]
    crop = cv2.LUT(crop, table)
    if recipe.saturation != 1.0:
        gray = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        crop = cv2.addWeighted(crop, recipe.saturation, gray, 1.0 - recipe.saturation, 0.0)
    return crop


def apply(rgb: np.ndarray, box: Box, recipe: Recipe, contract: InputContract, size: int) -> np.ndarray:
    """Cut out a face and apply a recipe to it.

    Args:
        rgb: (H, W, 3) uint8 RGB picture.
        box: face box, pixels.
        recipe: the augmentation to apply.
        contract: gives the crop margin, which ``recipe.zoom`` multiplies.
        size: side of the result, pixels.

    Returns:
        (size, size, 3) uint8 RGB crop.
    """
    height, width = rgb.shape[:2]
    dx, dy = recipe.shift[0] * box.width, recipe.shift[1] * box.height
    moved = Box(box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy)
    square = crop_square(moved, width, height, contract.crop_margin * recipe.zoom)
    x0, y0, x1, y1 = (int(value) for value in square.corners)
    if recipe.working_px == size:
        crop = cut(rgb, square, size)
    else:
        crop = cv2.resize(rgb[y0:y1, x0:x1], (recipe.working_px,) * 2, interpolation=recipe.resampling)
    if recipe.turn:
        middle = crop.shape[0] / 2
        rotation = cv2.getRotationMatrix2D((middle, middle), recipe.turn, 1.0)
        crop = cv2.warpAffine(crop, rotation, crop.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    crop = _color(crop, recipe)
    if recipe.blur_sigma > 0:
        crop = cv2.GaussianBlur(crop, (0, 0), recipe.blur_sigma)
    elif recipe.blur_sigma < 0:
        soft = cv2.GaussianBlur(crop, (0, 0), 1.5)
        crop = cv2.addWeighted(crop, 1.0 - recipe.blur_sigma, soft, recipe.blur_sigma, 0.0)
    if recipe.noise_std:
        noise = np.random.default_rng(recipe.seed).normal(0.0, recipe.noise_std, crop.shape)
        crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
    for quality in recipe.jpeg:
        bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
        _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        crop = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB))
    if crop.shape[0] != size:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC)
    if recipe.flip:
        crop = crop[:, ::-1]
    if recipe.hole:
        crop = np.ascontiguousarray(crop)
        left, top, across, down = (int(share * size) for share in recipe.hole)
        crop[top : top + down, left : left + across] = 127
    return np.ascontiguousarray(crop)
