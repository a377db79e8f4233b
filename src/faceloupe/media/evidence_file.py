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
from faceloupe.media.evidence import Evidence
from faceloupe.media.formats import HEAD_BYTES, VIDEO_FORMATS, media_type, sniff
from faceloupe.types import Step

_CHUNK = 1024 * 1024
_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories: controls, format marks, surrogates, line separators
_CHANGED = "The file changed during the analysis, so no result would match its hash; analyze it again."


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
        content: the bytes that were hashed; None for an image that is larger than the limit, and for a video on disk,
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
            raise EvidenceError("The file is larger than the limit for uploads; analyze it by its path.")
        try:
            stream = self.origin.path.open("rb")
        except OSError as problem:
            raise EvidenceError(
                f"The file can no longer be opened ({problem.strerror}); restore it and analyze it again."
            ) from problem
        try:
            self.refuse_changed(stream)
        except EvidenceError:
            stream.close()
            raise
        return stream

    def refuse_changed(self, stream: BinaryIO) -> None:
        """Check a stream of ``open`` against the state of the file when it was hashed.

        A file that was deleted after it was opened is still whole: the system keeps it as long as it is open.

        Raises:
            EvidenceError: it was written to since.
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
    # The time of change too: that of the content can be put back, by tools that mean no harm as well.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_nlink


def _linked(now: tuple[int, ...], then: tuple[int, ...]) -> bool:
    """Whether a file got or lost a name, maybe its last one: that is a change, but not of its bytes."""
    return now[:4] == then[:4] and now[5] != then[5]


def printable_name(name: str) -> str:
    """Return a file name for a report: control and direction marks and undecodable bytes are replaced by U+FFFD."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    return "".join("\ufffd" if unicodedata.category(character) in _UNSHOWN else character for character in text)


def open_evidence(path: Path, *, max_bytes: int, step: Step | None = None) -> EvidenceFile:
    """Read a file once: hash it, and keep the bytes of an image within the limit. The file is only ever read.

    Args:
        path: of a regular file.
        max_bytes: of an image; videos are read where they lie, and may be of any length.
        step: called with the share that is hashed, 0..1; what it raises ends the work.

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
    """Take in an upload: the same as ``open_evidence`` for bytes that are in memory already."""
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
