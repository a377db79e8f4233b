"""The map that measures how far a picture is stretched."""

import math

import pytest
import torch
from safetensors.torch import save

from faceloupe.errors import WeightsError
from faceloupe.models.encoder import ROWS, WIDTH
from faceloupe.models.proportions import Proportions

ROW = ROWS.index("mean 7")


def tensors(**changed: torch.Tensor) -> dict[str, torch.Tensor]:
    """A map that reads the first number of one row."""
    linear = torch.zeros(WIDTH)
    linear[0] = 1.0
    return {
        "rows": torch.tensor([ROW]),
        "linear": linear,
        "bias": torch.tensor([0.05]),
        "limit": torch.tensor([0.2]),
    } | changed


def features(value: float) -> torch.Tensor:
    result = torch.ones(1, len(ROWS), WIDTH)
    result[0, ROW, 0] = value
    return result


@pytest.mark.parametrize("value", [-0.4, -0.26, 0.16, 0.5])
def test_a_stretch_beyond_the_limit_is_returned_as_a_factor(value):
    assert Proportions(tensors()).stretch(features(value)) == pytest.approx(math.exp(value + 0.05))


@pytest.mark.parametrize(("value", "stretch"), [(-9.0, 0.5), (1e30, 2.0)])
def test_a_stretch_that_the_map_was_not_fitted_on_is_limited(value, stretch):
    assert Proportions(tensors()).stretch(features(value)) == pytest.approx(stretch)


@pytest.mark.parametrize("value", [-0.24, -0.05, 0.14])
def test_natural_variation_counts_as_no_stretch(value):
    proportions = Proportions(tensors())
    assert float(proportions.log_stretch(features(value))) == pytest.approx(value + 0.05, abs=1e-6)
    assert proportions.stretch(features(value)) == 1.0


def test_the_weights_file_is_read_back():
    assert Proportions.load(save(tensors())).stretch(features(-0.5)) == pytest.approx(math.exp(-0.45))


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": torch.tensor([len(ROWS)])},
        {"rows": torch.tensor([0, 1])},
        {"linear": torch.full((WIDTH,), math.nan)},
        {"bias": torch.tensor([math.inf])},
        {"limit": torch.tensor([0.0])},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_weights_that_do_not_fit_are_refused(changed):
    with pytest.raises(WeightsError, match="proportions"):
        Proportions.load(save(tensors(**changed)))


def test_a_file_without_the_tensors_is_refused():
    with pytest.raises(WeightsError, match="proportions"):
        Proportions.load(b"not safetensors")
