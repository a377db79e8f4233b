"""Similarity of images: a perceptual hash that survives rescaling and recompression."""

import numpy as np
from PIL import Image

NEAR_BITS = 6  # of 64 that may differ; chosen by hand, false marks were not measured


def perceptual_hash(rgb: np.ndarray, side: int = 8) -> str:
    """DCT hash of a picture (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions").

    Args:
        rgb: (H, W, 3) uint8, RGB.
        side: of the square of coefficients that is kept: 8 tells pictures apart, 16 aligned faces, too.

    Returns:
        ``side ** 2`` bits as hexadecimal digits: 64 bits as 16 digits.
    """
    import imagehash  # here: it takes longer to load than most commands that only read the cases

    return str(imagehash.phash(Image.fromarray(rgb), side))
