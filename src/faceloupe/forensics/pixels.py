"""Pictures made from the pixels, each on a scale that is the same for every file. None of them is a finding."""

import io

import cv2
import numpy as np
from PIL import Image

from faceloupe.forensics.results import Fact, LensPicture, LensResult, PictureScale
from faceloupe.forensics.source import LensSource

ERROR_QUALITY = 90  # of the recompression
ERROR_MOST = 32  # gray levels that the brightest color stands for
SPECTRUM_SIDE = 1024  # pixels of the square that is transformed
SPECTRUM_DECADES = 6.0  # decimal logarithm of the magnitude that the brightest color stands for
NOISE_MOST = 16  # gray levels, likewise
UP_SAMPLING_SIDES = (192, 512)  # pixels of the square in the middle that is searched for points, least and most
_AROUND = 7  # values of the spectrum across that a point is held against
_TILE, _STEP = 128, 64  # pixels of the parts whose spectra are averaged, and from one to the next


def look_error_level(source: LensSource) -> LensResult:
    """Show how much each pixel changes when the picture is saved as a JPEG again (Krawetz 2007).

    Raises:
        EvidenceError: the picture cannot be decoded.
    """
    rgb, stream = source.picture.rgb, io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=ERROR_QUALITY, subsampling=0)
    again = np.asarray(Image.open(stream))
    red, green, blue = cv2.split(cv2.absdiff(rgb, again))
    difference = cv2.max(cv2.max(red, green), blue)
    caption = f"largest difference of a channel after saving at quality {ERROR_QUALITY}"
    scale = PictureScale("error-level", caption, "0 gray levels", f"{ERROR_MOST} gray levels or more")
    facts = (Fact("Mean difference", f"{difference.mean():.2f} gray levels"),)
    return LensResult(facts, pictures=(LensPicture(scale, cv2.convertScaleAbs(difference, alpha=255 / ERROR_MOST)),))


def look_spectrum(source: LensSource) -> LensResult:
    """Show the spectrum of the middle of the picture, zero frequency in the center.

    Raises:
        EvidenceError: the picture cannot be decoded.
    """
    gray = cv2.cvtColor(source.picture.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width = gray.shape
    side = min(height, width, SPECTRUM_SIDE)
    top, left = (height - side) // 2, (width - side) // 2
    square = gray[top : top + side, left : left + side]
    window = np.hanning(side + 2)[1:-1]  # without zeros, so that a picture of one pixel has a spectrum too
    magnitude = np.abs(np.fft.fftshift(np.fft.fft2((square - square.mean()) * np.outer(window, window))))
    scale = PictureScale(
        "spectrum",
        f"magnitude of the middle {side} x {side} pixels, logarithmic",
        "1",
        f"10^{SPECTRUM_DECADES:.0f} or more",
    )
    levels = np.minimum(np.log10(np.maximum(magnitude, 1.0)) / SPECTRUM_DECADES, 1.0) * 255
    spectrum = LensPicture(scale, levels.round().astype(np.uint8), of_places=False)
    facts = [Fact("Transformed", f"{side} x {side} pixels")]
    if side >= UP_SAMPLING_SIDES[0]:
        points = f"{up_sampling_score(gray):+.2f} (natural logarithm of the power)"
        facts.append(Fact("Points at 1/4 and 1/2 of the sampling rate, against 1/8 and 3/8", points))
    return LensResult(tuple(facts), pictures=(spectrum,))


def up_sampling_score(gray: np.ndarray) -> float:
    """Measure the points that doubling a picture twice leaves on the axes of its spectrum (Zhang et al. 2019).

    JPEG makes points at all multiples of 1/8; those that up-sampling does not make are subtracted.

    Args:
        gray: (H, W), each at least the first of ``UP_SAMPLING_SIDES``.

    Returns:
        Natural logarithm of a power: how far the points at 1/4 and 1/2 stand out, less those at 1/8 and 3/8.
    """
    prominence = stand_out(residual_spectrum(gray))

    def on_axes(*indices: int) -> float:
        return float(np.mean([prominence[index, 0] + prominence[0, index] for index in indices])) / 2

    return on_axes(_TILE // 4) + on_axes(_TILE // 2) - on_axes(_TILE // 8, 3 * _TILE // 8)


def residual_spectrum(gray: np.ndarray) -> np.ndarray:
    """(128, 128) mean logarithm of the power of the finest detail in the middle, zero frequency first."""
    side = min(*gray.shape, UP_SAMPLING_SIDES[1]) // _STEP * _STEP
    top, left = (gray.shape[0] - side) // 2, (gray.shape[1] - side) // 2
    part = gray[top : top + side, left : left + side].astype(np.float32)
    detail = part - cv2.GaussianBlur(part, (0, 0), 1.0)
    window = np.outer(np.hanning(_TILE), np.hanning(_TILE))
    starts = range(0, side - _TILE + 1, _STEP)
    tiles = [detail[y : y + _TILE, x : x + _TILE] for y in starts for x in starts]
    powers = [np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2 for tile in tiles]
    mean: np.ndarray = np.mean([np.log(power + 1) for power in powers], axis=0)
    return mean


def stand_out(spectrum: np.ndarray) -> np.ndarray:
    """How far each value of a spectrum (H, W) lies above the median of those around it."""
    from scipy.ndimage import median_filter  # heavy, and not needed by the lenses of every analysis

    above: np.ndarray = spectrum - median_filter(spectrum, size=_AROUND, mode="wrap")
    return above


def look_noise(source: LensSource) -> LensResult:
    """Show what a median filter takes away: noise, and the finest detail.

    Raises:
        EvidenceError: the picture cannot be decoded.
    """
    gray = cv2.cvtColor(source.picture.rgb, cv2.COLOR_RGB2GRAY)
    residual = cv2.absdiff(gray, cv2.medianBlur(gray, 3))
    scale = PictureScale(
        "noise", "difference from the median of 3 x 3", "0 gray levels", f"{NOISE_MOST} gray levels or more"
    )
    facts = (Fact("Mean residual", f"{residual.mean():.2f} gray levels"),)
    return LensResult(facts, pictures=(LensPicture(scale, cv2.convertScaleAbs(residual, alpha=255 / NOISE_MOST)),))
