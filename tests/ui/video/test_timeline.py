"""The timeline matches the report."""

import re

import pytest

from faceloupe.ui import language
from faceloupe.ui.video import timeline as timeline_of_video
from faceloupe.ui.video.timeline import clock, height, timeline
from tests.ui.reports import THRESHOLDS, jpeg, report


def shapes(figure, name):
    return [shape for shape in figure.layout.shapes if shape.name == name]


def points(figure):
    """Id of each track -> the trace of its points."""
    return {int(trace.name.split()[1]): trace for trace in figure.data if (trace.name or "").startswith("track")}


def hatched(figure):
    return [(trace.x[0], trace.x[2]) for trace in figure.data if trace.name == "not scored"]


def test_each_person_has_a_lane_and_their_tracks_share_it():
    figure = timeline(report({1: [0.2, 0.3], 2: [0.4], 3: [0.5]}, people=[[1, 3], [2]]), {1: jpeg(), 2: jpeg()})
    traces = points(figure)
    assert traces[1].yaxis == traces[3].yaxis != traces[2].yaxis
    assert len(figure.layout.images) == 2
    assert {"person 1", "person 2"} <= {note.text for note in figure.layout.annotations}


def test_every_lane_shows_both_thresholds_with_their_words():
    figure = timeline(report({1: [0.2], 2: [0.4]}), {})
    drawn = [(shape.yref, shape.y0) for shape in shapes(figure, "threshold")]
    values = (THRESHOLDS.lower, THRESHOLDS.upper)
    assert sorted(drawn) == sorted((axis, value) for axis in ("y", "y2") for value in values)
    texts = [note.text for note in figure.layout.annotations]
    assert texts.count("≥ 0.87 manipulated") == texts.count("≤ 0.05 authentic") == 2


def test_a_score_is_written_as_the_language_of_the_app_does(monkeypatch):
    monkeypatch.setattr(language, "current", lambda: "de")
    monkeypatch.setattr(timeline_of_video, "current", lambda: "de")
    texts = " ".join(note.text for note in timeline(report({1: [0.2, 0.2]}), {}).layout.annotations)
    assert "Spur 1  0,20" in texts
    assert not re.search(r"\d\.\d", texts)


def test_a_point_is_a_scored_frame_and_knows_its_frame_and_track():
    trace = points(timeline(report({7: [0.2, None, 0.4]}), {}))[7]
    assert list(trace.x) == [0.0, 1.0]
    assert list(trace.y) == [0.2, 0.4]
    assert [tuple(data) for data in trace.customdata] == [(0, 7), (20, 7)]


def test_the_line_is_broken_where_a_frame_was_not_scored():
    figure = timeline(report({1: [0.2, None, 0.4]}), {})
    line = next(trace for trace in figure.data if trace.mode == "lines" and trace.name is None)
    assert list(line.y) == [0.2, None, 0.4]


def test_cuts_stand_where_the_report_has_them():
    figure = timeline(report({1: [0.2] * 6}, cuts=[0.8, 1.7]), {})
    assert [(shape.x0, shape.x1, shape.yref) for shape in shapes(figure, "cut")] == [
        (0.8, 0.8, "paper"),
        (1.7, 1.7, "paper"),
    ]


def test_what_was_not_scored_or_not_read_is_hatched_up_to_half_way_to_the_next_frame():
    assert hatched(timeline(report({1: [0.2, None, None, 0.4]}), {})) == [(0.25, 1.25)]
    assert hatched(timeline(report({1: [0.2, 0.3, 0.4]}, unread=[0.75]), {})) == [(0.625, 0.875)]


def test_a_face_that_is_scored_beside_another_that_is_not_is_not_hatched():
    assert hatched(timeline(report({1: [0.2, 0.2], 2: [None, None]}, people=[[1, 2]]), {})) == []


def test_the_band_is_the_interval_of_the_whole_track_over_its_time():
    figure = timeline(report({1: [0.2, 0.8, 0.6]}), {})
    band = next(shape for shape in figure.layout.shapes if shape.type == "rect")
    assert (band.x0, band.x1, band.y0, band.y1) == (0.0, 1.0, 0.4, 0.8)


@pytest.mark.parametrize(("score", "drawn"), [(0.9, True), (0.5, False)])
def test_the_loudest_stretch_is_drawn_where_it_reaches_the_upper_threshold(score, drawn):
    loudest = {1: {"score": score, "first_s": 0.5, "last_s": 1.0}}
    figure = timeline(report({1: [0.2, 0.9, 0.9, 0.2]}, segment=loudest), {})
    bars = [shape for shape in figure.layout.shapes if shape.type == "line" and shape.line.width == 7]
    assert [(bar.x0, bar.x1, bar.y0) for bar in bars] == ([(0.5, 1.0, score)] if drawn else [])


def test_the_frame_on_show_is_marked_in_all_lanes_and_ringed_in_its_own():
    figure = timeline(report({1: [0.2, 0.3], 2: [0.4, 0.5]}), {}, chosen=(10, 2))
    assert [shape.x0 for shape in shapes(figure, "on show")] == [0.5]
    rings = [trace for trace in figure.data if trace.mode == "markers"]
    assert [(ring.x[0], ring.y[0]) for ring in rings] == [(0.5, 0.5)]


def test_twelve_people_have_twelve_lanes_of_one_height():
    many = report({number: [0.2, 0.3] for number in range(1, 13)})
    figure = timeline(many, {})
    tall = {round((axis.domain[1] - axis.domain[0]) * height(many)) for axis in figure.select_yaxes()}
    assert len(points(figure)) == 12
    assert len(tall) == 1


def test_a_long_video_is_read_in_minutes():
    long = report({1: [0.2] * 10}, step_s=60.0)
    assert timeline(long, {}).layout.xaxis.ticktext[:2] == ("0:00", "2:00")
    assert [clock(seconds) for seconds in (5, 65, 3661)] == ["0:05", "1:05", "1:01:01"]
