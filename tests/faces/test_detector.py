import numpy as np
import pytest
from PIL import Image, ImageOps

from faceloupe.config import Settings
from faceloupe.faces.detector import FaceDetector
from tests.conftest import GENERATED, PHOTOGRAPH, skimage_picture


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(Settings())


def rgb(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def sure(faces):
    return [face for face in faces if face.confidence > 0.95]


def twelve() -> Image.Image:
    """Twelve faces in a grid, from the two bundled portraits, mirrored and not."""
    tiles = []
    for path in (GENERATED, PHOTOGRAPH):
        tile = ImageOps.fit(Image.open(path).convert("RGB"), (360, 360), centering=(0.5, 0.2))
        tiles += [tile, ImageOps.mirror(tile), tile.resize((300, 300)).resize((360, 360))]
    sheet = Image.new("RGB", (1440, 1080))
    for number in range(12):
        sheet.paste(tiles[number % 6], (360 * (number % 4), 360 * (number // 4)))
    return sheet


@pytest.mark.parametrize("path", [GENERATED, PHOTOGRAPH], ids=lambda path: path.stem)
def test_a_portrait_has_one_face_with_its_landmarks_inside(detector, path):
    (face,) = sure(detector.detect(rgb(path)))
    x0, y0, x1, y1 = face.box.corners
    assert ((face.landmarks >= (x0, y0)) & (face.landmarks <= (x1, y1))).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0]


def test_all_faces_are_found_not_the_largest_alone(detector):
    faces = sure(detector.detect(np.asarray(twelve())))
    assert len(faces) == 12
    areas = [face.box.width * face.box.height for face in faces]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg"])
def test_a_picture_without_a_face_has_none(detector, name):
    assert sure(detector.detect(rgb(skimage_picture(name)))) == []


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (19, 19), (600, 800)], ids=str)
def test_black_and_tiny_pictures_have_none(detector, shape):
    assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []


def test_noise_does_not_break_the_search(detector):
    for seed in range(5):
        noise = np.random.default_rng(seed).integers(0, 256, (60, 90, 3), dtype=np.uint8)
        assert sure(detector.detect(noise)) == []


def iou(a, b) -> float:
    width = max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0))
    height = max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))
    return width * height / (a.width * a.height + b.width * b.height - width * height)


def test_a_face_that_fills_its_picture_is_found(detector, portrait):
    (face,) = sure(detector.detect(portrait))
    x0, y0, x1, y1 = (int(value) for value in face.box.corners)
    close_up = portrait[y0:y1, x0:x1]
    (found,) = sure(detector.detect(close_up))
    assert found.box.width > 0.7 * close_up.shape[1]


@pytest.mark.slow
def test_a_fifty_megapixel_photo_keeps_its_faces(detector):
    sheet = twelve()
    small = sure(detector.detect(np.asarray(sheet)))
    scale = 6
    large = np.asarray(sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.BICUBIC))
    assert large.shape[0] * large.shape[1] > 50_000_000
    found = sure(detector.detect(large))
    assert len(found) == 12
    for face in small:
        x0, y0, x1, y1 = (value * scale for value in face.box.corners)
        assert max(iou(type(face.box)(x0, y0, x1, y1), other.box) for other in found) > 0.7


def test_boxes_stay_inside_the_picture(detector, portrait):
    height, width = portrait.shape[:2]
    for crop in (portrait[:, : width // 2], portrait[height // 4 :], portrait[200:520, 300:640]):
        crop = np.ascontiguousarray(crop)
        for face in detector.detect(crop):
            assert face.box.x0 >= 0
            assert face.box.y0 >= 0
            assert face.box.x1 <= crop.shape[1]
            assert face.box.y1 <= crop.shape[0]
