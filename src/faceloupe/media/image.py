"""Decoding of images to RGB, with limits that are checked before any pixel is decoded."""

import io
import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pillow_heif
from PIL import Image
from PIL.Image import Transpose
from PIL.TiffImagePlugin import TiffImageFile

from faceloupe.errors import EvidenceError
from faceloupe.media import boxes, embedded, jpeg, profiles
from faceloupe.media.evidence import Picture, Shown
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.formats import unreadable

pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # Pillow's guard first only warns; _refuse_large() refuses before load()

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
_TURNS = {  # orientation tag -> transposition, description
    2: (Transpose.FLIP_LEFT_RIGHT, "mirrored left to right"),
    3: (Transpose.ROTATE_180, "turned 180 degrees"),
    4: (Transpose.FLIP_TOP_BOTTOM, "mirrored top to bottom"),
    5: (Transpose.TRANSPOSE, "turned 90 degrees clockwise, mirrored left to right"),
    6: (Transpose.ROTATE_270, "turned 90 degrees clockwise"),
    7: (Transpose.TRANSVERSE, "turned 270 degrees clockwise, mirrored left to right"),
    8: (Transpose.ROTATE_90, "turned 270 degrees clockwise"),
}
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])")
_MOST_PAGES = 1000
# Of 256. PQ leaves 132 and linear light 183, where verdicts change; gamma 1.8 and Display P3 leave 235 or more.
_FEWEST_LEVELS = 210
_DAMAGED = "The {} data is damaged, incomplete or of an unsupported variant; get a complete copy."


def _sixteen_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float32)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # TIFF may store white as 0; Pillow corrects only 8 bits
        values = 65535.0 - values
    return Image.fromarray((values / 257.0).round().astype(np.uint8))


def _over_gray(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    background = Image.new("RGBA", rgba.size, (_BACKGROUND,) * 3 + (255,))
    return Image.alpha_composite(background, rgba)


def _to(mode: str) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image if image.mode == mode else image.convert(mode)


_CLEAR = f"Transparent areas were filled with mid gray ({_BACKGROUND})."
_UNPROFILED = "The color space was converted without a color profile."
_BASES: dict[str, tuple[Callable[[Image.Image], Image.Image], str]] = {  # conversion to a mode of color profiles, note
    **dict.fromkeys(
        ("I;16", "I;16B", "I;16L", "I;16N"),
        (_sixteen_bit, "16-bit gray values were reduced to 8 bits (divided by 257)."),
    ),
    **dict.fromkeys(("RGBA", "RGBa", "PA"), (_to("RGBA"), _CLEAR)),
    **dict.fromkeys(("LA", "La"), (_to("LA"), _CLEAR)),
    **dict.fromkeys(("YCbCr", "LAB", "HSV"), (_to("RGB"), _UNPROFILED)),
    "CMYK": (_to("CMYK"), ""),
    **dict.fromkeys(("1", "L"), (_to("L"), "The picture is gray; all three channels are equal.")),
    **dict.fromkeys(("RGB", "RGBX"), (_to("RGB"), "")),
}


def _to_base(image: Image.Image) -> tuple[Image.Image, str]:
    mode = image.mode
    if "transparency" in image.info and mode in ("P", "1", "L", "RGB"):
        return image.convert("RGBA"), _CLEAR
    if mode == "P":
        return image.convert("RGB"), "The palette was converted to RGB colors."
    if mode not in _BASES:
        raise EvidenceError(
            f"Its pixels are stored as {mode}, which has no defined brightness; export it as 8-bit RGB."
        )
    convert, note = _BASES[mode]
    return convert(image), note


def decodable(evidence_file: EvidenceFile, *, max_bytes: int) -> tuple[bytes, str]:
    """Return the bytes and the format of an image that can be decoded.

    Raises:
        EvidenceError: the file is empty, too large, not an image, or of a format that cannot be read.
    """
    evidence = evidence_file.evidence
    if what := unreadable(evidence.format):
        raise EvidenceError(f"The file is {what}.")
    if evidence.media_type == "video":
        raise EvidenceError(f"The content is a video ({evidence.format}), not a picture; examine it as a video.")
    if evidence_file.content is None:
        raise EvidenceError(f"The file is {evidence.size_bytes:,} bytes; the limit is {max_bytes:,}.")
    if not evidence_file.content:
        raise EvidenceError("The file is empty (0 bytes); get a complete copy.")
    if evidence.format is None:
        raise EvidenceError(
            "The content is neither a supported image (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC) nor a video, "
            "whatever the file name says."
        )
    return evidence_file.content, evidence.format


def decode(evidence_file: EvidenceFile, *, max_bytes: int, max_pixels: int) -> Picture:
    """Decode a trusted image in this process, from the bytes that were hashed.

    Raises:
        EvidenceError: see ``decodable`` and ``decode_content``.
    """
    return decode_content(*decodable(evidence_file, max_bytes=max_bytes), max_pixels=max_pixels)


def decode_content(content: bytes, format_name: str, *, max_pixels: int) -> Picture:
    """Decode the bytes of an image to the pixels that a viewer shows.

    The orientation stated by EXIF or by the container is applied, and colors are converted to sRGB as the file states,
    see ``media.profiles``. 16-bit gray is divided by 257, 16-bit color is reduced to its high byte, transparency is
    laid over mid gray, palettes are resolved. ``notes`` and ``shown`` of the result list the conversions.

    Args:
        content: bytes of the whole file.
        format_name: format detected from its first bytes.
        max_pixels: largest width times height.

    Raises:
        EvidenceError: the image is over the limit or damaged, or the file holds several pictures.
    """
    behind = embedded.find(content, format_name)
    unended = format_name == "JPEG" and jpeg.lacks_end(content)
    if unended:
        content = jpeg.with_end_marker(content)
    with _open(content, format_name) as image:
        _refuse_large(image, max_pixels)
        frames, preview = _run_decoding_step(format_name, lambda: _full_pages(image))
        _refuse_large(image, max_pixels)  # another page may be selected now
        if format_name in _ANIMATED and frames > 1:
            raise EvidenceError(
                f"The file contains {frames} pictures, and a verdict on one would hide the others; "
                "export the relevant ones as single files."
            )
        main = _main_picture(content, format_name)
        deep = ";16" in str(getattr(image, "tile", ""))
        xmp = [_take_xmp(image)]
        stated = _orientation(image)
        _run_decoding_step(format_name, image.load)
        xmp.append(_take_xmp(image))  # a PNG may hold XMP and EXIF behind the pixels
        damage = _jpeg_damage(content, np.asarray(image)) if image.format in _PILLOW_NAMES["JPEG"] else ""
        orientation = stated if image.format == "TIFF" else _orientation(image)
        # ImageOps is not used: it rewrites all metadata and fails on unusual entries. A TIFF is already upright here.
        turn = None if image.format == "TIFF" or orientation is None else _TURNS.get(orientation)
        upright = image if turn is None else image.transpose(turn[0])
        base, note = _run_decoding_step(format_name, lambda: _to_base(upright))
        converted, unshown = _to_srgb(base, upright, content, main)
        if converted.image.mode == "CMYK":
            note = _UNPROFILED
        rgb = (_over_gray(converted.image) if converted.image.mode in ("LA", "RGBA") else converted.image).convert(
            "RGB"
        )
        turned = _TURNS[orientation][1] if orientation in _TURNS else _turn_of(main) if format_name == "HEIC" else None
        other = next((stated_by_xmp for stated_by_xmp in xmp if stated_by_xmp is not None), None)
        shown = Shown(turned, converted.color, converted.transfer)
        notes = {
            f"The file contains {frames} pictures; the main one was analyzed.": frames > 1,
            "The file marks its picture as a reduced preview; the full picture was not found and not "
            "analyzed.": preview,
            "The orientation stated in the file was applied.": turned is not None,
            "The metadata could not be read, so no orientation was applied.": orientation is None,
            "The XMP metadata states another orientation; viewers ignore it, and it was not applied.": other
            not in (None, orientation),
            "16-bit colors were reduced to their high byte.": deep and upright.mode in ("RGB", "RGBA"),
            note: bool(note),
            f"The colors were converted as stated in the file: {converted.color}.": converted.color is not None,
            f"The brightness was converted as stated in the file: {converted.transfer}.": converted.transfer
            is not None,
            f"The colors stated in the file were not applied: {unshown}.": bool(unshown),
            "The JPEG data has no end marker, but the picture is complete.": unended,
            f"The JPEG data is damaged: {damage}. Part of the picture may differ from what was recorded.": bool(damage),
        }
        sentences = tuple(text for text, holds in notes.items() if holds)
        coarse = _coarse(converted)
        return Picture(
            np.asarray(rgb), sentences, shown, unshown=unshown, damage=damage, coarse=coarse, embedded=behind
        )


def shown_frame(image: Image.Image, content: bytes, format_name: str) -> tuple[np.ndarray, tuple[str, ...], Shown, str]:
    """Return a decoded frame of an animation as a browser shows it: in sRGB, over mid gray where it is transparent.

    Args:
        image: the decoded frame.
        content: bytes of the file.
        format_name: format of the file.

    Returns:
        (H, W, 3) uint8 RGB; notes; the conversions; and why the stated colors were not applied; see ``Picture``.

    Raises:
        EvidenceError: the pixels have no defined brightness.
    """
    base, note = _to_base(image)
    try:
        main = boxes.read(content) if format_name == "AVIF" else None
    except boxes.Malformed:
        main = None
    converted, unshown = _to_srgb(base, image, content, main)
    rgb = (_over_gray(converted.image) if converted.image.mode in ("LA", "RGBA") else converted.image).convert("RGB")
    shown = Shown(None, converted.color, converted.transfer)
    return np.asarray(rgb), tuple(filter(None, [note])), shown, unshown


def _to_srgb(
    base: Image.Image, stored: Image.Image, content: bytes, main: boxes.MainPicture | None
) -> tuple[profiles.ConvertedPicture, str]:
    """Return the picture in sRGB, and why the stated colors were not applied; empty if they were."""
    if stored.mode == "LAB":  # device-independent colors, which no profile changes
        return profiles.ConvertedPicture(base), ""
    try:
        return profiles.convert_to_srgb(base, stored.info, content, main), ""
    except profiles.Unusable as problem:
        return profiles.ConvertedPicture(base), str(problem)


def _coarse(converted: profiles.ConvertedPicture) -> str:
    """Return why a picture has few levels; empty if it has enough."""
    if converted.levels >= _FEWEST_LEVELS:
        return ""
    stated = converted.transfer or converted.color
    return f"the brightness that the file states ({stated}), read in 8 bits, leaves {converted.levels} of 256 levels"


def _main_picture(content: bytes, format_name: str) -> boxes.MainPicture | None:
    """Return the properties of the main picture of an AVIF or HEIC file; None for other formats.

    Raises:
        EvidenceError: the boxes are malformed, or the data of an item is incomplete.
    """
    if format_name not in ("AVIF", "HEIC"):
        return None
    try:
        main = boxes.read(content)
    except boxes.Malformed as problem:
        raise EvidenceError(_DAMAGED.format(format_name)) from problem
    if not main.whole:  # libheif shows missing data as flat areas
        raise EvidenceError(_DAMAGED.format(format_name))
    return main


def _turn_of(main: boxes.MainPicture | None) -> str | None:
    """Return how libheif turned and mirrored a picture to show it upright; None if it did not."""
    if main is None:
        return None
    mirrored = None if main.mirror is None else _TURNS[(4, 2)[main.mirror]][1]
    turned = _TURNS[(6, 3, 8)[main.quarters - 1]][1] if main.quarters else None
    return ", ".join(filter(None, (turned, mirrored))) or None


def _jpeg_damage(content: bytes, pixels: np.ndarray) -> str:
    """Return the damage within a picture, as reported by libjpeg or found as overwritten data; empty if there is none.

    Raises:
        EvidenceError: the picture is cut short.
    """
    warning = jpeg.warning(content)
    if warning != "" and jpeg.is_cut(content, pixels):
        raise EvidenceError(_DAMAGED.format("JPEG"))
    if run := jpeg.overwritten(content):
        return f"{run} equal bytes in a row in the pixel data"
    return warning or ""


def _take_xmp(image: Image.Image) -> int | None:
    """Remove XMP from the image, so that Pillow does not apply it, and return its orientation; None if not stated."""
    orientation = None
    for key in ("XML:com.adobe.xmp", "xmp"):
        text = image.info.pop(key, None)
        if isinstance(text, str):
            text = text.encode("utf-8", "replace")
        if isinstance(text, bytes) and (match := _XMP_ORIENTATION.search(text)):
            orientation = int(match[1])
    return orientation


def _refuse_large(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise EvidenceError(f"The picture is {width} x {height} pixels; the limit is {max_pixels:,} pixels.")


def _full_pages(image: Image.Image) -> tuple[int, bool]:
    """Return the number of full pictures in the file, and whether a TIFF holds only reduced-size previews.

    A TIFF is left at its first full picture.
    """
    frames = getattr(image, "n_frames", 1)
    if not isinstance(image, TiffImageFile):
        return frames, False
    full = []
    for number in range(min(frames, _MOST_PAGES)):
        image.seek(number)
        if not image.tag_v2.get(_SUBFILE_TYPE, 0) & 1:
            full.append(number)
    image.seek(full[0] if full else 0)
    return max(len(full), 1), not full


def _orientation(image: Image.Image) -> int | None:
    """Return the orientation that EXIF states: 1 if it states none, None if the metadata is broken.

    Pillow's ``getexif`` is not used, because it falls back to XMP, which viewers ignore.
    """
    try:
        if isinstance(image, TiffImageFile):
            value = image.tag_v2.get(_ORIENTATION, 1)
        else:
            exif, data = Image.Exif(), image.info.get("exif")
            if data is None and (text := image.info.get("Raw profile type exif")):
                data = bytes.fromhex("".join(text.split("\n")[3:]))
            if data:
                exif.load(data)
            value = exif.get(_ORIENTATION, 1)
        return value if isinstance(value, int) else None
    except Exception:  # noqa: BLE001 - broken metadata can raise anything; the pixels may be intact
        return None


def turned(values: np.ndarray, orientation: str | None) -> np.ndarray:
    """Turn a map of the stored pixels in the same way as the picture was turned.

    Args:
        values: (H, W) uint8, one value per stored pixel or per square of pixels.
        orientation: see ``Shown``.
    """
    for transpose, name in _TURNS.values():
        if name == orientation:
            return np.asarray(Image.fromarray(values).transpose(transpose))
    return values


def _open(content: bytes, format_name: str) -> Image.Image:
    return _run_decoding_step(format_name, lambda: Image.open(io.BytesIO(content), formats=_PILLOW_NAMES[format_name]))


def _run_decoding_step(format_name: str, step: Callable[[], T]) -> T:
    """Run one decoding step, and report any exception as damage: on a hostile file, a decoder can raise anything."""
    try:
        return step()
    except (EvidenceError, MemoryError):
        raise
    except Exception as problem:
        raise EvidenceError(_DAMAGED.format(format_name)) from problem
