"""What passes between the parts: outcomes, boxes, detected faces; frozen, with shape, unit and range."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

Step = Callable[[float], None]
"""Called with the share that is done, 0..1; what it raises ends the work."""
Progress = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0..1; what it raises ends the work."""
Cancel = Callable[[], bool]
"""Asked between two steps; True ends the work."""


class FrameStage(str):
    """The name of a stage that goes through the frames of a video, and how far it is.

    Attributes:
        done: frames that it went through.
        whole: about how many there are.
    """

    done: int
    whole: int

    def __new__(cls, done: int, whole: int) -> "FrameStage":
        """Word it."""
        stage = super().__new__(cls, f"Frame {done} of about {whole}")
        stage.done, stage.whole = done, whole
        return stage


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
