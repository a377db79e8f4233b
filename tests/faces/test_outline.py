"""The outline of a picture on a background of one color, and the crop inside it."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from faceloupe.faces.outline import PictureOutline, _ends_of_rows, find_outline
from faceloupe.types import Box
from tests.conftest import PHOTOGRAPH, PORTRAIT


@pytest.fixture(scope="module")
def portrait():
    with Image.open(PORTRAIT) as opened:
        return opened.convert("RGB").resize((400, 480))


def stored(picture: Image.Image, kind: str) -> np.ndarray:
    content = io.BytesIO()
    picture.save(content, kind, **({"quality": 80} if kind == "JPEG" else {}))
    return np.asarray(Image.open(content).convert("RGB"))


def area(outline: PictureOutline) -> float:
    """By the shoelace formula."""
    x, y = outline.corners.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@pytest.mark.parametrize("path", [PORTRAIT, PHOTOGRAPH], ids=lambda path: path.stem)
def test_a_picture_that_fills_its_file_has_no_ground(path):
    with Image.open(path) as opened:
        rgb = np.asarray(opened.convert("RGB"))
    outline = find_outline(rgb)
    assert outline.fills(rgb.shape[1], rgb.shape[0])
    assert outline.tilt_deg == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("border", [(40, 40, 40, 40), (0, 60, 0, 60), (90, 0, 0, 0)], ids=str)
@pytest.mark.parametrize("color", ["white", (10, 80, 30)], ids=str)
def test_a_border_is_not_the_picture(portrait, border, color, kind):
    rgb = stored(ImageOps.expand(portrait, border, color), kind)
    outline = find_outline(rgb)
    left, top = border[:2]
    inside = (left, top, left + 400, top + 480)
    assert np.concatenate([outline.corners.min(0), outline.corners.max(0)]) == pytest.approx(inside, abs=2)
    assert outline.tilt_deg == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("degrees", [-5, 12, 30, 45])
@pytest.mark.parametrize("expand", [True, False], ids=["whole", "cut"])
def test_the_corners_of_a_turned_picture_are_not_the_picture_and_its_tilt_is_known(portrait, degrees, expand, kind):
    rgb = stored(portrait.rotate(degrees, Image.Resampling.BICUBIC, expand=expand, fillcolor=(120, 0, 90)), kind)
    outline = find_outline(rgb)
    assert (outline.tilt_deg + degrees + 45) % 90 - 45 == pytest.approx(0, abs=1)
    share = 1.0 if expand else (rgb != (120, 0, 90)).any(-1).mean() if kind == "PNG" else None
    if share is not None:
        assert area(outline) == pytest.approx(share * 400 * 480, rel=0.05)


def test_a_head_before_a_plain_wall_and_a_round_picture_have_no_frame():
    scene = Image.new("RGB", (400, 400), (200, 200, 200))
    draw = ImageDraw.Draw(scene)
    draw.ellipse((130, 60, 270, 240), fill=(160, 110, 90))
    draw.polygon([(60, 400), (110, 290), (180, 250), (220, 250), (290, 290), (340, 400)], fill=(30, 40, 90))
    assert find_outline(np.asarray(scene)).fills(400, 400)
    medallion = Image.new("RGB", (400, 400), "white")
    ImageDraw.Draw(medallion).ellipse((20, 20, 380, 380), fill=(90, 60, 50))
    assert find_outline(np.asarray(medallion)).fills(400, 400)


def test_a_rectangle_grows_to_the_edges_of_an_upright_frame():
    assert PictureOutline.of_size(100, 200).rectangle(Box(10, 10, 30, 40), 5).corners == pytest.approx((0, 0, 100, 200))
    assert PictureOutline.of_size(100, 200).rectangle(Box(40, 90, 60, 110), 5, most=30).corners == pytest.approx(
        (20, 70, 80, 130)
    )


@pytest.mark.parametrize("degrees", range(-44, 46, 11))
def test_a_rectangle_in_a_tilted_frame_stays_inside_and_cannot_grow(degrees):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle), 300], [np.sin(angle), np.cos(angle), 200]])
    outline = PictureOutline.of_size(200, 300).moved(matrix)
    x, y = matrix @ (90, 130, 1)
    box = Box(x - 20, y - 25, x + 20, y + 25)
    inside = outline.rectangle(box, 25)
    corners = np.array([(x, y) for x in (inside.x0, inside.x1) for y in (inside.y0, inside.y1)])
    back = (corners - matrix[:, 2]) @ matrix[:, :2]
    assert back.min() > -1e-4
    assert (back < np.array((200, 300)) + 1e-4).all()
    touched = (np.abs(back) < 1e-4) | (np.abs(back - (200, 300)) < 1e-4)
    assert touched.any(1).sum() >= 2
    assert inside.x0 < box.x0
    assert inside.y1 > box.y1


def test_a_rectangle_keeps_its_least_reach_beyond_the_frame():
    inside = PictureOutline.of_size(100, 100).rectangle(Box(80, 40, 120, 60), 30)
    assert inside.corners == pytest.approx((0, 0, 130, 100))


@pytest.mark.parametrize("share", [0.001, 0.02, 0.6])
def test_the_hull_of_the_ends_of_rows_is_that_of_all_pixels(share):
    content = (np.random.default_rng(1).random((120, 90)) < share).astype(np.uint8) * 255
    every = np.argwhere(content)[:, ::-1].astype(np.int32)
    assert np.array_equal(
        cv2.convexHull(_ends_of_rows(content), clockwise=False), cv2.convexHull(every, clockwise=False)
    )
