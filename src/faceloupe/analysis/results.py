"""What an analysis comes to, before it is reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import cv2
import numpy as np

from faceloupe.config import Settings
from faceloupe.faces.tracks import Person
from faceloupe.findings import FaceFinding, PersonFinding, TrackFinding
from faceloupe.forensics.registry import LensReport
from faceloupe.media.evidence import AS_STORED, EmbeddedContent, Evidence, Shown
from faceloupe.media.frame_source import VideoFacts
from faceloupe.media.sampling import Cut
from faceloupe.models.record import ComponentRecord, ModelRecord
from faceloupe.types import Outcome, Segment

DISPLAY_SIDE = 1600  # drawings larger than this on the longer side are shrunk: a drawing is not evidence


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture as large as it is ever drawn.

    Attributes:
        rgb: (h, w, 3) uint8, RGB, at most ``DISPLAY_SIDE`` long; nothing draws into it.
        scale: its pixels for each pixel of the picture, at most 1.
    """

    rgb: np.ndarray = field(repr=False)
    scale: float

    @classmethod
    def of(cls, rgb: np.ndarray) -> "Canvas":
        """Return the canvas of a picture, (H, W, 3) uint8."""
        scale = min(1.0, DISPLAY_SIDE / max(rgb.shape[:2]))
        if scale == 1.0:
            return cls(rgb, scale)
        size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
        return cls(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), scale)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds spent.

    Where heatmaps are made, one pass scores and explains a face of an image, and counts as explaining. The stages of a
    video overlap, so that their sum may exceed the total.
    """

    decode_s: float = 0.0
    detect_s: float = 0.0
    score_s: float = 0.0
    explain_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class VideoAnalysis:
    """What was analyzed of a video.

    Attributes:
        facts: of the container.
        frames: index -> time in seconds and number of the shot, of every frame that was analyzed, rising.
        cuts: between them.
        people: to whom the tracks were linked.
        unread: index -> time in seconds, of frames that should have been analyzed, but could not be decoded.
        segment: the part that was asked for; None for the whole video.
        persons: what the tracks of each of the people say together.
    """

    facts: VideoFacts
    frames: Mapping[int, tuple[float, int]]
    cuts: Sequence[Cut]
    people: Sequence[Person]
    unread: Mapping[int, float]
    segment: Segment | None = None
    persons: Sequence[PersonFinding] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result of an analysis: findings and pixels; ``report.build`` makes the report from it.

    Attributes:
        evidence: the file.
        record: of the model that scored.
        components: records of the networks that it is made of; itself where it is one.
        settings: that were used.
        outcome: see ``types.Outcome``.
        reason: of the outcome, a sentence.
        timing: seconds spent.
        decisive: the face or the track whose score is the file's; None where nothing was scored.
        notes: what was done to the stored pixels before they were examined.
        shown: what was done to show the file as a viewer would.
        embedded: what an image file holds besides its picture.
        canvas: of an image; None for a video, and where the file could not be decoded.
        faces: findings in an image, from the largest face to the smallest.
        tracks: findings in a video, in order of first appearance.
        video: what was analyzed of a video; None for an image and an error.
        lenses: what the file states about itself; None where that cannot be read.
        ended: when the analysis ended.
    """

    evidence: Evidence
    record: ModelRecord
    components: Sequence[ModelRecord | ComponentRecord]
    settings: Settings
    outcome: Outcome
    reason: str
    timing: Timing
    decisive: FaceFinding | TrackFinding | None = None
    notes: Sequence[str] = ()
    shown: Shown = AS_STORED
    embedded: Sequence[EmbeddedContent] = ()
    canvas: Canvas | None = field(default=None, repr=False)
    faces: tuple[FaceFinding, ...] = ()
    tracks: tuple[TrackFinding, ...] = ()
    video: VideoAnalysis | None = None
    lenses: LensReport | None = None
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def score(self) -> float | None:
        """Calibrated P(manipulated) of the file, 0..1; None where nothing was scored."""
        return self.decisive.score if self.decisive else None

    @property
    def log10_lr(self) -> float | None:
        """Bounded log10 of the likelihood ratio of that score; None likewise."""
        return self.decisive.log10_lr if self.decisive else None
