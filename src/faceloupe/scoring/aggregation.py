"""From the frames of a face track to one likelihood ratio with an interval.

Neighboring frames are not independent: ten frames of one second are one look at a face, not ten. So log-likelihood
ratios are averaged, and the interval counts looks, not frames. What the looks come to together, the model says: it
knows how much they share.
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from faceloupe.findings import FaceObservation, Pooled
from faceloupe.models.contract import Calibrator

MEMORY_S = 0.5  # frames this far apart in time keep 1/e of their correlation; measured on validation clips
TYPICAL_SPREAD = 0.5  # standard deviation of the log-odds of one face within a clip, measured likewise
_PRIOR_LOOKS = 2.0  # weight of the typical spread against what the track itself shows
_HUBER = 1.345  # standard deviations beyond which a frame counts less (Huber 1964; 95 % efficiency)
_ROUNDS = 10
_LEVEL = 0.95
_normal_quantile = NormalDist().inv_cdf
_SHORTEST_S = 0.02  # between two frames; closer ones would blow up what is put back for what they share
_FEWEST_IN_STRETCH = 4  # frames
_LARGE_PX, _LEAST_WEIGHT = 128.0, 0.25


def weight(size_px: float, sharpness: float, confidence: float, *, typical_sharpness: float) -> float:
    """How much a frame counts: less for a small or blurred face, and for a detector that hesitates.

    Args:
        size_px: shorter side of the face box, source pixels.
        sharpness: see ``faces.quality``.
        confidence: of the detector, 0..1.
        typical_sharpness: median over the track.

    Returns:
        ``_LEAST_WEIGHT`` squared .. 1, times the confidence.
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
    """Sums of w_i w_j exp(-|t_i - t_j| / memory) over all pairs of frames of a window.

    Such a sum is the variance of the window's weighted sum. Memory and time grow with the number of frames, not with
    its square, as exponentials multiply.
    """

    def __init__(self, times: np.ndarray, weights: np.ndarray) -> None:
        count = len(times)
        decay = np.exp(-np.diff(times) / MEMORY_S)
        self._before, self._from = np.zeros(count), np.zeros(count + 1)
        for at in range(1, count):  # each frame with all before it, whose weights have decayed until then
            self._before[at] = decay[at - 1] * (self._before[at - 1] + weights[at - 1])
        for at in reversed(range(count)):  # likewise all from a frame on, the frame itself included
            self._from[at] = weights[at] + (decay[at] * self._from[at + 1] if at + 1 < count else 0.0)
        self._times = np.append(times, times[-1])
        self._pairs = np.concatenate([[0.0], np.cumsum(weights * self._before)])
        self._squares = np.concatenate([[0.0], np.cumsum(weights**2)])

    def within(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Of each window of the frames ``first`` to ``last``, that one aside."""
        beyond = np.exp(-(self._times[last] - self._times[first]) / MEMORY_S) * self._from[last]
        reaching_in = self._before[first] * (self._from[first] - beyond)  # pairs with frames before the window
        pairs = self._pairs[last] - self._pairs[first] - reaching_in
        sums: np.ndarray = self._squares[last] - self._squares[first] + 2.0 * pairs
        return sums


def effective_size(times: np.ndarray, weights: np.ndarray) -> float:
    """Return the number of independent looks whose mean varies as much (Kish 1965, with serial correlation).

    The correlation of two frames is taken to fall as exp(-|dt| / memory):
    n = (sum w)^2 / sum_ij w_i w_j exp(-|t_i - t_j| / memory).

    Args:
        times: (N,) seconds.
        weights: (N,) > 0.
    """
    return float(weights.sum() ** 2 / _Shared(times, weights).within(np.array([0]), np.array([len(times)]))[0])


def _spread(times: np.ndarray, log_odds: np.ndarray) -> float:
    """Return the standard deviation within a scene, natural units.

    From successive differences, so that a real change half-way does not count as noise; what neighbors share is put
    back. Drawn to the typical one, as few frames cannot tell.
    """
    if len(times) < 2:
        return TYPICAL_SPREAD
    steps = np.diff(log_odds) / np.sqrt(2.0 * -np.expm1(-np.maximum(np.diff(times), _SHORTEST_S) / MEMORY_S))
    measured = float(np.median(np.abs(steps)) / _normal_quantile(0.75))
    observations = effective_size(times, np.ones(len(times))) - 1.0
    variance = (observations * measured**2 + _PRIOR_LOOKS * TYPICAL_SPREAD**2) / (observations + _PRIOR_LOOKS)
    return float(np.sqrt(variance))


def _center(log_odds: np.ndarray, weights: np.ndarray, spread: float) -> float:
    """Weighted mean that a few outlying frames do not move (Huber's M-estimate)."""
    center = float(np.average(log_odds, weights=weights))
    for _ in range(_ROUNDS):
        distance = np.abs(log_odds - center) / spread
        center = float(np.average(log_odds, weights=weights * np.minimum(1.0, _HUBER / np.maximum(distance, 1e-9))))
    return center


# From the mean log-odds of a face and the number of independent looks to the log-odds of these together; rising.
OverFrames = Callable[[float, float], float]


def _mean(mean: float, _looks: float) -> float:
    return mean


def pool(times: np.ndarray, log_odds: np.ndarray, weights: np.ndarray, over_frames: OverFrames = _mean) -> Pooled:
    """Return what all scored frames of a track say.

    Args:
        times: (N,) seconds, rising, N >= 1.
        log_odds: (N,) calibrated natural log-odds of the frames.
        weights: (N,) > 0, see ``weight``.
        over_frames: see ``ModelRecord.over_frames``.
    """
    spread, size = _spread(times, log_odds), effective_size(times, weights)
    center = _center(log_odds, weights, spread)
    reach = _normal_quantile((1.0 + _LEVEL) / 2.0) * spread / float(np.sqrt(size))
    return _pooled(center, reach, size, times, over_frames)


def _pooled(center: float, reach: float, size: float, times: np.ndarray, over_frames: OverFrames) -> Pooled:
    low, score, high = (
        float(1.0 / (1.0 + np.exp(-over_frames(mean, size)))) for mean in (center - reach, center, center + reach)
    )
    return Pooled(score, low, high, float(size), float(times[0]), float(times[-1]), len(times))


def lower_end(pooled: Pooled, comparisons: int) -> float:
    """Return the lower end of a score's interval, widened to hold for so many intervals together (Bonferroni).

    Args:
        pooled: with its interval for itself.
        comparisons: intervals in all, 1 or more.
    """
    low, center = (
        float(np.log(value / (1.0 - value))) for value in np.clip([pooled.low, pooled.score], 1e-12, 1 - 1e-12)
    )
    wider = float(_normal_quantile(1.0 - (1.0 - _LEVEL) / 2.0 / comparisons) / _normal_quantile((1.0 + _LEVEL) / 2.0))
    return float(1.0 / (1.0 + np.exp(-(center - wider * (center - low)))))


def strongest_segment(
    times: np.ndarray, log_odds: np.ndarray, weights: np.ndarray, over_frames: OverFrames = _mean
) -> Pooled | None:
    """Return the segment of a track that speaks loudest for manipulation: the one whose interval starts highest.

    A short manipulated segment drowns in the mean over a long pristine one. Windows of four frames, six, nine and so on
    up to half of the track are analyzed, wherever they start; as among many windows one stands out by chance, the
    intervals are widened to hold for all of them together (Bonferroni).

    Args:
        times: (N,) seconds, rising.
        log_odds: (N,) calibrated natural log-odds.
        weights: (N,) weights of the frames, > 0.
        over_frames: see ``ModelRecord.over_frames``.

    Returns:
        None where the track is too short to have segments.
    """
    count, length, lengths = len(times), _FEWEST_IN_STRETCH, []
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
    windows_by_length: list[tuple[float, float, float, float, slice]] = []  # the best of each length
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
    _, middle, reach, looks, part = max(windows_by_length, key=lambda window: window[0])
    return _pooled(middle, reach, looks, times[part], over_frames)
