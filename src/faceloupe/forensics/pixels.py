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
    return LensResult((Fact("Transformed", f"{side} x {side} pixels"),), pictures=(spectrum,))


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
