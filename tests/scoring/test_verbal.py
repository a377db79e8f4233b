"""Claims about the verbal scale."""

from itertools import pairwise

import pytest

from faceloupe.scoring.verbal import VERBAL_SCALE, verbal_equivalent


@pytest.mark.parametrize(
    ("log10_lr", "message"),
    [
        (0.0, "no support for either proposition"),
        (-0.3, "no support for either proposition"),
        (0.302, "weak support for manipulation"),
        (0.9, "weak support for manipulation"),
        (-1.0, "weak support for authenticity"),
        (-1.5, "moderate support for authenticity"),
        (2.5, "moderately strong support for manipulation"),
        (3.5, "strong support for manipulation"),
        (4.5, "very strong support for manipulation"),
    ],
)
def test_the_words_follow_the_scale(log10_lr, message):
    assert verbal_equivalent(log10_lr) == message


def test_the_steps_of_the_scale_cover_every_ratio_once():
    assert (VERBAL_SCALE[0].above, VERBAL_SCALE[-1].up_to) == (None, None)
    assert all(step.up_to == following.above for step, following in pairwise(VERBAL_SCALE))
