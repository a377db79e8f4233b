from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps

from faceloupe.config import Settings
from faceloupe.faces.detector import FaceDetector
from faceloupe.types import DetectedFace
from tests.conftest import PHOTOGRAPH, PORTRAIT, skimage_picture


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
    for path in (PORTRAIT, PHOTOGRAPH):
        tile = ImageOps.fit(Image.open(path).convert("RGB"), (360, 360), centering=(0.5, 0.2))
        tiles += [tile, ImageOps.mirror(tile), tile.resize((300, 300)).resize((360, 360))]
    sheet = Image.new("RGB", (1440, 1080))
    for number in range(12):
        sheet.paste(tiles[number % 6], (360 * (number % 4), 360 * (number // 4)))
    return sheet


@pytest.mark.parametrize("path", [PORTRAIT, PHOTOGRAPH], ids=lambda path: path.stem)
def test_a_portrait_has_one_face_with_its_landmarks_inside(detector, path):
    (face,) = sure(detector.detect(rgb(path)))
    x0, y0, x1, y1 = face.box.corners
    assert ((face.landmarks >= (x0, y0)) & (face.landmarks <= (x1, y1))).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0]


def test_threads_that_search_at_once_find_what_each_finds_alone(detector):
    pictures = [rgb(PORTRAIT), rgb(PHOTOGRAPH), np.asarray(twelve())]
    alone = [[face.box.corners for face in detector.detect(picture)] for picture in pictures]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(detector.detect, pictures * 4))
    assert [[face.box.corners for face in faces] for faces in together] == alone * 4


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
    (result,) = sure(detector.detect(close_up))
    assert result.box.width > 0.7 * close_up.shape[1]


@pytest.mark.slow
def test_a_fifty_megapixel_photo_keeps_its_faces(detector):
    sheet = twelve()
    small = sure(detector.detect(np.asarray(sheet)))
    scale = 6
    large = np.asarray(sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.BICUBIC))
    assert large.shape[0] * large.shape[1] > 50_000_000
    result = sure(detector.detect(large))
    assert len(result) == 12
    for face in small:
        x0, y0, x1, y1 = (value * scale for value in face.box.corners)
        assert max(iou(type(face.box)(x0, y0, x1, y1), other.box) for other in result) > 0.7


def test_boxes_stay_inside_the_picture(detector, portrait):
    height, width = portrait.shape[:2]
    for crop in (portrait[:, : width // 2], portrait[height // 4 :], portrait[200:520, 300:640]):
        crop = np.ascontiguousarray(crop)
        for face in detector.detect(crop):
            assert face.box.x0 >= 0
            assert face.box.y0 >= 0
            assert face.box.x1 <= crop.shape[1]
            assert face.box.y1 <= crop.shape[0]


def on_canvas(portrait: np.ndarray, x: int, y: int, side: int, canvas=(480, 854)) -> np.ndarray:
    """A gray frame with the portrait, scaled to a side, at a place; its face is about a third of the side wide."""
    frame = np.full((*canvas, 3), 90, np.uint8)
    frame[y : y + side, x : x + side] = np.asarray(Image.fromarray(portrait).resize((side, side), Image.BOX))
    return frame


def follow(detector: FaceDetector, frames: list[np.ndarray], fresh: list[bool]) -> list[list[DetectedFace]]:
    video_detector = detector.for_video()
    return [video_detector.detect(rgb, fresh=first) for rgb, first in zip(frames, fresh, strict=True)]


def assert_alike(followed, detected):
    followed, detected = sure(followed), sure(detected)
    assert len(followed) == len(detected)
    for face in detected:
        assert max(iou(face.box, other.box) for other in followed) > 0.7


def test_a_moving_and_growing_face_is_followed_to_where_a_full_search_finds_it(detector, portrait):
    frames = [on_canvas(portrait, 70 * n, 12 * n, 200 + 20 * n) for n in range(8)]
    for rgb, faces in zip(frames, follow(detector, frames, [True] + [False] * 7), strict=True):
        assert len(sure(faces)) == 1
        assert_alike(faces, detector.detect(rgb))


def test_single_frames_are_searched_like_pictures(detector):
    sheet = np.asarray(twelve())
    (faces,) = follow(detector, [sheet], [True])
    assert len(sure(faces)) == 12
    assert_alike(faces, detector.detect(sheet))
    areas = [face.box.width * face.box.height for face in faces]
    assert areas == sorted(areas, reverse=True)


def test_a_face_is_not_carried_over_a_cut_and_a_small_one_behind_it_is_found(detector, portrait):
    frames = [on_canvas(portrait, 300, 20, 400)] * 2 + [on_canvas(portrait, 40, 40, 150)] * 2
    first, second, third, fourth = follow(detector, frames, [True, False, True, False])
    assert_alike(second, first)
    assert_alike(fourth, third)
    assert_alike(third, detector.detect(frames[2]))


def test_a_face_that_shrinks_or_leaves_has_its_frame_searched_fully(detector, portrait):
    frames = [on_canvas(portrait, 300, 20, 400), on_canvas(portrait, 40, 40, 150), np.full((480, 854, 3), 90, np.uint8)]
    large, small, gone = follow(detector, frames, [True, False, False])
    assert_alike(large, detector.detect(frames[0]))
    assert_alike(small, detector.detect(frames[1]))
    assert sure(gone) == []


def test_a_large_newcomer_is_found_at_once_and_a_small_one_by_the_next_full_search(detector, portrait):
    empty = np.full((480, 854, 3), 90, np.uint8)
    followed = follow(detector, [empty, on_canvas(portrait, 0, 0, 480)], [True, False])
    assert [len(sure(faces)) for faces in followed] == [0, 1]
    followed = follow(detector, [empty] + [on_canvas(portrait, 40, 40, 150)] * 7, [True] + [False] * 7)
    assert len(sure(followed[-1])) == 1


def test_a_face_that_fills_the_frames_of_a_clip_is_found_in_each(detector, portrait):
    (face,) = sure(detector.detect(portrait))
    x0, y0, x1, y1 = (int(value) for value in face.box.corners)
    frames = [np.ascontiguousarray(portrait[y0 + n : y1 + n, x0:x1]) for n in (0, 5, 10)]
    for faces in follow(detector, frames, [True, False, False]):
        (result,) = sure(faces)
        assert result.box.width > 0.7 * (x1 - x0)


def test_boxes_of_a_followed_face_stay_inside_the_frame(detector, portrait):
    half = np.ascontiguousarray(portrait[:, : portrait.shape[1] // 2])
    for faces in follow(detector, [half, half], [True, False]):
        assert [face.box for face in faces] == [face.box.clipped(half.shape[1], half.shape[0]) for face in faces]


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (19, 19), (5, 400), (600, 800)], ids=str)
def test_black_and_tiny_frames_have_no_face(detector, shape):
    assert follow(detector, [np.zeros((*shape, 3), np.uint8)] * 3, [True, False, False]) == [[], [], []]


def test_small_frames_are_searched_for_smaller_faces(detector):
    assert detector.min_detectable_px_in_video(320, 240) == detector.min_detectable_px_in_video(640, 480) == 20
    assert detector.min_detectable_px_in_video(1280, 720) == pytest.approx(39.8, abs=0.1)
    assert detector.min_detectable_px_in_video(3840, 2160) == pytest.approx(
        2 * detector.min_detectable_px_in_video(1920, 1080)
    )


def test_a_face_of_a_frame_larger_than_the_search_is_in_pixels_of_the_frame(portrait):
    small = FaceDetector(Settings(detection_long_side=512))
    frame = on_canvas(portrait, 100, 40, 600, (720, 1280))
    for faces in follow(small, [frame, frame], [True, False]):
        assert_alike(faces, small.detect(frame))


@pytest.mark.shared
def test_the_faces_of_a_real_clip_are_those_of_full_searches(detector, shared_data):
    import av

    with av.open(str(shared_data / "videos" / "control_several_faces" / "sberswap_2person.mp4")) as container:
        decoded = [frame for frame, _ in zip(container.decode(video=0), range(61))]
    frames = [frame.to_ndarray(format="rgb24") for frame in decoded[::20]]
    for rgb, faces in zip(frames, follow(detector, frames, [True] + [False] * (len(frames) - 1)), strict=True):
        assert len(sure(faces)) >= 2
        assert_alike(faces, detector.detect(rgb))
