"""Inputs taken in: identity for the driver, and the bytes for a worker."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from faceloupe.batch.archives import MAGICS, LastArchive
from faceloupe.batch.tasks import Input, Task
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError, UsageError
from faceloupe.media.embedded import EmbeddedItem, taken_out
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, open_evidence, printable_name
from faceloupe.media.formats import HEAD_BYTES, media_type, sniff
from faceloupe.types import Picture

_CHUNK = 1024 * 1024
MOST_SENT = 64 * 1024 * 1024  # bytes of a file that are sent to another machine; larger ones must be seen from there
TOO_MUCH_MEMORY = "The file needs more memory than there is; analyze it alone or on a larger machine."
NESTED = "This is a ZIP inside a ZIP and was not opened; unpack the outer one and give the inner one."
CHANGED = "The file changed while the batch ran, so no result would match its hash; analyze it again."


@dataclass(frozen=True, slots=True)
class Identity:
    """What the driver knows of an input before it is analyzed.

    Attributes:
        sha256: of the bytes; empty where they could not be read.
        media_type: ``image`` or ``video``; empty likewise.
        problem: why the file cannot be examined; empty where nothing was found yet.
        system_file: what it is, where a system wrote it for itself: there is nothing to examine then; else empty.
    """

    sha256: str = ""
    media_type: str = ""
    problem: str = ""
    system_file: str = ""


_SYSTEM_FILES = {
    ".ds_store": "a system file of macOS (.DS_Store: the view of a folder)",
    "thumbs.db": "a system file of Windows (Thumbs.db: thumbnails of a folder)",
    "ehthumbs.db": "a system file of Windows (ehthumbs.db: thumbnails of a folder)",
    "desktop.ini": "a system file of Windows (desktop.ini: the view of a folder)",
}
_APPLE_DOUBLE = "a system file of macOS (AppleDouble: metadata of the file named behind ._)"
_MACOS_ARCHIVE = "a system file of macOS (__MACOSX: metadata of the other files of the archive)"


def system_file(path: str, format_name: str | None) -> str:
    """Say what a file is that a system wrote for itself; empty for others.

    A picture or a video is none of them, whatever its name.

    Args:
        path: of the file, or its name in an archive.
        format_name: the format that its content shows.
    """
    if format_name not in (None, "Apple metadata"):
        return ""
    *folders, name = path.replace("\\", "/").split("/")
    if format_name == "Apple metadata" or name.startswith("._"):
        return _APPLE_DOUBLE
    if "__MACOSX" in folders:
        return _MACOS_ARCHIVE
    return _SYSTEM_FILES.get(name.lower(), "")


class Reader:
    """Reads inputs. Not to be shared between threads: it keeps the last ZIP open."""

    def __init__(self, spool: Path | None = None) -> None:
        """Create a reader without an open ZIP.

        Args:
            spool: folder for videos taken out of ZIPs; the system's for temporary files where None.
        """
        self._archives = LastArchive()
        self._spool = spool

    def close(self) -> None:
        """Close the ZIP that is open, if one is."""
        self._archives.close()

    def identify(self, item: Input, step: Callable[[], None] = lambda: None) -> Identity:
        """Hash an input, whatever its size, without keeping it.

        Args:
            item: the input.
            step: called now and then; what it raises ends the work.
        """
        if item.problem:
            return Identity(problem=item.problem)
        try:
            if item.embedded is not None:
                evidence = self._embedded(item, item.embedded, Settings().max_bytes).evidence
                return Identity(evidence.sha256, evidence.media_type)
            if item.member is None:
                evidence = open_evidence(Path(item.path), max_bytes=0, step=lambda _: step()).evidence
                return Identity(
                    evidence.sha256, evidence.media_type, system_file=system_file(item.path, evidence.format)
                )
            return self._identify_member(item, item.member, step)
        except (UsageError, EvidenceError) as problem:
            return Identity(problem=str(problem))
        except MemoryError:  # of a ZIP's member, which may ask for gigabytes before a byte of it is read
            return Identity(problem=TOO_MUCH_MEMORY)

    def sendable(self, task: Task) -> Task:
        """Return the task with its bytes, where they can be read and are few enough to be sent to another machine."""
        item = task.input
        try:
            if item.embedded is not None:
                own = self._embedded(item, item.embedded, Settings().max_bytes)
                with own.open() as stream:
                    content = stream.read(MOST_SENT + 1)
            elif item.member is None:
                with open(item.path, "rb") as stream:
                    content = stream.read(MOST_SENT + 1)
            else:
                with self._archives(item.path).open(item.member) as stream:
                    content = stream.read(MOST_SENT + 1)
        except (OSError, EvidenceError, UsageError):
            return task  # whoever carries it out meets the same, and says so
        return replace(task, content=content) if len(content) <= MOST_SENT else task

    def holder(self, item: Input, max_bytes: int) -> EvidenceFile:
        """Take in a picture that may hold more than its picture.

        Raises:
            UsageError: the file cannot be read.
            EvidenceError: the member of a ZIP cannot be read, or is too large.
        """
        if item.member is None:
            return open_evidence(Path(item.path), max_bytes=max_bytes)
        archive = self._archives(item.path)
        if archive.size(item.member) > max_bytes:
            raise EvidenceError(f"The member of the ZIP is larger than {max_bytes:,} bytes.")
        with archive.open(item.member) as stream:
            return evidence_from_bytes(stream.read(), item.name, max_bytes=max_bytes)

    def _embedded(self, item: Input, embedded: EmbeddedItem, max_bytes: int) -> EvidenceFile:
        return taken_out(self.holder(item, max_bytes), embedded, max_bytes=max_bytes)

    def _identify_member(self, item: Input, member: int, step: Callable[[], None]) -> Identity:
        digest, head = hashlib.sha256(), bytearray()
        with self._archives(item.path).open(member) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                head += chunk[: HEAD_BYTES - len(head)]
                step()
        known = bytes(head)
        format_name = sniff(known)
        return Identity(
            digest.hexdigest(),
            media_type(known, format_name),
            NESTED if head.startswith(MAGICS) else "",
            system_file(item.member_name, format_name),
        )

    def take(self, task: Task, *, max_bytes: int) -> "Taken":
        """Take in the bytes of a task.

        Raises:
            UsageError: the file cannot be read.
            EvidenceError: it is not what the driver hashed, or the member of a ZIP cannot be read.
        """
        item, name = task.input, task.input.name
        if task.content is not None:
            limit = max_bytes if task.media_type == "image" else MOST_SENT
            return Taken(task, _held(evidence_from_bytes(task.content, name, max_bytes=limit), task))
        if item.embedded is not None:
            return Taken(task, _held(self._embedded(item, item.embedded, max_bytes), task))
        if item.member is None:
            return Taken(task, _held(open_evidence(Path(item.path), max_bytes=max_bytes), task))
        archive = self._archives(item.path)
        with archive.open(item.member) as stream:
            if task.media_type == "image" and archive.size(item.member) <= max_bytes:
                return Taken(task, _held(evidence_from_bytes(stream.read(), name, max_bytes=max_bytes), task))
            descriptor, spooled = tempfile.mkstemp(prefix="faceloupe-", dir=self._spool)
            try:
                with os.fdopen(descriptor, "wb") as writing:
                    shutil.copyfileobj(stream, writing, _CHUNK)
                evidence_file = _held(open_evidence(Path(spooled), max_bytes=max_bytes), task)
                evidence = replace(evidence_file.evidence, name=printable_name(name))
                return Taken(task, replace(evidence_file, evidence=evidence), Path(spooled))
            except BaseException:
                os.unlink(spooled)
                raise


@dataclass(frozen=True, slots=True)
class Taken:
    """A task with its bytes, and what was decoded of them before its turn.

    Attributes:
        spooled: temporary copy of a member that is too large for the memory; None where there is none.
        picture: of an image; None before it is decoded, and where it cannot be.
        problem: why it cannot be decoded; None where nothing was tried or it could.
    """

    task: Task
    evidence_file: EvidenceFile
    spooled: Path | None = None
    picture: Picture | None = None
    problem: EvidenceError | None = None

    def decoded(self, evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None]) -> Picture:
        """Return the decoded picture; see ``media.sandbox.image.Decode``."""
        if self.picture is None:
            raise self.problem or EvidenceError("A video was asked for as an image.")
        return self.picture

    def release(self) -> None:
        """Remove the temporary copy."""
        if self.spooled is not None:
            self.spooled.unlink(missing_ok=True)


def _held(evidence_file: EvidenceFile, task: Task) -> EvidenceFile:
    if evidence_file.evidence.sha256 != task.sha256:
        raise EvidenceError(CHANGED)
    return evidence_file
