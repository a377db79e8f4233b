"""The filmstrip and the tables of tracks match the analysis."""

import csv
import io

import msgspec
import numpy as np
from PIL import ImageColor

from faceloupe.report.drawing.filmstrip import chosen_observations, filmstrip
from faceloupe.report.drawing.overlays import COLORS
from faceloupe.report.schema import Frame
from faceloupe.report.tables import frames_csv, track_columns
from faceloupe.scoring.decision import of_frame
from faceloupe.types import Outcome
from tests.ui.reports import THRESHOLDS, report, track


def test_a_strip_runs_from_the_first_to_the_last_look_without_repeats():
    frames = [observation.frame for observation in chosen_observations(track([0.2] * 50))]
    assert (frames[0], frames[-1]) == (0, 490)
    assert len(frames) == len(set(frames)) == 14
    assert len(chosen_observations(track([0.2] * 3))) == 3


def test_each_picture_is_framed_in_the_color_of_its_own_score():
    strip = filmstrip(track([0.01, 0.5, 0.95, None]), THRESHOLDS)
    frames = [tuple(strip[1, 30 + 75 * position, :3]) for position in range(4)]
    kinds = (Outcome.AUTHENTIC, Outcome.INCONCLUSIVE, Outcome.MANIPULATED, Outcome.NOT_APPLICABLE)
    assert frames == [ImageColor.getrgb(COLORS[kind]) for kind in kinds]
    assert strip.dtype == np.uint8
    assert strip[1, -1, 3] == 0  # transparent where there is no picture


def test_every_outcome_has_a_shape_of_its_own():
    strip = filmstrip(track([0.01, 0.5, 0.95, None]), THRESHOLDS)[75:, :, 3] > 0
    shapes = [strip[15:35, 75 * position + 10 : 75 * position + 26].tobytes() for position in range(4)]
    assert len(set(shapes)) == 4


def test_numbers_in_a_strip_have_the_decimal_marks_of_its_language():
    english, german = (filmstrip(track([0.2]), THRESHOLDS, language) for language in ("en", "de"))
    assert np.array_equal(english[:72], german[:72])
    assert not np.array_equal(english[72:], german[72:])


def test_a_frame_is_called_by_the_thresholds():
    assert [of_frame(score, THRESHOLDS) for score in (0.05, 0.06, 0.87, None)] == [
        Outcome.AUTHENTIC,
        Outcome.INCONCLUSIVE,
        Outcome.MANIPULATED,
        Outcome.NOT_APPLICABLE,
    ]


def test_the_deciding_track_is_the_one_whose_score_is_the_reports():
    assert report({1: [0.2], 2: [0.6], 3: [None]}).decisive.id == 2
    assert report({1: [None]}).decisive is None


def test_the_table_has_a_row_a_track():
    columns = track_columns(report({1: [0.2, 0.4], 2: [None]}))
    assert columns["track"] == [1, 2]
    assert columns["outcome"] == ["◐ inconclusive", "○ not applicable"]
    assert columns["95 % interval"] == ["0.20 .. 0.40", ""]
    assert columns["scored / found"] == ["2 / 2", "0 / 1"]


def test_the_csv_has_a_row_a_face_and_keeps_frames_without_one():
    made = report({1: [0.2, 0.4], 2: [0.6]})
    empty = Frame(index=20, time_s=1.0, shot=1, faces=())
    made = msgspec.structs.replace(made, frames=(*made.frames, empty))
    rows = list(csv.DictReader(io.StringIO(frames_csv(made))))
    assert [(row["frame"], row["track"], row["score"]) for row in rows] == [
        ("0", "1", "0.2"),
        ("0", "2", "0.6"),
        ("10", "1", "0.4"),
        ("20", "", ""),
    ]
    assert (rows[2]["x0"], rows[2]["time_s"], rows[2]["detection_confidence"]) == ("20.0", "0.5", "0.99")
