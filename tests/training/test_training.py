"""The training pipeline on pictures made here: small, but run end to end."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from msgspec import structs
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from faceloupe.config import weights_folder
from faceloupe.errors import DatasetError, WeightsError
from faceloupe.evaluation import published
from faceloupe.evaluation.measures import of_model
from faceloupe.models.contract import Calibrator, InputContract
from faceloupe.models.networks import ARCHITECTURES, build
from faceloupe.models.record import find_record, read_registry
from faceloupe.scoring.classifier import FaceScorer
from faceloupe.scoring.joint import JointScorer, Member
from faceloupe.scoring.single import NetworkScorer
from faceloupe.training import augment, calibrate, card, data, evaluate, fitting, register
from faceloupe.training import train as training
from faceloupe.training.conditions import CONDITIONS
from faceloupe.training.faults import Fault
from faceloupe.training.sampling import PairDataset
from faceloupe.training.scoring import score_all
from faceloupe.training.settings import CARD_CORE, Draw, Stage, TrainingSettings
from faceloupe.training.train import load_trunk
from tests.conftest import GENERATED, PHOTOGRAPH

SETTINGS = TrainingSettings(
    draws=(Draw(1.0, {"toy": 1.0}, {"toy": 1.0}), Draw(0.5, {"toy": 1.0})),
    stages=(Stage(64, 32), Stage(96, 32)),
    batch_size=8,
    warmup_steps=2,
    average_decay=0.5,
    validate_every=3,
    selection=("toy",),
)


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """Forty pictures: two faces under many light changes, the manipulated ones with a checkered cheek."""
    folder = tmp_path_factory.mktemp("material")
    random = np.random.default_rng(0)
    rows = []
    faces = [cv2.resize(np.asarray(Image.open(p).convert("RGB"))[:520], (160, 160)) for p in (GENERATED, PHOTOGRAPH)]
    for number in range(40):
        label = "fake" if number % 2 else "real"
        picture = np.clip(faces[number // 2 % 2] * random.uniform(0.7, 1.2), 0, 255).astype(np.uint8)
        if label == "fake":
            picture[60:100, 60:100][::2, ::2] = 255
        Image.fromarray(picture).save(folder / f"{number}.png")
        rows.append(("train" if number < 24 else "val", "toy", label, "", f"{number}.png"))
    with (folder / "stills.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("split", "source", "label", "group", "path"), *rows])
    return folder


@pytest.fixture(scope="module")
def items(material):
    return list(data.find_faces(material, data.read_index(material / "stills.csv"), workers=1))


def random_trunk(architecture: str, folder: Path) -> Path:
    """Random weights in the shape of a trunk."""
    torch.manual_seed(0)
    tensors = {n: t for n, t in build(architecture).state_dict().items() if n.startswith("features.")}
    path = folder / f"{architecture}.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def trunk(tmp_path_factory) -> Path:
    return random_trunk("mobilenet_v3_small", tmp_path_factory.mktemp("trunk"))


def test_a_pair_is_the_same_whenever_it_is_drawn(material, items):
    first, second = (PairDataset(SETTINGS, material, items) for _ in range(2))
    for index in (0, 7, 20):
        (inputs, labels), (again, _) = first[index], second[index]
        assert np.array_equal(inputs, again)
        assert labels.tolist() == [0.0, 1.0]
    assert first.size_of(0) == 64
    assert first.size_of(len(first) - 1) == 96


def test_both_faces_of_a_pair_get_one_recipe(material, items, monkeypatch):
    recipes = []
    apply = augment.apply
    monkeypatch.setattr(augment, "apply", lambda *a: (recipes.append((a[2], a[4])), apply(*a))[1])
    dataset = PairDataset(SETTINGS, material, items)
    for index in range(10):
        dataset[index]
    assert recipes[0::2] == recipes[1::2]
    assert len({recipe for recipe, _ in recipes}) == 10


def test_validation_pictures_are_never_drawn(material, items):
    dataset = PairDataset(SETTINGS, material, items)
    validation = {item.path for item in items if item.split == "val"}
    assert validation
    assert not validation & set(dataset._pixels)


def test_a_missing_source_is_named(material, items):
    settings = replace(SETTINGS, draws=(Draw(1.0, {"toy": 1.0}, {"nowhere": 1.0}),))
    with pytest.raises(DatasetError, match="nowhere"):
        PairDataset(settings, material, items)


def test_a_recipe_changes_the_picture_and_keeps_its_size(portrait):
    box = data.Box(330, 200, 620, 600)
    crops = [
        augment.apply(portrait, box, augment.draw(np.random.default_rng(seed), 128), InputContract(), 128)
        for seed in range(20)
    ]
    assert all(crop.shape == (128, 128, 3) and crop.dtype == np.uint8 for crop in crops)
    assert len({crop.tobytes() for crop in crops}) == 20


def test_augmentation_spreads_the_sharpness_that_would_give_sources_away(portrait):
    box = data.Box(330, 200, 620, 600)
    crops = [
        augment.apply(portrait, box, augment.draw(np.random.default_rng(seed), 128), InputContract(), 128)
        for seed in range(60)
    ]
    sharpness = [cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var() for crop in crops]
    assert np.quantile(sharpness, 0.9) > 5 * np.quantile(sharpness, 0.1)


def test_another_trunk_is_refused(tmp_path):
    save_file({"features.0.0.weight": torch.zeros(1)}, tmp_path / "bad.safetensors")
    with pytest.raises(DatasetError):
        load_trunk(build("mobilenet_v3_small"), tmp_path / "bad.safetensors")
    with pytest.raises(DatasetError, match="--trunk"):
        load_trunk(build("mobilenet_v3_small"), tmp_path / "none.safetensors")


class _Killed(Exception):
    pass


@pytest.mark.slow
def test_a_killed_training_ends_where_an_unbroken_one_does(material, items, trunk, tmp_path, monkeypatch):
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    unbroken.mkdir(), killed.mkdir()
    expected = load_file(training.train(SETTINGS, material, items, trunk=trunk, work=unbroken))
    keep = training._keep_history

    def kill(path, step, *rest):
        keep(path, step, *rest)
        if step == 6:
            raise _Killed

    monkeypatch.setattr(training, "_keep_history", kill)
    with pytest.raises(_Killed):
        training.train(SETTINGS, material, items, trunk=trunk, work=killed)
    monkeypatch.setattr(training, "_keep_history", keep)
    assert not (killed / "weights.safetensors").exists()
    other = replace(SETTINGS, peak_rate=1e-5)
    with pytest.raises(DatasetError, match="another recipe"):
        training.train(other, material, items, trunk=trunk, work=killed)
    resumed = load_file(training.train(SETTINGS, material, items, trunk=trunk, work=killed))
    for name, tensor in expected.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=1e-6)


def test_sources_left_out_are_never_drawn(material, items):
    with pytest.raises(DatasetError, match="nothing is left"):
        PairDataset(replace(SETTINGS, without=("toy",)), material, items)
    renamed = [replace(item, source="other") if number % 4 < 2 else item for number, item in enumerate(items)]
    draws = (Draw(1.0, {"toy": 1.0, "other": 1.0}, {"toy": 1.0, "other": 1.0}), Draw(1.0, {"other": 1.0}))
    dataset = PairDataset(replace(SETTINGS, draws=draws, without=("other",)), material, renamed)
    others = {item.path for item in renamed if item.source == "other"}
    assert others
    assert not others & set(dataset._pixels)
    for index in range(20):
        dataset[index]


def test_a_loss_that_is_no_number_stops_the_run_and_writes_nothing(material, items, trunk, tmp_path):
    with pytest.raises(DatasetError, match="no longer a number"):
        training.train(replace(SETTINGS, peak_rate=1e30), material, items, trunk=trunk, work=tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"mobilenet_v3_small"}))
def test_every_architecture_learns_by_name(material, items, tmp_path, architecture):
    start = random_trunk(architecture, tmp_path)
    settings = replace(SETTINGS, architecture=architecture, stages=(Stage(64, 8),), validate_every=100)
    trained = load_file(training.train(settings, material, items, trunk=start, work=tmp_path / "run"))
    assert any(not torch.equal(trained[name], tensor) for name, tensor in load_file(start).items())


@pytest.mark.slow
def test_the_stages_from_training_to_the_registry(material, items, trunk, tmp_path):
    """Two networks and their ensemble: trained, calibrated, evaluated, carded, registered, loaded again."""
    runs = {
        "mobilenet_v3_small": SETTINGS,
        "mobilenet_v2": replace(SETTINGS, architecture="mobilenet_v2", stages=(Stage(64, 16),)),
    }
    for name, settings in runs.items():
        start = trunk if name == "mobilenet_v3_small" else random_trunk(name, tmp_path)
        training.train(settings, material, items, trunk=start, work=tmp_path / "runs" / name)
    registry = tmp_path / "registry"
    records = calibrate.calibrate(runs, material, items, version=7, work=tmp_path / "runs", folder=registry)
    assert [record.id for record in records[:2]] == [f"faceloupe-{name}-7" for name in runs]
    # An ensemble of toys may well be worse than one of them, and is not made then.
    assert all(
        record.calibration.cllr > ensemble.calibration.cllr for ensemble in records[2:] for record in records[:2]
    )
    evaluation = evaluate.evaluate(registry, material, items, tmp_path)
    again = evaluate.evaluate(registry, material, items, tmp_path)
    assert again == evaluation
    conditions = of_model(evaluation.tables.conditions, records[0].id)
    assert [part for part, _ in conditions] == list(CONDITIONS)
    for record in records:
        row = dict(of_model(evaluation.tables.sources, record.id))["all"]
        assert row.fpr.value == pytest.approx(record.error_rates.fpr, abs=1e-4)
        assert row.cllr.value == pytest.approx(record.calibration.cllr, abs=1e-4)
    path = tmp_path / "docs" / "model-card.md"
    card.write(evaluation, records, path)
    assert all(record.id in path.read_text(encoding="utf-8") for record in records)
    assert len(list((tmp_path / "docs" / "model-card").glob("*.png"))) == 4
    measured, weights = tmp_path / "evaluation.json", tmp_path / "weights"
    with pytest.raises(WeightsError, match="is missing"):
        list(register.register(registry, measured, weights))
    models = [structs.replace(model, record_sha256="of another calibration") for model in evaluation.models]
    published.write(structs.replace(evaluation, models=models), measured)
    with pytest.raises(DatasetError, match="evaluate first"):
        list(register.register(registry, measured, weights))
    published.write(evaluation, measured)
    assert published.read_evaluation(measured) == evaluation
    (weights).mkdir()
    (weights / "old.json").write_text("{}")
    list(register.register(registry, measured, weights))
    assert not (weights / "old.json").exists()
    assert set(read_registry(weights)) == {record.id for record in records}


def test_an_ensemble_scores_the_mean_of_its_members_log_likelihood_ratios(portrait):
    torch.manual_seed(0)
    box, members = data.Box(330, 200, 620, 600), []
    for architecture, size, kind in (("mobilenet_v3_small", 96, "platt"), ("mobilenet_v2", 64, "isotonic")):
        network = build(architecture).eval().requires_grad_(False)
        knots = ((-1.0, -2.0), (1.0, 3.0)) if kind == "isotonic" else ()
        contract = InputContract(size=size)
        calibrator = Calibrator("c", kind, 0.5, 0.1, knots, "test")
        members.append(Member(architecture, NetworkScorer(network, contract), calibrator))
    ensemble = JointScorer(members)
    ratios = [
        float(member.calibrator.log_odds(member.scorer.logits([member.scorer.view(portrait, box)])[0]))
        for member in members
    ]
    views = ensemble.view(portrait, box)
    assert ensemble.logits([views, views]) == pytest.approx([np.mean(ratios)] * 2)
    reading, heat = ensemble.explained(views)
    assert reading.logit == pytest.approx(np.mean(ratios), abs=1e-5)
    assert heat.shape == (96, 96)
    assert views.widest[1].shape == (96, 96, 3)


def test_a_run_under_a_fault_is_never_registered(material, items, trunk, tmp_path):
    faulty = replace(SETTINGS, fault=Fault("label_noise", 0.5), stages=(Stage(64, 8),))
    training.train(faulty, material, items, trunk=trunk, work=tmp_path / "toy")
    for settings in (faulty, SETTINGS):  # also where the recipe is said to be the honest one
        with pytest.raises(DatasetError, match="under a fault"):
            calibrate.calibrate({"toy": settings}, material, items, version=1, work=tmp_path, folder=tmp_path / "r")
    assert not list((tmp_path / "r").glob("*"))


@pytest.mark.slow
@pytest.mark.shared
def test_the_committed_record_is_what_the_committed_weights_measure(shared_data):
    """The validation table of the record, measured again from the pictures with the committed weights."""
    record = find_record(weights_folder(), CARD_CORE)
    everything = data.read_index(shared_data / "stills.csv")
    faces = list(data.find_faces(shared_data, [item for item in everything if item.split == "val"]))
    validation = [item for item in faces if item.has_face]
    scorer = FaceScorer(record, weights_folder())
    scored = score_all({"": scorer}, shared_data, validation)[""]
    decisions = fitting.CrossFit(record.calibrator.kind, scored).decide(scored)
    assert decisions.called_fake[scored.labels == 0].mean() == pytest.approx(record.error_rates.fpr, abs=1e-3)
    assert decisions.called_real[scored.labels == 1].mean() == pytest.approx(record.error_rates.fnr, abs=1e-3)
    for row in record.validation:
        mask = fitting.source_sets(scored)[row.source]
        if row.auc is not None:
            assert roc_auc_score(scored.labels[mask], scored.logits[mask]) == pytest.approx(row.auc, abs=1e-3)
