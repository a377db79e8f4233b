"""The finding in words: it is consistent, and uses the numbers of the report."""

import re
from pathlib import Path

import msgspec
import pytest

from faceloupe.models.record import FUSION
from faceloupe.report.document.locales import LANGUAGES, texts_in
from faceloupe.report.finding import StepKind, finding_of, next_steps, strength_text
from faceloupe.report.numerals import decimal
from faceloupe.report.schema import Report, Segment, SizeRatesInfo
from faceloupe.scoring.verbal import VERBAL_SCALE, verbal_equivalent
from faceloupe.types import Outcome

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str, **fields) -> Report:
    report = Report.from_json((RECORDED / f"{name}-0.4.0.json").read_bytes())
    return msgspec.structs.replace(report, **fields)


@pytest.mark.parametrize("log10_lr", [-3.2, -1.35, -0.5, -0.1, 0.0, 0.3, 0.31, 0.99, 1.46, 2.5, 3.5, 9.0])
def test_the_english_words_are_those_of_the_verbal_scale(log10_lr):
    assert strength_text(log10_lr, texts_in("en")) == verbal_equivalent(log10_lr)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_step_of_the_scale_and_each_outcome_has_its_own_words_in_every_language(language):
    texts = texts_in(language)
    assert len({texts[f"support_{step.key}"] for step in VERBAL_SCALE}) == len(VERBAL_SCALE)
    assert len({texts[f"outcome_{outcome}"] for outcome in Outcome}) == len(Outcome)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("log10_lr", [-1.1, -0.4, 0.0, 0.4, 1.1])
def test_headline_and_sentence_name_the_same_strength_and_side(language, log10_lr):
    report = recorded("image", log10_lr=log10_lr, outcome=Outcome.MANIPULATED)
    finding, strength = finding_of(report, language), strength_text(log10_lr, texts_in(language))
    assert strength in finding.headline
    assert strength in finding.sentence


def test_the_ratio_in_the_sentence_is_that_of_the_report():
    report = recorded("image", log10_lr=0.954, outcome=Outcome.INCONCLUSIVE)
    assert "9.0 times more probable if the face was generated" in finding_of(report).sentence
    assert "9,0-mal wahrscheinlicher" in finding_of(report, "de").sentence
    against = finding_of(recorded("image", log10_lr=-1.2))
    assert "16 times more probable if the face is as a camera recorded it" in against.sentence


def test_a_ratio_at_the_bound_is_said_to_be_the_most_that_the_data_allow():
    bounds = recorded("image").model.log10_lr_bounds
    assert "the most that the validation data" in finding_of(recorded("image", log10_lr=bounds.upper)).sentence
    assert "the most that" not in finding_of(recorded("image", log10_lr=bounds.upper - 0.1)).sentence


def test_an_open_score_says_what_a_verdict_needs():
    report = recorded("image", outcome=Outcome.INCONCLUSIVE, score=0.5, log10_lr=0.0)
    thresholds = report.model.thresholds
    text = finding_of(report).sentence
    assert f"at least {thresholds.upper:.2f} or at most {thresholds.lower:.2f}; this score is 0.50" in text


def test_an_open_video_of_the_default_model_says_that_it_hardly_ever_reaches_the_lower_threshold(runs):
    reports = [Report.from_json(msgspec.json.encode(runs.named[name]["report"])) for name in ("clip", "generated")]
    reports = [
        msgspec.structs.replace(
            report,
            outcome=Outcome.INCONCLUSIVE,
            score=0.5,
            model=msgspec.structs.replace(report.model, architecture=FUSION),
        )
        for report in reports
    ]
    for language in LANGUAGES:
        texts, (video, image) = texts_in(language), (finding_of(report, language) for report in reports)
        assert texts["finding_video"] in video.sentence
        assert texts["rates_video"] in video.error_rates
        assert texts["finding_video"] not in image.sentence
        nothing = msgspec.structs.replace(reports[0], log10_lr=0.0)
        assert texts["finding_video_none"] in finding_of(nothing, language).sentence
        assert texts["finding_video_none"] not in video.sentence


def test_a_verdict_that_something_else_forbids_does_not_promise_that_the_score_decides():
    report = recorded("image", outcome=Outcome.INCONCLUSIVE, score=0.999, log10_lr=1.2)
    finding = finding_of(report)
    assert finding.headline == "inconclusive: the score cannot be relied on here"
    assert "A verdict needs" not in finding.sentence


def test_rates_of_unseen_sources_are_distinguished_from_rates_of_known_ones(runs):
    known = recorded("image")
    assert "sources that the model was trained on" in finding_of(known).error_rates
    standard = Report.from_json(msgspec.json.encode(runs.named["generated"]["report"]))
    assert "was not trained on" in finding_of(standard).error_rates
    assert f"of {standard.model.error_rates.n_real:,} authentic" in finding_of(standard).error_rates


def test_a_group_has_the_chance_of_a_false_alarm_of_all_its_faces(runs):
    report = Report.from_json(msgspec.json.encode(runs.named["pair"]["report"]))
    assert len(report.faces) == 2
    text = finding_of(report).error_rates
    assert "is up to 2 times that of one face" in text  # Boole's inequality
    assert f"rests on face {report.decisive_id}," in finding_of(report).rests_on


def test_a_video_says_that_its_rates_are_those_of_single_pictures(runs):
    report = Report.from_json(msgspec.json.encode(runs.named["clip"]["report"]))
    assert "not on whole videos" in finding_of(report).error_rates
    assert re.search(r"rests on .*track \d+ \(person \d+\).* frames from", finding_of(report).rests_on)


def test_without_a_score_there_is_no_number(runs):
    report = Report.from_json(msgspec.json.encode(runs.named["faceless"]["report"]))
    assert finding_of(report).text == "not applicable."


@pytest.mark.parametrize(
    ("name", "outcome", "score", "first"),
    [
        ("image", Outcome.MANIPULATED, 0.95, StepKind.CLOSER),
        ("image", Outcome.AUTHENTIC, 0.01, StepKind.ORIGIN),
        ("image", Outcome.INCONCLUSIVE, 0.5, StepKind.LENSES),  # no effort is stated, so none can be raised
        ("image", Outcome.INCONCLUSIVE, 0.99, StepKind.OTHER_METHOD),
        ("image", Outcome.NOT_APPLICABLE, None, StepKind.BETTER_COPY),
        ("video-segment", Outcome.NOT_APPLICABLE, None, StepKind.MORE_FRAMES),
        ("error", Outcome.ERROR, None, StepKind.COMPLETE_FILE),
    ],
)
def test_every_outcome_has_next_steps_and_the_most_useful_comes_first(name, outcome, score, first):
    steps = next_steps(recorded(name, outcome=outcome, score=score))
    assert steps[0].kind is first
    assert len({step.kind for step in steps}) == len(steps) >= 2


@pytest.mark.parametrize(("name", "of_standard"), [("image", False), ("video-segment", True)])
def test_a_higher_effort_is_offered_only_where_it_sees_more(name, of_standard):
    report = recorded(name, outcome=Outcome.INCONCLUSIVE, score=0.5)
    for effort, offered in (("quick", True), ("standard", of_standard), ("thorough", False), (None, False)):
        settings = msgspec.structs.replace(report.settings, effort=effort)
        steps = next_steps(msgspec.structs.replace(report, settings=settings))
        assert (StepKind.THOROUGH in [step.kind for step in steps]) is offered


def test_a_part_of_a_video_is_not_examined_for_a_part_again():
    report = recorded("video-segment", outcome=Outcome.INCONCLUSIVE, score=0.5)
    decisive = next(track for track in report.tracks if track.segment is not None)
    report = msgspec.structs.replace(report, decisive_id=decisive.id)
    for segment, offered in ((None, True), (Segment(0.5, 2.0), False)):
        kinds = {step.kind for step in next_steps(msgspec.structs.replace(report, segment=segment))}
        assert (StepKind.SEGMENT in kinds) is offered
        assert (StepKind.MORE_FRAMES in kinds) is not offered


@pytest.mark.parametrize(
    ("language", "text"), [("en", "-1,234.50"), ("de", "-1.234,50"), ("fr", "-1\u202f234,50"), ("xx", "-1,234.50")]
)
def test_numbers_are_written_as_in_the_language(language, text):
    assert decimal(-1234.5, 2, language) == text


@pytest.mark.parametrize(("size", "key"), [(90.0, "step_better_copy"), (300.0, "step_better_copy_large")])
def test_a_larger_face_is_asked_for_only_if_the_face_is_small(size, key):
    report = recorded("image", outcome=Outcome.INCONCLUSIVE, score=0.5)
    (face, *others) = report.faces
    changed = (msgspec.structs.replace(face, size_px=size), *others)
    texts = [step.text for step in next_steps(msgspec.structs.replace(report, faces=changed, decisive_id=face.id))]
    assert texts_in("en")[key] in texts


def test_without_a_face_another_picture_is_asked_for():
    report = recorded("image", outcome=Outcome.NOT_APPLICABLE, score=None)
    report = msgspec.structs.replace(report, faces=(), decisive_id=None)
    assert next_steps(report)[0].text == texts_in("en")["step_better_copy_no_face"]


@pytest.mark.parametrize(
    ("side", "text"),
    [
        (40.0, "(0 to 60 px on the longer side), 10.0 % of 10 authentic"),
        (60.0, "(60 px and more on the longer side), 2.0 % of 50 authentic"),
        (500.0, "Of 100 manipulated faces, 80.0 % were called manipulated and 1.0 % authentic."),
    ],
)
def test_the_rates_for_faces_of_the_size_of_the_decisive_face_are_stated(side, text):
    report = recorded("image", outcome=Outcome.INCONCLUSIVE, score=0.5)
    by_size = (
        SizeRatesInfo(least_px=0, n_real=10, accused=1, n_fake=20, detected=10, cleared=2),
        SizeRatesInfo(least_px=60, n_real=50, accused=1, n_fake=100, detected=80, cleared=1),
    )
    rates = msgspec.structs.replace(report.model.error_rates, by_size=by_size)
    (face, *others) = report.faces
    changed = (msgspec.structs.replace(face, box=(10.0, 10.0, 10.0 + side, 10.0 + side / 2)), *others)
    model = msgspec.structs.replace(report.model, error_rates=rates)
    report = msgspec.structs.replace(report, faces=changed, decisive_id=face.id, model=model)
    assert text in finding_of(report).error_rates
