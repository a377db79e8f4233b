"""Luma of a JPEG as its blocks store it, before its orientation, colors or color profile are applied."""

import io

import numpy as np
from PIL import Image

from faceloupe.errors import EvidenceError

_MODES = ("L", "RGB")  # of pictures with one component, and with three


def read(content: bytes, *, max_pixels: int) -> np.ndarray:
    """Decode only the first component of a JPEG.

    Args:
        content: bytes of the whole file.
        max_pixels: largest width times height.

    Returns:
        (H, W) uint8.

    Raises:
        EvidenceError: the file does not have one or three components, has too many pixels, or is damaged.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if image.width * image.height > max_pixels:
                raise EvidenceError(f"The picture has {image.width} x {image.height} pixels, more than are decoded.")
            if image.mode not in _MODES:
                raise EvidenceError(f"Its colors are stored as {image.mode}; only gray and YCbCr are looked at.")
            image.draft("L", image.size)
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError):
        raise EvidenceError("The JPEG data is damaged or incomplete; its blocks were not read.") from None
