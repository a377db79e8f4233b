"""Likeness of stills: a perceptual hash that survives rescaling and recompression."""

import imagehash
import numpy as np
from PIL import Image


def perceptual_hash(rgb: np.ndarray) -> str:
    """DCT hash of a picture (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions").

    Args:
        rgb: (H, W, 3) uint8, RGB.

    Returns:
        64 bits as 16 hexadecimal digits.
    """
    return str(imagehash.phash(Image.fromarray(rgb)))
