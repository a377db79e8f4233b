"""What passes between the driver of a batch and its workers: small, picklable, frozen."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from faceloupe.config import Settings
from faceloupe.media.embedded import EmbeddedItem
from faceloupe.types import Outcome


@dataclass(frozen=True, slots=True)
class Task:
    """One file of a batch: where its bytes lie, then what the driver learns of them.

    Attributes:
        shown: the path as it stands in the table, ``archive.zip!inner/name.jpg`` for the member of a ZIP.
        path: of the file, or of the ZIP.
        member: number of the member in the ZIP's directory, from 0; None for a file.
        member_name: its name there; empty for a file.
        embedded: content of that file which is examined in its place; None where the file itself is.
        problem: why it cannot be examined; empty where nothing is known that prevents it.
        system_file: what it is, where a system wrote it for itself: there is nothing to examine then; else empty.
        sha256: of the bytes when the driver read them; others are not examined under this name. Empty before they are
            read, and where they could not be.
        media_type: ``image`` or ``video``; empty likewise.
        index: place of its row in this run, from 0; -1 before it has one.
        content: the bytes, for a worker that may not see the file; None where it reads them itself.
    """

    shown: str
    path: str
    member: int | None = None
    member_name: str = ""
    embedded: EmbeddedItem | None = None
    problem: str = ""
    system_file: str = ""
    sha256: str = ""
    media_type: str = ""
    index: int = -1
    content: bytes | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Without the folders, as it stands in reports."""
        return os.path.basename(self.path) + (f"!{self.member_name}" if self.member is not None else "")


@dataclass(frozen=True, slots=True)
class Result:
    """What was found in one file.

    Attributes:
        media_type: ``image`` or ``video``; empty where the file could not be read, or not as it was hashed.
        outcome: see ``Outcome``.
        reason: of the outcome.
        score: calibrated P(manipulated), 0..1; None where nothing was scored.
        log10_lr: bounded log10 of the likelihood ratio; None likewise.
        faces: faces of an image, tracks of a video; None for the outcome ``error``.
        duration_s: of a video; None for an image.
        perceptual_hash: of an image, 64 bits as 16 hexadecimal digits; empty where it could not be decoded, and for a
            video.
        report: the canonical report as JSON; empty where it was not asked for or there is none.
        thumbnail: small JPEG; likewise.
        provenance: state of the Content Credentials; empty where the file could not be read.
        generator: the generator that the file claims to be made with; empty where it claims none.
    """

    media_type: str
    outcome: Outcome
    reason: str
    score: float | None = None
    log10_lr: float | None = None
    faces: int | None = None
    duration_s: float | None = None
    perceptual_hash: str = ""
    report: str = ""
    thumbnail: bytes = b""
    provenance: str = ""
    generator: str = ""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker needs to start.

    Attributes:
        settings: of every analysis.
        weights: folder of the model records and weights.
        reports: whether results carry the canonical report.
        thumbnails: whether they carry a small picture.
        spool: folder for videos taken out of ZIPs while they are examined; a private one of the system where None.
    """

    settings: Settings
    weights: Path
    reports: bool = False
    thumbnails: bool = False
    spool: Path | None = None


def failed(media_type: str, reason: str) -> Result:
    """Return the result for a file that cannot be examined."""
    return Result(media_type, Outcome.ERROR, reason)
