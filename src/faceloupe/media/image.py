"""Decoding of stills to RGB, with limits that hold before a single pixel is decoded."""

import io
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pillow_heif
from PIL import Image
from PIL.Image import Transpose

from faceloupe.errors import EvidenceError
from faceloupe.media.intake import VIDEO_FORMATS, Intake
from faceloupe.types import Picture

pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # Pillow's guard only warns at first; ours, in decode(), refuses, and comes before load()

T = TypeVar("T")
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
_ORIENTATION, _PHOTOMETRIC, _SUBFILE_TYPE = 0x0112, 262, 254  # TIFF tags
_TURNS = {  # by the orientation tag
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_MOST_PAGES = 1000
_FILLER = b"\x55" * 4096
_DAMAGED = "The {} data is damaged or incomplete, or a variant that cannot be read; get a complete copy."


def _sixteen_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float32)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # TIFF may store white as 0; Pillow mends 8 bits only
        values = 65535.0 - values
    return Image.fromarray((values / 257.0).round().astype(np.uint8))


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
    if "transparency" in image.info and mode in ("P", "1", "L", "RGB"):
        return _over_gray(image).convert("RGB"), _CONVERSIONS["RGBA"][1]
    if mode == "P":
        return image.convert("RGB"), "The palette was resolved to its colors."
    if mode not in _CONVERSIONS:
        raise EvidenceError(
            f"Its pixels are stored as {mode}, which has no defined brightness; export it as 8-bit RGB."
        )
    convert, note = _CONVERSIONS[mode]
    return convert(image).convert("RGB"), note


def refuse_unfit(intake: Intake, *, max_bytes: int) -> None:
    """
    Raises:
        EvidenceError: nothing to decode, or not a still.
    """
    evidence = intake.evidence
    if intake.content is None:
        raise EvidenceError(f"The file is {evidence.size_bytes:,} bytes; the limit is {max_bytes:,}.")
    if not intake.content:
        raise EvidenceError("The file is empty (0 bytes); get a complete copy.")
    if evidence.format is None:
        raise EvidenceError(
            "The content is no picture of a kind that can be read (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC), "
            "and no video either, whatever the name says."
        )
    if evidence.format in VIDEO_FORMATS:
        raise EvidenceError(f"The content is a video ({evidence.format}); this version examines still pictures only.")


def decode(intake: Intake, *, max_bytes: int, max_pixels: int) -> Picture:
    """Decode a still in this process, from the bytes that were hashed: for files that are trusted.

    Raises:
        EvidenceError: see ``refuse_unfit`` and ``decode_content``.
    """
    refuse_unfit(intake, max_bytes=max_bytes)
    return decode_content(intake.content, intake.evidence.format, max_pixels=max_pixels)


def decode_content(content: bytes, found: str, *, max_pixels: int) -> Picture:
    """Decode the bytes of a still.

    Orientation is applied. 16-bit gray is divided by 257, 16-bit color cut to its high byte, transparency laid over mid
    gray, palettes resolved, CMYK converted; embedded color profiles are not applied. What was done stands in ``notes``.

    Args:
        found: the format that its first bytes show.

    Raises:
        EvidenceError: over the limit, several pictures in one file, or damaged.
    """
    with _open(content, found) as image:
        _refuse_large(image, max_pixels)
        frames, preview = _guarded(found, lambda: _full_pages(image))
        _refuse_large(image, max_pixels)  # another page of it now, maybe
        if found in _ANIMATED and frames > 1:
            raise EvidenceError(
                f"The file holds {frames} pictures; a verdict on one of them would hide the others, "
                "so export the ones in question as single files."
            )
        deep = ";16" in str(getattr(image, "tile", ""))
        orientation = _orientation(image)
        _guarded(found, image.load)
        if image.format == "JPEG" and _is_cut(content, np.asarray(image)):
            raise EvidenceError(_DAMAGED.format("JPEG"))
        # Not by ImageOps, which writes all metadata anew and fails where some of it is odd; a TIFF is upright by now.
        turn = _TURNS.get(_orientation(image))
        upright = image if turn is None else image.transpose(turn)
        rgb, note = _guarded(found, lambda: _to_rgb(upright))
        notes = {
            f"The file holds {frames} pictures; its main one was examined.": frames > 1,
            "The file calls its picture a preview of reduced size; the full one was not found, nor examined.": preview,
            "The orientation that the file states was applied.": orientation in _TURNS,
            "The metadata could not be read; no orientation was applied.": orientation is None,
            "16-bit colors were cut to their high byte.": deep and upright.mode in ("RGB", "RGBA"),
            note: bool(note),
            "The embedded color profile was not applied.": "icc_profile" in image.info,
        }
        return Picture(np.asarray(rgb), tuple(text for text, holds in notes.items() if holds))


def _refuse_large(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise EvidenceError(f"The picture is {width} x {height} pixels; the limit is {max_pixels:,} pixels.")


def _full_pages(image: Image.Image) -> tuple[int, bool]:
    """Number of pictures in the file, reduced-size previews of a TIFF aside, and whether it holds nothing but these; a
    TIFF is left at its first full one."""
    frames = getattr(image, "n_frames", 1)
    if image.format != "TIFF":
        return frames, False
    full = []
    for number in range(min(frames, _MOST_PAGES)):
        image.seek(number)
        if not image.tag_v2.get(_SUBFILE_TYPE, 0) & 1:
            full.append(number)
    image.seek(full[0] if full else 0)
    return max(len(full), 1), not full


def _orientation(image: Image.Image) -> int | None:
    """What the file says about its orientation, 1 where nothing; None where its metadata is broken."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if isinstance(value, int) else None
    except Exception:  # noqa: BLE001 - broken metadata raises anything; the pixels may still be whole
        return None


def _is_cut(content: bytes, pixels: np.ndarray) -> bool:
    """Whether JPEG data ends before the picture does, behind an end marker that hides it.

    The decoder fills what is missing in silence. Bytes put in before the end marker change nothing where the picture is
    complete, as the decoder has seen its last block by then; where it is not, they are taken for picture.
    """
    end = content.rfind(b"\xff\xd9")
    if end < 0:
        return True
    try:
        with Image.open(io.BytesIO(content[:end] + _FILLER + content[end:]), formats=["JPEG"]) as probe:
            return not np.array_equal(np.asarray(probe), pixels)
    except Exception:  # noqa: BLE001 - filler that is taken for picture can break the decoder
        return True


def _open(content: bytes, found: str) -> Image.Image:
    return _guarded(found, lambda: Image.open(io.BytesIO(content), formats=_PILLOW_NAMES[found]))


def _guarded(found: str, step: Callable[[], T]) -> T:
    """Run one step of a decoder: on a hostile file it raises anything, and each means that it cannot be read."""
    try:
        return step()
    except (EvidenceError, MemoryError):
        raise
    except Exception as problem:
        raise EvidenceError(_DAMAGED.format(found)) from problem
