"""The parts of a model record that say how a face is prepared, gated, and turned into a probability.

A model always gets the input that it was trained on, and all the numbers for this come from its record.
"""

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

KINDS = ("temperature", "platt", "isotonic")
_EXTREME = 60.0  # natural log-odds are clipped to this to avoid overflow; the probability is then practically 0 or 1

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class InputContract:
    """The input that a network expects.

    Attributes:
        size: side of the square input, pixels.
        mean: mean per channel, RGB, for pixel values scaled to 0..1.
        std: standard deviation per channel, RGB, for pixel values scaled to 0..1.
        crop_margin: side of the square crop divided by the longer side of the face box, in training.
        views: margins at which a face is scored, from the tightest to the widest. Its logit is the mean over the views,
            because a single margin would let the framing of a source influence the score.
    """

    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop_margin: float = 1.2
    views: tuple[float, ...] = (1.0, 1.2, 1.3)


@dataclass(frozen=True, slots=True)
class QualityGates:
    """The least values that a face needs to be scored.

    Attributes:
        min_size_px: shorter side of the face box, source pixels.
        min_sharpness: see ``faces.quality.sharpness``.
        min_confidence: confidence of the face detector, 0..1.
        min_color: see ``faces.quality.color_spread``; 0 for a model that handles gray and toned pictures.
    """

    min_size_px: float
    min_sharpness: float
    min_confidence: float
    min_color: float = 0.0


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A map from a raw logit to the calibrated log-odds and P(manipulated), both at even prior odds.

    ``temperature`` (Guo et al. 2017) scales the logit, ``platt`` (Platt 1999) scales and shifts it, and ``isotonic``
    (Zadrozny and Elkan 2002) applies a monotone piecewise linear function. All are fitted with the same total weight
    for both classes, hence "at even prior odds".

    Attributes:
        id: identifier of this fit.
        kind: one of ``KINDS``.
        slope: > 0; the log-odds are slope * logit + intercept. Not used by ``isotonic``.
        intercept: see ``slope``; 0 for ``temperature``. Not used by ``isotonic``.
        knots: at least two (logit, log-odds) pairs, logits increasing and log-odds not decreasing; only for
            ``isotonic``. The function is linear between the knots and constant outside them.
        fitted_on: the faces that it was fitted on.
    """

    id: str
    kind: str
    slope: float
    intercept: float
    knots: tuple[tuple[float, float], ...]
    fitted_on: str

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: the numbers do not define a calibrator of this kind.
        """
        if self.kind not in KINDS:
            raise ValueError(f"unknown calibrator {self.kind!r}")
        if not (math.isfinite(self.slope) and self.slope > 0 and math.isfinite(self.intercept)):
            raise ValueError(f"a slope is > 0 and an intercept a number, got {self.slope} and {self.intercept}")
        if (self.kind == "isotonic") != (len(self.knots) >= 2) or (self.kind == "temperature" and self.intercept):
            raise ValueError(f"parameters do not belong to a calibrator of the kind {self.kind}")
        if self.knots:
            steps = np.diff(np.asarray(self.knots, np.float64), axis=0)
            if not (np.isfinite(self.knots).all() and (steps[:, 0] > 0).all() and (steps[:, 1] >= 0).all()):
                raise ValueError("knots must rise")

    @overload
    def log_odds(self, logit: float) -> float: ...
    @overload
    def log_odds(self, logit: FloatArray) -> FloatArray: ...
    def log_odds(self, logit: float | FloatArray) -> float | FloatArray:
        """Return the calibrated natural log-odds of manipulation, for a logit or an array of logits."""
        logits = np.asarray(logit, np.float64)
        if self.kind == "isotonic":
            values: float | FloatArray = np.interp(logits, *np.asarray(self.knots, np.float64).T)
            return values
        return self.slope * logits + self.intercept

    @overload
    def probability(self, logit: float) -> float: ...
    @overload
    def probability(self, logit: FloatArray) -> FloatArray: ...
    def probability(self, logit: float | FloatArray) -> float | FloatArray:
        """Return the calibrated P(manipulated), 0..1, for a logit or an array of logits."""
        probabilities: float | FloatArray = 1.0 / (1.0 + np.exp(-np.clip(self.log_odds(logit), -_EXTREME, _EXTREME)))
        return probabilities
