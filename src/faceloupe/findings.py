"""Findings about faces in images and videos, as frozen dataclasses."""

from dataclasses import dataclass, field

import numpy as np

from faceloupe.types import Box, DetectedFace, FaceQuality, Outcome


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How similar a face is to the known faces that a model was calibrated on.

    Attributes:
        distance: mean cosine distance to the nearest known faces in the expert's feature space, 0..2.
        nearest: name of the collection that most of these known faces come from.
    """

    distance: float
    nearest: str


@dataclass(frozen=True, slots=True)
class PropositionFinding:
    """Finding for one sub-proposition of "manipulated".

    Attributes:
        name: ``generated`` (the face was generated entirely) or ``changed`` (a real face was changed).
        model_id: id of the member model that evaluates the proposition; its record holds the error rates.
        log10_lr: bounded log10 of the likelihood ratio against an authentic face.
    """

    name: str
    model_id: str
    log10_lr: float


@dataclass(frozen=True, slots=True)
class FaceFinding:
    """Everything found about one face.

    Attributes:
        id: 1 for the first face; faces are numbered from the largest to the smallest.
        score: calibrated P(manipulated) at even prior odds, 0..1; None if the face was not scored.
        raw_logit: output of the network before calibration; None if the face was not scored.
        log10_lr: bounded log10 of the likelihood ratio; None if the face was not scored.
        crop: (S, S, 3) uint8 RGB, the widest view that the model saw; None if the face was not scored.
        heatmap: (S, S) float32, contribution of each cell to the logit in favor of manipulation, >= 0, not rescaled;
            None if no heatmap was computed.
        heatmap_in_face: share of the heatmap inside the box of the face, 0..1; None if there is no heatmap, or if the
            heatmap is zero everywhere.
        crop_box: square of the source that ``crop`` shows, source pixels; None if the face was not scored. If the face
            was rotated upright, the axis-aligned square that encloses the part of the source in ``crop``.
        roll_deg: clockwise tilt of the face in the picture, degrees, -180..180.
        turned_deg: clockwise rotation applied to the face before scoring, degrees, -180..180; 0 if it was not rotated.
        yaw_deg: estimated turn of the head to a side, degrees; see ``faces.upright.yaw``.
        stretch: measured width of the face for its height, as a multiple of the natural width; the face was scored in
            natural proportions. 1.0 if nothing was restored.
        propositions: findings for the sub-propositions of "manipulated"; empty if the model has no members for them.
        familiarity: similarity of the face to the known faces; None if the model cannot measure it.
    """

    id: int
    box: Box
    detection_confidence: float
    size_px: float
    quality: FaceQuality
    outcome: Outcome
    reason: str
    score: float | None = None
    raw_logit: float | None = None
    log10_lr: float | None = None
    crop: np.ndarray | None = field(default=None, repr=False, compare=False)
    heatmap: np.ndarray | None = field(default=None, repr=False, compare=False)
    heatmap_in_face: float | None = None
    crop_box: Box | None = None
    propositions: tuple[PropositionFinding, ...] = ()
    familiarity: Familiarity | None = None
    roll_deg: float = 0.0
    turned_deg: float = 0.0
    yaw_deg: float = 0.0
    stretch: float = 1.0

    def __post_init__(self) -> None:
        unscored = self.outcome in (Outcome.NOT_APPLICABLE, Outcome.ERROR)
        if unscored != (self.score is None):
            raise ValueError(f"outcome {self.outcome} does not go with score {self.score}")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score is within 0..1, got {self.score}")


@dataclass(frozen=True, slots=True)
class FaceObservation:
    """One face in one frame of a video.

    Attributes:
        frame: index of the frame, from 0.
        time_s: time of the frame, seconds since the first frame.
        face: the detected face.
        quality: see ``FaceQuality``.
        raw_logit: output of the network before calibration; None if the face was not scored.
        score: calibrated P(manipulated) from this frame only, 0..1; None if the face was not scored.
        thumb: small JPEG of the crop, for filmstrips.
        by_expert: whether the expert analyzed this frame; between such frames, its log-odds are interpolated.
    """

    frame: int
    time_s: float
    face: DetectedFace
    quality: FaceQuality
    raw_logit: float | None
    score: float | None
    thumb: bytes = field(repr=False, compare=False)
    by_expert: bool = False


@dataclass(frozen=True, slots=True)
class Pooled:
    """Combined result of several frames of one face.

    Attributes:
        score: calibrated P(manipulated), 0..1.
        low: lower end of the 95 % interval of the score. The interval covers the choice of the analyzed frames, not the
            error of the model.
        high: upper end of the interval.
        effective_n: effective number of independent frames, 1 or more.
        first_s: time of the first frame, seconds.
        last_s: time of the last frame, seconds.
        frames: number of frames.
    """

    score: float
    low: float
    high: float
    effective_n: float
    first_s: float
    last_s: float
    frames: int


@dataclass(frozen=True, slots=True)
class PersonFinding:
    """Combined result of all shots of one person.

    Attributes:
        id: from 1, in order of first appearance.
        tracks: ids of the tracks that were combined: the scored ones, except those whose face is too different from
            all known faces.
        outcome: see ``scoring.decision.of_person``.
        reason: reason for the outcome; empty if only one track was combined, whose own reason applies, or if no track
            was scored.
        pooled: combined result of the scored frames of these tracks; None if there are none.
        agreeing: ids of the tracks that support the verdict; empty if there is no verdict. If only one track was
            combined, it may be listed even without a verdict.
    """

    id: int
    tracks: tuple[int, ...]
    outcome: Outcome
    reason: str = ""
    pooled: Pooled | None = None
    agreeing: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackFinding:
    """Everything found about one face track: one person in one shot.

    Attributes:
        id: from 1, in order of first appearance.
        person: number of the person that the track was linked to, from 1.
        shot: number of the shot, from 0.
        observations: all frames in which the face was found, in order of time.
        pooled: combined result of the scored frames; None if no frame was scored.
        segment: the part of the track with the strongest evidence of manipulation; None if the track was not scored or
            is too short.
        score: the score that the outcome is based on, of the whole track or of the segment; None if the track was not
            scored.
        log10_lr: bounded log10 of the likelihood ratio of that score; None if the track was not scored.
        raw_logit: mean logit of the scored frames, with the same weights as the score; None if the track was not
            scored.
        strongest: the frame with the highest logit, among the frames that the expert analyzed if there are any; None if
            the track was not scored.
        crop: (S, S, 3) uint8 RGB, the widest view of the strongest frame; None if no heatmap was computed.
        heatmap: (S, S) float32, heatmap of the strongest frame, see ``FaceFinding``; None if none was computed.
        crop_box: square of the strongest frame that ``crop`` shows; None if no heatmap was computed.
        propositions: see ``FaceFinding``; from the frames that the expert analyzed.
        familiarity: see ``FaceFinding``; from the frame with the most familiar face, among those that the expert
            analyzed.
    """

    id: int
    person: int
    shot: int
    observations: tuple[FaceObservation, ...]
    outcome: Outcome
    reason: str
    pooled: Pooled | None = None
    segment: Pooled | None = None
    score: float | None = None
    log10_lr: float | None = None
    raw_logit: float | None = None
    strongest: FaceObservation | None = field(default=None, repr=False)
    crop: np.ndarray | None = field(default=None, repr=False, compare=False)
    heatmap: np.ndarray | None = field(default=None, repr=False, compare=False)
    crop_box: Box | None = None
    propositions: tuple[PropositionFinding, ...] = ()
    familiarity: Familiarity | None = None

    def __post_init__(self) -> None:
        unscored = self.outcome in (Outcome.NOT_APPLICABLE, Outcome.ERROR)
        if unscored != (self.score is None):
            raise ValueError(f"outcome {self.outcome} does not go with score {self.score}")
        if not self.observations:
            raise ValueError("a track has at least one frame")

    @property
    def scored(self) -> tuple[FaceObservation, ...]:
        """The observations that have a score."""
        return tuple(observation for observation in self.observations if observation.score is not None)

    @property
    def largest(self) -> FaceObservation:
        """The observation of the largest face."""
        return max(self.observations, key=lambda observation: observation.face.size_px)
