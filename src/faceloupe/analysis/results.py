"""Results of an analysis, before a report is made of them."""

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

DISPLAY_SIDE = 1600  # pixels on the longer side; larger pictures are shrunk, but only for display


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture at the size at which it is displayed.

    Attributes:
        rgb: (h, w, 3) uint8, RGB, at most ``DISPLAY_SIDE`` pixels on the longer side; never modified.
        scale: size relative to the original picture, at most 1.
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
    """Seconds spent on each stage of an analysis.

    With heatmaps, one pass scores and explains a face of an image, and counts as explaining. The stages of a video
    overlap, so their sum may exceed the total.
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
        facts: facts about the video that are known before faces are searched for.
        frames: frame index -> time in seconds and shot number of each analyzed frame, in ascending order.
        cuts: cuts between the shots.
        people: persons to whom the tracks were linked.
        unread: frame index -> time in seconds of each frame that was selected but could not be decoded.
        segment: the segment that was requested; None for the whole video.
        persons: the combined finding on the tracks of each person.
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
        evidence: the file that was analyzed.
        record: record of the model that scored the faces.
        components: records of the networks that the model consists of; its own record if it is a single network.
        settings: settings that were used.
        outcome: see ``types.Outcome``.
        reason: reason for the outcome, as a sentence.
        timing: seconds spent on each stage.
        decisive: face or track whose score is the score of the file; None if nothing was scored.
        notes: remarks on the file and on how its pixels were prepared, one sentence each.
        shown: conversions that show the file as a viewer would.
        embedded: content of an image file besides its picture.
        canvas: the picture of an image; None for a video, and if the file could not be decoded.
        faces: findings in an image, from the largest face to the smallest.
        tracks: findings in a video, in order of first appearance.
        video: what was analyzed of a video; None for an image, and if the file could not be decoded.
        lenses: what the file states about itself; None if no lens can read the file.
        ended: time at which the analysis ended.
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
        """Calibrated P(manipulated) of the file, 0..1; None if nothing was scored."""
        return self.decisive.score if self.decisive else None

    @property
    def log10_lr(self) -> float | None:
        """Bounded log10 of the likelihood ratio of the file's score; None if nothing was scored."""
        return self.decisive.log10_lr if self.decisive else None
