"""Conversion of colors from the encoding that a file states to sRGB, which an ordinary screen shows.

Files state code points of ITU-T H.273 (CICP), or chromaticities and an exponent (PNG). The curves are fixed and do not
depend on the content of the picture:

- PQ and HLG are decoded by ITU-R BT.2100 (tables 4 and 5), HLG for a screen of 1000 cd/m2 (system gamma 1.2).
- 203 cd/m2, the reference white of ITU-R BT.2408, becomes the white of sRGB.
- Brighter light is compressed. Up to 0.9 of white, nothing changes. Above, the largest channel follows the curve of
  Reinhard et al. 2002 ("Photographic tone reproduction for digital images", equation 4), which starts with slope 1 and
  maps 1000 cd/m2 to white. The other channels are scaled by the same factor, so that hues do not change.
- Primaries are converted in linear light. Other white points are adapted to that of sRGB (Bradford). Colors outside of
  sRGB are clipped.

Transfer functions for standard screens (BT.709, BT.601, BT.2020) are treated as sRGB, as browsers do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x and y of white, red, green, blue
_D65, _DCI, _C, _E = (0.3127, 0.3290), (0.314, 0.351), (0.310, 0.316), (1 / 3, 1 / 3)
SRGB_PRIMARIES: Chromaticities = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_SMPTE_170M: Chromaticities = (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
_PRIMARIES: dict[int, tuple[str, Chromaticities]] = {  # H.273, table 2
    1: ("BT.709", SRGB_PRIMARIES),
    2: ("unspecified", SRGB_PRIMARIES),
    4: ("BT.470 System M", (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: ("BT.601, 625 lines", (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06)),
    6: ("BT.601, 525 lines", _SMPTE_170M),
    7: ("SMPTE 240M", _SMPTE_170M),
    8: ("generic film", (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: ("BT.2020", (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    10: ("XYZ", (*_E, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
    11: ("DCI P3", (*_DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("Display P3", (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    22: ("EBU Tech. 3213", (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077)),
}
_STANDARD = {1, 2, 6, 11, 12, 13, 14, 15}  # transfer characteristics that browsers show as sRGB
_PQ, _HLG = 16, 18
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_REFERENCE_WHITE, _PEAK = 203.0, 1000.0  # cd/m2
_KNEE = 0.9
_HLG_GAMMA = 1.2
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_SAME = 0.002  # chromaticities that differ by no more are equal except for rounding
_BAND = 1 << 18  # pixels that are converted at once: as floats, a large picture would need too much memory


@dataclass(frozen=True, slots=True)
class Encoding:
    """How colors are encoded in 8 bits.

    Attributes:
        linear: (256,) float32, linear light of each value; 1 is the white of sRGB, brighter light is larger.
        primaries: chromaticities of white and of the three channels.
        color: conversion of the primaries, as text; None if they are those of sRGB.
        transfer: conversion of the brightness, as text; None if it is that of sRGB.
        scene: whether ``linear`` is scene light, 0..1, to which the system gamma of HLG must still be applied.
        bright: whether light brighter than white can be stored, so that it must be compressed.
    """

    linear: np.ndarray
    primaries: Chromaticities
    color: str | None
    transfer: str | None
    scene: bool = False
    bright: bool = False

    def to_srgb(self, rgb: np.ndarray) -> np.ndarray:
        """Convert stored values to sRGB.

        Args:
            rgb: (H, W, 3) uint8.

        Returns:
            (H, W, 3) uint8, sRGB.
        """
        shown = np.empty_like(rgb)
        rows = max(1, _BAND // max(rgb.shape[1], 1))
        matrix = _matrix(self.primaries) if self.color else None
        for top in range(0, len(rgb), rows):
            light = self.linear[rgb[top : top + rows]]
            if self.scene:
                luma = light @ _BT2020_LUMA
                light *= (_PEAK / _REFERENCE_WHITE * np.power(luma, _HLG_GAMMA - 1.0))[..., None]
            if matrix is not None:
                light = cv2.transform(light, matrix)
            if self.bright:
                _compress(light)
            shown[top : top + rows] = _from_linear()[(np.clip(light, 0.0, 1.0) * 65535.0 + 0.5).astype(np.uint16)]
        return shown


def from_cicp(primaries: int, transfer: int) -> Encoding | None:
    """Return the encoding that code points of H.273 state; None if it is sRGB, or shown as sRGB.

    Raises:
        ValueError: a code point is reserved.
    """
    if primaries not in _PRIMARIES:
        raise ValueError(f"color primaries {primaries}")
    name, chromaticities = _PRIMARIES[primaries]
    color = None if _alike(chromaticities, SRGB_PRIMARIES) else f"{name} primaries to sRGB"
    if transfer == _PQ:
        light = _sampled(lambda value: _pq(value) / _REFERENCE_WHITE)
        return Encoding(light, chromaticities, color, "PQ to sRGB, 203 cd/m2 to white", bright=True)
    if transfer == _HLG:
        light = _sampled(_hlg)
        return Encoding(light, chromaticities, color, "HLG to sRGB, 203 cd/m2 to white", scene=True, bright=True)
    if transfer in _STANDARD:
        return Encoding(_sampled(_srgb), chromaticities, color, None) if color else None
    if transfer not in _CURVES:
        raise ValueError(f"transfer characteristics {transfer}")
    named, curve = _CURVES[transfer]
    return Encoding(_sampled(curve), chromaticities, color, f"{named} to sRGB")


def from_png(exponent: float, chromaticities: Chromaticities) -> Encoding | None:
    """Return the encoding that gAMA and cHRM of a PNG state; None if it is sRGB.

    Args:
        exponent: value of gAMA: stored values are linear light to this power.
        chromaticities: x and y of white, red, green and blue (CIE 1931), from cHRM.

    Raises:
        ValueError: the chromaticities do not span a color space.
    """
    if _alike(chromaticities, SRGB_PRIMARIES):
        if is_screen_gamma(exponent):
            return None
        return Encoding(_sampled(lambda value: value ** (1 / exponent)), chromaticities, None, _gamma_words(exponent))
    _matrix(chromaticities)
    light = _sampled(lambda value: value ** (1 / exponent))
    return Encoding(light, chromaticities, "stated primaries (cHRM) to sRGB", _gamma_words(exponent))


def gamma_table(exponent: float) -> tuple[np.ndarray, str]:
    """Return the conversion that browsers apply to a PNG with gAMA but without cHRM, and its description.

    The table is (256,) uint8, from stored to shown values, for a screen of gamma 2.2.
    """
    return (255.0 * (np.arange(256) / 255.0) ** (1 / (2.2 * exponent))).round().astype(np.uint8), _gamma_words(exponent)


def is_screen_gamma(exponent: float) -> bool:
    """Return whether gAMA of a PNG is that of an ordinary screen, 1/2.2, within the 5 % that libpng tolerates."""
    return abs(exponent * 2.2 - 1.0) < 0.05


def _gamma_words(exponent: float) -> str:
    return f"gAMA {exponent:.5f} to sRGB"


def _sampled(curve: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return curve(np.arange(256) / 255.0).astype(np.float32)


def _srgb(value: np.ndarray) -> np.ndarray:
    """Return the linear light of stored values, both 0..1 (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _pq(value: np.ndarray) -> np.ndarray:
    """Return the luminance in cd/m2 of stored values, 0..1 (BT.2100, table 4)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = value ** (1 / m2)
    return 10000.0 * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg(value: np.ndarray) -> np.ndarray:
    """Return the scene light of stored values, both 0..1 (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)


_CURVES: dict[int, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {  # H.273, table 3
    4: ("gamma 2.2", lambda value: value**2.2),
    5: ("gamma 2.8", lambda value: value**2.8),
    7: (
        "SMPTE 240M",
        lambda value: np.where(value < 4 * 0.0228, value / 4, ((value + 0.1115) / 1.1115) ** (1 / 0.45)),
    ),
    8: ("linear", lambda value: value),
    9: ("logarithmic 100:1", lambda value: np.where(value > 0, 10 ** (2 * (value - 1)), 0.0)),
    10: ("logarithmic 316:1", lambda value: np.where(value > 0, 10 ** (2.5 * (value - 1)), 0.0)),
    17: ("SMPTE 428", lambda value: value**2.6 * 52.37 / 48),
}


@lru_cache
def _from_linear() -> np.ndarray:
    """Return the table that converts 65,536 levels of linear light to sRGB, uint8."""
    light = np.arange(65536) / 65535.0
    stored = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255.0 * stored).round().astype(np.uint8)


def _compress(light: np.ndarray) -> None:
    """Compress light above the knee, in place, as the docstring of the module describes."""
    largest = light.max(-1, keepdims=True)
    over = np.maximum(largest - _KNEE, 0.0) / (1 - _KNEE)
    most = (_PEAK / _REFERENCE_WHITE - _KNEE) / (1 - _KNEE)
    wanted = _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + over)
    light *= np.where(over > 0, wanted / np.maximum(largest, _KNEE), 1.0)


def _alike(first: Chromaticities, second: Chromaticities) -> bool:
    return all(abs(a - b) <= _SAME for a, b in zip(first, second, strict=True))


def _to_xyz(primaries: Chromaticities) -> np.ndarray:
    """Return the (3, 3) matrix from linear light to XYZ (SMPTE RP 177).

    Raises:
        ValueError: the primaries do not span a color space.
    """
    white, *columns = (np.array([x, y, 1.0 - x - y]) for x, y in zip(primaries[::2], primaries[1::2], strict=True))
    corners = np.stack(columns, 1)
    if white[1] < 1e-3 or abs(np.linalg.det(corners)) < 1e-4:
        raise ValueError("chromaticities without area")
    return corners * np.linalg.solve(corners, white / white[1])


def _matrix(primaries: Chromaticities) -> np.ndarray:
    """Return the (3, 3) float32 matrix from linear light in these primaries to linear sRGB."""
    source, target = _to_xyz(primaries), _to_xyz(SRGB_PRIMARIES)
    cones = (_BRADFORD @ target.sum(1)) / (_BRADFORD @ source.sum(1))
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD
    matrix: np.ndarray = (np.linalg.inv(target) @ adapted @ source).astype(np.float32)
    return matrix
