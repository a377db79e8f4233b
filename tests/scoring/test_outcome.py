import re

import pytest

from faceloupe.models.records import Thresholds
from faceloupe.scoring.outcome import of_image, of_score
from faceloupe.types import Box, FaceFinding, FaceQuality, Outcome

THRESHOLDS = Thresholds(0.3, 0.7)


def finding(number: int, score: float | None) -> FaceFinding:
    outcome, reason = (
        of_score(score, THRESHOLDS) if score is not None else (Outcome.NOT_APPLICABLE, "cannot say: small")
    )
    quality = FaceQuality(20, 10, 1.0, "" if score is not None else "small")
    return FaceFinding(number, Box(0, 0, 1, 1), 1.0, 20, quality, outcome, reason, score=score)


@pytest.mark.parametrize(
    ("score", "outcome"),
    [
        (0.0, "authentic"),
        (0.3, "authentic"),
        (0.31, "inconclusive"),
        (0.69, "inconclusive"),
        (0.7, "manipulated"),
        (1.0, "manipulated"),
    ],
)
def test_the_thresholds_belong_to_the_verdicts(score, outcome):
    assert of_score(score, THRESHOLDS)[0] == outcome


def test_no_face_is_not_applicable_and_never_authentic():
    assert of_image([], smallest_px=20) == (
        Outcome.NOT_APPLICABLE,
        "cannot say: no face of 20 px or more was found",
        None,
    )


def test_faces_that_cannot_be_scored_are_not_applicable():
    outcome, reason, decisive = of_image([finding(1, None), finding(2, None)], smallest_px=20)
    assert (outcome, decisive) == (Outcome.NOT_APPLICABLE, None)
    assert "none of the 2 faces" in reason


def test_one_manipulated_face_among_many_authentic_ones_decides():
    faces = [finding(number, 0.05) for number in range(1, 12)] + [finding(12, 0.9)]
    outcome, reason, decisive = of_image(faces, smallest_px=20)
    assert outcome is Outcome.MANIPULATED
    assert decisive.id == 12
    assert reason.startswith("face 12 has the highest of 12 scores")


def test_an_inconclusive_face_keeps_the_picture_from_being_authentic():
    assert of_image([finding(1, 0.1), finding(2, 0.5)], smallest_px=20)[0] is Outcome.INCONCLUSIVE


def test_unscored_faces_beside_a_scored_one_are_mentioned():
    outcome, reason, _ = of_image([finding(1, 0.1), finding(2, None)], smallest_px=20)
    assert outcome is Outcome.AUTHENTIC
    assert reason.endswith("1 further candidate could not be scored")


def test_a_picture_is_not_authentic_on_the_word_of_a_lesser_face():
    outcome, reason, _ = of_image([finding(1, None), finding(2, 0.1)], smallest_px=20)
    assert outcome is Outcome.INCONCLUSIVE
    assert "largest face could not be scored" in reason
    assert of_image([finding(1, None), finding(2, 0.9)], smallest_px=20)[0] is Outcome.MANIPULATED


@pytest.mark.parametrize("score", [0.7, 0.699999, 0.6951, 0.3, 0.300001, 0.3049])
def test_a_reason_never_contradicts_itself_by_rounding(score):
    _, reason = of_score(score, THRESHOLDS)
    numbers = [float(text) for text in re.findall(r"0\.\d+", reason)]
    if "at or above" in reason:
        assert numbers[0] >= numbers[1]
    elif "at or below" in reason:
        assert numbers[0] <= numbers[1]
    else:
        assert numbers[1] < numbers[0] < numbers[2]


@pytest.mark.parametrize("outcome", [Outcome.NOT_APPLICABLE, Outcome.ERROR])
def test_an_outcome_without_a_verdict_cannot_carry_a_score(outcome):
    quality = FaceQuality(20, 10, 1.0)
    with pytest.raises(ValueError, match="does not go with"):
        FaceFinding(1, Box(0, 0, 1, 1), 1.0, 20, quality, outcome, "", score=0.5)


def test_thresholds_must_leave_a_band():
    with pytest.raises(ValueError, match="thresholds"):
        Thresholds(0.7, 0.3)
