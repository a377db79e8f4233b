"""From a calibrated score to a likelihood ratio, no further than the validation data reach, and to its words."""

import math


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
