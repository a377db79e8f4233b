"""EvidenceFile: identity first. A file is hashed before anything decodes it, and its type is read from its bytes."""

import hashlib
import io
import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from faceloupe.errors import EvidenceError, UsageError
from faceloupe.types import Evidence, Step

_CHUNK = 1024 * 1024
_HEAD = 256  # bytes that tell the format
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
_OLD_QUICKTIME = {b"moov", b"mdat", b"wide", b"free", b"skip"}  # first atoms of files from before brands
_TS_PACKET, _TS_SYNC = 188, b"G"  # bytes between the marks of a transport stream
_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories: controls, format marks, surrogates, line separators
VIDEO_FORMATS = frozenset({"MP4", "QuickTime", "Matroska", "MPEG", "MPEG-TS", "AVI"})
_CHANGED = "The file changed while it was examined, so that no result would belong to the hash; examine it anew."


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a file lies, and what its state was when it was hashed."""

    path: Path
    state: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file taken in: its identity, and a way to the very bytes that were hashed.

    Attributes:
        evidence: name, SHA-256, size, and the format that the first bytes show.
        content: the bytes that were hashed; None for a still that is larger than the limit, and for a video on disk,
            which is read where it lies.
        origin: of a file on disk.
    """

    evidence: Evidence
    content: bytes | None
    origin: _Origin | None = field(default=None, repr=False, compare=False)

    def open(self) -> BinaryIO:
        """Open the bytes that were hashed for reading.

        Raises:
            EvidenceError: the file is gone or not what it was when it was hashed.
        """
        if self.content is not None:
            return io.BytesIO(self.content)
        if self.origin is None:
            raise EvidenceError("The file is larger than the limit for uploads; examine it by its path.")
        try:
            stream = self.origin.path.open("rb")
        except OSError as problem:
            raise EvidenceError(
                f"The file cannot be opened any more ({problem.strerror}); put it back and examine it anew."
            ) from problem
        try:
            self.refuse_changed(stream)
        except EvidenceError:
            stream.close()
            raise
        return stream

    def refuse_changed(self, stream: BinaryIO) -> None:
        """Hold a stream of ``open`` against the state of the file when it was hashed.

        A file that was deleted after it was opened is still whole: the system keeps it as long as it is open.

        Raises:
            EvidenceError: it was written to since.
        """
        if self.content is not None:
            return
        now, then = _state(stream), self.origin.state
        if now != then and not (_linked(now, then) and self._hashed_again(stream)):
            raise EvidenceError(_CHANGED)

    def _hashed_again(self, stream: BinaryIO) -> bool:
        place = stream.tell()
        stream.seek(0)
        same = hashlib.file_digest(stream, "sha256").hexdigest() == self.evidence.sha256
        stream.seek(place)
        return same


def _state(stream: BinaryIO) -> tuple[int, ...]:
    found = os.fstat(stream.fileno())
    # The time of change too: that of the content can be put back, by tools that mean no harm as well.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_nlink


def _linked(now: tuple[int, ...], then: tuple[int, ...]) -> bool:
    """Whether a file got or lost a name, maybe its last one: that is a change, but not of its bytes."""
    return now[:4] == then[:4] and now[5] != then[5]


def _sniff_iso(head: bytes) -> str | None:
    """Tell apart the formats that share the ISO base media container, by their brands."""
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[start : start + 4] for start in range(16, length - 3, 4)}
    kinds = (("AVIF", _AVIF_BRANDS), ("HEIC", _HEIF_BRANDS), ("QuickTime", _QUICKTIME_BRANDS), ("MP4", _MP4_BRANDS))
    return next((name for name, known in kinds if brands & known), None)


def sniff(head: bytes) -> str | None:
    """Name the format that the first bytes of a file show; None where they show none that is known.

    Args:
        head: the first 256 bytes, or all of a shorter file.
    """
    if head[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "AVI"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _sniff_iso(head)
    if head[4:8] in _OLD_QUICKTIME:
        return "QuickTime"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    stream = "MPEG-TS" if head[:1] == head[_TS_PACKET : _TS_PACKET + 1] == _TS_SYNC else None
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), stream)


def printable_name(name: str) -> str:
    """A file name that can stand in a report: control and direction marks replaced, undecodable bytes as U+FFFD."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    return "".join("\ufffd" if unicodedata.category(character) in _UNSHOWN else character for character in text)


def open_evidence(path: Path, *, max_bytes: int, step: Step | None = None) -> EvidenceFile:
    """Read a file once: hash it, and keep the bytes of a still within the limit. The file is only ever read.

    Args:
        max_bytes: of a still; videos are read where they lie, and may be of any length.
        step: called with the share that is hashed, 0..1; what it raises ends the work.

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
            return _read(stream, shown, max_bytes, path, step)
    except FileNotFoundError:
        raise UsageError(f"There is no file {shown} at the path given; check the path.") from None
    except (OSError, ValueError) as problem:
        cause = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(f"{shown} cannot be read ({cause}); check its permissions and the disk.") from problem


def evidence_from_bytes(content: bytes, name: str, *, max_bytes: int) -> EvidenceFile:
    """Take in an upload: the same as ``open_evidence`` for bytes that are in memory already."""
    evidence = _identity(hashlib.sha256(content).hexdigest(), len(content), content[:_HEAD], printable_name(name))
    return EvidenceFile(evidence, content if len(content) <= max_bytes else None)


def _read(stream: BinaryIO, name: str, max_bytes: int, path: Path, step: Step | None) -> EvidenceFile:
    origin = _Origin(path, _state(stream))
    digest, size, kept, head = hashlib.sha256(), 0, bytearray(), b""
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        head = head or chunk[:_HEAD]
        size += len(chunk)
        if size <= max_bytes and sniff(head) not in VIDEO_FORMATS:
            kept += chunk
        else:
            kept.clear()
        if step:
            step(min(size / max(origin.state[2], 1), 1.0))
    evidence = _identity(digest.hexdigest(), size, head, name)
    content = bytes(kept) if evidence.media_type == "image" and size <= max_bytes else None
    return EvidenceFile(evidence, content, origin)


def _identity(sha256: str, size: int, head: bytes, name: str) -> Evidence:
    found = sniff(head)
    return Evidence(name, sha256, size, "video" if found in VIDEO_FORMATS else "image", found)
