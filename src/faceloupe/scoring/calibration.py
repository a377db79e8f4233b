"""From a logit to a probability and a likelihood ratio, and no further than the validation data reach."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Maps a raw logit to the calibrated P(manipulated) at even prior odds.

    Temperature scaling (Guo et al. 2017) with a bias: (logit - bias) / temperature, then the logistic function. It was
    fitted with both classes given the same total weight, hence "at even prior odds"; the bias is where the two
    classes balance, which on unseen pictures is not where the training put it.

    Attributes:
        id: of this fit.
        kind: ``temperature``.
        temperature: > 0.
        bias: logit that stands for 0.5.
        fitted_on: which faces.
    """

    id: str
    kind: str
    temperature: float
    bias: float
    fitted_on: str

    def __post_init__(self) -> None:
        if self.kind != "temperature":
            raise ValueError(f"unknown calibrator {self.kind!r}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"a temperature is > 0, got {self.temperature}")
        if not math.isfinite(self.bias):
            raise ValueError(f"a bias is a number, got {self.bias}")

    def probability(self, logit: float | np.ndarray) -> float | np.ndarray:
        """Calibrated P(manipulated), 0..1, for a logit or an array of them."""
        scaled = (np.asarray(logit, np.float64) - self.bias) / self.temperature
        return 1.0 / (1.0 + np.exp(-np.clip(scaled, -60.0, 60.0)))


def log10_likelihood_ratio(score: float, bounds: tuple[float, float]) -> float:
    """log10 of the likelihood ratio that a calibrated score at even prior odds stands for, held within the bounds.

    At even prior odds the posterior odds are the likelihood ratio: LR = p / (1 - p).

    Args:
        score: calibrated P(manipulated), 0..1.
        bounds: least and greatest log10 LR that the validation data support.
    """
    if score <= 0.0:
        return bounds[0]
    if score >= 1.0:
        return bounds[1]
    return min(max(math.log10(score / (1.0 - score)), bounds[0]), bounds[1])


_VERBAL = (
    (1.0, "weak support"),
    (2.0, "moderate support"),
    (3.0, "moderately strong support"),
    (4.0, "strong support"),
)


def verbal_equivalent(log10_lr: float) -> str:
    """The words for a likelihood ratio (ENFSI guideline for evaluative reporting, 2015).

    A ratio within a factor of 2 of 1 is called no support, as "about 1" is not defined more narrowly there.
    """
    strength = abs(log10_lr)
    if strength < math.log10(2.0):
        return "no support for either proposition"
    words = next((words for limit, words in _VERBAL if strength <= limit), "very strong support")
    return f"{words} for {'manipulation' if log10_lr > 0 else 'authenticity'}"
