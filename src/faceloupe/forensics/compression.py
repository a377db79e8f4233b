"""Compression history: traces of a JPEG compression that was made before the last one."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from faceloupe.errors import EvidenceError
from faceloupe.forensics.jpeg import in_rows, standard_tables
from faceloupe.forensics.rates import rates_of
from faceloupe.forensics.results import Fact, Finding, LensPicture, LensResult, PictureScale, Severity
from faceloupe.forensics.source import LensSource
from faceloupe.media.image import turned

ALIGNED, SHIFTED = "compression.double-aligned", "compression.double-shifted"
ALIGNED_LEAST = 3.0
SHIFTED_LEAST = 6.5
"""Minimum scores at which the two rules fire. Of the once-saved pictures used to set them, about 1 % score higher."""
FEWEST_BLOCKS = 256  # needed for the statistics of both rules

_POSITIONS = 15  # number of coefficients that are used, in zigzag order, beginning with the mean
_MOST_STEP = 64  # largest step of an earlier quantization that is tried
_MOST_LEVEL = 60  # largest multiple of a step; larger ones are counted with it
_PENALTY = 3.0  # for the choice of the best step, in units of the log likelihood
_FINE = 2  # bins per unit of an unquantized coefficient
_LARGEST = 1100  # largest coefficient: 8 times 128, plus a margin for rounding
_LEVELS = 2048  # number of values of the first coefficient
_LEAST_SPREAD = 4  # range of gray levels in a block that is not flat
_PERIODS = np.arange(3, 101)  # quantization steps of the mean that are tried on shifted grids
_GHOST_QUALITIES = range(50, 98, 4)
_GHOST_SIDE = 16  # side of a square of the ghost map, pixels


@dataclass(frozen=True, slots=True)
class Aligned:
    """Traces of an earlier compression on the same block grid.

    Attributes:
        score: sum of the log-likelihood ratios of an earlier quantization against none, each divided by the square
            root of the number of blocks; about 0 if there was none.
        quality: quality of the standard tables that explain the coefficients best, 1..100; None if no lower quality
            explains them.
    """

    score: float
    quality: int | None


@dataclass(frozen=True, slots=True)
class Shifted:
    """Traces of an earlier compression on another block grid.

    Attributes:
        score: difference between the regularity of the best grid and the median of the others, in their deviations.
        x: shift of the best grid in columns, 0..7.
        y: shift of the best grid in rows, 0..7.
    """

    score: float
    x: int
    y: int


def examine(source: LensSource) -> LensResult:
    """Show traces of an earlier compression in a JPEG.

    Raises:
        EvidenceError: the file is not a JPEG, has no tables, or is damaged.
    """
    structure = source.metadata.jpeg
    if structure is None or not structure.table_of or structure.table_of[0] not in structure.tables:
        raise EvidenceError("The file has no quantization tables; its compression cannot be looked at.")
    if len(structure.sampling) not in (1, 3):
        return LensResult((Fact("Earlier compression", f"unknown ({len(structure.sampling)} components)"),))
    steps, luma = np.array(structure.tables[structure.table_of[0]]), source.luma
    scale = PictureScale(
        "compression-ghost",
        "how much less a part changes at some lower quality than at those beside it (JPEG ghost)",
        "as much as beside it",
        "not at all: the part was stored at that quality before",
    )
    ghost = turned(ghost_map(luma, steps), source.picture.shown.orientation)
    picture = LensPicture(scale, ghost)
    blocks = len(_blocks(luma))
    facts = [Fact("Blocks that are not flat", f"{blocks:,}")]
    if blocks < FEWEST_BLOCKS:
        facts.append(Fact("Earlier compression", f"unknown (fewer than {FEWEST_BLOCKS} blocks)"))
        return LensResult(tuple(facts), pictures=(picture,))
    same, other = aligned(luma, steps), shifted(luma)
    facts += [
        Fact("Earlier compression, same grid", f"score {same.score:.2f} (finding from {ALIGNED_LEAST:g} on)"),
        Fact("Earlier compression, other grid", f"score {other.score:.1f} (finding from {SHIFTED_LEAST:g} on)"),
    ]
    rule = fired(same.score, other.score)
    if rule is None:
        return LensResult(tuple(facts), pictures=(picture,))
    if rule == ALIGNED:
        quality = "" if same.quality is None else f" at a lower quality (about {same.quality} of 100)"
        text = (
            f"The picture was saved as a JPEG before{quality}, and saved again without a change of its block grid. "
            "Programs and services do this all the time."
        )
    else:
        text = (
            "The picture was saved as a JPEG before and cropped or moved since: its former block grid lies "
            f"{other.x} columns and {other.y} rows off the present one."
        )
    return LensResult(tuple(facts), (Finding(rule, Severity.NOTICE, text, rates_of(rule)),), (picture,))


def fired(aligned_score: float, shifted_score: float) -> str | None:
    """Return the rule that fires, or None; the rule of another grid fires only if that of the same grid does not."""
    if aligned_score >= ALIGNED_LEAST:
        return ALIGNED
    return SHIFTED if shifted_score >= SHIFTED_LEAST else None


def aligned(luma: np.ndarray, steps: np.ndarray) -> Aligned:
    """Compare the quantized coefficients with the effect of an earlier, coarser quantization.

    The coefficients of the picture shifted by four pixels are independent of the grid. Quantized once and twice, they
    give the expected frequency of each level (Lukas and Fridrich 2003, with the calibration of Fridrich et al. 2002).

    Args:
        luma: (H, W) uint8, at least 16 x 16.
        steps: (64,) quantization steps of the last compression, in zigzag order.
    """
    here, aside = _blocks(luma), _blocks(luma[4:-4, 4:-4])
    ratios = np.zeros((_POSITIONS, _MOST_STEP + 1))
    for position in range(_POSITIONS):
        ratios[position] = _ratios(_coefficient(here, position), _coefficient(aside, position), int(steps[position]))
    score = np.maximum(ratios.max(axis=1) - _PENALTY, 0.0).sum() / np.sqrt(max(len(here), 1))
    tables = np.minimum(standard_tables(False)[:, :_POSITIONS], _MOST_STEP)
    qualities = ratios[np.arange(_POSITIONS), tables].sum(axis=1)
    best = int(qualities.argmax())
    return Aligned(float(score), best + 1 if qualities[best] > 0 else None)


def shifted(luma: np.ndarray) -> Shifted:
    """Search for the grid on which the means of the blocks are multiples of a step (Bianchi and Piva 2012).

    Args:
        luma: (H, W) uint8, at least 16 x 16.
    """
    sums = cv2.boxFilter(luma, cv2.CV_32S, (8, 8), anchor=(0, 0), normalize=False)[:-7, :-7]
    square = np.ones((8, 8), np.uint8)
    spread = cv2.dilate(luma, square, anchor=(0, 0)) - cv2.erode(luma, square, anchor=(0, 0))
    means = (sums + 4) // 8  # the first coefficient of a block plus 1024
    means[spread[:-7, :-7] < _LEAST_SPREAD] = _LEVELS  # flat parts are regular on every grid
    histograms = np.stack(
        [np.bincount(means[y::8, x::8].ravel(), minlength=_LEVELS + 1)[:_LEVELS] for y in range(8) for x in range(8)]
    ).astype(np.float32)
    waves = histograms @ _waves()
    sizes = np.maximum(histograms.sum(axis=1, keepdims=True), 1.0)
    regularity = np.hypot(*np.split(waves, 2, axis=1)) / np.sqrt(sizes)
    others = regularity[1:]  # all grids but that of the last compression
    middle = np.median(others, axis=0)
    deviation = np.median(np.abs(others - middle), axis=0) * 1.48 + 0.3  # 0.3: floor for grids without regularity
    scores = ((others - middle) / deviation).max(axis=1)
    best = int(scores.argmax())
    return Shifted(float(scores[best]), *reversed(divmod(best + 1, 8)))


def ghost_map(luma: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Map how much less each part changes at some lower quality than at the neighboring qualities (Farid 2009).

    Args:
        luma: (H, W) uint8.
        steps: (64,) quantization steps of the last compression, in zigzag order.

    Returns:
        (H, W) uint8, constant in each square of 16 x 16 pixels; 255 where the square does not change at that quality.
    """
    height, width = (side // _GHOST_SIDE * _GHOST_SIDE for side in luma.shape)
    size = width // _GHOST_SIDE, height // _GHOST_SIDE
    last = int(np.abs(standard_tables(False) - steps).sum(axis=1).argmin()) + 1
    lower = [quality for quality in _GHOST_QUALITIES if quality < last - 2]
    if not height or not width or len(lower) < 3:
        return np.zeros(luma.shape, np.uint8)
    coefficients = _all_coefficients(luma[:height, :width])
    changes = []
    for quality in lower:
        table = np.tile(in_rows(standard_tables(False)[quality - 1]).astype(np.float32), (1, width // 8))
        squares = _changes(coefficients, table).reshape(height, width)
        changes.append(cv2.resize(squares, size, interpolation=cv2.INTER_AREA))
    stack = np.stack(changes)
    beside = (stack[:-2] + stack[2:]) / 2
    dips = 1 - stack[1:-1] / np.maximum(beside, 1.0)
    dips[beside < 1.0] = 0.0  # flat parts change at no quality
    levels = (np.clip(dips.max(axis=0), 0.0, 1.0) * 255).round().astype(np.uint8)
    enlarged = levels.repeat(_GHOST_SIDE, axis=0).repeat(_GHOST_SIDE, axis=1)
    return np.pad(enlarged, ((0, luma.shape[0] - height), (0, luma.shape[1] - width)))


@cache
def _basis() -> np.ndarray:
    """Return the discrete cosine transform, (8, 8) float32, with a row for each frequency (T.81, A.3.3)."""
    frequency, at = np.mgrid[:8, :8]
    basis = np.cos(np.pi * (2 * at + 1) * frequency / 16) / 2
    basis[0] /= np.sqrt(2)
    rows: np.ndarray = basis.astype(np.float32)
    return rows


def _blocks(luma: np.ndarray) -> np.ndarray:
    """Return the blocks that are not flat, (N, 8, 8) float32, shifted so that mid gray is zero."""
    height, width = (side // 8 for side in luma.shape)
    blocks = luma[: height * 8, : width * 8].reshape(height, 8, width, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    centered: np.ndarray = blocks[np.ptp(blocks, axis=(1, 2)) >= _LEAST_SPREAD].astype(np.float32) - 128
    return centered


def _coefficient(blocks: np.ndarray, position: int) -> np.ndarray:
    """Return one coefficient of all blocks, by its position in zigzag order."""
    row, column = np.argwhere(in_rows(np.arange(64)) == position)[0]
    wave = np.outer(_basis()[row], _basis()[column]).ravel()
    values: np.ndarray = blocks.reshape(-1, 64) @ wave
    return values


def _all_coefficients(luma: np.ndarray) -> np.ndarray:
    """Return the coefficients of each block in place of its pixels, (H/8, 8, W) float32."""
    height, width = luma.shape
    rows = _basis() @ (luma.reshape(height // 8, 8, width).astype(np.float32) - 128)
    coefficients: np.ndarray = (rows.reshape(-1, 8) @ _basis().T).reshape(height // 8, 8, width)
    return coefficients


def _changes(coefficients: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the squared change of each coefficient when it is rounded to a multiple of its step."""
    changes: np.ndarray = coefficients / table
    changes -= np.rint(changes)
    changes *= table
    np.square(changes, out=changes)
    return changes


def _ratios(here: np.ndarray, aside: np.ndarray, step: int) -> np.ndarray:
    """Return the log-likelihood ratio of each earlier step against none, (steps,); 0 for steps up to ``step``."""
    levels = np.clip(np.rint(here / step), -_MOST_LEVEL, _MOST_LEVEL).astype(int) + _MOST_LEVEL
    counts = np.bincount(levels, minlength=2 * _MOST_LEVEL + 1)
    bins = np.clip(np.rint((aside + _LARGEST) * _FINE), 0, 2 * _LARGEST * _FINE).astype(int)
    free = np.bincount(bins, minlength=2 * _LARGEST * _FINE + 1).astype(np.float64)
    smooth = cv2.GaussianBlur(free[None], (0, 0), max(1.0, step / _FINE))[0]
    ratios = np.zeros(_MOST_STEP + 1)
    if step >= _MOST_STEP:
        return ratios
    once = _expected(smooth, 1, step)
    for earlier in range(step + 1, _MOST_STEP + 1):
        ratios[earlier] = (counts * (_expected(smooth, earlier, step) - once)).sum()
    return ratios


def _expected(smooth: np.ndarray, earlier: int, step: int) -> np.ndarray:
    """Return the logarithm of the share of each level after quantization with one step and then with another."""
    counts = np.bincount(_levels(earlier, step), weights=smooth, minlength=2 * _MOST_LEVEL + 1) + 0.05  # no share is 0
    shares: np.ndarray = np.log(counts / counts.sum())
    return shares


@cache
def _levels(earlier: int, step: int) -> np.ndarray:
    """Return the level, from 0, of each bin after quantization with one step and then with another."""
    values = np.arange(2 * _LARGEST * _FINE + 1) / _FINE - _LARGEST
    levels = np.rint(np.rint(values / earlier) * earlier / step)
    from_zero: np.ndarray = (np.clip(levels, -_MOST_LEVEL, _MOST_LEVEL) + _MOST_LEVEL).astype(np.int16)
    return from_zero


@cache
def _waves() -> np.ndarray:
    """Return a cosine and a sine of each period over the values of the first coefficient, (levels, 2 periods)."""
    phases = 2 * np.pi * np.arange(_LEVELS)[:, None] / _PERIODS
    return np.concatenate([np.cos(phases), np.sin(phases)], axis=1).astype(np.float32)
