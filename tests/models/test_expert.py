"""Heads on the encoder's features: their output, and the files that they refuse."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save

from faceloupe.errors import WeightsError
from faceloupe.models.encoder import ROWS, WIDTH
from faceloupe.models.expert import Head


def tensors_of(rows=(1, 4), hidden=0, seed=0, scope=False, remembered=0) -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    size = len(rows) * WIDTH

    def random(*shape):
        return torch.randn(*shape, generator=made)

    tensors = {
        "rows": torch.tensor(rows),
        "mean": random(size),
        "scale": random(size).abs(),
        "linear": random(size),
        "bias": random(1),
        "hidden": random(hidden, size),
        "hidden_bias": random(hidden),
        "output": random(hidden),
    }
    if remembered:
        tensors |= {
            "basis": torch.eye(size, 6),
            "remembered": torch.nn.functional.normalize(random(remembered, 6), dim=1),
            "remembered_label": (torch.arange(remembered) % 2).float(),
            "remembered_weight": random(remembered).abs() + 0.1,
        }
    if scope:
        known = torch.nn.functional.normalize(random(20, 4), dim=1)
        tensors |= {
            "scope_row": torch.tensor([2]),
            "scope_mean": torch.zeros(WIDTH),
            "scope_basis": torch.eye(WIDTH, 4),
            "known": known,
            "known_source": torch.tensor([0] * 10 + [1] * 10),
        }
    return tensors


@pytest.mark.parametrize("hidden", [0, 5])
def test_a_head_is_the_written_formula(hidden):
    tensors = tensors_of(hidden=hidden)
    features = torch.randn(3, len(ROWS), WIDTH, generator=torch.Generator().manual_seed(1))
    inputs = (features[:, [1, 4]].flatten(1) - tensors["mean"]) * tensors["scale"]
    expected = inputs @ tensors["linear"] + tensors["bias"]
    if hidden:
        inner = torch.nn.functional.gelu(inputs @ tensors["hidden"].T + tensors["hidden_bias"])
        expected = expected + inner @ tensors["output"]
    assert torch.allclose(Head.load(save(tensors))(features), expected, rtol=1e-4)


@pytest.mark.parametrize("label", [0, 1])
def test_a_head_that_remembers_faces_sides_with_the_nearest(label):
    """One of 200 remembered faces lies where the face does; the others of the other label do not outweigh its kin."""
    tensors = tensors_of(remembered=200) | {"linear": torch.zeros(2 * WIDTH), "bias": torch.zeros(1)}
    alike = torch.nn.functional.cosine_similarity(tensors["remembered"], tensors["remembered"][:1]) > 0.5
    tensors["remembered_label"] = torch.where(alike, float(label), 1.0 - label)
    features = torch.zeros(1, len(ROWS), WIDTH)
    features[0, [1, 4]] = (tensors["mean"] + 0).reshape(2, WIDTH)
    features[0, 1, :6] += tensors["remembered"][0] / tensors["scale"][:6]
    answer = float(Head.load(save(tensors))(features))
    assert (answer > 0) == bool(label)
    assert abs(answer) <= np.log(19) + 1e-5


@pytest.mark.parametrize("part", ["basis", "remembered_label", "remembered_weight", "remembered"])
def test_a_head_whose_remembered_faces_do_not_fit_together_is_refused(part):
    tensors = tensors_of(remembered=20)
    tensors[part] = tensors[part][:-1]
    with pytest.raises(WeightsError, match="head do not fit"):
        Head.load(save(tensors))
    del tensors[part]
    if part != "basis":
        with pytest.raises(WeightsError, match="head do not fit"):
            Head.load(save(tensors))


@pytest.mark.parametrize("fault", ["not a number", "infinite", "short", "row", "missing", "no file"])
def test_a_head_of_odd_tensors_is_refused(fault):
    tensors = tensors_of()
    if fault == "not a number":
        tensors["linear"][3] = float("nan")
    elif fault == "infinite":
        tensors["scale"][0] = float("inf")
    elif fault == "short":
        tensors["mean"] = tensors["mean"][:-1]
    elif fault == "row":
        tensors["rows"] = torch.tensor([1, 99])
    elif fault == "missing":
        del tensors["output"]
    with pytest.raises(WeightsError, match="head do not fit"):
        Head.load(b"\0" * 30 if fault == "no file" else save(tensors))


def test_a_known_face_is_near_and_names_its_source():
    tensors = tensors_of(scope=True)
    head = Head.load(save(tensors, {"sources": json.dumps(["first", "second"])}))
    features = torch.zeros(2, len(ROWS), WIDTH)
    features[0, 2, :4] = tensors["known"][:5].mean(0)
    features[1, 2, :4] = -tensors["known"].mean(0)
    near, far = head.familiarity(features)
    assert 0.0 <= near.distance < far.distance
    assert {near.nearest, far.nearest} <= {"first", "second"}


def test_a_head_without_known_faces_says_so():
    assert not Head.load(save(tensors_of())).knows_its_scope
    assert Head.load(save(tensors_of(scope=True), {"sources": '["a", "b"]'})).knows_its_scope


def test_reading_a_head_changes_nothing_in_its_numbers():
    features = torch.from_numpy(np.random.default_rng(3).normal(size=(1, len(ROWS), WIDTH)).astype(np.float32))
    head = Head.load(save(tensors_of()))
    assert torch.equal(head(features), head(features))
