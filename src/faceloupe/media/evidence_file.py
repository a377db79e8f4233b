"""EvidenceFile: a file is hashed before anything decodes it, and its type is detected from its bytes."""

import hashlib
import io
import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from faceloupe.errors import EvidenceError, UsageError
from faceloupe.media.evidence import Evidence
from faceloupe.media.formats import HEAD_BYTES, VIDEO_FORMATS, media_type, sniff
from faceloupe.types import Step

_CHUNK = 1024 * 1024
_UNPRINTABLE_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, format marks, surrogates, line separators
_CHANGED = "The file changed during the analysis, so no result would match its hash; analyze it again."


@dataclass(frozen=True, slots=True)
class _Origin:
    """Path of a file, and the state of the file when it was hashed."""

    path: Path
    state: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """The identity of a file, and access to exactly the bytes that were hashed.

    Attributes:
        evidence: name, SHA-256, size, and the format detected from the first bytes.
        content: the bytes that were hashed; None for an image that is larger than the limit, and for a video on disk,
            which is read from its path.
        origin: path and state of a file on disk; None for an upload.
    """

    evidence: Evidence
    content: bytes | None
    origin: _Origin | None = field(default=None, repr=False, compare=False)

    def open(self) -> BinaryIO:
        """Open the bytes that were hashed for reading.

        Raises:
            EvidenceError: the file is missing or has changed since it was hashed, or an upload is larger than the
                limit.
        """
        if self.content is not None:
            return io.BytesIO(self.content)
        if self.origin is None:
            raise EvidenceError("The file is larger than the limit for uploads; analyze it by its path.")
        try:
            stream = self.origin.path.open("rb")
        except OSError as problem:
            raise EvidenceError(
                f"The file can no longer be opened ({problem.strerror}); restore it and analyze it again."
            ) from problem
        try:
            self.check_unchanged(stream)
        except EvidenceError:
            stream.close()
            raise
        return stream

    def check_unchanged(self, stream: BinaryIO) -> None:
        """Check a stream from ``open`` against the state of the file when it was hashed.

        A file that was deleted after it was opened is still complete: the system keeps its content while it is open.

        Raises:
            EvidenceError: the file was written to after it was hashed.
        """
        if self.origin is None:  # the bytes are in memory
            return
        now, then = _state(stream), self.origin.state
        if now != then and not (_linked(now, then) and self._hashed_again(stream)):
            raise EvidenceError(_CHANGED)

    def _hashed_again(self, stream: BinaryIO) -> bool:
        position, digest = stream.tell(), hashlib.sha256()
        stream.seek(0)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
        stream.seek(position)
        return digest.hexdigest() == self.evidence.sha256


def _state(stream: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(stream.fileno())
    # ctime is included because mtime can be reset, which harmless tools do as well.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_nlink


def _linked(now: tuple[int, ...], then: tuple[int, ...]) -> bool:
    """Return whether the file only got or lost a name, maybe its last one.

    Then the link count differs, but not the size and the modification time.
    """
    return now[:4] == then[:4] and now[5] != then[5]


def printable_name(name: str) -> str:
    """Return a file name for a report: control and direction marks and undecodable bytes are replaced by U+FFFD."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    return "".join(
        "\ufffd" if unicodedata.category(character) in _UNPRINTABLE_CATEGORIES else character for character in text
    )


def open_evidence(path: Path, *, max_bytes: int, step: Step | None = None) -> EvidenceFile:
    """Hash a file in a single read, and keep its bytes if it is an image within the limit. It is never written.

    Args:
        path: path of a regular file.
        max_bytes: largest image that is kept; a video is read from disk and may have any size.
        step: called with the share that is hashed, 0..1; an exception that it raises ends the work.

    Raises:
        UsageError: the path is missing, not a regular file, or unreadable.
    """
    shown = printable_name(path.name) or str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{shown} is a folder; give a file.")
        if not stat.S_ISREG(mode):
            raise UsageError(f"{shown} is not a regular file; copy its content to a regular file.")
        with path.open("rb") as stream:
            return _read(stream, shown, max_bytes, path, step)
    except FileNotFoundError:
        raise UsageError(f"There is no file {shown}; check the path.") from None
    except (OSError, ValueError) as problem:
        cause = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(f"{shown} cannot be read ({cause}); check its permissions and the disk.") from problem


def evidence_from_bytes(content: bytes, name: str, *, max_bytes: int) -> EvidenceFile:
    """Return the evidence file of an upload: like ``open_evidence``, for bytes that are in memory already."""
    evidence = _identity(hashlib.sha256(content).hexdigest(), len(content), content[:HEAD_BYTES], printable_name(name))
    return EvidenceFile(evidence, content if len(content) <= max_bytes else None)


def _read(stream: BinaryIO, name: str, max_bytes: int, path: Path, step: Step | None) -> EvidenceFile:
    origin = _Origin(path, _state(stream))
    head = stream.read(HEAD_BYTES)
    digest, size, content = hashlib.sha256(), 0, bytearray()
    read_on_disk = sniff(head) in VIDEO_FORMATS
    stream.seek(0)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if size <= max_bytes and not read_on_disk:
            content += chunk
        else:
            content.clear()
        if step:
            step(min(size / max(origin.state[2], 1), 1.0))
    evidence = _identity(digest.hexdigest(), size, head, name)
    whole = bytes(content) if evidence.media_type == "image" and size <= max_bytes else None
    return EvidenceFile(evidence, whole, origin)


def _identity(sha256: str, size: int, head: bytes, name: str) -> Evidence:
    format_name = sniff(head)
    return Evidence(name, sha256, size, media_type(head, format_name), format_name)
