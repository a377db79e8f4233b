"""Results that pass between the parts: frozen, with shape, unit and range, checked where they are made."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

Step = Callable[[float], None]
"""Called with the share that is done, 0..1; what it raises ends the work."""
Progress = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0..1; what it raises ends the work."""
Cancel = Callable[[], bool]
"""Asked between two steps; True ends the work."""


class Outcome(StrEnum):
    """The five words a surface may use for what was found. Polarity everywhere: 1 = manipulated, 0 = authentic."""

    MANIPULATED = "manipulated"
    AUTHENTIC = "authentic"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"


def format_distinct(value: float, *bounds: float, decimals: int = 2) -> tuple[str, ...]:
    """Return a value and its bounds as text, with as few decimals as show the side of each bound it lies on."""
    texts: list[str] = []
    for places in range(decimals, 10):
        texts = [f"{number:.{places}f}" for number in (value, *bounds)]
        if all(text != texts[0] or bound == value for text, bound in zip(texts[1:], bounds, strict=True)):
            break
    return tuple(texts)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the source picture, ``x0 < x1`` and ``y0 < y1``; it may reach beyond the picture."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise ValueError(f"a box needs x0 < x1 and y0 < y1, got {self}")

    @property
    def width(self) -> float:
        """Width, pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height, pixels."""
        return self.y1 - self.y0

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, pixels."""
        return self.x0, self.y0, self.x1, self.y1

    def clipped(self, width: int, height: int) -> "Box":
        """Return the part inside a picture of that size.

        Raises:
            ValueError: nothing of the box is inside.
        """
        return Box(max(self.x0, 0.0), max(self.y0, 0.0), min(self.x1, float(width)), min(self.y1, float(height)))


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video, seconds since its first frame."""

    start_s: float
    end_s: float

    @classmethod
    def asked_for(cls, from_s: float, to_s: float, *, duration_s: float | None, last_s: float) -> "Segment | None":
        """Return the part that settings ask for; None where that is all of the video.

        Args:
            from_s: start, seconds; see ``config.Settings``.
            to_s: end, seconds; 0 for the end of the video.
            duration_s: of the video; None where that is not known.
            last_s: time of the last frame that was analyzed: the end where neither of the others tells it.
        """
        whole = math.inf if duration_s is None else duration_s
        end = min(to_s or math.inf, whole)
        if from_s > 0.0 or end < whole:
            return cls(from_s, last_s if math.isinf(end) else end)
        return None


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """One face as the face finder saw it.

    Attributes:
        box: in source pixels, clipped to the picture.
        confidence: of the detector, 0..1.
        landmarks: (5, 2) float, x and y in source pixels: left eye, right eye, nose, left and right mouth corner, left
            and right as seen in the picture; of a face that was found in a turned one, as seen in that.
    """

    box: Box
    confidence: float
    landmarks: np.ndarray

    def __post_init__(self) -> None:
        if self.landmarks.shape != (5, 2):
            raise ValueError(f"landmarks must be (5, 2), got {self.landmarks.shape}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must be within 0..1, got {self.confidence}")

    @property
    def size_px(self) -> float:
        """The shorter side of the box, in source pixels: what the smallest-face gate is checked against."""
        return min(self.box.width, self.box.height)


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """What decides whether a face can carry a verdict.

    Attributes:
        size_px: shorter side of the box, source pixels.
        sharpness: variance of the Laplacian of the gray model input, see ``faces.quality``.
        confidence: of the detector, 0..1.
        problem: empty where the face can be scored, else the sentence that says why not.
    """

    size_px: float
    sharpness: float
    confidence: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that evidence was taken out of.

    Attributes:
        name: of that file.
        sha256: of that file.
        kind: of the content, see ``EmbeddedContent``; ``offset`` and ``size`` likewise.
        method: how its bytes were made from those of that file, as text.
    """

    name: str
    sha256: str
    kind: str
    offset: int
    size: int
    method: str

    @property
    def sentence(self) -> str:
        """The same for people."""
        return (
            f"Taken out of {self.name} (SHA-256 {self.sha256}): {self.kind}, {self.size:,} bytes from byte "
            f"{self.offset:,}; {self.method}."
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Identity of an input file, established before anything decoded it.

    ``width`` and ``height`` are those of the picture as it is meant to be seen (orientation applied), in pixels; None
    where the file could not be decoded. Times are in seconds, rates in frames per second; None for still images.
    ``origin`` is None for a file that was given as such.
    """

    name: str
    sha256: str
    size_bytes: int
    media_type: str
    format: str | None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    frame_count: int | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What was done to show a file as a viewer would, as text; None where nothing was.

    Attributes:
        orientation: how it was turned or mirrored.
        color: what its colors were converted from.
        transfer: how its brightness was encoded, where that was converted by itself.
        pixel_aspect: the shape of its stored pixels, width to height, where they are not square.
    """

    orientation: str | None = None
    color: str | None = None
    transfer: str | None = None
    pixel_aspect: str | None = None


AS_STORED = Shown()


@dataclass(frozen=True, slots=True)
class EmbeddedContent:
    """Content that lies in a picture file besides its picture, and that viewers do not show.

    Attributes:
        kind: what it is, as text.
        offset: where it starts, bytes from the start of the file.
        size: bytes.
    """

    kind: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image, as a viewer shows it.

    Attributes:
        rgb: (H, W, 3) uint8, sRGB, 0..255, upright.
        notes: what was done to the stored pixels to arrive there, one sentence each; empty for plain 8-bit RGB.
        shown: the same as facts.
        unshown: the color treatment that a viewer may apply and that could not be applied here; empty where none is.
            No verdict can rest on these pixels.
        damage: what its data lacks; empty where nothing is known. No verdict ``authentic`` can rest on these pixels.
        coarse: why fewer levels are left than an ordinary picture has; empty where they are not few. Likewise.
        embedded: what else the file holds besides its picture.
    """

    rgb: np.ndarray
    notes: tuple[str, ...] = ()
    shown: Shown = AS_STORED
    unshown: str = ""
    damage: str = ""
    coarse: str = ""
    embedded: tuple[EmbeddedContent, ...] = ()

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(f"a picture is (H, W, 3) uint8, got {self.rgb.shape} {self.rgb.dtype}")


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
