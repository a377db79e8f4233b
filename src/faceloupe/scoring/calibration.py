"""From a logit to a probability and a likelihood ratio, and no further than the validation data reach."""

import math
from dataclasses import dataclass

import numpy as np

KINDS = ("temperature", "platt", "isotonic")
_EXTREME = 60.0  # log-odds beyond this are 0 or 1 in double precision


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Maps a raw logit to the calibrated log-odds and P(manipulated), both at even prior odds.

    ``temperature`` (Guo et al. 2017) stretches the logit, ``platt`` (Platt 1999) moves it too, ``isotonic`` (Zadrozny
    and Elkan 2002) follows a rising line through knots. All are fitted with both classes given the same total weight,
    hence "at even prior odds".

    Attributes:
        id: of this fit.
        kind: one of ``KINDS``.
        slope: > 0; the log-odds are slope * logit + intercept. Not used by ``isotonic``.
        intercept: likewise; 0 for ``temperature``.
        knots: (logit, log-odds) pairs, both rising, at least two; for ``isotonic`` only. Straight lines between,
            constant beyond.
        fitted_on: which faces.
    """

    id: str
    kind: str
    slope: float
    intercept: float
    knots: tuple[tuple[float, float], ...]
    fitted_on: str

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: the numbers do not make a calibrator of that kind.
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

    def log_odds(self, logit: float | np.ndarray) -> float | np.ndarray:
        """Calibrated natural log-odds of manipulation, for a logit or an array of them."""
        logit = np.asarray(logit, np.float64)
        if self.kind == "isotonic":
            return np.interp(logit, *np.asarray(self.knots, np.float64).T)
        return self.slope * logit + self.intercept

    def probability(self, logit: float | np.ndarray) -> float | np.ndarray:
        """Calibrated P(manipulated), 0..1, for a logit or an array of them."""
        return 1.0 / (1.0 + np.exp(-np.clip(self.log_odds(logit), -_EXTREME, _EXTREME)))


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
