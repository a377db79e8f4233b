import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score, roc_curve

from faceloupe.evaluation import metrics


def once(labels: np.ndarray) -> np.ndarray:
    return np.ones(len(labels))


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (3, 50), (50, 50), (257, 749)])
def test_the_wilson_interval_agrees_with_scipy(successes, n):
    reference = binomtest(successes, n).proportion_ci(method="wilson")
    assert metrics.wilson_interval(successes, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_dependent_faces_widen_the_interval():
    hits = np.repeat(np.random.default_rng(0).random(40) < 0.2, 25)
    alone = metrics.share_interval(hits, [str(number) for number in range(len(hits))])
    grouped = metrics.share_interval(hits, [str(number // 25) for number in range(len(hits))])
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


def test_no_errors_seen_does_not_mean_none_possible():
    low, high = metrics.share_interval(np.zeros(100, bool), [str(number) for number in range(100)])
    assert low == 0
    assert high > 0.02


def test_cllr_is_zero_for_a_perfect_and_one_for_an_empty_system():
    labels = np.array([0, 0, 1, 1])
    assert metrics.cllr(labels, np.array([-40.0, -40, 40, 40]), once(labels)) == pytest.approx(0, abs=1e-9)
    assert metrics.cllr(labels, np.zeros(4), once(labels)) == pytest.approx(1)


def test_calibration_error_of_honest_scores_is_small_and_of_bold_ones_large():
    random = np.random.default_rng(0)
    probabilities = random.random(40_000)
    labels = (random.random(40_000) < probabilities).astype(int)
    assert metrics.calibration_error(labels, probabilities, once(labels)) < 0.02
    bold = np.where(probabilities > 0.5, 0.99, 0.01)
    assert metrics.calibration_error(labels, bold, once(labels)) > 0.2


def gaussian(n: int, separation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and true log-likelihood ratios (nats) of two unit Gaussians."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], n)
    places = random.normal(np.where(labels == 1, separation / 2, -separation / 2), 1.0)
    return labels, places * separation


def test_ratio_bounds_grow_with_the_data():
    few, many = (
        metrics.likelihood_ratio_bounds(*gaussian(n, 4.0), n_units=lambda label, n=n: n) for n in (100, 10_000)
    )
    assert many[0] < few[0] < 0 < few[1] < many[1]
    assert few[1] <= 2.01  # a hundred faces cannot support a ratio of much more than a hundred


# Recorded from elub(log10_lrs, labels) of the package lir 1.3.1 (Netherlands Forensic Institute), for the faces below.
ELUB = [
    ((300, 300, 1.0, 1.0, 0.0), (-0.81, 0.81)),
    ((300, 300, 2.5, 1.0, 0.0), (-1.73, 1.73)),
    ((100, 1000, 4.0, 1.0, 0.0), (-2.8, 1.91)),
    ((1000, 100, 4.0, 1.0, 0.0), (-1.91, 2.8)),
    ((50, 50, 8.0, 1.0, 0.0), (-1.69, 1.69)),
    ((500, 500, 2.0, 2.0, 0.0), (-1.06, 1.06)),
    ((500, 500, 2.0, 0.5, 0.0), (-1.23, 1.23)),
    ((400, 400, 2.0, 1.0, 1.5), (-1.47, 0.82)),
    ((400, 400, 2.0, 1.0, -1.5), (-0.82, 1.47)),
    ((200, 200, 0.0, 1.0, 0.0), (0.0, 0.0)),
    ((300, 300, 1.5, -1.0, 0.0), (0.0, 0.0)),
    ((5000, 5000, 3.0, 1.0, 0.0), (-2.8, 2.8)),
]


@pytest.mark.parametrize(("faces", "recorded"), ELUB)
def test_ratio_bounds_are_those_of_the_published_program(faces, recorded):
    """Two unit Gaussians; stated too boldly, too timidly, with a shift, or upside down in some rows."""
    n_real, n_fake, separation, slope, shift = faces
    real, fake = (norm.ppf((np.arange(n) + 0.5) / n) for n in (n_real, n_fake))
    labels = np.repeat([0, 1], [n_real, n_fake])
    log_odds = slope * separation * np.r_[real - separation / 2, fake + separation / 2] + shift
    bounds = metrics.likelihood_ratio_bounds(labels, log_odds, n_units=[n_real, n_fake].__getitem__)
    assert bounds == pytest.approx(recorded, abs=0.005)


def test_ratio_bounds_of_perfect_scores_are_those_of_the_number_of_faces():
    labels = np.repeat([0, 1], [50, 200])
    low, high = metrics.likelihood_ratio_bounds(labels, np.where(labels == 1, np.inf, -np.inf), [50, 200].__getitem__)
    assert (low, high) == pytest.approx((-np.log10(201), np.log10(51)), abs=0.02)


def test_faces_of_few_people_support_less_than_faces_of_many():
    labels, logits = gaussian(1000, 4.0)
    people = metrics.likelihood_ratio_bounds(labels, logits, n_units=lambda label: 50)
    faces = metrics.likelihood_ratio_bounds(labels, logits, n_units=lambda label: 1000)
    assert people[1] < faces[1]
    assert people[0] > faces[0]


def test_scores_that_tell_nothing_support_nothing():
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1], 500)
    low, high = metrics.likelihood_ratio_bounds(labels, random.normal(size=1000), n_units=lambda label: 500)
    assert -0.5 < low <= 0 <= high < 0.5


def scores_with_ties(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.3).astype(int)
    return labels, np.round(random.normal(labels, 1.0), 1)


def test_the_auc_agrees_with_scikit_learn_also_with_ties_and_weights():
    labels, scores = scores_with_ties()
    weights = np.random.default_rng(1).integers(0, 4, (5, len(labels))).astype(float)
    assert metrics.auc(labels, scores, once(labels)) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    assert metrics.auc(labels, scores, weights) == pytest.approx(expected, abs=1e-12)


def test_the_equal_error_rate_lies_where_the_curves_of_scikit_learn_cross():
    for seed in range(5):
        labels, scores = scores_with_ties(seed=seed)
        alarms, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
        grid = np.linspace(0, 1, 200_001)
        gap = (1 - np.interp(grid, alarms, hits)) - grid
        assert metrics.equal_error_rate(labels, scores, once(labels)) == pytest.approx(
            grid[np.abs(gap).argmin()], abs=1e-4
        )


def test_perfect_and_inverted_scores_are_the_ends_of_both_scales():
    labels = np.array([0, 0, 1, 1])
    for scores, area, rate in ((np.arange(4.0), 1.0, 0.0), (-np.arange(4.0), 0.0, 1.0)):
        assert metrics.auc(labels, scores, once(labels)) == area
        assert metrics.equal_error_rate(labels, scores, once(labels)) == rate


def test_measures_need_both_classes():
    labels = np.zeros(5, int)
    assert np.isnan(metrics.auc(labels, np.arange(5.0), once(labels)))
    assert np.isnan(metrics.share(np.ones(5, bool), labels == 1, once(labels)))


def test_units_are_drawn_whole():
    weights = metrics.bootstrap_weights(["a", "a", "b", "c", "c", "c"], resamples=50)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert set((weights[:, 0] + weights[:, 2] + weights[:, 3]).tolist()) == {3.0}


def test_the_bootstrap_interval_covers_the_true_auc_about_as_often_as_it_says():
    true = norm.cdf(1.0 / np.sqrt(2))
    hits = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        labels = np.repeat([0, 1], 80)
        scores = random.normal(labels, 1.0)
        weights = metrics.bootstrap_weights([str(number) for number in range(160)], resamples=300, seed=seed)
        low, high = metrics.interval(metrics.auc(labels, scores, weights))
        hits += low <= true <= high
    assert hits >= 50
