"""Views of a face for the networks: crops of the picture as it is, degraded in fixed tiers, or degraded at random.

Generated faces also show in everything around them, edited faces only in the face itself. Degradations are applied to
the region around the face before it is cropped, at the picture's own resolution, as pictures suffer them in practice.

All random choices are drawn into a ``Recipe`` first and then applied. A pristine picture and the pictures made from it
can therefore get the same treatment, so that only the manipulation differs between them.
"""

import hashlib
import io
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image

from faceloupe.errors import DatasetError
from faceloupe.scoring.preprocess import crop_square, cut
from faceloupe.training.regions import WHOLE_PICTURE
from faceloupe.types import Box

SIDE = 224  # of the encoder's input, pixels
# Side of the crop divided by the longer side of the face box; the widest is as large as the picture allows.
CROPS = MappingProxyType({"tight": 1.3, "wide": 2.4, "widest": WHOLE_PICTURE})
_RESAMPLING = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_RESAMPLING_SHARES = (0.5, 0.2, 0.2, 0.1)
_SHARPENING_SIGMA = 1.2
_SMALLEST_SIDE = 8


@dataclass(frozen=True, slots=True)
class Face:
    """A face in its surroundings.

    Attributes:
        rgb: (H, W, 3) uint8 RGB.
        box: face box, pixels of ``rgb``.
        picture_px: longer side of the whole picture that ``rgb`` was cut from, in pixels of ``rgb``.
    """

    rgb: np.ndarray
    box: Box
    picture_px: float

    @property
    def size_px(self) -> float:
        """Longer side of the face box, pixels."""
        return max(self.box.width, self.box.height)


@dataclass(frozen=True, slots=True)
class Framing:
    """Deviation of a crop from its nominal position and size.

    Attributes:
        zoom: factor on the side of the crop.
        shift: displacement of its center in x and y, as a share of the face box's width and height.
    """

    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


AS_FRAMED = Framing()


@dataclass(frozen=True, slots=True)
class Crop:
    """Crop of a face, as a network gets it.

    Attributes:
        rgb: (S, S, 3) uint8 RGB, ``SIDE`` pixels to a side for the encoder.
        face_px: longer side of the face box before the crop was resized, pixels.
        ratio: side of the crop divided by the longer side of the face box; less than requested if the picture ends.
    """

    rgb: np.ndarray
    face_px: float
    ratio: float


def crop(face: Face, name: str, framing: Framing = AS_FRAMED, side: int = SIDE) -> Crop:
    """Crop a face.

    Args:
        face: face in its picture.
        name: name of a crop in ``CROPS``.
        framing: how the crop is shifted and zoomed.
        side: side of the crop, pixels.

    Raises:
        DatasetError: there is no crop of this name.
    """
    if name not in CROPS:
        raise DatasetError(f"There is no crop {name!r}; known are {', '.join(CROPS)}.")
    height, width = face.rgb.shape[:2]
    dx, dy = framing.shift[0] * face.box.width, framing.shift[1] * face.box.height
    moved = Box(face.box.x0 + dx, face.box.y0 + dy, face.box.x1 + dx, face.box.y1 + dy)
    square = crop_square(moved, width, height, CROPS[name] * framing.zoom)
    return Crop(cut(face.rgb, square, side), face.size_px, square.width / face.size_px)


@dataclass(frozen=True, slots=True)
class Tier:
    """A fixed degradation: the picture is shrunk to ``long_side`` pixels, then compressed as JPEG of that quality."""

    long_side: int
    quality: int


AS_IS = "as-is"
TIERS = MappingProxyType({AS_IS: None, "768": Tier(768, 60), "512": Tier(512, 40)})


def _jpeg(rgb: np.ndarray, quality: int, subsampling: int = 2) -> np.ndarray:
    coded = io.BytesIO()
    Image.fromarray(rgb).save(coded, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(coded).convert("RGB"))


def _webp(rgb: np.ndarray, quality: int) -> np.ndarray:
    coded = io.BytesIO()
    Image.fromarray(rgb).save(coded, "WEBP", quality=quality, method=1)
    return np.asarray(Image.open(coded).convert("RGB"))


def _resized(face: Face, factor: float, resampling: int) -> Face:
    height, width = face.rgb.shape[:2]
    size = max(round(width * factor), _SMALLEST_SIDE), max(round(height * factor), _SMALLEST_SIDE)
    x, y = size[0] / width, size[1] / height
    box = Box(face.box.x0 * x, face.box.y0 * y, face.box.x1 * x, face.box.y1 * y)
    return Face(cv2.resize(face.rgb, size, interpolation=resampling), box, face.picture_px * factor)


def degrade(face: Face, tier: Tier | None) -> Face:
    """Apply a tier; pictures that are already smaller are only compressed. None returns the face unchanged."""
    if tier is None:
        return face
    factor = min(1.0, tier.long_side / face.picture_px)
    if factor < 1.0:
        face = _resized(face, factor, cv2.INTER_AREA)
    return Face(_jpeg(face.rgb, tier.quality), face.box, face.picture_px)


@dataclass(frozen=True, slots=True)
class Passage:
    """One degradation step: the picture is shrunk, filtered and compressed.

    Attributes:
        shrink: how far the face is shrunk from its own size towards ``smallest_px``, on a logarithmic scale, 0..1.
        smallest_px: longer side of the face box, pixels; smaller faces are not shrunk.
        resampling: OpenCV interpolation of the shrinking.
        blur_sigma: sigma of the Gaussian blur, pixels; 0 for none.
        sharpen: strength of an unsharp mask; 0 for none.
        noise_std: standard deviation of the Gaussian noise, gray levels; 0 for none.
        colored_noise: whether the noise differs between the channels.
        smooth: gray levels over which a bilateral filter smooths; 0 for none.
        codec: JPEG, WEBP, or empty for none.
        quality: quality of the codec.
        subsampling: JPEG's color subsampling in Pillow's numbering: 0 none, 2 by half in both directions.
    """

    shrink: float
    smallest_px: int
    resampling: int
    blur_sigma: float = 0.0
    sharpen: float = 0.0
    noise_std: float = 0.0
    colored_noise: bool = False
    smooth: float = 0.0
    codec: str = ""
    quality: int = 0
    subsampling: int = 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """Parameters drawn for one augmentation.

    Attributes:
        turn: rotation around the center of the face, degrees.
        flip: whether to mirror left to right.
        squeeze: factor on the width of the whole picture; 1 leaves it unchanged.
        linear: whether the picture is rounded to 8 bits of linear light, which coarsens its shadows.
        gamma, offset: exponent of the tone curve, and brightness on the 0..255 scale; 1 and 0 change nothing.
        gain: contrast of each channel.
        saturation: 0 is gray, 1 leaves the colors unchanged, above 1 is stronger.
        passages: degradation steps, in order.
        framing: framing of the crops.
        seed: seed of the noise.
    """

    turn: float
    flip: bool
    squeeze: float
    linear: bool
    gamma: float
    offset: float
    gain: tuple[float, float, float]
    saturation: float
    passages: tuple[Passage, ...]
    framing: Framing
    seed: int


@dataclass(frozen=True, slots=True)
class Strength:
    """Strength of the augmentation.

    Attributes:
        smallest_px: see ``Passage``.
        shrinking: share of the passages that shrink the picture.
        jpeg: share of the passages that end in JPEG.
        quality: range of the JPEG quality; the upper end is excluded.
    """

    smallest_px: int
    shrinking: float
    jpeg: float
    quality: tuple[int, int]


STRENGTHS = MappingProxyType({"light": Strength(80, 0.65, 0.75, (50, 97)), "heavy": Strength(40, 0.95, 0.85, (30, 80))})


def _draw_passage(random: np.random.Generator, strength: Strength) -> Passage:
    passage = Passage(shrink=0.0, smallest_px=strength.smallest_px, resampling=0)
    which = random.random()
    if which < 0.15:
        passage = replace(passage, blur_sigma=random.uniform(0.3, 1.4))
    elif which < 0.25:
        passage = replace(passage, sharpen=random.uniform(0.2, 1.2))
    elif which < 0.33:
        passage = replace(passage, noise_std=random.uniform(1.0, 7.0), colored_noise=random.random() < 0.5)
    elif which < 0.37:
        passage = replace(passage, smooth=random.uniform(10.0, 40.0))
    which = random.random()
    if which < strength.jpeg:
        quality = int(random.integers(*strength.quality))
        passage = replace(passage, codec="JPEG", quality=quality, subsampling=int(random.choice([0, 2])))
    elif which < strength.jpeg + 0.15:
        passage = replace(passage, codec="WEBP", quality=int(random.integers(30, 96)))
    return replace(
        passage,
        shrink=random.uniform(0.0, 1.0) if random.random() < strength.shrinking else 0.0,
        resampling=int(random.choice(_RESAMPLING, p=_RESAMPLING_SHARES)),
    )


def draw(random: np.random.Generator, strength: Strength) -> Recipe:
    """Draw a recipe of a strength."""
    turn = 0.0
    if random.random() < 0.3:
        most = 25.0 if random.random() < 0.3 else 10.0
        turn = random.uniform(-most, most)
    gamma, offset, gain, saturation = 1.0, 0.0, (1.0, 1.0, 1.0), 1.0
    if random.random() < 0.7:
        gamma = float(np.exp(random.uniform(-0.25, 0.25)))
        offset = random.uniform(-18.0, 18.0)
        contrast = random.uniform(0.8, 1.25)
        red, green, blue = (contrast * random.uniform(0.95, 1.05) for _ in range(3))
        gain = (red, green, blue)
        saturation = 0.0 if random.random() < 0.12 else random.uniform(0.6, 1.4)
    squeeze = float(np.exp(random.uniform(-0.4, 0.4))) if random.random() < 0.2 else 1.0
    return Recipe(
        turn=turn,
        flip=random.random() < 0.5,
        squeeze=squeeze,
        linear=random.random() < 0.05,
        gamma=gamma,
        offset=offset,
        gain=gain,
        saturation=saturation,
        passages=tuple(_draw_passage(random, strength) for _ in range(1 if random.random() < 0.7 else 2)),
        framing=Framing(random.uniform(0.85, 1.15), (random.uniform(-0.06, 0.06), random.uniform(-0.06, 0.06))),
        seed=int(random.integers(2**31)),
    )


def _turned(face: Face, degrees: float) -> Face:
    height, width = face.rgb.shape[:2]
    middle = (face.box.x0 + face.box.x1) / 2, (face.box.y0 + face.box.y1) / 2
    rotation = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    border = cv2.BORDER_REFLECT_101
    rgb = cv2.warpAffine(face.rgb, rotation, (width, height), flags=cv2.INTER_CUBIC, borderMode=border)
    return Face(rgb, face.box, face.picture_px)


def _flipped(face: Face) -> Face:
    width = face.rgb.shape[1]
    box = Box(width - face.box.x1, face.box.y0, width - face.box.x0, face.box.y1)
    return Face(np.ascontiguousarray(face.rgb[:, ::-1]), box, face.picture_px)


def _squeezed(face: Face, factor: float) -> Face:
    height, width = face.rgb.shape[:2]
    size = max(round(width * factor), _SMALLEST_SIDE), height
    x = size[0] / width
    box = Box(face.box.x0 * x, face.box.y0, face.box.x1 * x, face.box.y1)
    return Face(cv2.resize(face.rgb, size, interpolation=cv2.INTER_AREA), box, face.picture_px)


def _stored_linear(rgb: np.ndarray) -> np.ndarray:
    light = ((np.arange(256) / 255.0) ** 2.2 * 255.0).round() / 255.0
    table: np.ndarray = (light ** (1 / 2.2) * 255.0).round().astype(np.uint8)
    return cv2.LUT(rgb, table)


def _colored(rgb: np.ndarray, recipe: Recipe) -> np.ndarray:
    curve = 255.0 * (np.arange(256) / 255.0) ** recipe.gamma
    tables = [np.clip((curve - 127.5) * gain + 127.5 + recipe.offset, 0, 255) for gain in recipe.gain]
    rgb = cv2.LUT(rgb, np.stack(tables, axis=1).round().astype(np.uint8)[None])
    if recipe.saturation != 1.0:
        gray = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        rgb = cv2.addWeighted(rgb, recipe.saturation, gray, 1.0 - recipe.saturation, 0.0)
    return rgb


def _filtered(rgb: np.ndarray, passage: Passage, noise: np.random.Generator) -> np.ndarray:
    if passage.blur_sigma:
        rgb = cv2.GaussianBlur(rgb, (0, 0), passage.blur_sigma)
    if passage.sharpen:
        soft = cv2.GaussianBlur(rgb, (0, 0), _SHARPENING_SIGMA)
        rgb = cv2.addWeighted(rgb, 1.0 + passage.sharpen, soft, -passage.sharpen, 0.0)
    if passage.noise_std:
        shape = (*rgb.shape[:2], 3 if passage.colored_noise else 1)
        rgb = np.clip(rgb + noise.normal(0.0, passage.noise_std, shape), 0, 255).astype(np.uint8)
    if passage.smooth:
        rgb = cv2.bilateralFilter(rgb, 5, passage.smooth, 5)
    if passage.codec == "JPEG":
        return _jpeg(rgb, passage.quality, passage.subsampling)
    return _webp(rgb, passage.quality) if passage.codec == "WEBP" else rgb


def augment(face: Face, recipe: Recipe) -> Face:
    """Apply a recipe to a face; its framing is applied later, by ``crop``."""
    if recipe.turn:
        face = _turned(face, recipe.turn)
    if recipe.flip:
        face = _flipped(face)
    if recipe.squeeze != 1.0:
        face = _squeezed(face, recipe.squeeze)
    if recipe.linear:
        face = Face(_stored_linear(face.rgb), face.box, face.picture_px)
    face = Face(_colored(face.rgb, recipe), face.box, face.picture_px)
    noise = np.random.default_rng(recipe.seed)
    for passage in recipe.passages:
        if passage.shrink and face.size_px > passage.smallest_px:
            factor = (passage.smallest_px / face.size_px) ** passage.shrink
            face = _resized(face, factor, passage.resampling)
        face = Face(_filtered(face.rgb, passage, noise), face.box, face.picture_px)
    return face


def recipe_for(treatment: str, name: str) -> Recipe:
    """Return the recipe of a treatment for a picture, which depends only on the two names.

    Args:
        treatment: a strength and a number, such as ``heavy-1``; each number is another draw.
        name: name of the pair that the picture belongs to, or of the picture; the pictures of a pair share a recipe.

    Raises:
        DatasetError: there is no strength of this name.
    """
    strength, dash, number = treatment.partition("-")
    if strength not in STRENGTHS or not dash or not number.isdecimal():
        known = (*TIERS, *(f"{strength}-1" for strength in STRENGTHS))
        raise DatasetError(f"There is no treatment {treatment!r}; known are {', '.join(known)} and further numbers.")
    seed = hashlib.sha256(f"{treatment} {name}".encode()).digest()
    return draw(np.random.default_rng(int.from_bytes(seed[:16], "big")), STRENGTHS[strength])


def treat(face: Face, treatment: str, name: str) -> tuple[Face, Framing]:
    """Apply a tier or a recipe to a face.

    Args:
        face: face in its picture.
        treatment: name in ``TIERS``, or as in ``recipe_for``.
        name: see ``recipe_for``.

    Returns:
        The treated face, from which the crops are cut, and their framing.

    Raises:
        DatasetError: there is no treatment of this name.
    """
    if treatment in TIERS:
        return degrade(face, TIERS[treatment]), AS_FRAMED
    recipe = recipe_for(treatment, name)
    return augment(face, recipe), recipe.framing
