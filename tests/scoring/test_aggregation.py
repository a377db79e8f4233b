"""Pooling of the frames of one face."""

import tracemalloc

import numpy as np
import pytest

from faceloupe.scoring import aggregation
from faceloupe.scoring.aggregation import MEMORY_S, TYPICAL_SPREAD, effective_size, pool, strongest_segment, weight


def logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


def frames(*values: float, spacing: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.arange(len(values)) * spacing, np.array(values), np.ones(len(values))


def test_one_frame_keeps_its_score_and_gets_the_typical_interval():
    pooled = pool(*frames(1.3))
    assert logit(pooled.score) == pytest.approx(1.3)
    assert logit(pooled.high) - 1.3 == pytest.approx(1.959964 * TYPICAL_SPREAD, rel=1e-4)
    assert (pooled.effective_n, pooled.frames) == (1.0, 1)


def test_frames_are_averaged_where_the_model_does_not_say_how_they_add_up():
    assert logit(pool(*frames(*[0.8] * 200)).score) == pytest.approx(0.8)


def test_what_the_model_says_of_several_looks_holds_for_score_interval_and_segment():
    def pool_frames(mean: float, effective_frames: float) -> float:
        return mean + 1.0 if effective_frames > 5 else mean

    few, many = frames(*[0.8] * 5, spacing=60.0), frames(*[0.8] * 12, spacing=60.0)
    assert pool(*few, pool_frames) == pool(*few)
    plain, added = pool(*many), pool(*many, pool_frames)
    for name in ("score", "low", "high"):
        assert logit(getattr(added, name)) == pytest.approx(logit(getattr(plain, name)) + 1.0)
    segment = strongest_segment(*many, pool_frames)
    assert segment.frames > 5
    assert logit(segment.score) == pytest.approx(1.8)


def test_a_hundred_frames_of_one_moment_are_one_look_and_frames_far_apart_count_each():
    weights = np.ones(100)
    assert effective_size(np.full(100, 3.0), weights) == pytest.approx(1.0)
    assert effective_size(np.arange(100) * 60.0, weights) == pytest.approx(100.0)
    assert 1.0 < effective_size(np.arange(100) * 0.04, weights) < 100 * 0.04 / MEMORY_S + 2


def test_the_effective_size_is_that_of_the_variance_of_a_correlated_mean():
    """Held against drawn numbers: the variance of the weighted mean of correlated normals."""
    generator = np.random.default_rng(5)
    times, weights = np.sort(generator.uniform(0, 4, 12)), generator.uniform(0.3, 1, 12)
    covariance = np.exp(-np.abs(times[:, None] - times) / MEMORY_S)
    drawn = generator.multivariate_normal(np.zeros(12), covariance, 40_000)
    variance = np.average(drawn, axis=1, weights=weights).var()
    assert effective_size(times, weights) == pytest.approx(1 / variance, rel=0.03)


def test_what_the_frames_of_a_window_share_is_the_sum_over_all_their_pairs():
    generator = np.random.default_rng(6)
    times, weights = np.sort(generator.uniform(0, 20, 60)), generator.uniform(0.1, 1, 60)
    times[10:14] = times[10]  # frames of one moment
    table = np.outer(weights, weights) * np.exp(-np.abs(times[:, None] - times) / MEMORY_S)
    first, last = (ends.ravel() for ends in np.triu_indices(61, 1))
    expected = [table[i:j, i:j].sum() for i, j in zip(first, last, strict=True)]
    np.testing.assert_allclose(aggregation._Shared(times, weights).within(first, last), expected, rtol=1e-10)


def test_a_track_of_ten_thousand_frames_is_pooled_in_little_memory():
    times, log_odds, weights = frames(*[0.3] * 10_000)
    tracemalloc.start()
    pool(times, log_odds, weights)
    strongest_segment(times, log_odds, weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6  # a table of all pairs would take 800 MB


def drawn_track(generator: np.random.Generator, count: int, spacing: float) -> np.ndarray:
    """Log-odds of a face over time: normal, with the memory that is assumed."""
    keeps, values = np.exp(-spacing / MEMORY_S), [generator.normal()]
    for _ in range(count - 1):
        values.append(keeps * values[-1] + np.sqrt(1 - keeps**2) * generator.normal())
    return TYPICAL_SPREAD * np.array(values)


def test_denser_sampling_of_the_same_time_hardly_narrows_the_interval():
    generator, ratios = np.random.default_rng(4), []
    for _ in range(40):
        dense = drawn_track(generator, 200, 0.05)
        widths = [
            logit(pooled.high) - logit(pooled.low)
            for pooled in (pool(*frames(*dense, spacing=0.05)), pool(*frames(*dense[::10], spacing=0.5)))
        ]
        ratios.append(widths[0] / widths[1])
    assert 0.75 < np.median(ratios) < 1.1


def test_the_interval_covers_the_mean_of_more_frames():
    """95 intervals of 100 hold the value that looking at every moment would give; 92 are asked for here."""
    generator, held = np.random.default_rng(8), 0
    for _ in range(300):
        center = generator.normal()
        values = center + TYPICAL_SPREAD * generator.normal(size=24)
        pooled = pool(*frames(*values, spacing=3.0))
        held += logit(pooled.low) <= center <= logit(pooled.high)
    assert held >= 0.92 * 300


def test_two_wild_frames_do_not_move_the_score():
    calm = pool(*frames(*[-2.0] * 30))
    wild = pool(*frames(*[-2.0] * 28, 6.0, 6.0))
    assert wild.score == pytest.approx(calm.score, abs=0.02)


def test_a_small_blurred_or_doubtful_face_counts_less():
    best = weight(200, 50, 1.0, typical_sharpness=50)
    assert best == 1.0
    assert weight(64, 50, 1.0, typical_sharpness=50) == pytest.approx(0.5)
    assert weight(200, 10, 1.0, typical_sharpness=50) == pytest.approx(0.25)
    assert weight(200, 50, 0.9, typical_sharpness=50) == pytest.approx(0.9)
    assert weight(200, 0, 1.0, typical_sharpness=0) == 1.0
    times, values, _ = frames(3.0, -3.0)
    assert pool(times, values, np.array([1.0, 0.1])).score > 0.5 > pool(times, values, np.array([0.1, 1.0])).score


def test_a_short_manipulated_stretch_in_a_long_pristine_track_shows_with_its_time():
    values = [-2.5] * 100
    values[60:68] = [4.0] * 8
    times, log_odds, weights = frames(*values)
    assert pool(times, log_odds, weights).score < 0.15
    segment = strongest_segment(times, log_odds, weights)
    assert segment.low > 0.9
    assert 60 <= segment.first_s < segment.last_s <= 67


def test_chance_rarely_makes_a_stretch_of_an_even_track():
    """Of 200 tracks around the middle, fewer than one in 20 has a segment whose interval is above it."""
    generator = np.random.default_rng(3)
    false = 0
    for _ in range(200):
        times, log_odds, weights = frames(*drawn_track(generator, 48, 0.5), spacing=0.5)
        false += strongest_segment(times, log_odds, weights).low > 0.5
    assert false < 10


def test_a_short_track_has_no_stretches():
    assert strongest_segment(*frames(*[1.0] * 7)) is None
    assert strongest_segment(*frames(*[1.0] * 8)) is not None
