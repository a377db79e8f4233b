"""Decoding of stills to RGB, with limits that hold before a single pixel is decoded."""

import io
from collections.abc import Callable

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

from faceloupe.errors import EvidenceError
from faceloupe.media.intake import VIDEO_FORMATS, Intake
from faceloupe.types import Picture

pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # Pillow's guard only warns at first; ours, in decode(), refuses, and comes before load()

_PILLOW_NAMES = {
    "JPEG": ("JPEG", "MPO"),
    "PNG": ("PNG",),
    "WebP": ("WEBP",),
    "TIFF": ("TIFF",),
    "BMP": ("BMP",),
    "GIF": ("GIF",),
    "AVIF": ("AVIF",),
    "HEIC": ("HEIF",),
}
_ANIMATED = {"PNG", "WebP", "GIF", "AVIF", "TIFF"}
_BACKGROUND = 128


def _sixteen_bit(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image).astype(np.float32) / 257.0).round().astype(np.uint8))


def _over_gray(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    background = Image.new("RGBA", rgba.size, (_BACKGROUND,) * 3 + (255,))
    return Image.alpha_composite(background, rgba)


_CONVERSIONS: dict[str, tuple[Callable[[Image.Image], Image.Image], str]] = {
    **dict.fromkeys(
        ("I;16", "I;16B", "I;16L", "I;16N"), (_sixteen_bit, "16-bit gray values were divided by 257 to 8 bits.")
    ),
    **dict.fromkeys(
        ("RGBA", "RGBa", "LA", "La", "PA"), (_over_gray, f"Transparency was laid over mid gray ({_BACKGROUND}).")
    ),
    **dict.fromkeys(
        ("CMYK", "YCbCr", "LAB", "HSV"), (lambda image: image, "The color space was converted without a profile.")
    ),
    **dict.fromkeys(("1", "L"), (lambda image: image, "The picture is gray; all three channels are equal.")),
    **dict.fromkeys(("RGB", "RGBX"), (lambda image: image, "")),
}


def _to_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    mode = image.mode
    if mode == "P":
        if "transparency" in image.info:
            return _over_gray(image).convert("RGB"), _CONVERSIONS["RGBA"][1]
        return image.convert("RGB"), "The palette was resolved to its colors."
    if mode not in _CONVERSIONS:
        raise EvidenceError(
            f"Its pixels are stored as {mode}, which has no defined brightness; export it as 8-bit RGB."
        )
    convert, note = _CONVERSIONS[mode]
    return convert(image).convert("RGB"), note


def decode(intake: Intake, *, max_bytes: int, max_pixels: int) -> Picture:
    """Decode a still from the bytes that were hashed.

    Orientation is applied. 16-bit gray is divided by 257, 16-bit color cut to its high byte, transparency laid over mid
    gray, palettes resolved, CMYK converted; embedded color profiles are not applied. What was done stands in ``notes``.

    Raises:
        EvidenceError: nothing to decode, not a still, over a limit, several pictures in one file, or damaged.
    """
    evidence, content = intake.evidence, intake.content
    if content is None:
        raise EvidenceError(f"The file is {evidence.size_bytes:,} bytes; the limit is {max_bytes:,}.")
    if not content:
        raise EvidenceError("The file is empty (0 bytes); get a complete copy.")
    if evidence.format is None:
        raise EvidenceError(
            "The content is no picture of a kind that can be read (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC), "
            "whatever the name says."
        )
    if evidence.format in VIDEO_FORMATS:
        raise EvidenceError(f"The content is a video ({evidence.format}); this version examines still pictures only.")
    try:
        with Image.open(io.BytesIO(content), formats=_PILLOW_NAMES[evidence.format]) as image:
            return _decode_opened(image, evidence.format, max_pixels)
    except EvidenceError:
        raise
    except MemoryError:
        raise EvidenceError("The picture needs more memory than there is to decode; lower max_pixels.") from None
    except Exception as problem:
        raise EvidenceError(
            f"The {evidence.format} data is damaged or incomplete and cannot be decoded; get a complete copy."
        ) from problem


def _decode_opened(image: Image.Image, found: str, max_pixels: int) -> Picture:
    width, height = image.size
    if width * height > max_pixels:
        raise EvidenceError(f"The picture is {width} x {height} pixels; the limit is {max_pixels:,} pixels.")
    frames = getattr(image, "n_frames", 1)
    if found in _ANIMATED and frames > 1:
        raise EvidenceError(
            f"The file holds {frames} pictures; a verdict on one of them would hide the others, "
            "so export the ones in question as single files."
        )
    notes = []
    if frames > 1:
        notes.append(f"The file holds {frames} pictures; its main one was examined.")
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.size != image.size or image.getexif().get(0x0112, 1) not in (0, 1):
        notes.append("The orientation that the file states was applied.")
    rgb, note = _to_rgb(upright)
    if note:
        notes.append(note)
    if "icc_profile" in image.info:
        notes.append("The embedded color profile was not applied.")
    return Picture(np.asarray(rgb), tuple(notes))
