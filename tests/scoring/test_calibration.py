import math

import numpy as np
import pytest

from faceloupe.scoring.calibration import Calibrator, log10_likelihood_ratio, verbal_equivalent

CALIBRATOR = Calibrator("t", "temperature", 2.0, 0.5, "test")


def test_the_temperature_divides_what_the_bias_leaves():
    assert CALIBRATOR.probability(2.5) == pytest.approx(1 / (1 + math.exp(-1)))
    assert CALIBRATOR.probability(0.5) == 0.5


def test_scores_are_monotonic_bounded_and_never_overflow():
    scores = CALIBRATOR.probability(np.array([-1e9, -5.0, 0.0, 5.0, 1e9]))
    assert (np.diff(scores) > 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 1


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        Calibrator("t", "temperature", temperature, 0.0, "test")


def test_the_likelihood_ratio_is_the_posterior_odds_at_even_priors():
    assert log10_likelihood_ratio(10 / 11, (-3, 3)) == pytest.approx(1.0)
    assert log10_likelihood_ratio(0.5, (-3, 3)) == 0.0


@pytest.mark.parametrize(("score", "bound"), [(0.0, -1.5), (1e-30, -1.5), (1.0, 2.0), (1 - 1e-12, 2.0)])
def test_the_likelihood_ratio_never_exceeds_what_the_data_support(score, bound):
    assert log10_likelihood_ratio(score, (-1.5, 2.0)) == bound


@pytest.mark.parametrize(
    ("log10_lr", "words"),
    [
        (0.0, "no support for either proposition"),
        (0.9, "weak support for manipulation"),
        (-1.5, "moderate support for authenticity"),
        (2.5, "moderately strong support for manipulation"),
        (3.5, "strong support for manipulation"),
        (4.5, "very strong support for manipulation"),
    ],
)
def test_the_words_follow_the_scale(log10_lr, words):
    assert verbal_equivalent(log10_lr) == words
