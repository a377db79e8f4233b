"""Measures of a detector: functions of labels (1 = manipulated) and scores, each an (N,) array."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import beta, norm


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927): low and high, 0..1; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    z = norm.ppf(0.5 + confidence / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def group_bootstrap(
    hits: np.ndarray, units: Sequence[str], *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a share when faces of one person or video are not independent: whole units are redrawn.

    Args:
        hits: (N,) bool.
        units: N names of the independent units that the faces belong to.
    """
    _, index = np.unique(np.asarray(units), return_inverse=True)
    sizes = np.bincount(index).astype(float)
    sums = np.bincount(index, weights=hits.astype(float))
    draws = np.random.default_rng(seed).integers(len(sizes), size=(resamples, len(sizes)))
    shares = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(shares, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def share_interval(hits: np.ndarray, units: Sequence[str]) -> tuple[float, float]:
    """95 % interval of a share: the group bootstrap, widened to Wilson's where that is wider (a bootstrap of no errors
    would claim none are possible)."""
    wilson = wilson_interval(float(hits.sum()), len(hits))
    bootstrap = group_bootstrap(hits, units)
    return min(wilson[0], bootstrap[0]), max(wilson[1], bootstrap[1])


def balanced_log_loss(labels: np.ndarray, logits: np.ndarray) -> float:
    """Cross-entropy in nats with both classes given the same total weight: the loss at even prior odds."""
    signed = np.where(labels == 1, -logits, logits)
    losses = np.logaddexp(0.0, signed)
    return float(0.5 * losses[labels == 1].mean() + 0.5 * losses[labels == 0].mean())


def cllr(labels: np.ndarray, log10_lr: np.ndarray) -> float:
    """Log-likelihood-ratio cost (Brümmer and du Preez 2006), in bits: 0 perfect, 1 no information."""
    return balanced_log_loss(labels, log10_lr * np.log(10.0)) / np.log(2.0)


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Naeini et al. 2015), equal-width bins of P(manipulated), both classes given the same
    total weight; 0..1."""
    weights = np.where(labels == 1, 0.5 / (labels == 1).sum(), 0.5 / (labels == 0).sum())
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    error = 0.0
    for number in range(bins):
        inside = index == number
        if inside.any():
            error += abs(float((weights[inside] * (labels[inside] - probabilities[inside])).sum()))
    return error


_GRID = 25  # thresholds at which the bounds are tried; the confidence is shared among them (Bonferroni)


def _supported(hits: np.ndarray, n: float, other_hits: np.ndarray, other_n: float) -> float:
    """Greatest ratio hits/n : other_hits/other_n that Clopper-Pearson bounds leave standing, over (T,) thresholds, with
    97.5 % confidence for all of them together."""
    alpha = 0.025 / (2 * len(hits))
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, beta.ppf(alpha, hits, n - hits + 1), 0.0)
        high = np.where(other_hits < other_n, beta.ppf(1 - alpha, other_hits + 1, other_n - other_hits), 1.0)
    return float((low / high).max())


def likelihood_ratio_bounds(
    labels: np.ndarray, logits: np.ndarray, n_units: Callable[[int], int]
) -> tuple[float, float]:
    """Least and greatest log10 likelihood ratio that a report may state.

    At a threshold t, the ratio P(score >= t | manipulated) / P(score >= t | authentic) is bounded from below by
    Clopper-Pearson limits; the best such bound over a grid of thresholds, with the confidence shared among them, is the
    greatest ratio ever reported. The least follows alike from the scores up to t. Faces of one unit are not
    independent, so counts are shrunk to the number of units. In the spirit of the empirical bounds of Vergeer et al.
    (2016).

    Args:
        n_units: independent units of a class, by label.
    """
    fake, real = np.sort(logits[labels == 1]), np.sort(logits[labels == 0])
    n_fake, n_real = n_units(1), n_units(0)
    thresholds = np.quantile(logits, np.linspace(0.0, 1.0, _GRID))

    def counts(side: str) -> tuple[np.ndarray, np.ndarray]:
        """Units of each class below the thresholds; ``right`` counts those at a threshold too."""
        return (
            np.searchsorted(fake, thresholds, side=side) * (n_fake / len(fake)),
            np.searchsorted(real, thresholds, side=side) * (n_real / len(real)),
        )

    fake_below, real_below = counts("left")
    greatest = _supported(n_fake - fake_below, n_fake, n_real - real_below, n_real)
    fake_up_to, real_up_to = counts("right")
    least = _supported(real_up_to, n_real, fake_up_to, n_fake)
    return -float(np.log10(max(least, 1.0))), float(np.log10(max(greatest, 1.0)))
