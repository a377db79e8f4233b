"""Pooling of the frames of a face track into one likelihood ratio with an interval.

Neighboring frames are not independent: ten frames of one second are one observation of a face, not ten. Log-likelihood
ratios are therefore averaged, and the interval is based on the effective number of independent frames. The model
combines these into the final log-odds, because it knows how correlated they are.
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from faceloupe.findings import FaceObservation, Pooled
from faceloupe.models.contract import Calibrator

MEMORY_S = 0.5  # time after which the correlation of two frames falls to 1/e; measured on validation clips
TYPICAL_SPREAD = 0.5  # standard deviation of the log-odds of one face within a clip; measured on the same clips
_PRIOR_FRAMES = 2.0  # weight of the typical spread, in independent frames, against the spread of the track itself
_HUBER = 1.345  # standard deviations beyond which a frame counts less (Huber 1964; 95 % efficiency)
_ROUNDS = 10
_LEVEL = 0.95
_normal_quantile = NormalDist().inv_cdf
_SHORTEST_S = 0.02  # least assumed time between two frames; shorter ones would be overcorrected for correlation
_FEWEST_IN_SEGMENT = 4  # frames
_LARGE_PX, _LEAST_WEIGHT = 128.0, 0.25


def weight(size_px: float, sharpness: float, confidence: float, *, typical_sharpness: float) -> float:
    """Return the weight of a frame, which is lower for small or blurred faces and for low detector confidence.

    Args:
        size_px: shorter side of the face box, source pixels.
        sharpness: see ``faces.quality``.
        confidence: detector confidence, 0..1.
        typical_sharpness: median sharpness over the track.

    Returns:
        A factor from ``_LEAST_WEIGHT`` squared to 1, times the confidence.
    """
    by_size = min(max(size_px / _LARGE_PX, _LEAST_WEIGHT), 1.0)
    by_sharpness = min(max(sharpness / typical_sharpness, _LEAST_WEIGHT), 1.0) if typical_sharpness > 0 else 1.0
    return by_size * by_sharpness * confidence


def series(
    observations: Sequence[FaceObservation], calibrator: Calibrator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times (seconds), calibrated natural log-odds and weights of the scored frames of one face: (N,) each."""
    typical = float(np.median([observation.quality.sharpness for observation in observations]))
    times = np.array([observation.time_s for observation in observations])
    log_odds = calibrator.log_odds(np.array([observation.raw_logit for observation in observations]))
    weights = [
        weight(
            observation.face.size_px,
            observation.quality.sharpness,
            observation.face.confidence,
            typical_sharpness=typical,
        )
        for observation in observations
    ]
    return times, np.asarray(log_odds), np.array(weights)


class _Shared:
    """Sums of w_i w_j exp(-|t_i - t_j| / memory) over all pairs of frames in a window.

    Each sum is the variance of the window's weighted sum, for unit variance per frame. Memory and time are linear in
    the number of frames, because the exponentials factorize.
    """

    def __init__(self, times: np.ndarray, weights: np.ndarray) -> None:
        count = len(times)
        decay = np.exp(-np.diff(times) / MEMORY_S)
        self._before, self._from = np.zeros(count), np.zeros(count + 1)
        for at in range(1, count):  # decayed weights of all frames before each frame
            self._before[at] = decay[at - 1] * (self._before[at - 1] + weights[at - 1])
        for at in reversed(range(count)):  # decayed weights of all frames from each frame on, inclusive
            self._from[at] = weights[at] + (decay[at] * self._from[at + 1] if at + 1 < count else 0.0)
        self._times = np.append(times, times[-1])
        self._pairs = np.concatenate([[0.0], np.cumsum(weights * self._before)])
        self._squares = np.concatenate([[0.0], np.cumsum(weights**2)])

    def within(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Return the sum for each window of frames from ``first`` to ``last``, exclusive."""
        beyond = np.exp(-(self._times[last] - self._times[first]) / MEMORY_S) * self._from[last]
        reaching_in = self._before[first] * (self._from[first] - beyond)  # pairs with frames before the window
        pairs = self._pairs[last] - self._pairs[first] - reaching_in
        sums: np.ndarray = self._squares[last] - self._squares[first] + 2.0 * pairs
        return sums


def effective_size(times: np.ndarray, weights: np.ndarray) -> float:
    """Return the number of independent frames whose mean would have the same variance (Kish 1965, serial correlation).

    The correlation of two frames is assumed to be exp(-|dt| / memory):
    n = (sum w)^2 / sum_ij w_i w_j exp(-|t_i - t_j| / memory).

    Args:
        times: (N,) seconds.
        weights: (N,) > 0.
    """
    return float(weights.sum() ** 2 / _Shared(times, weights).within(np.array([0]), np.array([len(times)]))[0])


def _spread(times: np.ndarray, log_odds: np.ndarray) -> float:
    """Return the standard deviation of the log-odds within a scene, natural units.

    It is estimated from successive differences, so that a real change within the track does not count as noise, and
    corrected for the correlation of neighboring frames. Because few frames give a poor estimate, it is shrunk toward
    ``TYPICAL_SPREAD``.
    """
    if len(times) < 2:
        return TYPICAL_SPREAD
    steps = np.diff(log_odds) / np.sqrt(2.0 * -np.expm1(-np.maximum(np.diff(times), _SHORTEST_S) / MEMORY_S))
    measured = float(np.median(np.abs(steps)) / _normal_quantile(0.75))
    observations = effective_size(times, np.ones(len(times))) - 1.0
    variance = (observations * measured**2 + _PRIOR_FRAMES * TYPICAL_SPREAD**2) / (observations + _PRIOR_FRAMES)
    return float(np.sqrt(variance))


def _center(log_odds: np.ndarray, weights: np.ndarray, spread: float) -> float:
    """Return a weighted mean that is robust to a few outlying frames (Huber's M-estimate)."""
    center = float(np.average(log_odds, weights=weights))
    for _ in range(_ROUNDS):
        distance = np.abs(log_odds - center) / spread
        center = float(np.average(log_odds, weights=weights * np.minimum(1.0, _HUBER / np.maximum(distance, 1e-9))))
    return center


# Maps the mean log-odds of a face and the number of independent frames to their combined log-odds; increasing.
PoolFrames = Callable[[float, float], float]


def _mean(mean: float, _effective_frames: float) -> float:
    return mean


def pool(times: np.ndarray, log_odds: np.ndarray, weights: np.ndarray, pool_frames: PoolFrames = _mean) -> Pooled:
    """Pool all scored frames of a track into one score with an interval.

    Args:
        times: (N,) seconds, increasing, N >= 1.
        log_odds: (N,) calibrated natural log-odds of the frames.
        weights: (N,) > 0, see ``weight``.
        pool_frames: see ``ModelRecord.pool_frames``.
    """
    spread, size = _spread(times, log_odds), effective_size(times, weights)
    center = _center(log_odds, weights, spread)
    reach = _normal_quantile((1.0 + _LEVEL) / 2.0) * spread / float(np.sqrt(size))
    return _pooled(center, reach, size, times, pool_frames)


def _pooled(center: float, reach: float, size: float, times: np.ndarray, pool_frames: PoolFrames) -> Pooled:
    low, score, high = (
        float(1.0 / (1.0 + np.exp(-pool_frames(mean, size)))) for mean in (center - reach, center, center + reach)
    )
    return Pooled(score, low, high, float(size), float(times[0]), float(times[-1]), len(times))


def lower_end(pooled: Pooled, comparisons: int) -> float:
    """Return the lower end of a score's interval, widened for multiple comparisons (Bonferroni).

    Args:
        pooled: score with the interval of a single comparison.
        comparisons: number of intervals compared, 1 or more.
    """
    low, center = (
        float(np.log(value / (1.0 - value))) for value in np.clip([pooled.low, pooled.score], 1e-12, 1 - 1e-12)
    )
    wider = float(_normal_quantile(1.0 - (1.0 - _LEVEL) / 2.0 / comparisons) / _normal_quantile((1.0 + _LEVEL) / 2.0))
    return float(1.0 / (1.0 + np.exp(-(center - wider * (center - low)))))


def strongest_segment(
    times: np.ndarray, log_odds: np.ndarray, weights: np.ndarray, pool_frames: PoolFrames = _mean
) -> Pooled | None:
    """Return the segment of a track that supports manipulation most: its interval has the highest lower end.

    The mean over a long pristine track would hide a short manipulated segment. Windows of four, six, nine and so on up
    to half of the track's frames are analyzed at every start. Because one of many windows stands out by chance, the
    intervals are widened for the number of windows (Bonferroni).

    Args:
        times: (N,) seconds, increasing.
        log_odds: (N,) calibrated natural log-odds.
        weights: (N,) weights of the frames, > 0.
        pool_frames: see ``ModelRecord.pool_frames``.

    Returns:
        The segment's score with its widened interval; None if the track is too short to have segments.
    """
    count, length, lengths = len(times), _FEWEST_IN_SEGMENT, []
    while length <= count // 2:
        lengths.append(length)
        length += length // 2
    if not lengths:
        return None
    windows = sum(count - length + 1 for length in lengths)
    margin = _normal_quantile(1.0 - (1.0 - _LEVEL) / 2.0 / windows) * _spread(times, log_odds)
    total = np.concatenate([[0.0], np.cumsum(weights)])
    weighted = np.concatenate([[0.0], np.cumsum(weights * log_odds)])
    shared = _Shared(times, weights)
    windows_by_length: list[tuple[float, float, float, float, slice]] = []  # the best window of each length
    for length in lengths:
        first = np.arange(count - length + 1)
        last = first + length
        mass = total[last] - total[first]
        center = (weighted[last] - weighted[first]) / mass
        size = mass**2 / shared.within(first, last)
        low = center - margin / np.sqrt(size)
        at = int(low.argmax())
        reach = margin / float(np.sqrt(size[at]))
        windows_by_length.append((float(low[at]), float(center[at]), reach, size[at], slice(at, at + length)))
    _, middle, reach, effective_frames, part = max(windows_by_length, key=lambda window: window[0])
    return _pooled(middle, reach, effective_frames, times[part], pool_frames)
