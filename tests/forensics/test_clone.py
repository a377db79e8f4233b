import io

import cv2
import numpy as np
import pytest
from PIL import Image

from faceloupe.forensics import clone
from tests.conftest import GENERATED
from tests.forensics.conftest import source


@pytest.fixture(scope="module")
def textured() -> np.ndarray:
    """(480, 640, 3) uint8 of coarse noise without repeated parts, with few keypoints."""
    noise = np.random.default_rng(3).normal(0, 1, (480, 640, 3))
    coarse = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.clip(128 + 600 * coarse, 0, 255).astype(np.uint8)


def result(rgb: np.ndarray):
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=90)
    return clone.examine(source(stream.getvalue()))


def test_a_copied_part_is_found_with_its_movement_and_shown_at_both_places(textured):
    edited = textured.copy()
    edited[250:400, 400:580] = textured[50:200, 60:240]
    looked = result(edited)
    assert [finding.id for finding in looked.findings] == [clone.COPIED]
    assert looked.facts[1].value == "340 columns, 200 rows"
    (picture,) = looked.pictures
    inside = np.zeros(picture.levels.shape, bool)
    inside[50:200, 60:240] = inside[250:400, 400:580] = True
    assert (picture.levels[inside] > 0).mean() > 0.8
    assert (picture.levels[~inside] > 0).mean() < 0.02


def test_a_part_that_was_turned_and_enlarged_is_found(textured):
    matrix = cv2.getRotationMatrix2D((150, 150), 15, 1.1)
    matrix[:, 2] += 300, 150
    moved = cv2.warpAffine(textured, matrix, (640, 480), flags=cv2.INTER_CUBIC)
    mask = np.zeros((480, 640), np.uint8)
    cv2.circle(mask, (450, 300), 90, 1, -1)
    edited = np.where(mask[..., None] == 1, moved, textured)
    assert [finding.id for finding in result(edited).findings] == [clone.COPIED]


def test_a_picture_in_which_nothing_lies_twice_has_no_finding(textured):
    assert result(textured).facts[0].value == "none"
    assert clone.examine(source(GENERATED.read_bytes())).findings == ()


@pytest.mark.parametrize("shape", [(1, 1), (480, 640)])
def test_a_flat_picture_has_no_part_twice(shape):
    assert clone.find(np.full(shape, 90, np.uint8)) is None
