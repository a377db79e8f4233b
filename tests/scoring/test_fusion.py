"""Core and expert together: the joined score, missing parts, and the statements of a report."""

import math
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from faceloupe.analysis.pipeline import analyze
from faceloupe.config import QUICK_MODEL, STANDARD_MODEL, weights_folder
from faceloupe.errors import EvidenceError, WeightsError
from faceloupe.findings import Familiarity, PropositionFinding
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.models import loading
from faceloupe.models.encoder import Encoder
from faceloupe.models.loading import load_expert
from faceloupe.models.record import Fusion, component_of, find_record, members_of, read_registry
from faceloupe.scoring.classifier import FaceScorer, SlowReadings
from faceloupe.scoring.decision import in_scope, kind_suffix
from faceloupe.scoring.joint import join, join_in_video
from faceloupe.scoring.single import HeadScorer
from faceloupe.types import Box, Outcome
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH, PORTRAIT
from tests.media.stored import png
from tests.report_json import report_json


@pytest.fixture
def folder(tmp_path):
    """A copy of the committed registry."""
    shutil.copytree(weights_folder(), tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def report(standard) -> dict:
    return report_json(analyze(GENERATED, standard, explain=False))


class _Speaks:
    def __init__(self, proposition: str, least_context: float = 0.0) -> None:
        self.proposition, self.least_context = proposition, least_context


def test_a_fusion_is_the_written_formula():
    fusion = Fusion((0.5, 0.25, 0.0), joint=0.75, limit=3.0)
    log_odds = np.array([[1.0, 2.0, -1.0], [9.0, -9.0, 0.5]])
    members = [_Speaks(""), _Speaks("generated"), _Speaks("changed")]
    held = np.clip(log_odds, -3.0, 3.0)
    joined = np.log((np.exp(held[:, 1]) + np.exp(held[:, 2])) / 2)
    assert join(log_odds, fusion, members) == pytest.approx(0.5 * held[:, 0] + 0.25 * held[:, 1] + 0.75 * joined)
    assert join(log_odds, None, members) == pytest.approx(log_odds.mean(1))


def test_the_surroundings_of_a_face_lead_the_face_itself_by_a_limited_amount():
    fusion = Fusion((0.0, 1.0, 0.0, 0.0), joint=0.0, limit=8.0, lead=1.5)
    members = [_Speaks(""), _Speaks("generated", 1.7), _Speaks("generated"), _Speaks("changed")]
    log_odds = np.array(
        [
            [9.0, 6.0, -3.0, -2.0],  # the face alone looks authentic
            [9.0, 6.0, 2.0, -2.0],
            [9.0, 6.0, -3.0, 7.0],
            [9.0, -6.0, -3.0, -2.0],  # evidence against a manipulation is not limited
        ]
    )
    assert join(log_odds, fusion, members) == pytest.approx([1.5, 3.5, 6.0, -6.0])
    assert join(log_odds, replace(fusion, lead=0.0), members) == pytest.approx([6.0, 6.0, 6.0, -6.0])
    two = Fusion((0.0, 1.0), 0.0, 8.0, lead=1.5)
    assert join(log_odds[:, :2], two, members[:2]) == pytest.approx([6.0, 6.0, 6.0, -6.0])


def test_in_a_video_what_speaks_against_a_generated_face_does_not_speak_against_a_swap():
    fusion = Fusion((0.5, 0.25, 0.0), joint=0.75, limit=3.0)
    members = [_Speaks(""), _Speaks("generated"), _Speaks("changed")]
    log_odds = np.array([[-3.0, -9.0, 2.0], [-3.0, -9.0, -2.0], [0.0, 9.0, -2.0]])
    neutral = np.array([[-3.0, 0.0, 2.0], [-3.0, 0.0, -2.0], [0.0, 9.0, -2.0]])
    expected = np.log((np.exp(join(neutral, fusion, members)) + np.exp(log_odds[:, 2])) / 2)
    in_video = join_in_video(log_odds, fusion, members)
    assert in_video == pytest.approx(expected)
    assert in_video[0] > 1.0 > join(log_odds, fusion, members)[0]  # a swap in a filmed scene
    assert join_in_video(log_odds, None, members) == pytest.approx(join(log_odds, None, members))
    assert join_in_video(log_odds[:, :2], Fusion((0.5, 0.25), 0.75, 3.0), members[:2]) == pytest.approx(
        join(log_odds[:, :2], Fusion((0.5, 0.25), 0.75, 3.0), members[:2])
    )


@pytest.mark.parametrize("correlation", [0.25, 0.5])
def test_looks_at_a_filmed_face_count_as_the_design_effect_says(correlation):
    """Held against drawn numbers: the likelihood ratio of looks that share a part of their variance."""
    fusion, apart, looks = Fusion((1.0,), 0.0, 8.0, frames=8, correlation=correlation), 2.0, 5
    covariance = apart * (correlation + (1 - correlation) * np.eye(looks))  # one look: log LR = its value
    drawn = np.random.default_rng(2).multivariate_normal(np.ones(looks), covariance, 200)
    inverse = np.linalg.inv(covariance)
    half = np.full(looks, apart / 2)  # classes at +apart/2 and -apart/2: one look of value v has log LR v
    expected = 2.0 * drawn @ inverse @ half
    measured = [fusion.pool_frames(float(mean), looks) for mean in drawn.mean(1) if mean > 0]
    np.testing.assert_allclose(measured, expected[drawn.mean(1) > 0], rtol=1e-9)


def test_of_a_filmed_face_weak_evidence_counts_as_none_and_evidence_for_authenticity_is_not_added_up():
    fusion = Fusion((1.0,), 0.0, 8.0, frames=8, correlation=0.5, bias=0.5)
    assert fusion.pool_frames(-2.0, 8.0) == -2.0
    assert fusion.pool_frames(0.4, 8.0) == 0.0
    assert fusion.pool_frames(1.5, 1.0) == 1.0
    assert fusion.pool_frames(1.5, 100.0) == fusion.pool_frames(1.5, 8.0) == pytest.approx(8 / 4.5)
    means = np.linspace(-3, 3, 50)
    assert (np.diff([fusion.pool_frames(float(mean), 4.0) for mean in means]) >= 0).all()


def test_a_fusion_that_averages_frames_has_the_record_it_had_before_they_were_added_up():
    record = find_record(weights_folder())
    averages = replace(record, fusion=replace(record.fusion, correlation=1.0, bias=0.0))
    assert "correlation" not in averages.to_json()
    assert averages.pool_frames(1.3, 8.0) == 1.3
    adds_up = replace(record, fusion=replace(record.fusion, correlation=0.5, bias=0.5))
    assert adds_up.as_dict()["fusion"]["correlation"] == 0.5
    assert adds_up.sha256 != averages.sha256


def test_a_fusion_without_a_lead_has_the_record_it_had_before_there_was_one():
    record = find_record(weights_folder())
    assert "lead" not in replace(record, fusion=replace(record.fusion, lead=0.0)).as_dict()["fusion"]
    assert replace(record, fusion=replace(record.fusion, lead=0.5)).as_dict()["fusion"]["lead"] == 0.5
    with pytest.raises(ValueError, match="a lead"):
        replace(record.fusion, lead=-1.0)


@pytest.mark.parametrize("fault", [{"weights": (-1.0,)}, {"joint": math.nan}, {"limit": 0.0}, {"frames": 0}])
def test_a_fusion_of_odd_numbers_is_refused(fault):
    with pytest.raises(ValueError, match="fusion"):
        replace(Fusion((1.0,), 0.0, 1.0), **fault)


def test_the_hash_of_a_record_from_before_fusions_is_that_of_its_file():
    import hashlib

    text = (weights_folder() / f"{QUICK_MODEL}.json").read_bytes()
    assert find_record(weights_folder(), QUICK_MODEL).sha256 == hashlib.sha256(text).hexdigest()


def test_the_report_names_every_network_and_both_propositions(report):
    (face,) = report["faces"]
    ids = {component["id"] for component in report["model"]["components"]}
    assert report["model"]["id"] == STANDARD_MODEL
    assert ids == {member.id for member in members_of(find_record(weights_folder()), weights_folder())} | {
        "clip-vit-b16",
        "faceloupe-proportions-1",
    }
    assert {proposition["name"] for proposition in face["propositions"]} == {"generated", "changed"}
    assert all(proposition["model_id"] in ids for proposition in face["propositions"])
    assert face["familiarity"]["distance"] > 0
    assert report["settings"]["effort"] == "standard"


@pytest.mark.parametrize("width", [0.7, 1 / 0.7])
def test_a_stretched_face_is_scored_in_its_natural_proportions(standard, width):
    with Image.open(PORTRAIT) as opened:
        picture = opened.convert("RGB").resize((512, 512))
    size = (round(512 * width), 512) if width < 1 else (512, round(512 / width))
    natural, stretched = (
        analyze(evidence_from_bytes(png(shape), "picture", max_bytes=10**8), standard, explain=True)
        for shape in (picture, picture.resize(size, Image.Resampling.LANCZOS))
    )
    assert natural.decisive.stretch == 1.0
    assert stretched.decisive.stretch == pytest.approx(width, rel=0.15)
    assert any("times as wide as it is" in note for note in stretched.notes)
    box = stretched.decisive.crop_box
    assert box.width / box.height == pytest.approx(stretched.decisive.stretch, rel=0.02)
    assert stretched.decisive.raw_logit == pytest.approx(natural.decisive.raw_logit, abs=1.0)


def test_a_model_without_the_map_restores_nothing(analyzer, portrait):
    squeezed = cv2.resize(portrait, (358, 512), interpolation=cv2.INTER_AREA)
    (face, *_) = analyzer.detector.detect(squeezed)
    assert analyzer.scorer.stretch(analyzer.scorer.view(squeezed, face.box)) == 1.0


def test_a_face_is_scored_the_same_alone_and_among_others(standard, portrait):
    scorer = standard.scorer
    views = [scorer.view(portrait, Box(289 + shift, 214, 614 + shift, 646)) for shift in (0, 40, 80)]
    together = scorer.logits(views)
    alone = [float(scorer.logits([view])[0]) for view in views]
    assert together == pytest.approx(alone, abs=1e-5)  # the core's passes are of several faces


def test_a_processor_without_bfloat16_comes_to_the_same_outcome(standard, monkeypatch):
    record = find_record(weights_folder())
    _, head = load_expert(find_record(weights_folder(), record.members[1]), weights_folder())
    content = (weights_folder() / "clip-vit-b16.safetensors").read_bytes()
    exact = Encoder.load(content, torch.float32)
    scorer = FaceScorer(record, weights_folder())
    for member in scorer.scorer.members:
        if isinstance(member.scorer, HeadScorer):
            monkeypatch.setattr(member.scorer, "_encoder", exact)
    other = replace(standard, scorer=scorer)
    for path in (GENERATED, PHOTOGRAPH):
        report_values, expected = (
            report_json(analyze(path, networks, explain=False)) for networks in (other, standard)
        )
        assert report_values["outcome"] == expected["outcome"]
        assert report_values["log10_lr"] == pytest.approx(expected["log10_lr"], abs=0.1)
    assert head is not None


def test_the_decisive_map_lies_in_the_widest_view_and_is_never_negative(standard, portrait):
    views = standard.scorer.view(portrait, Box(289, 214, 614, 646))
    reading, heatmap = standard.scorer.explained(views)
    assert heatmap.shape == views.widest[1].shape[:2]
    assert heatmap.min() >= 0.0
    assert reading.logit == pytest.approx(float(standard.scorer.logits([views])[0]), abs=1e-4)


def test_of_a_face_that_fills_its_picture_the_wide_look_says_nothing(standard, portrait):
    crop = np.ascontiguousarray(portrait[200:660, 270:640])
    views = standard.scorer.view(crop, Box(19, 14, 344, 446))
    (reading,) = standard.scorer.readings([views])
    wide = next(member for member in standard.scorer.members if member.least_context)
    close = next(
        member for member in standard.scorer.members if member.proposition == "generated" and not member.least_context
    )
    assert views.context < wide.least_context
    assert reading.log_odds[wide.id] == 0.0
    assert reading.log_odds[close.id] != 0.0


def test_of_a_face_with_surroundings_both_looks_speak(standard, portrait):
    (reading,) = standard.scorer.readings([standard.scorer.view(portrait, Box(289, 214, 614, 646))])
    looks = [member.id for member in standard.scorer.members if member.proposition == "generated"]
    assert len(looks) == 2
    assert all(reading.log_odds[name] != 0.0 for name in looks)


@pytest.mark.parametrize("damage", ["missing", "cut", "altered", "no record", "another encoder"])
def test_without_the_verified_encoder_nothing_is_scored(folder, damage):
    path = folder / "clip-vit-b16.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "altered":
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    elif damage == "no record":
        (folder / "components" / "clip-vit-b16.json").unlink()
    else:
        record = folder / "components" / "clip-vit-b16.json"
        text = record.read_text(encoding="utf-8")
        known = component_of(next(record for record in read_registry(folder).values() if record.component), folder)
        record.write_text(text.replace(known.weights_sha256, "0" * 64), encoding="utf-8")
    with pytest.raises(WeightsError, match="nothing can be scored"):
        FaceScorer.load(folder, STANDARD_MODEL)
    assert FaceScorer.load(folder, QUICK_MODEL).record.id == QUICK_MODEL  # asked for by name, the core still scores


def test_an_answer_that_is_no_number_is_an_error_and_no_score(standard, portrait, monkeypatch):
    heads = [member.scorer for member in standard.scorer.scorer.members if isinstance(member.scorer, HeadScorer)]
    for head in heads:
        monkeypatch.setattr(head, "encoded", lambda crop: torch.full((1, 15, 768), math.nan))
    with pytest.raises(EvidenceError, match="no finite answer"):
        standard.scorer.readings([standard.scorer.view(portrait, Box(289, 214, 614, 646))])


def test_between_frames_that_the_expert_saw_its_word_is_interpolated():
    slow_readings = SlowReadings(np.array([[0.0, 4.0], [2.0, 0.0]]), ("a", "b"), None)
    assert slow_readings.at([1.0, 3.0], 2.0) == pytest.approx([1.0, 2.0])
    assert slow_readings.at([1.0, 3.0], 9.0) == pytest.approx([2.0, 0.0])
    assert slow_readings.pooled == {"a": 1.0, "b": 2.0}


def test_a_video_is_judged_by_both_and_says_which_frames_the_expert_saw(standard, portrait, tmp_path):
    write_clip(tmp_path / "clip.mp4", [np.roll(portrait[:, 100:900], shift, 1)[::2, ::2] for shift in range(0, 60, 4)])
    report_values = report_json(analyze(tmp_path / "clip.mp4", standard, explain=False))
    observations = [face for frame in report_values["frames"] for face in frame["faces"]]
    fusion = standard.scorer.record.fusion
    assert 0 < sum(face["by_expert"] for face in observations) <= fusion.frames
    assert all(face["score"] is not None for face in observations)
    assert {face["name"] for face in report_values["faces"][0]["propositions"]} == {"generated", "changed"}


@pytest.mark.parametrize(
    ("generated", "changed", "message"),
    [
        (1.2, 0.1, "more likely fully generated"),
        (0.0, 0.9, "more likely changed in part"),
        (0.5, 0.4, "do not tell"),
    ],
)
def test_a_verdict_says_which_kind_or_that_it_cannot_be_told(generated, changed, message):
    result = (PropositionFinding("generated", "g", generated), PropositionFinding("changed", "c", changed))
    assert message in kind_suffix(Outcome.MANIPULATED, result)
    assert not kind_suffix(Outcome.AUTHENTIC, result)


@pytest.mark.parametrize("outcome", [Outcome.MANIPULATED, Outcome.AUTHENTIC, Outcome.INCONCLUSIVE])
def test_there_is_no_verdict_on_a_face_unlike_all_that_are_known(outcome):
    near, far = Familiarity(0.4, "press photos"), Familiarity(0.7, "press photos")
    assert in_scope(outcome, "why", near, 0.6) == (outcome, "why")
    result, reason = in_scope(outcome, "why", far, 0.6)
    assert result is Outcome.INCONCLUSIVE
    assert ("press photos" in reason) == (outcome is not Outcome.INCONCLUSIVE)


def test_the_encoders_file_is_read_once_for_all_heads_and_again_where_it_changed(tmp_path, monkeypatch):
    folder, read = tmp_path / "weights", []
    shutil.copytree(weights_folder(), folder)
    true_read = loading.read_verified
    monkeypatch.setattr(loading, "read_verified", lambda part, of: (read.append(part.id), true_read(part, of))[1])
    FaceScorer.load(folder, STANDARD_MODEL)
    FaceScorer.load(folder, STANDARD_MODEL)
    assert read.count("clip-vit-b16") == 1
    path = folder / "clip-vit-b16.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="not the verified weights"):
        FaceScorer.load(folder, STANDARD_MODEL)


def test_every_fusion_is_of_heads_on_one_encoder():
    fusions = [record for record in read_registry(weights_folder()).values() if record.fusion]
    assert len(fusions) == 2
    for fusion in fusions:
        heads = [member for member in members_of(fusion, weights_folder()) if member.component]
        assert {head.component for head in heads} == {"clip-vit-b16"}
        assert {head.proposition for head in heads} == {"generated", "changed", ""}  # the last speaks for both
