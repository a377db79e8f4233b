"""Measures of a detector: functions of (N,) labels (1 = manipulated) and (N,) scores or log-odds.

Each function takes weights of the faces, (..., N) and >= 0, and returns one value per row of weights. Weights of 1 give
the measure itself; the numbers of times that each face was drawn give a bootstrap resample. A value is nan if a class
has no weight.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import norm


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927): low and high, 0..1; (0, 1) if n is 0."""
    if n == 0:
        return 0.0, 1.0
    z = norm.ppf(0.5 + confidence / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def _by_score(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of authentic and of manipulated faces at each distinct score, ascending: (..., U) each."""
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
    """Return the area under the ROC curve, 0..1.

    It is the probability that a manipulated face scores higher than an authentic one. It is nan if a score is not
    finite.
    """
    if not np.isfinite(scores).all():
        return np.full(weights.shape[:-1], np.nan)
    real, fake = _by_score(labels, scores, weights)
    wins = (fake * (np.cumsum(real, axis=-1) - real / 2)).sum(-1)
    return _divide(wins, real.sum(-1) * fake.sum(-1))


def equal_error_rate(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the error rate at the threshold where it is equal for both classes, 0..1, interpolated between scores."""
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
    """Return the share of the faces in ``of`` ((N,) bool) that are also in ``chosen`` ((N,) bool), 0..1."""
    return _divide((weights * (chosen & of)).sum(-1), (weights * of).sum(-1))


def _balanced(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return rescaled weights, so that each class has a total weight of 0.5."""
    fake = labels == 1
    of_fake, of_real = ((weights * chosen).sum(-1, keepdims=True) for chosen in (fake, ~fake))
    balanced: np.ndarray = 0.5 * np.where(fake, _divide(weights, of_fake), _divide(weights, of_real))
    return balanced


def log_loss(labels: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the cross-entropy in nats with the same total weight for both classes: the loss at even prior odds."""
    losses = np.logaddexp(0.0, np.where(labels == 1, -log_odds, log_odds))
    loss: np.ndarray = (_balanced(labels, weights) * losses).sum(-1)
    return loss


def cllr(labels: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the log-likelihood-ratio cost (Brümmer and du Preez 2006) of natural log-likelihood ratios.

    Returns:
        The cost in bits; 0 is perfect, 1 is no information.
    """
    bits: np.ndarray = log_loss(labels, log_odds, weights) / np.log(2.0)
    return bits


CALIBRATION_BINS = 15


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute a reliability diagram over equal-width bins of P(manipulated), with equal total weights of both classes.

    Returns:
        Three arrays (..., bins): the weight of each bin, its sum of weighted probabilities, and its weight of
        manipulated faces.
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
    """Return how often each of N faces is drawn when whole units are drawn with replacement: (resamples, N) float64.

    Faces of one person or video are not independent, so they are drawn together.

    Args:
        units: N names of the independent units that the faces belong to.
        resamples: number of resamples.
        seed: seed of the random draws.
    """
    _, index = np.unique(np.asarray(units), return_inverse=True)
    count = int(index.max()) + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=resamples)
    return draws[:, index].astype(np.float64)


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap values; resamples that lack a class are left out."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def share_interval(hits: np.ndarray, units: Sequence[str], drawn: np.ndarray | None = None) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0..1.

    It is the interval of the group bootstrap, widened to Wilson's interval with the number of units as the number of
    observations. A bootstrap of data without errors would otherwise claim that errors are impossible.

    Args:
        hits: (N,) bool.
        units: N names of the independent units.
        drawn: (resamples, N) result of ``bootstrap_weights``, if it was already computed.
    """
    if not len(hits):
        return 0.0, 1.0
    count = len(np.unique(np.asarray(units)))
    wilson = wilson_interval(float(hits.mean()) * count, count)
    drawn = bootstrap_weights(units) if drawn is None else drawn
    low, high = interval(share(hits, np.ones(len(hits), bool), drawn))
    return min(wilson[0], low), max(wilson[1], high)


_STEP = 0.01  # step of the thresholds in log10 units, which is the accuracy of the bounds
_EXTREME = 9.0  # log10 LRs are clipped to plus and minus this


def likelihood_ratio_bounds(
    labels: np.ndarray, log_odds: np.ndarray, n_units: Callable[[int], int]
) -> tuple[float, float]:
    """Return the empirical lower and upper bounds (ELUB) of the log10 likelihood ratios that a report may state.

    Vergeer, van Es, de Jongh, Alberink and Stoel, Science and Justice 56 (2016) 482-491: a ratio may be stated if
    decisions based on it cost no more than decisions without it. One misleading face is added to each class, because
    the validation data may contain none by chance. If each face is its own unit, the values equal those of ``elub`` in
    the package lir of the Netherlands Forensic Institute. Faces of one unit are not independent. The added face
    therefore has the weight of one unit, and the number of units limits the range of the bounds.

    Args:
        labels: (N,), 1 = manipulated.
        log_odds: (N,) calibrated natural log-likelihood ratios, preferably of faces that the calibrator was not
            fitted to.
        n_units: returns the number of independent units of a class, given its label.

    Returns:
        The lower bound, at most 0, and the upper bound, at least 0.
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
