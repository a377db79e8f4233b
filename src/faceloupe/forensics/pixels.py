"""Pictures computed from the pixels, each on a fixed scale for all files; none of them is a finding."""

import io

import cv2
import numpy as np
from PIL import Image

from faceloupe.forensics.results import Fact, LensPicture, LensResult, PictureScale
from faceloupe.forensics.source import LensSource

ERROR_QUALITY = 90  # JPEG quality of the recompression
ERROR_MOST = 32  # difference shown in the brightest color, gray levels
SPECTRUM_SIDE = 1024  # side of the transformed square, pixels
SPECTRUM_DECADES = 6.0  # decimal logarithm of the magnitude shown in the brightest color
NOISE_MOST = 16  # difference shown in the brightest color, gray levels
UP_SAMPLING_SIDES = (192, 512)  # smallest and largest side of the central square that is searched for points, pixels
_MEDIAN_SIZE = 7  # side of the neighborhood that a value of the spectrum is compared with
_TILE, _STEP = 128, 64  # side and spacing of the tiles whose spectra are averaged, pixels


def examine_error_level(source: LensSource) -> LensResult:
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


def examine_spectrum(source: LensSource) -> LensResult:
    """Show the spectrum of the middle of the picture, with zero frequency in the center.

    Raises:
        EvidenceError: the picture cannot be decoded.
    """
    gray = cv2.cvtColor(source.picture.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width = gray.shape
    side = min(height, width, SPECTRUM_SIDE)
    top, left = (height - side) // 2, (width - side) // 2
    square = gray[top : top + side, left : left + side]
    window = np.hanning(side + 2)[1:-1]  # without zeros, so that even a picture of one pixel has a spectrum
    magnitude = np.abs(np.fft.fftshift(np.fft.fft2((square - square.mean()) * np.outer(window, window))))
    scale = PictureScale(
        "spectrum",
        f"magnitude of the middle {side} x {side} pixels, logarithmic",
        "1",
        f"10^{SPECTRUM_DECADES:.0f} or more",
    )
    levels = np.minimum(np.log10(np.maximum(magnitude, 1.0)) / SPECTRUM_DECADES, 1.0) * 255
    spectrum = LensPicture(scale, levels.round().astype(np.uint8), is_spatial=False)
    facts = [Fact("Transformed", f"{side} x {side} pixels")]
    if side >= UP_SAMPLING_SIDES[0]:
        points = f"{up_sampling_score(gray):+.2f} (natural logarithm of the power)"
        facts.append(Fact("Points at 1/4 and 1/2 of the sampling rate, against 1/8 and 3/8", points))
    return LensResult(tuple(facts), pictures=(spectrum,))


def up_sampling_score(gray: np.ndarray) -> float:
    """Measure the points that two doublings of the size leave on the axes of the spectrum (Zhang et al. 2019).

    JPEG makes points at all multiples of 1/8 of the sampling rate. Therefore the points that up-sampling does not make,
    at 1/8 and 3/8, are subtracted.

    Args:
        gray: (H, W), each at least the first of ``UP_SAMPLING_SIDES``.

    Returns:
        Prominence of the points at 1/4 and 1/2 minus that of the points at 1/8 and 3/8, natural logarithm of the power.
    """
    prominences = prominence(residual_spectrum(gray))

    def on_axes(*indices: int) -> float:
        return float(np.mean([prominences[index, 0] + prominences[0, index] for index in indices])) / 2

    return on_axes(_TILE // 4) + on_axes(_TILE // 2) - on_axes(_TILE // 8, 3 * _TILE // 8)


def residual_spectrum(gray: np.ndarray) -> np.ndarray:
    """Return the mean log power of the finest detail in the middle of a picture, (128, 128), zero frequency first."""
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


def prominence(spectrum: np.ndarray) -> np.ndarray:
    """Return how far each value of a spectrum (H, W) lies above the median of its neighborhood."""
    from scipy.ndimage import median_filter  # imported here: heavy, and not needed in every analysis

    above: np.ndarray = spectrum - median_filter(spectrum, size=_MEDIAN_SIZE, mode="wrap")
    return above


def examine_noise(source: LensSource) -> LensResult:
    """Show the difference from a median filter: noise and the finest detail.

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
