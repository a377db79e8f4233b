"""Pictures that are stored otherwise than they are shown, by a PNG's chunks."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from faceloupe.media import color


def png(picture: Image.Image, **chunks: bytes) -> bytes:
    """A PNG with chunks in front of its pixels."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    content = stream.getvalue()
    offset = content.index(b"IDAT") - 4
    added = b""
    for name, body in chunks.items():
        kind = name.encode()
        added += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return content[:offset] + added + content[offset:]


def gamma(exponent: float) -> bytes:
    return struct.pack(">I", round(exponent * 1e5))


def pq(original: Image.Image) -> Image.Image:
    """The same picture in BT.2020 and PQ, with its white at 203 cd/m2."""
    light = color._srgb(np.asarray(original) / 255) @ np.linalg.inv(color._matrix(color._PRIMARIES[9][1])).T
    root = (203 * np.clip(light, 0, None) / 10000) ** (2610 / 16384)
    stored = ((3424 / 4096 + 2413 / 128 * root) / (1 + 2392 / 128 * root)) ** (2523 / 32)
    return Image.fromarray((255 * stored).round().astype(np.uint8))


def hlg(original: Image.Image) -> Image.Image:
    """The same in HLG, for a screen of 1000 cd/m2."""
    light = color._srgb(np.asarray(original) / 255) @ np.linalg.inv(color._matrix(color._PRIMARIES[9][1])).T
    light = np.clip(light, 1e-9, None) * 0.203
    scene = light * (light @ color._BT2020_LUMA.astype(float))[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    stored = np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    return Image.fromarray((255 * stored).round().astype(np.uint8))
