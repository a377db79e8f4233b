import numpy as np
import pytest
from scipy.stats import binomtest, norm

from faceloupe.training import calibrate, metrics
from faceloupe.training.calibrate import choose_thresholds, cross_fit, fit_calibrator


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
    assert metrics.cllr(labels, np.array([-20.0, -20, 20, 20])) == pytest.approx(0, abs=1e-9)
    assert metrics.cllr(labels, np.zeros(4)) == pytest.approx(1)


def test_calibration_error_of_honest_scores_is_small_and_of_bold_ones_large():
    random = np.random.default_rng(0)
    probabilities = random.random(40_000)
    labels = (random.random(40_000) < probabilities).astype(int)
    assert metrics.expected_calibration_error(labels, probabilities) < 0.02
    bold = np.where(probabilities > 0.5, 0.99, 0.01)
    assert metrics.expected_calibration_error(labels, bold) > 0.2


def gaussian(n: int, separation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and true log-likelihood ratios (nats) of two unit Gaussians."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], n)
    places = random.normal(np.where(labels == 1, separation / 2, -separation / 2), 1.0)
    return labels, places * separation


@pytest.mark.parametrize(("factor", "shift"), [(0.5, 0.0), (1.0, -0.7), (3.0, 2.0)])
def test_the_calibrator_undoes_a_known_stretch_and_shift(factor, shift):
    labels, logits = gaussian(20_000, 2.0)
    calibrator = fit_calibrator(labels, logits * factor + shift, "test")
    assert calibrator.temperature == pytest.approx(factor, rel=0.05)
    assert calibrator.bias == pytest.approx(shift, abs=0.05 * factor)


def test_the_calibrator_does_not_depend_on_the_class_balance():
    labels, logits = gaussian(20_000, 2.0)
    keep = np.r_[0:20_000, 20_000:22_000]
    calibrator = fit_calibrator(labels[keep], logits[keep], "test")
    assert calibrator.temperature == pytest.approx(1.0, rel=0.1)
    assert calibrator.bias == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("separation", [0.5, 2.0, 6.0])
def test_the_thresholds_keep_either_error_within_its_bound(separation):
    labels, logits = gaussian(1000, separation)
    scores = 1 / (1 + np.exp(-logits))
    thresholds = choose_thresholds(labels, scores, max_error=0.03)
    assert (scores[labels == 0] >= thresholds.upper).mean() <= 0.03
    assert (scores[labels == 1] <= thresholds.lower).mean() <= 0.03
    assert thresholds.lower < 0.5 < thresholds.upper


def test_ratio_bounds_grow_with_the_data():
    few, many = (
        metrics.likelihood_ratio_bounds(*gaussian(n, 4.0), n_units=lambda label, n=n: n) for n in (100, 10_000)
    )
    assert many[0] < few[0] < 0 < few[1] < many[1]
    assert few[1] < 1.5  # a hundred faces cannot support a ratio of thirty


def test_ratio_bounds_of_a_weak_system_stay_below_what_it_can_truly_reach():
    """Two Gaussians one standard deviation apart: the true tail ratio at the 97.5 % point is about 8."""
    for seed in range(20):
        low, high = metrics.likelihood_ratio_bounds(*gaussian(500, 1.0, seed), n_units=lambda label: 500)
        threshold = norm.isf(0.5 / 500)
        assert high <= np.log10(norm.sf(threshold - 1.0) / norm.sf(threshold)) + 0.1
        assert low >= -np.log10(norm.sf(threshold - 1.0) / norm.sf(threshold)) - 0.1


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


def test_cross_fitting_never_judges_a_unit_by_itself():
    """Scores without information, memorized by unit: fitted on all, the thresholds look better than they are."""
    random = np.random.default_rng(5)
    labels, logits = np.repeat([0, 1], 300), random.normal(size=600)
    held_out = cross_fit(labels, logits, np.array([str(number) for number in range(600)]))
    assert held_out.scores.shape == (600,)
    assert not (held_out.called_fake & held_out.called_real).any()
    thresholds = choose_thresholds(labels, 1 / (1 + np.exp(-logits)))
    assert thresholds.lower < thresholds.upper
    fpr, fnr = held_out.called_fake[:300].mean(), held_out.called_real[300:].mean()
    assert 0.005 < fpr < 0.09
    assert 0.005 < fnr < 0.09


def test_cross_fitting_keeps_units_whole(monkeypatch):
    labels, logits = gaussian(200, 3.0)
    units = np.array([str(number // 4) for number in range(400)])
    seen = []
    fit = calibrate._Fit.to
    monkeypatch.setattr(calibrate._Fit, "to", staticmethod(lambda a, b: (seen.append(set(b)), fit(a, b))[1]))
    cross_fit(labels, logits, units)
    assert len(seen) == 5
    for fitted_on in seen:
        inside = np.array([logit in fitted_on for logit in logits])
        assert not set(units[inside]) & set(units[~inside])
