"""Measures of a detector: functions of (N,) labels (1 = manipulated) and (N,) scores or log-odds.

Each takes weights of the faces, (..., N) and >= 0, and gives one value a row of them: all 1 for the measure itself, how
often each face was drawn for its bootstrap. A value is nan where a class has no weight.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import norm


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927): low and high, 0..1; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    z = norm.ppf(0.5 + confidence / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def _by_score(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the authentic and of the manipulated faces at each distinct score, from the lowest: (..., U) each."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    fake = labels[order] == 1
    sums = [np.add.reduceat(weights[..., order] * chosen, starts, axis=-1) for chosen in (~fake, fake)]
    return sums[0], sums[1]


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, 0..1: the chance that a manipulated face scores above an authentic one."""
    if not np.isfinite(scores).all():
        return np.full(weights.shape[:-1], np.nan)
    real, fake = _by_score(labels, scores, weights)
    wins = (fake * (np.cumsum(real, axis=-1) - real / 2)).sum(-1)
    return _divide(wins, real.sum(-1) * fake.sum(-1))


def equal_error_rate(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Error rate at the threshold where both classes err alike, 0..1, interpolated between scores."""
    real, fake = _by_score(labels, scores, weights)
    zero = np.zeros((*real.shape[:-1], 1))
    missed = np.concatenate([zero, _divide(np.cumsum(fake, -1), fake.sum(-1, keepdims=True))], -1)
    alarms = 1.0 - np.concatenate([zero, _divide(np.cumsum(real, -1), real.sum(-1, keepdims=True))], -1)
    gap = missed - alarms  # rises from -1 to 1
    after = np.maximum((gap >= 0).argmax(-1), 1)[..., None]
    low, high = (np.take_along_axis(gap, index, -1) for index in (after - 1, after))
    share = _divide(-low, high - low)
    first, second = (np.take_along_axis(missed, index, -1) for index in (after - 1, after))
    rates: np.ndarray = (first + share * (second - first))[..., 0]
    return rates


def share(chosen: np.ndarray, of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the faces ``of`` ((N,) bool) that are ``chosen`` ((N,) bool) too, 0..1."""
    return _divide((weights * (chosen & of)).sum(-1), (weights * of).sum(-1))


def _balanced(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights under which both classes count the same, and all faces 1 together."""
    fake = labels == 1
    of_fake, of_real = ((weights * chosen).sum(-1, keepdims=True) for chosen in (fake, ~fake))
    balanced: np.ndarray = 0.5 * np.where(fake, _divide(weights, of_fake), _divide(weights, of_real))
    return balanced


def log_loss(labels: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cross-entropy in nats with both classes given the same total weight: the loss at even prior odds."""
    losses = np.logaddexp(0.0, np.where(labels == 1, -log_odds, log_odds))
    loss: np.ndarray = (_balanced(labels, weights) * losses).sum(-1)
    return loss


def cllr(labels: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log-likelihood-ratio cost (Brümmer and du Preez 2006) of natural log-likelihood ratios.

    Returns:
        Bits: 0 perfect, 1 no information.
    """
    bits: np.ndarray = log_loss(labels, log_odds, weights) / np.log(2.0)
    return bits


CALIBRATION_BINS = 15


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reliability diagram over equal-width bins of P(manipulated), both classes given the same total weight.

    Returns:
        (..., bins) each: weight of a bin, its sum of weighted probabilities, and its weight of manipulated faces.
    """
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    member = np.eye(bins)[index]
    balanced = _balanced(labels, weights)
    return balanced @ member, (balanced * probabilities) @ member, (balanced * (labels == 1)) @ member


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the expected calibration error (Naeini et al. 2015) over ``reliability``, 0..1."""
    _, promised, observed = reliability(labels, probabilities, weights)
    error: np.ndarray = np.abs(promised - observed).sum(-1)
    return error


def bootstrap_weights(units: Sequence[str], *, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each of N faces is drawn when whole units are drawn with replacement: (resamples, N) float64.

    Faces of one person or video are not independent, so they come and go together.

    Args:
        units: N names of the independent units that the faces belong to.
        resamples: number of resamples.
        seed: of the random draws.
    """
    _, index = np.unique(np.asarray(units), return_inverse=True)
    count = int(index.max()) + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=resamples)
    return draws[:, index].astype(np.float64)


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values; resamples that lack a class are left out."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def share_interval(hits: np.ndarray, units: Sequence[str], drawn: np.ndarray | None = None) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0..1.

    It is that of the group bootstrap, widened to Wilson's interval over as many observations as there are units where
    that is wider: a bootstrap without errors would claim that none are possible.

    Args:
        hits: (N,) bool.
        units: N names of the independent units.
        drawn: (resamples, N) of ``bootstrap_weights``, where they exist already.
    """
    if not len(hits):
        return 0.0, 1.0
    count = len(np.unique(np.asarray(units)))
    wilson = wilson_interval(float(hits.mean()) * count, count)
    drawn = bootstrap_weights(units) if drawn is None else drawn
    low, high = interval(share(hits, np.ones(len(hits), bool), drawn))
    return min(wilson[0], low), max(wilson[1], high)


_STEP = 0.01  # of the thresholds, in decimal logarithms: the accuracy of the bounds
_EXTREME = 9.0  # decimal logarithm that stands for all that are larger


def likelihood_ratio_bounds(
    labels: np.ndarray, log_odds: np.ndarray, n_units: Callable[[int], int]
) -> tuple[float, float]:
    """Empirical lower and upper bound (ELUB) of the log10 likelihood ratios that a report may state.

    Vergeer, van Es, de Jongh, Alberink and Stoel, Science and Justice 56 (2016) 482-491: a ratio is stated as long as
    deciding by it costs no more than deciding without it, where one misleading face is added to each class, because the
    validation data may by chance hold none. Where each face is a unit of its own, the values are those of ``elub`` in
    the package lir of the Netherlands Forensic Institute. Faces of one unit are not independent, so that here the added
    face weighs as one of the units, and the range of the bounds follows from the number of units.

    Args:
        labels: (N,), 1 = manipulated.
        log_odds: (N,) calibrated natural log-likelihood ratios, best of faces that the calibrator was not fitted to.
        n_units: independent units of a class, by label.

    Returns:
        The least, at most 0, and the greatest, at least 0.
    """
    log10_lr = np.clip(log_odds / np.log(10.0), -_EXTREME, _EXTREME)
    fake, real = np.sort(log10_lr[labels == 1]), np.sort(log10_lr[labels == 0])
    n_fake, n_real = n_units(1), n_units(0)
    first = min(0, int(max(log10_lr.min(), -np.log10(n_fake + 1)) // _STEP))
    last = max(0, int(min(log10_lr.max(), np.log10(n_real + 1)) // _STEP) + 1)
    thresholds = np.linspace(first * _STEP, last * _STEP, last - first + 1)
    missed = np.searchsorted(fake, thresholds, side="right") / len(fake)
    alarms = 1.0 - np.searchsorted(real, thresholds, side="right") / len(real)
    missed, alarms = (n_fake * missed + 1.0) / (n_fake + 1.0), (n_real * alarms + 1.0) / (n_real + 1.0)
    costly = missed + 10.0**thresholds * alarms > np.minimum(10.0**thresholds, 1.0)
    below, above = thresholds[costly & (thresholds <= 0)], thresholds[costly & (thresholds >= 0)]
    least = float(np.max(below + _STEP, initial=thresholds[0]))
    greatest = float(np.min(above - _STEP, initial=thresholds[-1]))
    return min(least, 0.0), max(greatest, 0.0)
