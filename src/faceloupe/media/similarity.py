"""Similarity of images by a perceptual hash that survives rescaling and recompression."""

import numpy as np
from PIL import Image

NEAR_BITS = 6  # of 64 bits, that similar pictures may differ by; chosen by hand, false positives were not measured


def perceptual_hash(rgb: np.ndarray, side: int = 8) -> str:
    """Return the DCT hash of a picture.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".

    Args:
        rgb: (H, W, 3) uint8, RGB.
        side: side of the square of coefficients that is kept: 8 distinguishes pictures, 16 also distinguishes aligned
            faces.

    Returns:
        ``side ** 2`` bits as hexadecimal digits: 64 bits as 16 digits.
    """
    import imagehash  # imported here, because loading it takes longer than most commands that only read cases

    return str(imagehash.phash(Image.fromarray(rgb), side))
