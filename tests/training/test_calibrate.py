"""Calibration, thresholds and cross-fitting, on scores whose truth is known."""

import numpy as np
import pytest

from faceloupe.errors import DatasetError
from faceloupe.models.contract import KINDS
from faceloupe.training import calibrate, fitting
from faceloupe.training.data import Item
from faceloupe.training.fitting import CrossFit, choose_thresholds, compare_calibrators, fit_calibrator
from faceloupe.training.scoring import ScoredFaces
from tests.evaluation.test_metrics import gaussian


def faces_of(labels: np.ndarray, logits: np.ndarray, units: list[str]) -> ScoredFaces:
    items = [Item("val", "s", int(label), unit, f"{n}.png") for n, (label, unit) in enumerate(zip(labels, units))]
    return ScoredFaces(items, labels, logits)


@pytest.mark.parametrize(("factor", "shift"), [(0.5, 0.0), (1.0, -0.7), (3.0, 2.0)])
def test_the_calibrator_undoes_a_known_stretch_and_shift(factor, shift):
    labels, logits = gaussian(20_000, 2.0)
    calibrator = fit_calibrator("platt", labels, logits * factor + shift)
    assert 1 / calibrator.slope == pytest.approx(factor, rel=0.05)
    assert -calibrator.intercept / calibrator.slope == pytest.approx(shift, abs=0.05 * factor)


def test_the_calibrator_does_not_depend_on_the_class_balance():
    labels, logits = gaussian(20_000, 2.0)
    keep = np.r_[0:20_000, 20_000:22_000]
    calibrator = fit_calibrator("platt", labels[keep], logits[keep])
    assert calibrator.slope == pytest.approx(1.0, rel=0.1)
    assert calibrator.intercept == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("separation", [0.5, 2.0, 6.0])
def test_the_error_on_either_side_of_the_band_keeps_its_bound(separation):
    labels, logits = gaussian(1000, separation)
    scores = 1 / (1 + np.exp(-logits))
    thresholds = choose_thresholds(labels, scores, max_error=0.03)
    above, below = scores >= thresholds.upper, scores <= thresholds.lower
    assert not above.any() or (labels[above] == 0).mean() <= 0.03
    assert not below.any() or (labels[below] == 1).mean() <= 0.03
    assert thresholds.lower < 0.5 < thresholds.upper


def test_a_wider_band_is_never_chosen_where_a_narrower_one_would_do():
    labels, logits = gaussian(1000, 2.0)
    scores = 1 / (1 + np.exp(-logits))
    thresholds = choose_thresholds(labels, scores)
    for bar in np.unique(scores[(scores > 0.5) & (scores < thresholds.upper)]):
        above = scores >= bar
        assert (labels[above] == 0).mean() > 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_honest_scores_of_bold_ones(kind):
    labels, logits = gaussian(3000, 2.0)
    calibrator = fit_calibrator(kind, labels, 4.0 * logits)
    ece, cllr = compare_calibrators(faces_of(labels, 4.0 * logits, [str(n) for n in range(6000)]))[kind]
    assert calibrator.kind == kind
    assert ece < 0.03
    assert cllr < 0.75  # what two unit Gaussians two apart allow is 0.55; uncalibrated, it is above 1


def test_isotonic_regression_learns_nothing_from_the_last_digits_of_a_logit():
    labels = np.tile([0, 1], 8)
    noise = 0.0365 + 1e-9 * labels  # tells the classes apart, but another machine's noise would not
    calibrator = fit_calibrator("isotonic", labels, noise)
    assert np.ptp(calibrator.log_odds(noise)) == 0.0


def test_isotonic_regression_follows_a_curve_that_no_line_can():
    labels, logits = gaussian(4000, 2.0)
    bent = np.sign(logits) * np.abs(logits) ** 3
    table = compare_calibrators(faces_of(labels, bent, [str(n) for n in range(8000)]))
    assert table["isotonic"][1] < table["platt"][1]
    calibrator = fit_calibrator("isotonic", labels, bent)
    probabilities = calibrator.probability(np.linspace(-1e6, 1e6, 1001))
    assert (np.diff(probabilities) >= 0).all()
    assert 0 < probabilities.min() < probabilities.max() < 1


def test_cross_fitting_never_judges_a_unit_by_itself():
    """Scores without information, memorized by unit: fitted on all, the thresholds look better than they are."""
    random = np.random.default_rng(5)
    labels, logits = np.repeat([0, 1], 300), random.normal(size=600)
    faces = faces_of(labels, logits, [str(number) for number in range(600)])
    decisions = CrossFit("platt", faces).decide(faces)
    assert not (decisions.called_fake & decisions.called_real).any()
    called = decisions.called_fake | decisions.called_real
    wrong = np.where(labels == 1, decisions.called_real, decisions.called_fake)
    # Judged by the faces that set the bar, hardly any call would be wrong; judged by others, about half of them are.
    assert called.any()
    assert wrong[called].mean() > 0.2


def test_cross_fitting_keeps_units_whole(monkeypatch):
    labels, logits = gaussian(200, 3.0)
    units = np.array([f"s/{number // 4}" for number in range(400)])
    seen = []
    fit = fitting.Fit.to
    monkeypatch.setattr(fitting.Fit, "to", staticmethod(lambda *a: (seen.append(set(a[2])), fit(*a))[1]))
    CrossFit("platt", faces_of(labels, logits, [str(number // 4) for number in range(400)]))
    assert len(seen) == 5
    for fitted_on in seen:
        inside = np.array([logit in fitted_on for logit in logits])
        assert not set(units[inside]) & set(units[~inside])


def test_weights_of_a_run_that_was_not_made_are_named(tmp_path):
    settings = object()
    with pytest.raises(DatasetError, match="run the train stage of nowhere first"):
        calibrate.calibrate({"nowhere": settings}, tmp_path, [], version=1, work=tmp_path, folder=tmp_path / "r")
