"""Verbal equivalents of likelihood ratios (ENFSI guideline for evaluative reporting, 2015)."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerbalStep:
    """One step of the verbal scale, for either sign of the log10 LR.

    Attributes:
        above: lower end of its range of log10 LR, exclusive; None for the first step, which starts at 0.
        up_to: upper end of its range, inclusive; None for the last step.
        key: identifier, the same in every language.
        text: the verbal equivalent in English.
    """

    above: float | None
    up_to: float | None
    key: str
    text: str


# A ratio within a factor of 2 of 1 counts as no support, because the guideline does not define "about 1" precisely.
_LIMITS = (
    (math.log10(2.0), "none", "no support for either proposition"),
    (1.0, "weak", "weak support"),
    (2.0, "moderate", "moderate support"),
    (3.0, "moderately_strong", "moderately strong support"),
    (4.0, "strong", "strong support"),
    (None, "very_strong", "very strong support"),
)
VERBAL_SCALE: tuple[VerbalStep, ...] = tuple(
    VerbalStep(before, limit, key, phrase)
    for (before, _, _), (limit, key, phrase) in zip(((None, "", ""), *_LIMITS[:-1]), _LIMITS, strict=True)
)


def verbal_step(log10_lr: float) -> VerbalStep:
    """Return the step of the scale for a log10 likelihood ratio of either sign."""
    strength = abs(log10_lr)
    if strength < math.log10(2.0):
        return VERBAL_SCALE[0]
    return next(step for step in VERBAL_SCALE[1:] if step.up_to is None or strength <= step.up_to)


def verbal_equivalent(log10_lr: float) -> str:
    """Return the verbal equivalent of a likelihood ratio, with the side that it supports.

    Args:
        log10_lr: log10 of the likelihood ratio, > 0 for manipulation.
    """
    step = verbal_step(log10_lr)
    if step.above is None:
        return step.text
    return f"{step.text} for {'manipulation' if log10_lr > 0 else 'authenticity'}"
