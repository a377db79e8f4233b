import math

import numpy as np
import pytest

from faceloupe.models.contract import Calibrator
from faceloupe.scoring.calibration import log10_likelihood_ratio

CALIBRATOR = Calibrator("t", "platt", 0.5, -0.25, (), "test")
KNOTS = ((-2.0, -3.0), (0.0, 0.5), (1.0, 4.0))


def test_log_odds_are_the_stretched_and_moved_logit():
    assert CALIBRATOR.log_odds(2.5) == pytest.approx(1.0)
    assert CALIBRATOR.probability(2.5) == pytest.approx(1 / (1 + math.exp(-1)))
    assert CALIBRATOR.probability(0.5) == 0.5


def test_an_isotonic_calibrator_follows_its_knots_and_stays_within_them():
    calibrator = Calibrator("i", "isotonic", 1.0, 0.0, KNOTS, "test")
    assert calibrator.log_odds(np.array([-9.0, -2.0, -1.0, 0.5, 9.0])) == pytest.approx([-3.0, -3.0, -1.25, 2.25, 4.0])


def test_scores_are_monotonic_bounded_and_never_overflow():
    scores = CALIBRATOR.probability(np.array([-1e9, -5.0, 0.0, 5.0, 1e9]))
    assert (np.diff(scores) > 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 1


@pytest.mark.parametrize(
    ("kind", "slope", "intercept", "knots"),
    [
        ("platt", 0.0, 0.0, ()),
        ("platt", -1.0, 0.0, ()),
        ("platt", math.nan, 0.0, ()),
        ("platt", 1.0, math.inf, ()),
        ("temperature", 1.0, 0.5, ()),
        ("platt", 1.0, 0.0, KNOTS),
        ("isotonic", 1.0, 0.0, ()),
        ("isotonic", 1.0, 0.0, KNOTS[::-1]),
        ("isotonic", 1.0, 0.0, ((0.0, math.nan), (1.0, 1.0))),
        ("magic", 1.0, 0.0, ()),
    ],
)
def test_numbers_that_make_no_calibrator_are_refused(kind, slope, intercept, knots):
    with pytest.raises(ValueError, match=r"slope|belong|rise|unknown"):
        Calibrator("t", kind, slope, intercept, knots, "test")


def test_the_likelihood_ratio_is_the_posterior_odds_at_even_priors():
    assert log10_likelihood_ratio(10 / 11, (-3, 3)) == pytest.approx(1.0)
    assert log10_likelihood_ratio(0.5, (-3, 3)) == 0.0


@pytest.mark.parametrize(("score", "bound"), [(0.0, -1.5), (1e-30, -1.5), (1.0, 2.0), (1 - 1e-12, 2.0)])
def test_the_likelihood_ratio_never_exceeds_what_the_data_support(score, bound):
    assert log10_likelihood_ratio(score, (-1.5, 2.0)) == bound
