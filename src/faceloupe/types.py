"""Types shared by all packages: callbacks, outcomes, boxes, detected faces."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

Step = Callable[[float], None]
"""Callback that receives the share of the work done, 0..1. An exception that it raises ends the work."""
Progress = Callable[[str, float], None]
"""Callback that receives the stage and the share of the work done, 0..1. An exception that it raises ends the work."""
Cancel = Callable[[], bool]
"""Callback that is called between steps; the work ends if it returns True."""


class FrameStage(str):
    """Name of a stage that processes the frames of a video, with its progress.

    Attributes:
        done: number of frames processed so far.
        whole: approximate number of frames in total.
    """

    done: int
    whole: int

    def __new__(cls, done: int, whole: int) -> "FrameStage":
        """Create the stage name from the two counts."""
        stage = super().__new__(cls, f"Frame {done} of about {whole}")
        stage.done, stage.whole = done, whole
        return stage


class Outcome(StrEnum):
    """Outcome of an analysis, of a face or of a decision; all pages, documents and commands use these five words.

    ``not_applicable`` means that nothing could be scored, and ``error`` that the file could not be analyzed. In all
    scores, 1 means manipulated and 0 means authentic.
    """

    MANIPULATED = "manipulated"
    AUTHENTIC = "authentic"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"


def format_distinct(value: float, *bounds: float, decimals: int = 2) -> tuple[str, ...]:
    """Return a value and its bounds as text, with just enough decimals to tell the value from each bound."""
    texts: list[str] = []
    for places in range(decimals, 10):
        texts = [f"{number:.{places}f}" for number in (value, *bounds)]
        if all(text != texts[0] or bound == value for text, bound in zip(texts[1:], bounds, strict=True)):
            break
    return tuple(texts)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the source picture, ``x0 < x1`` and ``y0 < y1``; it may extend beyond the picture."""

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
        """Return the part of the box inside a picture of this size.

        Raises:
            ValueError: the box is entirely outside.
        """
        return Box(max(self.x0, 0.0), max(self.y0, 0.0), min(self.x1, float(width)), min(self.y1, float(height)))


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video; start and end in seconds since the first frame."""

    start_s: float
    end_s: float

    @classmethod
    def from_settings(cls, from_s: float, to_s: float, *, duration_s: float | None, last_s: float) -> "Segment | None":
        """Return the segment that the settings select; None if that is the whole video.

        Args:
            from_s: start, seconds; see ``config.Settings``.
            to_s: end, seconds; 0 for the end of the video.
            duration_s: duration of the video, seconds; None if unknown.
            last_s: time of the last analyzed frame, seconds; the end if both ``to_s`` and ``duration_s`` are unset.
        """
        whole = math.inf if duration_s is None else duration_s
        end = min(to_s or math.inf, whole)
        if from_s > 0.0 or end < whole:
            return cls(from_s, last_s if math.isinf(end) else end)
        return None


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """One face found by the detector.

    Attributes:
        box: box of the face, source pixels, clipped to the picture.
        confidence: confidence of the detector, 0..1.
        landmarks: (5, 2) float, x and y in source pixels: left eye, right eye, nose, left and right mouth corner. Left
            and right are as seen in the picture, or in the rotated picture if the face was found there.
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
        """The shorter side of the box, source pixels; the quality gate for small faces checks it."""
        return min(self.box.width, self.box.height)


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """Quality measures that decide whether a face can be scored.

    Attributes:
        size_px: shorter side of the box, source pixels.
        sharpness: variance of the Laplacian of the gray model input, see ``faces.quality``.
        confidence: confidence of the detector, 0..1.
        problem: a sentence that says why the face cannot be scored; empty if it can.
    """

    size_px: float
    sharpness: float
    confidence: float
    problem: str = ""
