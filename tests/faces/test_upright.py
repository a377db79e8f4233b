"""Faces at any angle: detected, turned upright, and located in the picture."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from faceloupe.faces import upright as module
from faceloupe.faces.outline import BorderlessPicture, PictureOutline
from faceloupe.faces.upright import AnyAngleVideoDetector, find, roll, upright, yaw
from faceloupe.types import Box, DetectedFace
from tests.conftest import PHOTOGRAPH, PORTRAIT

LEVEL = np.array([[-20, -15], [20, -15], [0, 5], [-15, 25], [15, 25]], float)
RGB = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
FRAME = PictureOutline.of_size(400, 300)


def face(degrees: float, center=(200.0, 150.0), confidence=1.0, half=(30, 45)) -> DetectedFace:
    """A face that is tilted clockwise."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    across, down = half[:: -1 if round(degrees / 90) % 2 else 1]
    box = Box(center[0] - across, center[1] - down, center[0] + across, center[1] + down)
    return DetectedFace(box, confidence, LEVEL @ turn.T + center)


class Drawn:
    """A detector whose faces are given by the color in the corner of the picture."""

    def __init__(self, answers: dict[str, list[DetectedFace]]) -> None:
        self.answers, self.searches = answers, 0

    def detect(self, rgb: np.ndarray) -> list[DetectedFace]:
        self.searches += 1
        return self.answers.get(f"{rgb.shape[1]}x{rgb.shape[0]}:{rgb[0, 0, 0]}", [])


@pytest.mark.parametrize("degrees", range(-179, 181, 13))
def test_the_roll_is_the_tilt_of_the_eye_line(degrees):
    assert roll(face(degrees)) == pytest.approx(degrees)


def test_the_eye_line_of_a_profile_does_not_decide():
    landmarks = LEVEL.copy()
    landmarks[:2] = [[5, -15], [6, -9]]
    turned = DetectedFace(face(0).box, 1.0, landmarks + np.array([200, 150]))
    assert abs(roll(turned)) < 15


# A head, mm: eyes, tip of the nose, corners of the mouth; x to the right, y down, z away from the camera.
HEAD = np.array([[-31.5, -34, 26], [31.5, -34, 26], [0, 0, 0], [-27, 30, 26], [27, 30, 26]], float)


@pytest.mark.parametrize("roll_deg", [0, 25, -140])
@pytest.mark.parametrize("pitch_deg", [-15, 0, 15])
@pytest.mark.parametrize("yaw_deg", [-60, -30, -5, 0, 20, 45])
def test_the_yaw_of_a_head_in_space_is_estimated_from_its_picture(yaw_deg, pitch_deg, roll_deg):
    turns = (np.radians(angle) for angle in ([0, -yaw_deg, 0], [pitch_deg, 0, 0], [0, 0, roll_deg]))
    matrix = np.eye(3)
    for turn in turns:
        matrix = cv2.Rodrigues(np.array(turn, float))[0] @ matrix
    camera = np.array([[2000, 0, 0], [0, 2000, 0], [0, 0, 1]], float)
    landmarks, _ = cv2.projectPoints(HEAD @ matrix.T, np.zeros(3), np.array([0, 0, 1500.0]), camera, None)
    seen = DetectedFace(Box(-60, -60, 60, 60), 1.0, landmarks[:, 0])
    assert yaw(seen) == pytest.approx(yaw_deg, abs=7)


@pytest.mark.parametrize("degrees", [-11.9, 0, 5, 11.9])
def test_a_face_that_is_nearly_level_is_left_in_its_picture(degrees):
    stood = upright(RGB, face(degrees), FRAME)
    assert stood.rgb is RGB
    assert (stood.box, stood.turned_deg) == (face(degrees).box, 0.0)
    assert stood.in_picture(stood.box) == stood.box


@pytest.mark.parametrize("degrees", [90, 180, -90, 85, 97, -175])
def test_a_quarter_turn_changes_no_pixel(degrees):
    tilted = face(degrees)
    stood = upright(RGB, tilted, FRAME)
    assert stood.turned_deg == {90: -90, 180: 180, -90: 90, 85: -90, 97: -90, -175: 180}[degrees]
    assert (stood.box.width, stood.box.height) == pytest.approx((60, 90))
    x0, y0, x1, y1 = (round(value) for value in stood.box.corners)
    u0, v0, u1, v1 = (round(value) for value in tilted.box.corners)
    quarters = round(degrees / 90) % 4
    assert np.array_equal(stood.rgb[y0:y1, x0:x1], np.rot90(RGB[v0:v1, u0:u1], quarters))
    assert stood.in_picture(stood.box).corners == pytest.approx(tilted.box.corners)


@pytest.mark.parametrize("degrees", [30, -30, 60, 120, 150, -140, -104, 44, 134])
def test_a_tilted_face_stands_upright_where_its_box_says(degrees):
    """A picture that was rotated around the face is rotated back; the pixels in the box must be the original ones."""
    soft = cv2.GaussianBlur(RGB, (0, 0), 4)
    matrix = cv2.getRotationMatrix2D((200 - 0.5, 150 - 0.5), -degrees, 1.0)
    turned = cv2.warpAffine(soft, matrix, (400, 300), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    stood = upright(turned, face(degrees), FRAME)
    assert stood.turned_deg == pytest.approx(-degrees)
    assert (stood.box.width, stood.box.height) == pytest.approx((60, 90))
    x0, y0, x1, y1 = (round(value) for value in stood.box.corners)
    assert np.abs(stood.rgb[y0:y1, x0:x1].astype(int) - soft[105:195, 170:230]).mean() < 2
    around = stood.in_picture(stood.box)
    assert ((around.x0 + around.x1) / 2, (around.y0 + around.y1) / 2) == pytest.approx((200, 150))
    assert around.width >= min(60, 90)


@pytest.mark.parametrize("degrees", [40, 90, 180])
@pytest.mark.parametrize("center", [(5, 5), (395, 150), (200, 299)], ids=str)
def test_faces_at_the_edge_are_turned_too(degrees, center):
    tilted = face(degrees, center)
    clipped = DetectedFace(tilted.box.clipped(400, 300), 1.0, tilted.landmarks)
    stood = upright(RGB, clipped, FRAME)
    stood.box.clipped(stood.rgb.shape[1], stood.rgb.shape[0])
    assert stood.rgb.dtype == np.uint8


def test_a_picture_with_an_unmistakable_face_is_searched_once():
    detector = Drawn({"400x300:9": [face(0), face(11, (60, 60), 0.995)]})
    picture = RGB.copy()
    picture[0, 0] = 9
    assert len(find(picture, detector)) == 2
    assert detector.searches == 1


def test_a_tilted_face_has_the_box_that_it_has_when_it_stands_upright(analyzer):
    with Image.open(PORTRAIT) as opened:
        picture = opened.convert("RGB").resize((400, 400))
    tilted = np.asarray(ImageOps.expand(picture, 100, (90, 20, 60)).rotate(30, Image.Resampling.BICUBIC))
    (level, *_), (detected, *_) = (find(rgb, analyzer.detector) for rgb in (np.asarray(picture), tilted))
    assert (detected.box.width, detected.box.height) == pytest.approx((level.box.width, level.box.height), rel=0.06)


def test_a_face_on_its_side_is_told_in_pixels_of_the_picture():
    picture = RGB.copy()
    picture[:, -1] = 7  # is its first row when it is turned counterclockwise
    picture[0, 0] = 9
    seen = face(0, (100, 300))
    detector = Drawn({"300x400:7": [seen]})
    (detected,) = find(picture, detector)
    assert detector.searches == 4
    assert roll(detected) == pytest.approx(90)
    assert detected.box.corners == pytest.approx((400 - 345, 70, 400 - 255, 130))


def test_unsure_faces_in_turned_pictures_do_not_count():
    picture = RGB.copy()
    picture[:, -1] = 7
    picture[0, 0] = 9
    unsure = face(0, (200, 150), 0.7)
    detector = Drawn({"300x400:7": [face(0, (100, 300), 0.89)], "400x300:9": [unsure]})
    assert find(picture, detector) == [unsure]


def test_a_heatmap_lies_where_the_face_is():
    from faceloupe.findings import FaceFinding
    from faceloupe.report.drawing.overlays import _turned_back
    from faceloupe.types import FaceQuality, Outcome

    heatmap = np.zeros((32, 32), np.float32)
    heatmap[:8, 12:20] = 1.0  # the forehead
    for degrees, position in ((90, (280, 150)), (-90, (120, 150)), (180, (200, 230)), (30, (240, 81))):
        stood = upright(RGB, face(degrees), FRAME)
        square = Box(
            *(value + shift for value, shift in zip(_middle(stood.box) * 2, (-100, -100, 100, 100), strict=True))
        )
        finding = FaceFinding(
            *(1, face(degrees).box, 1.0, 60.0, FaceQuality(60.0, 100.0, 1.0), Outcome.AUTHENTIC, "", 0.01),
            heatmap=heatmap,
            crop_box=stood.in_picture(square),
            turned_deg=stood.turned_deg,
        )
        drawn = _turned_back(finding.heatmap, finding.crop_box, finding.turned_deg, 1.0, (300, 400))
        rows, columns = np.nonzero(drawn > 0.5)
        assert (columns.mean(), rows.mean()) == pytest.approx(position, abs=8)


def _middle(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("path", [PORTRAIT, PHOTOGRAPH], ids=lambda path: path.stem)
def test_a_portrait_that_lies_has_the_face_that_it_has_upright(analyzer, path, quarters):
    with Image.open(path) as opened:
        opened.thumbnail((512, 512))
        picture = np.asarray(opened.convert("RGB"))
    (level, *_), (lying, *_) = (
        find(variant, analyzer.detector) for variant in (picture, np.rot90(picture, -quarters).copy())
    )
    tilt = roll(lying) - roll(level)
    assert (tilt - 90 * quarters + 180) % 360 - 180 == pytest.approx(0, abs=2)
    turned = np.rot90(picture, -quarters).copy()
    first, other = (
        upright(rgb, detected, PictureOutline.of_size(rgb.shape[1], rgb.shape[0]))
        for rgb, detected in ((picture, level), (turned, lying))
    )
    sizes = [(stood.box.width, stood.box.height) for stood in (first, other)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


@pytest.mark.parametrize("degrees", [5, -30, 45])
@pytest.mark.parametrize("expand", [True, False], ids=["whole", "cut"])
def test_a_face_in_a_turned_picture_has_no_more_around_it_than_before(analyzer, degrees, expand):
    """The corners that the turn filled in are not around the face, and the turn is undone to the degree."""
    with Image.open(PORTRAIT) as opened:
        picture = opened.convert("RGB").resize((400, 400))
    filled = np.asarray(picture.rotate(degrees, Image.Resampling.BICUBIC, expand=expand, fillcolor=(90, 20, 60)))
    borderless = BorderlessPicture.find_in(filled)
    (level, *_), (detected, *_) = (find(rgb, analyzer.detector) for rgb in (np.asarray(picture), borderless.rgb))
    assert borderless.turned_deg == pytest.approx(degrees, abs=1)
    stood = upright(borderless.rgb, detected, borderless.outline)
    assert (stood.rgb == (90, 20, 60)).all(-1).mean() < 0.001
    assert (stood.box.width, stood.box.height) == pytest.approx((level.box.width, level.box.height), rel=0.05)
    assert max(level.box.width, level.box.height) <= min(stood.rgb.shape[:2]) <= 400
    in_file = borderless.to_file(detected)
    assert roll(in_file) == pytest.approx(roll(level) - degrees, abs=3)
    angle, center = (
        np.radians(degrees),
        np.array([(level.box.x0 + level.box.x1) / 2, (level.box.y0 + level.box.y1) / 2]),
    )
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    x, y = turn @ (center - 200) + np.array(filled.shape[1::-1]) / 2
    assert _middle(in_file.box) == pytest.approx((x, y), abs=6)


def test_a_face_that_was_photographed_with_a_tilted_camera_has_no_reflection_around_it():
    """The picture fills its file; the rectangle around the face keeps to what was photographed."""
    ramp = np.repeat(np.arange(400, dtype=np.uint8)[None, :, None] // 2, 300, 0).repeat(3, 2)
    stood = upright(ramp, face(30, half=(20, 30)), FRAME)
    corners = np.array([(x, y) for x in (0, stood.rgb.shape[1]) for y in (0, stood.rgb.shape[0])])
    x, y = (corners @ stood.inverse[:, :2].T + stood.inverse[:, 2]).T
    assert x.min() > -1
    assert y.min() > -1
    assert x.max() < 401
    assert y.max() < 301
    assert min(stood.rgb.shape[:2]) > 2 * 60
    assert stood.in_picture(stood.box, np.array([(1, 0, 7), (0, 1, 9)], float)).x0 == pytest.approx(
        stood.in_picture(stood.box).x0 + 7
    )


def test_the_limits_of_the_search_are_in_order():
    assert module.SURE < module._UNMISTAKABLE < 1


class DrawnFollowed(Drawn):
    """The same for frames that come one by one."""

    def for_video(self) -> "DrawnFollowed":
        return self

    def detect(self, rgb: np.ndarray, *, fresh: bool = False) -> list[DetectedFace]:
        return super().detect(rgb)

    def search_fully(self, rgb: np.ndarray) -> list[DetectedFace]:
        return super().detect(rgb)

    def search_between(self, rgb: np.ndarray, known: list[DetectedFace]) -> list[DetectedFace]:
        return super().detect(rgb)


LYING = face(0, (100, 300), 0.999)  # in the frame that was turned counterclockwise: at (100, 100) in the frame itself


@pytest.mark.parametrize(
    ("upright_face", "seen"),
    [
        (None, 90),  # none upright
        (face(0, (100, 100), 0.95, half=(45, 30)), 90),  # the same one, with doubt
        (face(0, (300, 200), 0.95), 0),  # another one: it is not given up
        (face(0, (100, 100), 0.999, half=(45, 30)), 0),  # the same one, beyond doubt
    ],
)
def test_frames_are_searched_as_the_face_of_the_first_was_seen_beyond_doubt(upright_face, seen):
    frame = RGB.copy()
    frame[:, -1] = 7
    frame[0, 0] = 9
    video_detector = AnyAngleVideoDetector(
        DrawnFollowed({"300x400:7": [LYING], "400x300:9": [upright_face] if upright_face else []})
    )
    for fresh in (True, False):
        (detected,) = video_detector.detect(frame, fresh=fresh)
        assert roll(detected) == pytest.approx(seen)


def test_a_frame_that_is_not_the_first_of_its_shot_is_searched_once():
    detector = DrawnFollowed({})
    assert AnyAngleVideoDetector(detector).detect(RGB) == []
    assert detector.searches == 1


@pytest.mark.parametrize(("factor", "size"), [(2.0, (800, 300)), (0.5, (400, 600))])
def test_a_widened_picture_keeps_its_face_and_the_way_back_to_the_file(factor, size):
    stood = upright(RGB, face(0), FRAME)
    wide = stood.widened(factor)
    assert wide.rgb.shape[1::-1] == size
    ratio = wide.box.width / wide.box.height
    assert ratio == pytest.approx(factor * stood.box.width / stood.box.height)
    assert wide.in_picture(wide.box).corners == pytest.approx(stood.box.corners)


def test_a_huge_picture_is_not_enlarged_when_it_is_widened(monkeypatch):
    monkeypatch.setattr("faceloupe.faces.upright._MOST_PIXELS", 30_000)
    stood = upright(RGB, face(0), FRAME)
    wide = stood.widened(2.0)
    assert wide.rgb.shape[0] * wide.rgb.shape[1] == pytest.approx(30_000, rel=0.02)
    assert wide.box.width / wide.box.height == pytest.approx(2.0 * stood.box.width / stood.box.height, rel=0.02)
    assert wide.in_picture(wide.box).corners == pytest.approx(stood.box.corners)
