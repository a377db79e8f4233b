"""The core: a classifier on the statistics of a frozen trunk, its judgement on unseen families, and its record."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceloupe.config import weights_folder
from faceloupe.errors import DatasetError, WeightsError
from faceloupe.evaluation import metrics, source_rows
from faceloupe.models import loading
from faceloupe.models.backbones import BlockStatistics
from faceloupe.models.contract import QualityGates
from faceloupe.models.networks import build
from faceloupe.models.record import CORE, read_registry, write_record
from faceloupe.models.registry import read_entries
from faceloupe.scoring.preprocess import normalize
from faceloupe.training import (
    core_answers,
    core_card,
    core_features,
    core_head,
    core_stage,
    cross_fitting,
    expert_card,
    plans,
    regions,
    register,
)
from faceloupe.training.core_head import CoreSettings, Examples, Standard
from faceloupe.training.features import FeatureStore
from faceloupe.training.settings import CARD_CORE
from faceloupe.training.train import load_trunk
from faceloupe.types import Box
from tests.training.test_expert_stage import EXPERT, SOURCES, still

SETTINGS = CoreSettings(version=7, epochs=6, batch=64)
GATES = QualityGates(48.0, 2.85, 0.9)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """Untrained weights of the trunk, in its file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    state = build("mobilenet_v3_small").state_dict()
    save_file({name: tensor for name, tensor in state.items() if name.startswith("features.")}, path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Faces of each source in each split, whose statistics tell photographs from the rest in forty dimensions."""
    folder, random = tmp_path_factory.mktemp("core"), np.random.default_rng(0)
    size = build(CORE).classifier[1].in_features
    stills = [
        still(source, number, split)
        for source in SOURCES
        for number, split in enumerate(["train"] * 12 + ["val"] * 8 + ["cross"] * 3)
    ]
    located = {}
    with FeatureStore(folder / "core_features", (1, size), "abc") as store:
        for picture in stills:
            located[picture.id] = regions.Region(picture.id, "", 200, 1.0, 300, 300, 1.0, Box(10.0, 10.0, 110.0, 110.0))
            shift = np.zeros((2, 1, size))
            shift[:, 0, 100:140] = 2.0 * picture.entry.label
            for treatment in ("as-is", "heavy-1") if picture.entry.split == "train" else ("as-is", "768", "512"):
                of = [(picture.id, f"{crop}/{treatment}", 80.0, 1.3) for crop in ("tight", "wide")]
                store.add(of, random.normal(size=(2, 1, size)) + shift)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "read", lambda work, kind=regions.FACE: located)
        patch.setattr(core_stage.looks, "gray_pictures", lambda with_faces, work: frozenset())
        return core_stage.read(folder, folder / "core_features", stills, EXPERT)


@pytest.fixture(scope="module")
def stage(made, trunk, tmp_path_factory):
    """The output folder of the stage, and its record; there are no pictures, so no heatmaps are drawn."""
    folder, lines = tmp_path_factory.mktemp("stage"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_stage, "_peak", lambda scorer, seen: 0.5)
        record = core_stage.make(
            made, SETTINGS, trunk=trunk, gates=GATES, target=folder / "core", docs=folder, report=lines.append
        )
    assert len(lines) > cross_fitting.FOLDS
    return folder, record


def test_the_statistics_are_those_of_every_block_of_the_trunk(trunk):
    encode, shape, _ = core_features.load_statistics(trunk)
    crops = np.random.default_rng(0).integers(0, 255, (5, 288, 288, 3), np.uint8)
    answers = encode(crops)
    assert answers.shape == (5, *shape)
    network = build("mobilenet_v3_small").eval()
    load_trunk(network, trunk)
    activations, expected = torch.from_numpy(normalize(crops, core_features.CONTRACT)), []
    with torch.inference_mode():
        for block in network.features:
            activations = block(activations)
            expected += [activations.mean((2, 3)), activations.std((2, 3), correction=0)]
    np.testing.assert_allclose(answers[:, 0], torch.cat(expected, 1).numpy(), atol=2e-3)


def test_the_classifier_learns_the_informative_statistics_and_accepts_raw_ones(made):
    seen = made.where(made.looks.splits != "cross")
    examples = Examples(seen.statistics, seen.looks.labels, seen.looks.sources)
    standard = Standard.of(seen.statistics.flatten(0, 1))
    everyone = np.ones(len(seen.looks), bool)
    classifier = core_head.fit(examples, everyone, standard, SETTINGS)
    held_out = made.where(made.looks.splits == "cross")
    logits = core_head.logits(classifier, held_out.statistics)
    labels = held_out.looks.labels
    assert metrics.auc(labels, logits, np.ones(len(labels))) > 0.9
    single = classifier(held_out.statistics[0].float())[:, 0]
    assert logits[0] == pytest.approx(float(single.double().mean()), abs=1e-5)
    again = core_head.fit(examples, everyone, standard, SETTINGS)
    assert all(torch.equal(*pair) for pair in zip(classifier.parameters(), again.parameters(), strict=True))
    with pytest.raises(DatasetError, match="both classes"):
        core_head.fit(examples, seen.looks.labels == 0, standard, SETTINGS)


def test_nothing_judges_a_family_or_a_person_that_it_learned_from(made):
    seen = made.where(made.looks.splits != "cross").looks
    training = seen.treatments == "as-is"
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def answer(known: np.ndarray, outside: np.ndarray) -> np.ndarray:
        asked.append((known, outside))
        return np.zeros(int(outside.sum()))

    answers = cross_fitting.cross_answers(seen, training, answer)
    assert np.isfinite(answers.unseen).all()
    assert np.isfinite(answers.strangers).all()
    families = len(np.unique(cross_fitting.family_fold(seen.families)))
    for known, outside in asked[:families]:
        assert not set(seen.families[known]) & set(seen.families[outside])
    for known, outside in asked[families:]:
        assert not set(seen.units[known]) & set(seen.units[outside])
    assert not any((known & ~training).any() for known, _ in asked)


def test_the_stage_makes_a_record_whose_network_says_what_was_fitted(stage, made, trunk):
    folder, record = stage
    assert read_registry(folder / "core") == {record.id: record}
    assert (record.id, record.input.views, record.gates.min_color) == (
        "faceloupe-mobilenet_v3_small-7",
        (1.3, 2.4),
        2.0,
    )
    assert (record.members, record.component, record.proposition) == ((), "", "")
    network = loading.load_network(record, folder / "core")
    assert isinstance(network, BlockStatistics)
    encode, _, _ = core_features.load_statistics(trunk)
    crops = np.random.default_rng(1).integers(0, 255, (2, 288, 288, 3), np.uint8)
    with torch.inference_mode():
        direct = network(torch.from_numpy(normalize(crops, record.input)))
        by_parts = network.classifier(torch.from_numpy(encode(crops)[:, 0]))
    np.testing.assert_allclose(direct.numpy(), by_parts.numpy(), atol=1e-3)


def test_the_stage_keeps_its_answers_to_every_look_for_the_fusions(stage, made):
    answers = core_answers.read(stage[0] / "core" / core_answers.FILE, made.looks)
    judged = made.looks.treatments != "heavy-1"
    assert np.isfinite(answers.unseen[judged]).all()
    held_out = made.looks.splits == "cross"
    np.testing.assert_array_equal(answers.unseen[held_out], answers.strangers[held_out])
    of_known, of_new = (getattr(answers, name)[judged & ~held_out] for name in ("strangers", "unseen"))
    assert (of_known != of_new).mean() > 0.9


def test_the_stage_writes_a_card_and_tables_by_source(stage):
    folder, record = stage
    with (folder / source_rows.HELD_OUT).open(newline="") as stream:
        held_out = list(csv.DictReader(stream))
    assert sum(int(row["faces"]) for row in held_out if row["source"] == "all" and row["view"] == "as is") == 27
    with (folder / source_rows.LEFT_OUT).open(newline="") as stream:
        left_out = {row["source"] for row in csv.DictReader(stream)}
    assert left_out == {*SOURCES, "all"}
    with (folder / expert_card.TIERS_FILE).open(newline="") as stream:
        assert {row["view"] for row in csv.DictReader(stream)} == {"as is", "768 px, JPEG 60", "512 px, JPEG 40"}
    card = (folder / expert_card.CARD).read_text()
    assert record.id in card
    assert "| swaps | as is | manipulated | 20 |" in card
    assert core_card.write(record, folder).read_text() == card


def test_what_is_for_looking_only_is_refused(made, trunk, tmp_path):
    wrong = {
        name: dataclasses.replace(picture, entry=dataclasses.replace(picture.entry, split="cross"))
        for name, picture in made.stills.items()
    }
    with pytest.raises(DatasetError, match="for looking only"):
        core_stage.make(
            dataclasses.replace(made, stills=wrong),
            SETTINGS,
            trunk=trunk,
            gates=GATES,
            target=tmp_path / "core",
            docs=tmp_path,
        )
    assert not (tmp_path / "core").exists()


def test_a_later_core_replaces_the_former_and_leaves_the_rest(stage, tmp_path):
    folder, record = stage
    weights = tmp_path / "weights"
    weights.mkdir()
    for path in weights_folder().glob(f"{CARD_CORE}.*"):
        (weights / path.name).symlink_to(path)
    former = tmp_path / "former"
    shutil.copytree(folder / "core", former)
    older = dataclasses.replace(record, id="faceloupe-mobilenet_v3_small-6", weights_file="six.safetensors")
    write_record(older, former / f"{older.id}.json")
    (former / f"{record.id}.json").unlink()
    (former / record.weights_file).rename(former / "six.safetensors")
    assert list(register.install_core(former, weights)) == [f"registered {older.id}"]
    assert list(register.install_core(folder / "core", weights)) == [
        f"removed {older.id}",
        f"registered {record.id}",
    ]
    assert set(read_registry(weights)) == {CARD_CORE, record.id}
    assert not (weights / "six.safetensors").exists()
    assert list(read_entries(weights)) == [record.id]
    (folder / "core" / record.weights_file).write_bytes(b"other")
    with pytest.raises(WeightsError, match="not the verified weights"):
        list(register.install_core(folder / "core", weights))


def test_the_settings_are_typed(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("core: {version: 5, epochs: 2}\n")
    assert plans.read_core(path) == CoreSettings(version=5, epochs=2)
    path.write_text("core: {depth: 1}\n")
    with pytest.raises(DatasetError, match="no setting named depth"):
        plans.read_core(path)
