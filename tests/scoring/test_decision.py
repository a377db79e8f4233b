import re
from dataclasses import replace

import numpy as np
import pytest

from faceloupe.findings import FaceFinding, FaceObservation, Pooled, TrackFinding
from faceloupe.models.record import Thresholds
from faceloupe.scoring.decision import adjust_for_person, of_image, of_person, of_score, of_track, of_video
from faceloupe.types import Box, DetectedFace, FaceQuality, Outcome

THRESHOLDS = Thresholds(0.3, 0.7)


def finding(number: int, score: float | None) -> FaceFinding:
    outcome, reason = (
        of_score(score, THRESHOLDS) if score is not None else (Outcome.NOT_APPLICABLE, "not applicable: small")
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
        "not applicable: no face of 20 px or more was found",
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


def pooled(score: float, low: float | None = None, frames: int = 20) -> Pooled:
    return Pooled(score, score - 0.1 if low is None else low, min(score + 0.1, 1.0), 9.0, 2.0, 4.5, frames)


def track(number: int, score: float | None, *, frames: int = 5, size: float = 80.0) -> TrackFinding:
    box = Box(0, 0, size, size)
    quality = FaceQuality(size, 10, 1.0, "" if score is not None else "small")
    face = DetectedFace(box, 1.0, np.zeros((5, 2)))
    observations = tuple(FaceObservation(n, n / 25, face, quality, score and 0.0, score, b"") for n in range(frames))
    outcome, reason = (
        of_score(score, THRESHOLDS) if score is not None else (Outcome.NOT_APPLICABLE, "not applicable: small")
    )
    return TrackFinding(number, number, 0, observations, outcome, reason, score=score)


def test_a_whole_track_is_judged_by_the_thresholds():
    for score, outcome in ((0.2, "authentic"), (0.5, "inconclusive"), (0.8, "manipulated")):
        result, reason, decided = of_track(pooled(score), None, THRESHOLDS, enough=3)
        assert (result, decided.score) == (outcome, score)
        assert f"{score:.2f}" in reason


def test_a_stretch_that_surely_lies_above_the_threshold_makes_the_track_manipulated_and_is_named():
    outcome, reason, decided = of_track(pooled(0.1), pooled(0.9, 0.75), THRESHOLDS, enough=3)
    assert (outcome, decided.score) == ("manipulated", 0.9)
    assert "from 2.00 s to 4.50 s" in reason


def test_a_stretch_that_may_lie_above_it_keeps_the_track_from_being_called_authentic():
    outcome, reason, decided = of_track(pooled(0.1), pooled(0.8, 0.6), THRESHOLDS, enough=3)
    assert (outcome, decided.score) == ("inconclusive", 0.1)
    assert "analyze that segment" in reason


def test_a_stretch_below_the_threshold_changes_nothing():
    plain = of_track(pooled(0.1), None, THRESHOLDS, enough=3)
    assert of_track(pooled(0.1), pooled(0.6), THRESHOLDS, enough=3) == plain


def test_too_few_frames_carry_no_verdict():
    outcome, reason, _ = of_track(pooled(0.95, frames=2), None, THRESHOLDS, enough=3)
    assert outcome == "inconclusive"
    assert "only 2 frames of this face can be scored; 3 are needed" in reason
    assert of_track(pooled(0.95, frames=1), None, THRESHOLDS, enough=1)[0] == "manipulated"


def test_a_video_is_as_suspicious_as_its_worst_track_and_never_a_mean():
    tracks = [track(1, 0.1, frames=30), track(2, 0.9), track(3, 0.2)]
    outcome, reason, decisive = of_video(tracks, smallest_px=40, frames=32, unread=0)
    assert (outcome, decisive.id) == ("manipulated", 2)
    assert reason.startswith("track 2 is the most suspicious of 3: ")


def test_of_two_tracks_with_one_score_the_one_whose_interval_reaches_further_up_is_more_suspicious():
    first, second = (
        replace(track(number, 0.5), pooled=Pooled(0.5, 0.4, high, 3.0, 0.0, 1.0, 5))
        for number, high in ((1, 0.6), (2, 0.7))
    )
    for tracks in ([first, second], [second, first]):
        assert of_video(tracks, smallest_px=40, frames=32, unread=0)[2].id == 2


def test_an_inconclusive_track_outranks_an_authentic_one():
    tracks = [track(1, 0.1), track(2, 0.5)]
    assert of_video(tracks, smallest_px=40, frames=32, unread=0)[0] == "inconclusive"


def test_a_video_without_a_face_is_not_applicable():
    outcome, reason, decisive = of_video([], smallest_px=40, frames=32, unread=2)
    assert (outcome, decisive) == ("not_applicable", None)
    assert "no face of 40 px or more was found in the 32 analyzed frames; 2 of 34 frames could not be read" in reason


def test_a_video_of_faces_that_cannot_be_scored_is_not_applicable_and_says_why():
    outcome, reason, _ = of_video([track(1, None), track(2, None)], smallest_px=40, frames=32, unread=0)
    assert outcome == "not_applicable"
    assert "none of the 2 faces can be scored; the one seen longest: small" in reason


def test_a_video_whose_longest_seen_face_was_not_scored_is_not_authentic():
    tracks = [track(1, None, frames=30), track(2, 0.1)]
    outcome, reason, _ = of_video(tracks, smallest_px=40, frames=32, unread=0)
    assert outcome == "inconclusive"
    assert "track 1, could not be scored" in reason


def test_a_video_of_which_most_is_lost_is_not_authentic():
    assert of_video([track(1, 0.1)], smallest_px=40, frames=10, unread=9)[0] == "authentic"
    outcome, reason, _ = of_video([track(1, 0.1)], smallest_px=40, frames=10, unread=22)
    assert outcome == "inconclusive"
    assert "22 of 32 frames could not be read" in reason


STRICT = Thresholds(lower=0.2, upper=0.8)


def judged(scores: list[float], pooled_score: float, others: float, frames: int = 2):
    """The tracks of one person as they were judged for themselves, and the person."""
    tracks = [track(number, score, frames=frames) for number, score in enumerate(scores, 1)]
    enough = 3
    tracks = [
        replace(
            track,
            pooled=pooled(score, frames=frames),
            outcome=of_track(pooled(score, frames=frames), None, STRICT, enough=enough)[0],
        )
        for track, score in zip(tracks, scores, strict=True)
    ]
    whole, rest = pooled(pooled_score, frames=frames * len(scores)), pooled(others, frames=frames * (len(scores) - 1))
    return tracks, of_person(1, tracks, whole, rest, STRICT, enough=enough)


def test_shots_that_agree_carry_a_verdict_that_none_of_them_can_carry_and_it_names_them():
    tracks, person = judged([0.9, 0.95, 0.9, 0.5], 0.88, 0.86)
    assert {track.outcome for track in tracks} == {Outcome.INCONCLUSIVE}
    assert (person.outcome, person.agreeing) == (Outcome.MANIPULATED, (1, 2, 3))
    assert "3 of the 4 scored shots of person 1" in person.reason
    judged_again = [adjust_for_person(track, person, STRICT, scored=4) for track in tracks]
    assert [track.outcome for track in judged_again] == [Outcome.MANIPULATED] * 3 + [Outcome.INCONCLUSIVE]


@pytest.mark.parametrize(
    ("scores", "pooled_score", "others"),
    [
        ([0.95, 0.5, 0.5], 0.85, 0.5),  # one shot makes the whole
        ([0.95, 0.9, 0.1, 0.1], 0.85, 0.82),  # a half does not agree, as where two people were linked
        ([0.9, 0.5], 0.85, 0.5),
        ([0.99, 0.85], 0.9, 0.7),  # without the strongest it falls
        ([0.95, 0.9], 0.93, 0.9),  # two frames each: neither has enough, and a single link joins them
        ([0.1, 0.15], 0.12, 0.15),
    ],
)
def test_a_wrong_link_makes_no_verdict(scores, pooled_score, others):
    tracks, person = judged(scores, pooled_score, others)
    assert person.outcome is Outcome.INCONCLUSIVE
    assert [adjust_for_person(track, person, STRICT, scored=len(tracks)) for track in tracks] == tracks


def test_a_person_is_authentic_where_the_shots_agree_and_none_speaks_against_it():
    assert judged([0.1, 0.15, 0.1], 0.1, 0.1)[1].outcome is Outcome.AUTHENTIC
    assert judged([0.1, 0.15, 0.9], 0.19, 0.1)[1].outcome is Outcome.INCONCLUSIVE


def test_one_shot_among_many_others_that_contradict_it_must_be_sure():
    tracks, person = judged([0.85, 0.1, 0.1, 0.1, 0.1], 0.2, 0.1, frames=10)
    assert tracks[0].outcome is Outcome.MANIPULATED
    unsure, sure = (replace(tracks[0], pooled=replace(tracks[0].pooled, low=low), score=0.85) for low in (0.8, 0.849))
    assert adjust_for_person(unsure, person, STRICT, scored=5).outcome is Outcome.INCONCLUSIVE
    assert "look closer there" in adjust_for_person(unsure, person, STRICT, scored=5).reason
    assert adjust_for_person(sure, person, STRICT, scored=5).outcome is Outcome.MANIPULATED
