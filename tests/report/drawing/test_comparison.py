"""Two pictures through one window."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from faceloupe.report.drawing.comparison import DIFFERENCE_MAX, Pair, Window, blinking, difference_picture
from faceloupe.report.drawing.overlays import color_map


@pytest.fixture
def pictures():
    generator = np.random.default_rng(1)
    first = generator.integers(0, 200, (60, 80, 3), dtype=np.uint8)
    second = first.copy()
    second[10:20, 30:50, 1] += 40
    return first, second


def test_the_difference_is_there_where_the_pixels_differ_and_nowhere_else(pictures):
    difference = Pair.of(*pictures).difference()
    expected = np.zeros((60, 80), np.uint8)
    expected[10:20, 30:50] = 40
    assert np.array_equal(difference, expected)


def test_a_weak_difference_looks_weak_as_the_scale_is_fixed():
    levels = np.array([[0, 8, DIFFERENCE_MAX, 255]], np.uint8)
    shown = difference_picture(levels)
    assert np.array_equal(shown, color_map(np.array([[0.0, 8 / DIFFERENCE_MAX, 1.0, 1.0]]), cv2.COLORMAP_INFERNO))
    assert shown[0, 1].astype(int).sum() < 200 < shown[0, 2].astype(int).sum()


def test_both_are_looked_at_through_the_same_window(pictures):
    first, second = pictures
    pair = Pair.of(first, second).through(Window(4.0, 0.0, 1.0))
    for shown, picture in ((pair.first, first), (pair.second, second)):
        corner = picture[45:60, 0:20]
        factor = shown.shape[1] // 20
        assert np.array_equal(shown[factor // 2 :: factor, factor // 2 :: factor], corner)


def test_a_second_picture_of_another_size_is_brought_to_the_first_and_that_is_said(pictures):
    first, second = pictures
    pair = Pair.of(first, second[:30, :40])
    assert (pair.second.shape, pair.resized) == (first.shape, True)
    assert not Pair.of(first, second).resized


def test_blinking_shows_both_without_loss_and_without_end(pictures):
    with Image.open(io.BytesIO(blinking(Pair.of(*pictures)))) as animation:
        frames = []
        for number in range(animation.n_frames):
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB")))
        assert animation.info["loop"] == 0
    assert np.array_equal(frames, pictures)
