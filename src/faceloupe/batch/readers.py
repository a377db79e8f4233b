"""Reading of inputs: their hash and media type for the driver, and their bytes for a worker."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from faceloupe.batch.archives import MAGICS, LastArchive
from faceloupe.batch.tasks import Task
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError, UsageError
from faceloupe.media.embedded import EmbeddedItem, extract_as_file
from faceloupe.media.evidence import Picture
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, open_evidence, printable_name
from faceloupe.media.formats import HEAD_BYTES, media_type, sniff

_CHUNK = 1024 * 1024
MOST_SENT = 64 * 1024 * 1024  # largest file that is sent to another machine, which must read larger files itself
TOO_MUCH_MEMORY = "The file needs more memory than there is; analyze it alone or on a larger machine."
NESTED = "This is a ZIP inside a ZIP and was not opened; unpack the outer one and give the inner one."
CHANGED = "The file changed while the batch ran, so no result would match its hash; analyze it again."


_SYSTEM_FILES = {
    ".ds_store": "a system file of macOS (.DS_Store: the view of a folder)",
    "thumbs.db": "a system file of Windows (Thumbs.db: thumbnails of a folder)",
    "ehthumbs.db": "a system file of Windows (ehthumbs.db: thumbnails of a folder)",
    "desktop.ini": "a system file of Windows (desktop.ini: the view of a folder)",
}
_APPLE_DOUBLE = "a system file of macOS (AppleDouble: metadata of the file named behind ._)"
_MACOS_ARCHIVE = "a system file of macOS (__MACOSX: metadata of the other files of the archive)"


def system_file(path: str, format_name: str | None) -> str:
    """Return a description of a file that an operating system wrote for its own use; empty for other files.

    A picture or a video is never a system file, whatever its name.

    Args:
        path: path of the file, or its name in an archive.
        format_name: format detected from its content; None if it is unknown.
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
    """Reads inputs. Threads must not share it, because it keeps the last ZIP open."""

    def __init__(self, max_bytes: int, spool: Path | None = None) -> None:
        """Create a reader without an open ZIP.

        Args:
            max_bytes: largest size of an image, see ``Settings``.
            spool: folder for videos that are copied out of ZIPs; None for the system's temporary folder.
        """
        self._archives = LastArchive()
        self._max_bytes = max_bytes
        self._spool = spool

    def close(self) -> None:
        """Close the open ZIP, if there is one."""
        self._archives.close()

    def identify(self, task: Task, step: Callable[[], None] = lambda: None) -> Task:
        """Return the task with its hash and media type, or with its problem; the bytes are read but not kept.

        Args:
            task: the task as listed.
            step: called at intervals; it may raise an exception to stop the work.
        """
        if task.problem:
            return task
        try:
            if task.embedded is not None:
                evidence = self._embedded(task, task.embedded).evidence
                return replace(task, sha256=evidence.sha256, media_type=evidence.media_type)
            if task.member is not None:
                return self._identify_member(task, task.member, step)
            evidence = open_evidence(Path(task.path), max_bytes=0, step=lambda _: step()).evidence
        except (UsageError, EvidenceError) as problem:
            return replace(task, problem=str(problem))
        except MemoryError:  # a member of a ZIP may request gigabytes before any of its bytes are read
            return replace(task, problem=TOO_MUCH_MEMORY)
        kind = system_file(task.path, evidence.format)
        return replace(task, sha256=evidence.sha256, media_type=evidence.media_type, system_file=kind)

    def sendable(self, task: Task) -> Task:
        """Return the task with its bytes if they can be read and are at most ``MOST_SENT``; otherwise unchanged."""
        try:
            if task.embedded is not None:
                own = self._embedded(task, task.embedded)
                with own.open() as stream:
                    content = stream.read(MOST_SENT + 1)
            elif task.member is None:
                with open(task.path, "rb") as stream:
                    content = stream.read(MOST_SENT + 1)
            else:
                with self._archives(task.path).open(task.member) as stream:
                    content = stream.read(MOST_SENT + 1)
        except (OSError, EvidenceError, UsageError):
            return task  # the worker meets the same error, and reports it
        return replace(task, content=content) if len(content) <= MOST_SENT else task

    def open_container(self, task: Task) -> EvidenceFile:
        """Open a file that may contain embedded content.

        Raises:
            UsageError: the file cannot be read.
            EvidenceError: the member of a ZIP cannot be read, or is too large.
        """
        max_bytes = self._max_bytes
        if task.member is None:
            return open_evidence(Path(task.path), max_bytes=max_bytes)
        archive = self._archives(task.path)
        if archive.size(task.member) > max_bytes:
            raise EvidenceError(f"The member of the ZIP is larger than {max_bytes:,} bytes.")
        with archive.open(task.member) as stream:
            return evidence_from_bytes(stream.read(), task.name, max_bytes=max_bytes)

    def _embedded(self, task: Task, embedded: EmbeddedItem) -> EvidenceFile:
        return extract_as_file(self.open_container(task), embedded, max_bytes=self._max_bytes)

    def _identify_member(self, task: Task, member: int, step: Callable[[], None]) -> Task:
        digest, head = hashlib.sha256(), bytearray()
        with self._archives(task.path).open(member) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                head += chunk[: HEAD_BYTES - len(head)]
                step()
        known = bytes(head)
        format_name = sniff(known)
        return replace(
            task,
            sha256=digest.hexdigest(),
            media_type=media_type(known, format_name),
            problem=NESTED if head.startswith(MAGICS) else "",
            system_file=system_file(task.member_name, format_name),
        )

    def take(self, task: Task) -> "OpenedTask":
        """Open the file of a task.

        Raises:
            UsageError: the file cannot be read.
            EvidenceError: the bytes are not those that the driver hashed, or the member of a ZIP cannot be read.
        """
        max_bytes = self._max_bytes
        if task.content is not None:
            limit = max_bytes if task.media_type == "image" else MOST_SENT
            return OpenedTask(
                task, _refuse_changed(evidence_from_bytes(task.content, task.name, max_bytes=limit), task)
            )
        if task.embedded is not None:
            return OpenedTask(task, _refuse_changed(self._embedded(task, task.embedded), task))
        if task.member is None:
            return OpenedTask(task, _refuse_changed(open_evidence(Path(task.path), max_bytes=max_bytes), task))
        archive = self._archives(task.path)
        with archive.open(task.member) as stream:
            if task.media_type == "image" and archive.size(task.member) <= max_bytes:
                return OpenedTask(
                    task, _refuse_changed(evidence_from_bytes(stream.read(), task.name, max_bytes=max_bytes), task)
                )
            descriptor, spooled = tempfile.mkstemp(prefix="faceloupe-", dir=self._spool)
            try:
                with os.fdopen(descriptor, "wb") as writing:
                    shutil.copyfileobj(stream, writing, _CHUNK)
                evidence_file = _refuse_changed(open_evidence(Path(spooled), max_bytes=max_bytes), task)
                evidence = replace(evidence_file.evidence, name=printable_name(task.name))
                return OpenedTask(task, replace(evidence_file, evidence=evidence), Path(spooled))
            except BaseException:
                os.unlink(spooled)
                raise


@dataclass(frozen=True, slots=True)
class OpenedTask:
    """A task with its open file, and the picture of an image that was decoded ahead.

    Attributes:
        task: the task.
        evidence_file: the open file.
        spooled: temporary copy of a ZIP member that is not held in memory; None if there is none.
        picture: picture of an image; None before it is decoded, and if it cannot be decoded.
        problem: why the image cannot be decoded; None if it was decoded, or decoding was not tried.
    """

    task: Task
    evidence_file: EvidenceFile
    spooled: Path | None = None
    picture: Picture | None = None
    problem: EvidenceError | None = None

    def decoded(self, evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None]) -> Picture:
        """Return the picture that was decoded ahead; see ``media.sandbox.image.Decode``.

        Raises:
            EvidenceError: the image cannot be decoded, or the file is a video.
        """
        if self.picture is None:
            raise self.problem or EvidenceError("A video was asked for as an image.")
        return self.picture

    def release(self) -> None:
        """Delete the temporary copy, if there is one."""
        if self.spooled is not None:
            self.spooled.unlink(missing_ok=True)


def _refuse_changed(evidence_file: EvidenceFile, task: Task) -> EvidenceFile:
    if evidence_file.evidence.sha256 != task.sha256:
        raise EvidenceError(CHANGED)
    return evidence_file
