from itertools import pairwise

import numpy as np
import pytest

from faceloupe.models.contract import InputContract
from faceloupe.scoring.preprocess import crop_square, cut, normalize, view_face
from faceloupe.types import Box
from tests.torchvision_compat import torchvision


@pytest.mark.parametrize("seed", range(50))
def test_the_square_is_whole_inside_and_never_padded(seed):
    random = np.random.default_rng(seed)
    width, height = random.integers(2, 400, 2).tolist()
    x0, y0 = random.uniform(-50, [width - 1.5, height - 1.5])
    box = Box(x0, y0, max(x0, 0) + random.uniform(1, 500), max(y0, 0) + random.uniform(1, 500))
    square = crop_square(box, width, height, 1.2)
    assert square.width == square.height >= 1
    assert square.x0 >= 0
    assert square.y0 >= 0
    assert square.x1 <= width
    assert square.y1 <= height
    assert all(value == int(value) for value in square.corners)


def test_with_room_the_square_is_centered_and_as_large_as_the_margin_says():
    square = crop_square(Box(400, 300, 460, 400), 1000, 1000, 1.2)
    assert square == Box(370, 290, 490, 410)


@pytest.mark.parametrize("seed", range(30))
def test_each_view_lies_within_the_next(seed):
    random = np.random.default_rng(seed)
    rgb = np.zeros((*random.integers(40, 300, 2), 3), np.uint8)
    x0, y0 = random.uniform(-20, 20, 2)
    views = view_face(rgb, Box(x0, y0, x0 + random.uniform(30, 200), y0 + random.uniform(30, 200)), InputContract())
    assert views.crops.shape == (3, 224, 224, 3)
    for inner, outer in pairwise(views.squares):
        assert outer.x0 <= inner.x0 <= inner.x1 <= outer.x1
        assert outer.y0 <= inner.y0 <= inner.y1 <= outer.y1


def test_a_cut_shows_the_region_it_names():
    rgb = np.zeros((100, 100, 3), np.uint8)
    rgb[20:40, 30:50] = (200, 100, 50)
    assert (cut(rgb, Box(30, 20, 50, 40), 64) == (200, 100, 50)).all()


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_shrinking_averages_over_the_area(factor):
    rgb = np.random.default_rng(0).integers(0, 256, (32 * factor, 32 * factor, 3), dtype=np.uint8)
    small = cut(rgb, Box(0, 0, 32 * factor, 32 * factor), 32)
    mean = rgb.reshape(32, factor, 32, factor, 3).mean((1, 3))
    assert np.abs(small - mean).max() <= 0.51


def test_normalization_agrees_with_torchvision():
    contract = InputContract()
    crops = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    functional = torchvision().transforms.functional
    for crop, ours in zip(crops, normalize(crops, contract), strict=True):
        reference = functional.normalize(functional.to_tensor(crop), contract.mean, contract.std)
        np.testing.assert_allclose(ours, reference.numpy(), atol=1e-5)


def test_quality_is_measured_on_the_face_alone_and_at_one_size(portrait):
    box = Box(330, 200, 620, 600)
    narrow = view_face(portrait, box, InputContract(224, views=(1.0, 1.2, 1.3)))
    wide = view_face(portrait, box, InputContract(288, views=(1.3, 2.4)))
    np.testing.assert_array_equal(narrow.measured, narrow.crops[-1])
    np.testing.assert_array_equal(wide.measured, narrow.measured)
    assert wide.widest[1].shape == (288, 288, 3)
    assert wide.squares[-1].width > 1.8 * wide.squares[0].width
    small = view_face(portrait, box, InputContract(192, views=(2.0,)))
    np.testing.assert_array_equal(small.measured, small.crops[0])
