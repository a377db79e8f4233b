"""The training pipeline on pictures made here: small, but run end to end."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from faceloupe.config import weights_folder
from faceloupe.errors import DatasetError
from faceloupe.models.networks import build
from faceloupe.models.records import find_record
from faceloupe.scoring.preprocess import InputContract
from faceloupe.training import augment, calibrate, card, data
from faceloupe.training import train as training
from faceloupe.training.sampling import PairDataset
from faceloupe.training.settings import Draw, Stage, TrainingSettings
from faceloupe.training.train import load_trunk
from tests.conftest import GENERATED, PHOTOGRAPH

SETTINGS = TrainingSettings(
    draws=(Draw(1.0, {"toy": 1.0}, {"toy": 1.0}),),
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


@pytest.fixture(scope="module")
def trunk(tmp_path_factory) -> Path:
    """Random weights in the shape of the ImageNet trunk."""
    torch.manual_seed(0)
    tensors = {n: t for n, t in build("mobilenet_v3_small").state_dict().items() if n.startswith("features.")}
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    save_file(tensors, path)
    return path


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
    settings = TrainingSettings(draws=(Draw(1.0, {"toy": 1.0}, {"nowhere": 1.0}),))
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
    with pytest.raises((DatasetError, RuntimeError)):
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


@pytest.mark.slow
def test_training_changes_the_trunk_and_registers_a_model(material, items, trunk, tmp_path):
    weights = training.train(SETTINGS, material, items, trunk=trunk, work=tmp_path)
    trained, start = load_file(weights), load_file(trunk)
    assert any(not torch.equal(start[name], trained[name]) for name in start)
    folder = tmp_path / "weights"
    record = calibrate.register(SETTINGS, material, items, weights, folder)
    assert find_record(folder) == record
    card.write(record, folder / "card.md")
    assert f"{record.error_rates.fpr:.1%}" in (folder / "card.md").read_text()


@pytest.mark.slow
@pytest.mark.shared
def test_the_committed_record_is_what_the_committed_weights_measure(shared_data, tmp_path):
    """The error rates of the record, measured again from the validation pictures with the committed weights."""
    record = find_record(weights_folder())
    everything = data.read_index(shared_data / "stills.csv")
    validation = [item for item in everything if item.split == "val"]
    faces = list(data.find_faces(shared_data, validation))
    shutil.copy(weights_folder() / record.weights_file, tmp_path / "weights.safetensors")
    again = calibrate.register(
        TrainingSettings(), shared_data, faces, tmp_path / "weights.safetensors", tmp_path / "registry"
    )
    assert again.error_rates.fpr == pytest.approx(record.error_rates.fpr, abs=1e-3)
    assert again.error_rates.fnr == pytest.approx(record.error_rates.fnr, abs=1e-3)
    for row, expected in zip(again.validation, record.validation, strict=True):
        assert row.auc == pytest.approx(expected.auc, abs=1e-3)
