"""Conversion of images to sRGB by the colors that they state, with the precedence that browsers use.

Stated colors that could not be applied are reported, because a viewer that applies them shows a different picture.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from faceloupe.media import boxes
from faceloupe.media.color import Chromaticities, Encoding, from_cicp, from_png, gamma_table, is_screen_gamma

_PNG_HEAD = 8
_LEAST_GAMMA, _MOST_GAMMA = 16, 625_000_000  # in 1/100,000; libpng ignores other values
_CLASSES = {"mntr", "scnr", "prtr", "spac"}  # devices, color spaces; links and named colors do not describe a picture
_TABLES = {b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2", b"D2B3"}
_CHANNELS = {"RGB": {"L", "LA", "RGB", "RGBA"}, "GRAY": {"L", "LA"}, "CMYK": {"CMYK"}}  # profile -> modes that it fits
_NO_DIFFERENCE = 2  # of 255: sRGB profiles of different makers differ by this much
_LONGEST_NAME = 80
_GRAYS = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)  # all grays, (1, 256, 3)


class Unusable(Exception):
    """The colors that the file states cannot be applied; the message says which colors, and why."""


@dataclass(frozen=True, slots=True)
class ConvertedPicture:
    """A picture in sRGB.

    Attributes:
        image: picture of mode RGB or RGBA, or unchanged if no conversion was needed.
        color: conversion of its colors, as text; None if there was none.
        transfer: conversion of only its brightness, as text; None if there was none.
        levels: number of gray levels that can occur, 1..256.
    """

    image: Image.Image
    color: str | None = None
    transfer: str | None = None
    levels: int = 256


PillowInfo = Mapping[str | tuple[int, int], Any]  # Pillow's type of ``Image.info``


def convert_to_srgb(
    image: Image.Image, info: PillowInfo, content: bytes, main: boxes.MainPicture | None
) -> ConvertedPicture:
    """Convert a decoded picture to sRGB, as its file states.

    Args:
        image: picture of mode L, LA, RGB, RGBA or CMYK.
        info: ``Image.info`` from the decoder.
        content: bytes of the file.
        main: properties of the main picture from the boxes; None if the format has no boxes.

    Raises:
        Unusable: the stated colors cannot be applied.
    """
    if content.startswith(b"\x89PNG"):
        return _png(image, _chunks(content), info.get("icc_profile"))
    if "icc_profile" in info:
        return _profiled(image, info["icc_profile"])
    if main is not None:
        stated = info.get("nclx_profile") or {}
        cicp = main.cicp or (stated.get("color_primaries", 2), stated.get("transfer_characteristics", 2))
        return _encoded(image, *cicp)
    return ConvertedPicture(image)


def _chunks(content: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a PNG before its pixels, the first of each kind: kind -> body."""
    chunks: dict[bytes, bytes] = {}
    offset = _PNG_HEAD
    while offset + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, offset)
        if kind == b"IDAT":
            break
        chunks.setdefault(kind, content[offset + 8 : offset + 8 + size])
        offset += 12 + size
    return chunks


def _png(image: Image.Image, chunks: dict[bytes, bytes], profile: bytes | None) -> ConvertedPicture:
    """Convert a PNG by the first of cICP, iCCP, sRGB, and gAMA with cHRM that it holds (PNG, third edition, 4.3)."""
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4:
        primaries, transfer, matrix, full_range = cicp
        if matrix == 0 and full_range == 1:
            return _encoded(image, primaries, transfer)
        raise Unusable(
            f"its cICP chunk states matrix {matrix} and range {full_range}, which viewers interpret differently"
        )
    if b"iCCP" in chunks:
        return _profiled(image, profile)
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4])
    if b"sRGB" in chunks or not _LEAST_GAMMA <= gamma <= _MOST_GAMMA:
        return ConvertedPicture(image)
    exponent, chromaticities = gamma / 1e5, chunks.get(b"cHRM", b"")
    if len(chromaticities) == 32:
        values: Chromaticities = tuple(value / 1e5 for value in struct.unpack(">8I", chromaticities))
        try:
            encoding = from_png(exponent, values)
        except (ValueError, np.linalg.LinAlgError) as problem:
            raise Unusable("its cHRM chunk does not describe a color space") from problem
        return _apply_encoding(image, encoding)
    if is_screen_gamma(exponent):
        return ConvertedPicture(image)
    table, description = gamma_table(exponent)
    colors, alpha = _split_alpha(image)
    return ConvertedPicture(
        _with_alpha(Image.fromarray(table[np.asarray(colors)]), alpha),
        transfer=description,
        levels=len(np.unique(table)),
    )


def _encoded(image: Image.Image, primaries: int, transfer: int) -> ConvertedPicture:
    try:
        encoding = from_cicp(primaries, transfer)
    except ValueError as problem:
        raise Unusable(f"it states {problem} (ITU-T H.273), which is reserved") from problem
    return _apply_encoding(image, encoding)


def _apply_encoding(image: Image.Image, encoding: Encoding | None) -> ConvertedPicture:
    if encoding is None:
        return ConvertedPicture(image)
    colors, alpha = _split_alpha(image)
    shown = Image.fromarray(encoding.to_srgb(np.asarray(colors)))
    levels = len(np.unique(encoding.to_srgb(_GRAYS)))
    return ConvertedPicture(_with_alpha(shown, alpha), encoding.color, encoding.transfer, levels)


def _profiled(image: Image.Image, content: bytes | None) -> ConvertedPicture:
    """Apply an ICC profile: relative colorimetric with black point compensation."""
    if not content:
        raise Unusable("its embedded color profile is incomplete")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        space, kind = (name.strip() for name in (profile.profile.xcolor_space, profile.profile.device_class))
        name = _name(profile)
    except MemoryError:
        raise
    except Exception as problem:  # a broken profile can raise anything
        raise Unusable("its embedded color profile is damaged") from problem
    if kind not in _CLASSES or image.mode not in _CHANNELS.get(space, ()):
        raise Unusable(f"its embedded color profile{name} is for {space} ({kind}), which does not fit this picture")
    try:
        return _converted(image, profile, space, name, plain=not _TABLES & _tags(content))
    except MemoryError:
        raise
    except Exception as problem:
        raise Unusable(f"its embedded color profile{name} is damaged") from problem


def _converted(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, space: str, name: str, *, plain: bool
) -> ConvertedPicture:
    mode = {"GRAY": "L", "CMYK": "CMYK", "RGB": "RGB"}[space]
    exact = (
        ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    )  # otherwise dark grays come from a coarse table
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | exact,
    )
    if plain and mode != "CMYK" and _changes_nothing(transform, mode):
        return ConvertedPicture(image)
    colors, alpha = _split_alpha(image, mode)
    if mode == "L":
        steps = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        table = np.asarray(transform.apply(steps))[0]
        shown = Image.fromarray(table[np.asarray(colors)])
    else:
        shown = transform.apply(colors)
    levels = (
        256 if mode == "CMYK" else len(np.unique(np.asarray(transform.apply(Image.fromarray(_GRAYS).convert(mode)))))
    )
    return ConvertedPicture(_with_alpha(shown, alpha), f"ICC profile{name} to sRGB", levels=levels)


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a profile of curves and a matrix equals sRGB: no value of a channel or of gray changes.

    Profiles with tables can hide any change between the tested values, so they are always applied.
    """
    steps = np.arange(256, dtype=np.uint8)
    gray = np.stack([steps] * 3, 1)
    if mode == "L":
        tried, expected = steps[None], gray[None]
    else:
        alone = [np.where(np.arange(3) == channel, gray, 0).astype(np.uint8) for channel in range(3)]
        expected = tried = np.stack([gray, *alone])
    converted = np.asarray(transform.apply(Image.fromarray(tried))).astype(int)
    return bool(np.abs(converted - expected).max() <= _NO_DIFFERENCE)


def _tags(profile: bytes) -> set[bytes]:
    """Return the tags of an ICC profile (ICC.1:2022, 7.3)."""
    (count,) = struct.unpack_from(">I", profile, 128)
    return {profile[132 + 12 * number :][:4] for number in range(min(count, len(profile) // 12))}


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    text = " ".join((profile.profile.profile_description or "").split())
    text = "".join(letter for letter in text if letter.isprintable() and letter != '"')[:_LONGEST_NAME]
    return f' "{text}"' if text else ""


def _split_alpha(image: Image.Image, mode: str = "RGB") -> tuple[Image.Image, Image.Image | None]:
    """Return the colors in the given mode, and the transparency; None if there is none."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    return image.convert(mode), alpha


def _with_alpha(colors: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is not None:
        colors.putalpha(alpha)
    return colors
