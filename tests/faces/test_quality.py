import cv2
import numpy as np
import pytest
from scipy.ndimage import laplace

from faceloupe.faces.quality import assess, color_spread, sharpness
from faceloupe.models.contract import QualityGates
from faceloupe.types import Box, DetectedFace

GATES = QualityGates(min_size_px=48, min_sharpness=5.0, min_confidence=0.9)


def face(size: float, confidence: float = 1.0) -> DetectedFace:
    return DetectedFace(Box(0, 0, size, size * 1.3), confidence, np.zeros((5, 2)))


@pytest.fixture
def crop(portrait) -> np.ndarray:
    return cv2.resize(portrait, (224, 224), interpolation=cv2.INTER_AREA)


def test_sharpness_agrees_with_an_independent_laplacian(crop):
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(float)
    assert sharpness(crop) == pytest.approx(laplace(gray, mode="mirror").var(), rel=1e-9)


def test_blur_lowers_sharpness_and_a_flat_crop_has_none(crop):
    values = [sharpness(cv2.GaussianBlur(crop, (0, 0), sigma)) for sigma in (0.5, 1.5, 4.0)]
    assert values == sorted(values, reverse=True)
    assert sharpness(np.full((224, 224, 3), 77, np.uint8)) == 0.0


def test_a_good_face_passes(crop):
    assert assess(face(120), crop, GATES).problem == ""


@pytest.mark.parametrize(
    ("size", "confidence", "blur", "message"),
    [(22, 1.0, 0, "22 px wide; at least 48 px are needed"), (120, 0.5, 0, "not sure"), (120, 1.0, 12, "too blurred")],
)
def test_each_gate_says_what_it_found_and_what_it_needs(crop, size, confidence, blur, message):
    if blur:
        crop = cv2.GaussianBlur(crop, (0, 0), blur)
    assert message in assess(face(size, confidence), crop, GATES).problem


def gray(crop: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def toned(crop: np.ndarray) -> np.ndarray:
    """As a sepia print: every lightness has one color."""
    ramp = np.linspace(0.0, 1.0, 256)
    print_of = np.stack([ramp**0.8, ramp, ramp**1.3], axis=1)
    return np.rint(print_of[gray(crop)[..., 0]] * 255.0).astype(np.uint8)


@pytest.mark.parametrize("make", [gray, toned])
def test_a_picture_in_one_tone_is_distinguished_from_one_in_color(crop, make):
    gates = QualityGates(48, 5.0, 0.9, min_color=2.0)
    assert color_spread(make(crop)) < 1.0
    assert color_spread(crop) > 4.0
    assert "gray or in one tone" in assess(face(120), make(crop), gates).problem
    assert assess(face(120), make(crop), GATES).problem == assess(face(120), crop, gates).problem == ""
