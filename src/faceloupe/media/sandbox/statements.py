"""Reading of a file's statements about itself in a separate process."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from faceloupe.config import Settings
from faceloupe.errors import EvidenceError, UsageError
from faceloupe.media.credentials import Credentials, may_hold
from faceloupe.media.embedded import EmbeddedItem, extract_as_file
from faceloupe.media.evidence_file import EvidenceFile, printable_name
from faceloupe.media.formats import unreadable
from faceloupe.media.sandbox import protocol
from faceloupe.media.sandbox.client import Worker
from faceloupe.media.statements import Metadata

_MOST_RAW = 64 << 20  # bytes of an answer
T = TypeVar("T")
Check = Callable[[], None]


def read_metadata(
    evidence_file: EvidenceFile, *, settings: Settings, with_position: bool = False, check: Check = lambda: None
) -> Metadata:
    """Read the statements of a file about itself; see ``media.metadata.read``.

    Args:
        evidence_file: the file.
        settings: settings with the limits.
        with_position: whether the position in EXIF (GPS) is listed.
        check: called while waiting for the decoder; an exception that it raises ends the work.

    Raises:
        EvidenceError: the file is not a picture or a video; or the decoder crashed, hung, or needed too much memory.
    """
    return _ask(evidence_file, "metadata", Metadata, with_position=with_position, settings=settings, check=check)


def read_credentials(
    evidence_file: EvidenceFile,
    *,
    anchors: str,
    settings: Settings,
    sidecar: bytes = b"",
    check: Check = lambda: None,
) -> Credentials:
    """Read and check the Content Credentials of a file; see ``media.credentials.read``.

    Args:
        evidence_file: the file.
        anchors: certificates (PEM) of the authorities whose signers are trusted.
        settings: settings with the limits.
        sidecar: manifest stored beside the file.
        check: called while waiting for the decoder; an exception that it raises ends the work.

    Raises:
        EvidenceError: see ``read_metadata``.
    """
    if not sidecar and evidence_file.content and not may_hold(evidence_file.content):
        _refuse_unreadable(evidence_file)
        return Credentials("none")
    content = protocol.shared_memory_with(sidecar) if sidecar else None
    try:
        sidecars, raw = [] if content is None else [content], anchors.encode()
        return _ask(evidence_file, "credentials", Credentials, more=sidecars, raw=raw, settings=settings, check=check)
    finally:
        if content is not None:
            os.close(content)


def list_embedded(
    evidence_file: EvidenceFile, *, settings: Settings, check: Check = lambda: None
) -> tuple[EmbeddedItem, ...]:
    """List the content of a picture file besides its picture, in the order of its report; empty for a video.

    Args:
        evidence_file: the file.
        settings: settings with the limits.
        check: called while waiting for the decoder; an exception that it raises ends the work.

    Raises:
        EvidenceError: see ``read_metadata``.
    """
    if evidence_file.evidence.media_type == "video":
        return ()
    return _ask(evidence_file, "embedded", tuple[EmbeddedItem, ...], settings=settings, check=check)


def open_embedded(evidence_file: EvidenceFile, number: int, *, settings: Settings) -> EvidenceFile:
    """Open content of a picture file besides its picture as a separate file.

    Args:
        evidence_file: the file.
        number: number of the content, from 1, in the order of the report of the file.
        settings: settings with the limits.

    Raises:
        EvidenceError: see ``read_metadata``; or the content cannot be extracted.
        UsageError: no content has that number.
    """
    items = list_embedded(evidence_file, settings=settings)
    if not 1 <= number <= len(items):
        contents = "1 content" if len(items) == 1 else f"{len(items)} contents"
        raise UsageError(f"{printable_name(evidence_file.evidence.name)} holds {contents} besides its picture.")
    return extract_as_file(evidence_file, items[number - 1], max_bytes=settings.max_bytes)


def _ask(
    evidence_file: EvidenceFile,
    kind: str,
    answer: type[T],
    *,
    settings: Settings,
    check: Check,
    with_position: bool = False,
    more: Sequence[int] = (),
    raw: bytes = b"",
) -> T:
    _refuse_unreadable(evidence_file)
    evidence = evidence_file.evidence
    with evidence_file.open() as stream:
        content = None if evidence_file.content is None else protocol.shared_memory_with(evidence_file.content)
        try:
            with Worker(
                protocol.Request(kind, evidence.format or "", with_position),
                stream.fileno() if content is None else content,
                settings=settings,
                sha256=evidence.sha256,
                check=check,
                more=more,
                raw=raw,
            ) as worker:
                _, content_of_answer = worker.receive(protocol.Done, _MOST_RAW)
                try:
                    return msgspec.json.decode(content_of_answer, type=answer)
                except msgspec.MsgspecError:  # see ``Message.as_a``
                    raise worker.protocol_error(protocol.ProtocolError("not the values of the answer")) from None
        finally:
            if content is not None:
                os.close(content)


def _refuse_unreadable(evidence_file: EvidenceFile) -> None:
    """Refuse a file that is neither a picture nor a video that can be read.

    Raises:
        EvidenceError: the file is empty, unknown, or of a format that cannot be read.
    """
    evidence = evidence_file.evidence
    if what := unreadable(evidence.format):
        raise EvidenceError(f"The file is {what}.")
    if evidence.size_bytes == 0:
        raise EvidenceError("The file is empty (0 bytes); get a complete copy.")
    if evidence.format is None:
        raise EvidenceError("The content is not an image or a video that can be read, whatever the file name says.")
