"""The types of the report: accepted and refused texts, and that a text is preserved."""

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from faceloupe.errors import ReportError
from faceloupe.report.schema import MAX_BYTES, ImageFace, Report, Track
from faceloupe.types import Outcome, Segment

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))
IMAGE, VIDEO = (Path(__file__).parent / "recorded" / f"{name}-0.4.0.json" for name in ("image", "video-segment"))
SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schema" / "report.json"


def altered(change, path: Path = IMAGE) -> str:
    """The text of a recorded report after a change of its values."""
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    return json.dumps(values, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_report_of_version_0_4_0_is_read_and_written_again_to_the_byte(path):
    text = path.read_text(encoding="utf-8")
    report = Report.from_json(text)
    values = json.loads(text)
    assert report.to_json() == text
    assert report.unknown == ()
    assert (report.outcome, report.score, report.evidence.sha256) == (
        values["outcome"],
        values["score"],
        values["evidence"]["sha256"],
    )
    assert [face.score for face in report.faces] == [face["score"] for face in values["faces"]]
    assert len(report.frames) == len(values.get("frames", ()))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_published_schema_allows_recorded_reports(path):
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(json.loads(path.read_bytes()))


def test_the_published_schema_refuses_a_wrong_type():
    schema = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert not schema.is_valid(json.loads(altered(lambda values: values.update(score="high"))))
    assert not schema.is_valid(json.loads(altered(lambda values: values["model"].pop("thresholds"))))


def test_what_0_4_0_did_not_state_follows_from_what_it_did():
    image, video = Report.from_json(IMAGE.read_bytes()), Report.from_json(VIDEO.read_bytes())
    assert (image.decisive_id, image.segment) == (1, None)
    assert image.decisive.score == image.score
    assert video.segment == Segment(0.2, 0.6)
    assert video.decisive.score == video.score
    assert video.decisive.outcome is video.outcome is Outcome.MANIPULATED


def test_of_two_faces_with_the_score_of_the_file_the_one_with_its_outcome_decided():
    def two(values):
        face = values["faces"][0]
        values["faces"] = [face | {"outcome": "inconclusive"}, face | {"id": 2}]

    assert Report.from_json(altered(two)).decisive_id == 2


def test_faces_are_those_of_an_image_or_tracks():
    image, video = Report.from_json(IMAGE.read_bytes()), Report.from_json(VIDEO.read_bytes())
    assert [type(face) for face in image.faces] == [ImageFace]
    assert {type(face) for face in video.faces} == {Track}
    assert (image.tracks, video.image_faces) == ((), ())
    assert video.tracks == video.faces


def test_unknown_fields_are_kept_and_named():
    def later(values):
        values["voices"] = [{"id": "noise"}]
        values["faces"][0]["age"] = 30
        values["settings"]["gates"]["least_age"] = 1

    text = altered(later)
    report = Report.from_json(text)
    assert sorted(report.unknown) == ["faces[].age", "settings.gates.least_age", "voices"]
    assert report.to_json() == text
    assert report.score == Report.from_json(IMAGE.read_bytes()).score


@pytest.mark.parametrize(
    ("change", "expected_text"),
    [
        (lambda values: values.update(score="0.9"), "`float | null`, got `str` - at `$.score`"),
        (lambda values: values.update(score=1.5), "<= 1.0 - at `$.score`"),
        (lambda values: values.update(outcome="guilty"), "'guilty' - at `$.outcome`"),
        (lambda values: values["faces"][0].update(box=[1, 2, 3]), "`array` of length 4 - at `$.faces[0].box`"),
        (lambda values: values["model"].pop("thresholds"), "missing required field `thresholds` - at `$.model`"),
        (lambda values: values.update(faces={}), "Expected `array`, got `object` - at `$.faces`"),
        (lambda values: values.update(schema_version="2"), "has the schema version '2'"),
        (lambda values: values.pop("schema_version"), "missing required field `schema_version`"),
    ],
)
def test_what_is_not_a_report_is_refused_in_one_sentence(change, expected_text):
    with pytest.raises(ReportError) as refused:
        Report.from_json(altered(change))
    sentence = str(refused.value)
    assert expected_text in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(number):
    score = json.loads(IMAGE.read_text(encoding="utf-8"))["score"]
    with pytest.raises(ReportError, match="not a report of schema version 1"):
        Report.from_json(IMAGE.read_text(encoding="utf-8").replace(f'"score": {score}', f'"score": {number}', 1))


def test_a_number_that_is_not_finite_is_never_written():
    report = Report.from_json(IMAGE.read_bytes())
    with pytest.raises(ValueError, match="not JSON compliant"):
        msgspec.structs.replace(report, log10_lr=float("inf")).to_json()


@pytest.mark.parametrize("field", ["lenses", "frames", "decisive_id"])
def test_deep_nesting_is_refused_in_one_sentence(field):
    deep = b'"' + field.encode() + b'": ' + b"[" * 10**6 + b"]" * 10**6 + b","
    with pytest.raises(ReportError, match="nested too deeply"):
        Report.from_json(IMAGE.read_bytes().replace(b"{", b"{" + deep, 1))


def test_a_huge_text_is_refused_before_it_is_read():
    with pytest.raises(ReportError, match="268,435,456 are read at most"):
        Report.from_json(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b'{"schema_version": "1"}', "\ud800"])
def test_what_is_not_json_of_a_report_is_refused(content):
    with pytest.raises(ReportError, match="not a report of schema version 1"):
        Report.from_json(content)


def test_people_stand_with_their_shots_the_decisive_one_first():
    report = Report.from_json(VIDEO.read_text(encoding="utf-8"))
    people = [(shots.person.id, [track.id for track in shots.tracks]) for shots in report.people_with_shots]
    assert report.decisive_id == 2
    assert people == [(2, [2]), (1, [1])]
    assert Report.from_json(IMAGE.read_text(encoding="utf-8")).people_with_shots == ()
