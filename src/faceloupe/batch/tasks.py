"""Messages between the driver of a batch and its workers: small, picklable and frozen."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from faceloupe.config import Settings
from faceloupe.media.embedded import EmbeddedItem
from faceloupe.types import Outcome


@dataclass(frozen=True, slots=True)
class Task:
    """One file of a batch: where its bytes are, and what the driver has learned about it.

    Attributes:
        shown: path as shown in the table, ``archive.zip!inner/name.jpg`` for the member of a ZIP.
        path: path of the file, or of the ZIP.
        member: number of the member in the directory of the ZIP, from 0; None for a file outside of a ZIP.
        member_name: name of the member in the ZIP; empty for a file outside of a ZIP.
        embedded: embedded content to analyze instead of the file; None to analyze the file itself.
        problem: why the file cannot be analyzed; empty if no problem is known.
        system_file: description of a file that an operating system wrote for its own use, which is not analyzed; empty
            for other files.
        sha256: hash of the bytes when the driver read them; a worker refuses other bytes. Empty before the file is
            read, and if it cannot be read.
        media_type: ``image`` or ``video``; empty before the file is read, and if it cannot be read.
        index: number of its row in this run, from 0; -1 before it has one.
        content: the bytes, for a worker that may not have access to the file; None if the worker reads them itself.
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
        """Name of the file without folders, as shown in reports."""
        return os.path.basename(self.path) + (f"!{self.member_name}" if self.member is not None else "")


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one file.

    Attributes:
        media_type: ``image`` or ``video``; empty if the file could not be read, or differs from what was hashed.
        outcome: see ``Outcome``.
        reason: reason for the outcome.
        score: calibrated P(manipulated), 0..1; None if nothing was scored.
        log10_lr: bounded log10 of the likelihood ratio; None if nothing was scored.
        faces: number of faces in an image or tracks in a video; None for the outcome ``error``.
        duration_s: duration of a video; None for an image.
        perceptual_hash: 64-bit hash of an image as 16 hexadecimal digits; empty for a video, and if the image could not
            be decoded.
        report: the canonical report as JSON; empty if it was not requested, or there is none.
        thumbnail: a small JPEG; empty if it was not requested, or there is none.
        provenance: state of the Content Credentials; empty if the file could not be read.
        generator: the generator that the file claims to be made with; empty if it claims none.
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
    """The configuration that a worker needs to start.

    Attributes:
        settings: settings of every analysis.
        weights: folder of the model records and weights.
        reports: whether results include the canonical report.
        thumbnails: whether results include a thumbnail.
        spool: folder for copies of videos from ZIPs during their analysis; None for the system's temporary folder.
    """

    settings: Settings
    weights: Path
    reports: bool = False
    thumbnails: bool = False
    spool: Path | None = None


def failed(media_type: str, reason: str) -> Result:
    """Return the result for a file that cannot be analyzed."""
    return Result(media_type, Outcome.ERROR, reason)
