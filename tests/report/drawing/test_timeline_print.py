"""Claims about the printed timeline."""

import copy
import io
import json

import numpy as np
import pytest
from PIL import Image

from faceloupe.report.document.locales import texts_in
from faceloupe.report.drawing.timeline_print import timelines
from faceloupe.report.schema import Report


@pytest.fixture
def report(runs):
    return copy.deepcopy(runs.named["clip"]["report"])


def drawn(report) -> np.ndarray:
    (only,) = timelines(Report.from_json(json.dumps(report)), texts_in("en"))
    return np.asarray(Image.open(io.BytesIO(only)).convert("L"))


def test_the_same_report_gives_the_same_picture_and_another_score_another_one(report):
    before = drawn(report)
    assert (drawn(report) == before).all()
    scored = next(face for face in report["frames"][2]["faces"] if face["score"] is not None)
    scored["score"] = 1.0 - scored["score"]
    assert (drawn(report) != before).any()


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report["model"]["thresholds"].update(upper=0.6),
        lambda report: report["cuts"].append({"after_index": 10, "before_index": 11, "time_s": 0.42}),
        lambda report: report["unread_frames"].append({"index": 9, "time_s": 0.4}),
        lambda report: report["frames"][3]["faces"][0].update(score=None),
        lambda report: report.update(segment={"start_s": 0.2, "end_s": 0.7}),
        lambda report: report["faces"][0]["whole"].update(score_interval_95=[0.1, 0.9]),
        lambda report: report["faces"][0].update(stretch=report["faces"][0]["whole"] | {"score": 0.2}),
    ],
    ids=["threshold", "cut", "unread", "unscored", "outside", "interval", "stretch"],
)
def test_each_kind_of_fact_can_be_seen_without_color(change, report):
    before = drawn(report)
    change(report)
    after = drawn(report)
    if after.shape == before.shape:
        assert (np.abs(after.astype(int) - before) > 60).sum() > 100


def test_many_people_are_spread_over_several_pictures(report):
    report["people"] = [report["people"][0] | {"id": number} for number in range(1, 17)]
    assert len(list(timelines(Report.from_json(json.dumps(report)), texts_in("de")))) == 3


def test_a_video_without_a_face_has_a_timeline_too(report):
    report |= {"people": [], "faces": [], "frames": [frame | {"faces": []} for frame in report["frames"]]}
    assert drawn(report).size
