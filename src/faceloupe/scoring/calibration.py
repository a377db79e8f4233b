"""Conversion of a calibrated score to a likelihood ratio, limited to the range that the validation data support."""

import math


def log10_likelihood_ratio(score: float, bounds: tuple[float, float]) -> float:
    """Return log10 of the likelihood ratio for a calibrated score at even prior odds, clipped to the bounds.

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
