"""What was found of faces in pictures and videos: frozen, checked where it is made."""

from dataclasses import dataclass, field

import numpy as np

from faceloupe.types import Box, DetectedFace, FaceQuality, Outcome


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How a face lies among those that a model was calibrated on.

    Attributes:
        distance: mean cosine distance to the nearest known faces in the expert's space, 0..2.
        nearest: the collection that most of these come from.
    """

    distance: float
    nearest: str


@dataclass(frozen=True, slots=True)
class PropositionFinding:
    """What was found for a part of "manipulated": that the face was generated whole, or that it was changed.

    Attributes:
        name: ``generated`` or ``changed``.
        model_id: of the member that speaks for it; its record holds the error rates.
        log10_lr: bounded log10 of the likelihood ratio, against an authentic face.
    """

    name: str
    model_id: str
    log10_lr: float


@dataclass(frozen=True, slots=True)
class FaceFinding:
    """Everything found about one face.

    Attributes:
        id: 1 for the first face; faces are numbered from the largest to the smallest.
        score: calibrated P(manipulated) at even prior odds, 0..1; None where the face was not scored.
        raw_logit: the network's output before calibration; None where the face was not scored.
        log10_lr: bounded log10 of the likelihood ratio; None where the face was not scored.
        crop: (S, S, 3) uint8 RGB, the widest view that the model saw; None where the face was not scored.
        heatmap: (S, S) float32, per-cell contribution to the logit in favor of manipulation, >= 0, not rescaled; None
            where no heatmap was made.
        heatmap_in_face: share of the heatmap that lies inside the box of the face, 0..1; None where it has none.
        crop_box: the square of the source that ``crop`` shows, source pixels; None where the face was not scored. Where
            the face was turned upright, the upright square around all of the source that ``crop`` shows.
        roll_deg: clockwise tilt of the face in the picture, degrees, -180..180.
        turned_deg: clockwise turn that it was scored after, degrees, -180..180; 0 where it was left as it was.
        yaw_deg: estimated turn to a side, see ``faces.upright.yaw``.
        propositions: what its members say of each part of "manipulated"; empty where the model has no such members.
        familiarity: where the face lies among the known ones; None where the model cannot tell.
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
        time_s: of the frame, seconds since the first one.
        face: as the face finder saw it.
        quality: see ``FaceQuality``.
        raw_logit: the network's output before calibration; None where the face was not scored.
        score: calibrated P(manipulated) of this frame alone, 0..1; None likewise.
        thumb: JPEG of the crop, made small, for filmstrips.
        by_expert: whether the expert analyzed this frame; its log-odds for the frames between are interpolated.
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
    """What several frames of one face say together.

    Attributes:
        score: calibrated P(manipulated), 0..1.
        low: lower end of the 95 % interval of the score over which frames were analyzed; not the model's own error.
        high: upper end.
        effective_n: independent looks that the frames are worth, 1 or more.
        first_s: time of the first frame, seconds.
        last_s: time of the last frame.
        frames: how many.
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
    """What the shots of one person say together.

    Attributes:
        id: from 1, in order of first appearance.
        tracks: ids of the linked tracks.
        outcome: see ``scoring.decision.of_person``.
        reason: of the outcome; empty where a single track was scored, which speaks for itself.
        pooled: what the scored frames of all tracks say together; None where none was scored.
        agreeing: ids of the tracks that the outcome rests on; empty where there is no verdict.
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
        observations: every frame in which the face was found, in order of time.
        pooled: what its scored frames say together; None where none was scored.
        segment: the part of it that speaks loudest for manipulation; None where it is too short to have parts.
        score: the one that decided: that of the whole track, or of the segment; None where the track was not scored.
        log10_lr: bounded log10 of the likelihood ratio of that score; None likewise.
        raw_logit: mean logit of the scored frames, weighted as the score is; None likewise.
        strongest: the scored frame with the highest score; None likewise.
        crop: (S, S, 3) uint8 RGB, the widest view of it; None where no heatmap was made.
        heatmap: (S, S) float32, its heatmap, see ``FaceFinding``; None likewise.
        crop_box: the square of the frame that ``crop`` shows; None likewise.
        propositions: see ``FaceFinding``; over the frames that the expert analyzed.
        familiarity: see ``FaceFinding``; of the most familiar of these frames.
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
