"""Fitting of heads and fusions, on features whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceloupe.errors import DatasetError
from faceloupe.models.encoder import ROWS, WIDTH
from faceloupe.models.expert import Head
from faceloupe.training import fusing, heads
from faceloupe.training.fusing import Judged
from faceloupe.training.heads import Faces, HeadSettings, Projection

SETTINGS = HeadSettings(rows=("class 9", "mean 8"), width=24, examples=200)


@pytest.fixture(scope="module")
def faces() -> Faces:
    """Six sources; one direction of one row separates the classes."""
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 90)
    features = random.normal(size=(180, len(ROWS), WIDTH)).astype(np.float16)
    features[:, ROWS.index("mean 8"), :40] += (2.0 * labels - 1.0).astype(np.float16)[:, None]
    sources = np.array([f"s{number % 6}" for number in range(180)])
    return Faces(features, labels, sources, np.arange(180).astype(str))


@pytest.mark.parametrize("width", [24, 0], ids=["in fewer dimensions", "in all of them"])
def test_a_fitted_head_is_the_same_map_when_it_is_loaded(faces, width):
    settings = replace(SETTINGS, width=width)
    projection = Projection.of(faces.features, settings)
    inputs = projection.of_faces(faces.features)
    assert inputs.shape == (180, width or 2 * WIDTH)
    fitted = heads.fit(inputs, faces.labels, faces.sources, settings)
    head = Head(fitted.tensors(projection))
    loaded = head(torch.from_numpy(faces.features.astype(np.float32))).double().numpy()
    assert loaded == pytest.approx(fitted(inputs), abs=1e-3)
    assert ((loaded > 0) == (faces.labels == 1)).mean() > 0.95


def test_a_head_that_remembers_faces_is_the_same_map_when_it_is_loaded(faces):
    settings = replace(SETTINGS, width=6, remembered=120)
    projection = Projection.of(faces.features, settings)
    inputs = projection.of_faces(faces.features)
    known, others = np.arange(180) < 140, np.arange(180) >= 140
    fitted = heads.fit(inputs[torch.from_numpy(known)], faces.labels[known], faces.sources[known], settings)
    tensors = fitted.tensors(projection)
    assert tensors["remembered"].shape == (120, 6)
    loaded = Head(tensors)(torch.from_numpy(faces.features.astype(np.float32))).double().numpy()
    assert loaded == pytest.approx(fitted(inputs), abs=1e-2)
    assert ((loaded > 0) == (faces.labels == 1))[others].mean() > 0.9
    assert fitted.parameters(projection) == 2 * WIDTH * 6 + 120 * 6


def test_a_head_that_remembers_faces_needs_few_dimensions(faces):
    settings = replace(SETTINGS, width=0, remembered=20)
    projection = Projection.of(faces.features, settings)
    fitted = heads.fit(projection.of_faces(faces.features), faces.labels, faces.sources, settings)
    with pytest.raises(DatasetError, match="fewer dimensions"):
        fitted.tensors(projection)


def test_a_head_is_written_with_its_scope_and_tells_where_a_face_lies(faces, tmp_path):
    projection = Projection.of(faces.features, SETTINGS)
    fitted = heads.fit(projection.of_faces(faces.features), faces.labels, faces.sources, SETTINGS)
    scope, sources = heads.scope(faces, 60, seed=1)
    digest = heads.write(fitted.tensors(projection) | scope, sources, tmp_path / "head.safetensors")
    content = (tmp_path / "head.safetensors").read_bytes()
    assert heads.write(fitted.tensors(projection) | scope, sources, tmp_path / "again.safetensors") == digest
    head = Head.load(content)
    (result,) = head.familiarity(torch.from_numpy(faces.features[:1].astype(np.float32)))
    assert result.nearest in sources
    assert json.loads(json.dumps(sources)) == sorted(sources)


def test_sources_of_a_class_weigh_by_the_root_of_their_number():
    labels = np.array([0] * 5 + [1] * 2)
    weights = heads.balance(labels, np.array(["a"] * 4 + ["b"] + ["c"] * 2))
    assert weights[:5].sum() == pytest.approx(weights[5:].sum()) == pytest.approx(0.5)
    assert weights[:4].sum() == pytest.approx(2 * weights[4])


def test_a_head_needs_both_classes():
    with pytest.raises(DatasetError, match="both classes"):
        heads.balance(np.zeros(3, int), np.array(["a", "b", "c"]))


def judged(count: int = 2000, *, loud: float = 0.0) -> tuple[Judged, np.ndarray]:
    """Scores two standard deviations apart; the photographs of one source score ``loud`` higher."""
    random = np.random.default_rng(3)
    labels = np.tile([0, 1], count)
    sources = np.array([f"{'fake' if label else 'photo'}{number % 8}" for number, label in enumerate(labels)])
    log_odds = random.normal(size=2 * count) * 2.0 + 4.0 * labels - 2.0
    log_odds[sources == "photo0"] += loud
    units = np.arange(2 * count).astype(str)
    return Judged.of(labels, sources, units, np.ones(2 * count, bool)), log_odds


def test_the_thresholds_keep_both_promises_on_sources_left_out():
    faces, log_odds = judged(loud=2.0)
    scores = fusing.probabilities(log_odds)
    thresholds = fusing.thresholds_for(scores, faces)
    for source in np.unique(faces.sources[faces.labels == 0]):
        assert (scores[faces.sources == source] >= thresholds.upper).mean() <= fusing.MAX_ALARMS
    quiet, plain = judged()
    assert thresholds.upper > fusing.thresholds_for(fusing.probabilities(plain), quiet).upper


def test_faces_that_the_gates_keep_back_set_no_bar():
    faces, log_odds = judged()
    of_photo0 = faces.sources == "photo0"
    log_odds += 4.0 * faces.labels
    log_odds[np.flatnonzero(of_photo0)[::12]] = 9.0  # one in twelve
    scores = fusing.probabilities(log_odds)
    kept_back = of_photo0 & (log_odds == 9.0)
    gated = Judged.of(faces.labels, faces.sources, faces.units, faces.unseen, ~kept_back)
    thresholds = fusing.thresholds_for(scores, gated)
    assert thresholds.upper < fusing.thresholds_for(scores, faces).upper
    assert (
        (scores[of_photo0 & ~kept_back] >= thresholds.upper).mean()
        <= fusing.MAX_ALARMS
        < (scores[of_photo0] >= thresholds.upper).mean()
    )


def test_an_uninformative_member_gets_almost_no_weight():
    faces, log_odds = judged()
    noise = np.random.default_rng(4).normal(size=len(log_odds))
    fusion = fusing.fit_fusion(np.column_stack([log_odds, noise]), [False, True], faces, frames=8)
    assert fusion.weights[0] == pytest.approx(1.0, abs=0.15)
    assert fusion.weights[1] + fusion.joint < 0.15
