"""The content of timelines, in all drawings."""

import msgspec
import pytest

from faceloupe.report.schema import UnreadFrame
from faceloupe.report.timeline import Gap, GapKind, analyzed_span, gaps, length_s, lines, series
from faceloupe.types import Segment
from tests.ui.reports import report


def test_the_series_of_a_track_runs_over_every_frame_from_its_first_to_its_last():
    made = report({1: [0.2, None, 0.6], 2: [0.4, 0.4, 0.4, 0.4]})
    assert [(point.index, point.time_s, point.score) for point in series(made, 1)] == [
        (0, 0.0, 0.2),
        (10, 0.5, None),
        (20, 1.0, 0.6),
    ]
    assert series(made, 9) == ()


def test_no_line_leads_over_a_frame_without_a_score():
    points = series(report({1: [0.1, 0.2, None, 0.4, None, None, 0.5, 0.6]}), 1)
    assert [[point.score for point in line] for line in lines(points)] == [[0.1, 0.2], [0.4], [0.5, 0.6]]


def test_neighboring_frames_without_a_score_are_one_gap_to_half_way_to_the_next():
    made = report({1: [0.1, None, None, 0.4]})
    assert gaps(made, [1]) == (Gap(GapKind.UNSCORED, 0.25, 1.25),)


def test_a_person_with_a_scored_face_in_a_frame_has_no_gap_there():
    made = report({1: [None, 0.1], 2: [0.2, 0.2]}, people=[[1, 2]])
    assert gaps(made, [1, 2]) == ()
    assert gaps(made, [1]) == (Gap(GapKind.UNSCORED, 0.0, 0.25),)


def test_a_frame_that_could_not_be_read_is_a_gap_of_everybody():
    made = msgspec.structs.replace(report({1: [0.1, 0.2]}), unread_frames=(UnreadFrame(index=5, time_s=0.3),))
    assert [(gap.kind, gap.start_s, gap.end_s) for gap in gaps(made, ())] == [
        (GapKind.UNREAD, pytest.approx(0.15), pytest.approx(0.4))
    ]


def test_what_was_not_asked_for_lies_outside():
    made = msgspec.structs.replace(report({1: [0.1, 0.2]}), segment=Segment(0.25, 0.75))
    assert (analyzed_span(made), length_s(made)) == ((0.25, 0.75), 1.0)
    assert gaps(made, [1]) == (Gap(GapKind.OUTSIDE, 0.0, 0.25), Gap(GapKind.OUTSIDE, 0.75, 1.0))
    assert analyzed_span(report({1: [0.1, 0.2]})) == (0.0, 1.0)
