"""Intake: identity first. A file is hashed before anything decodes it, and its type is read from its bytes."""

import hashlib
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from faceloupe.errors import UsageError
from faceloupe.types import Evidence

_CHUNK = 1024 * 1024
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_QUICKTIME_BRANDS = {b"qt  "}
_MP4_BRANDS = {b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"M4VH", b"M4VP"}
_MP4_BRANDS |= {b"MSNV", b"dash", b"mmp4", b"f4v ", b"3gp4", b"3gp5", b"3gp6", b"3gp7", b"3g2a", b"XAVC"}
_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x1aE\xdf\xa3", "Matroska"),
    (b"\x00\x00\x01\xba", "MPEG"),
    (b"\x00\x00\x01\xb3", "MPEG"),
)
_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories: controls, format marks, surrogates, line separators
VIDEO_FORMATS = frozenset({"MP4", "QuickTime", "Matroska", "MPEG", "AVI"})


@dataclass(frozen=True, slots=True)
class Intake:
    """A file taken in: its identity, and its bytes as they were hashed.

    Attributes:
        evidence: name, SHA-256, size, and the format that the first bytes show.
        content: the very bytes that were hashed; None where the file is larger than the limit.
    """

    evidence: Evidence
    content: bytes | None


def _sniff_iso(head: bytes) -> str | None:
    """Tell apart the formats that share the ISO base media container, by their brands."""
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[start : start + 4] for start in range(16, length - 3, 4)}
    kinds = (("AVIF", _AVIF_BRANDS), ("HEIC", _HEIF_BRANDS), ("QuickTime", _QUICKTIME_BRANDS), ("MP4", _MP4_BRANDS))
    return next((name for name, known in kinds if brands & known), None)


def sniff(head: bytes) -> str | None:
    """Name the format that the first bytes of a file show; None where they show none that is known.

    Args:
        head: the first 64 bytes or more.
    """
    if head[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "AVI"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _sniff_iso(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)


def printable_name(name: str) -> str:
    """A file name that can stand in a report: control and direction marks replaced, undecodable bytes as U+FFFD."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    return "".join("\ufffd" if unicodedata.category(character) in _UNSHOWN else character for character in text)


def take_in(path: Path, *, max_bytes: int) -> Intake:
    """Read a file once: hash it, and keep its bytes where they are within the limit. The file is only ever read.

    Raises:
        UsageError: the path is missing, no regular file, or unreadable.
    """
    shown = printable_name(path.name) or str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{shown} is a folder; give one file.")
        if not stat.S_ISREG(mode):
            raise UsageError(f"{shown} is not a regular file; copy its content to one.")
        with path.open("rb") as stream:
            return _read(stream, shown, max_bytes)
    except FileNotFoundError:
        raise UsageError(f"There is no file {shown} at the path given; check the path.") from None
    except (OSError, ValueError) as problem:
        cause = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(f"{shown} cannot be read ({cause}); check its permissions and the disk.") from problem


def take_in_bytes(content: bytes, name: str, *, max_bytes: int) -> Intake:
    """Take in an upload: the same as ``take_in`` for bytes that are in memory already."""
    evidence = _identity(hashlib.sha256(content).hexdigest(), len(content), content[:256], printable_name(name))
    return Intake(evidence, content if len(content) <= max_bytes else None)


def _read(stream, name: str, max_bytes: int) -> Intake:
    digest, size, kept = hashlib.sha256(), 0, bytearray()
    head = b""
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        head = head or chunk[:256]
        size += len(chunk)
        if size <= max_bytes:
            kept += chunk
        else:
            kept.clear()
    return Intake(_identity(digest.hexdigest(), size, head, name), bytes(kept) if size <= max_bytes else None)


def _identity(sha256: str, size: int, head: bytes, name: str) -> Evidence:
    found = sniff(head)
    return Evidence(name, sha256, size, "video" if found in VIDEO_FORMATS else "image", found)
