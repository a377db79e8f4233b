import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate, max_pool2d

from faceloupe.faces.mtcnn import STEP, Cascade, _distinct, _SummedAreaTable
from faceloupe.faces.mtcnn_networks import _pooled, _rectified, load_networks
from tests.conftest import skimage_picture
from tests.torchvision_compat import torchvision

CPU = torch.device("cpu")
THRESHOLDS = (0.6, 0.7, 0.7)


@pytest.fixture(scope="module")
def networks() -> tuple:
    torchvision()
    from facenet_pytorch import MTCNN  # after torchvision(), see there

    mtcnn = MTCNN(device=CPU)
    return mtcnn.pnet, mtcnn.rnet, mtcnn.onet


@pytest.fixture(scope="module")
def cascade(networks) -> Cascade:
    return Cascade(*networks, thresholds=THRESHOLDS, device=CPU)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.asarray(Image.open(skimage_picture("astronaut.png")).convert("RGB"))


@pytest.mark.parametrize("smallest", [20, 33.5, 20 / STEP**4], ids="{:.0f} px".format)
def test_boxes_landmarks_and_confidences_are_those_of_facenet(cascade, networks, astronaut, smallest):
    from facenet_pytorch.models.utils.detect_face import detect_face

    picture = np.ascontiguousarray(astronaut[:401, :467])  # odd sizes: cells overlap
    with torch.no_grad():
        (boxes,), (points,) = detect_face(picture, smallest, *networks, THRESHOLDS, STEP, CPU)
    boxes_found = cascade.search(picture, smallest)
    assert len(boxes_found) == len(boxes) > 0
    for entry, box, landmarks in zip(boxes_found, boxes, points, strict=True):
        np.testing.assert_allclose(entry.corners, box[:4].astype(float), atol=0.05)
        np.testing.assert_allclose(entry.landmarks, landmarks.astype(float), atol=0.05)
        assert entry.confidence == pytest.approx(box[4], abs=1e-4)


def test_of_windows_that_show_the_whole_picture_the_one_of_facenet_is_kept(cascade, networks, astronaut):
    from facenet_pytorch.models.utils.detect_face import detect_face

    for left, top, side in ((180, 80, 90), (190, 80, 100), (200, 90, 80)):
        tight = np.ascontiguousarray(astronaut[top : top + side, left : left + side])
        with torch.no_grad():
            (boxes,), _ = detect_face(tight, 20, *networks, THRESHOLDS, STEP, CPU)
        boxes_found = cascade.search(tight, 20)
        assert len(boxes_found) == len(boxes)
        for entry, box in zip(boxes_found, boxes, strict=True):
            np.testing.assert_allclose(entry.corners, box[:4].astype(float), atol=0.05)


@pytest.mark.parametrize("size", [(97, 55), (24, 24), (300, 200)], ids=str)
def test_means_are_those_of_torch_shrinking_and_enlarging(astronaut, size):
    rectangle = np.array([[30, 41, 181, 160]])
    means = _SummedAreaTable(astronaut).means(rectangle, size)
    part = torch.tensor(astronaut[41:160, 30:181]).permute(2, 0, 1)[None].float()
    np.testing.assert_allclose(means[0], interpolate(part, size[::-1], mode="area")[0].permute(1, 2, 0), atol=1e-3)


def test_sums_that_overflow_leave_the_means_right():
    white = np.full((3000, 3000, 3), 255, np.uint8)  # 2.3e9 in all: more than 32 bits with a sign hold
    assert (
        _SummedAreaTable(white).means(np.array([[0, 0, 3000, 3000], [2900, 2900, 3000, 3000]]), (48, 48)) == 255
    ).all()


def test_a_box_beyond_the_picture_shows_what_is_inside_of_it(astronaut):
    table = _SummedAreaTable(astronaut)
    boxes = np.array([[-50.0, -50, 50, 50], [600, 600, 700, 700]])
    shown = table.overlapping(boxes)
    np.testing.assert_array_equal(shown, boxes[:1])
    np.testing.assert_array_equal(table.crops(shown, 24), table.means(np.array([[0, 0, 50, 50]]), (24, 24)))


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (12, 12), (5, 400), (300, 300)], ids=str)
def test_black_and_tiny_pictures_have_no_face(cascade, shape):
    assert cascade.search(np.zeros((*shape, 3), np.uint8), 20) == []


def test_faces_smaller_than_sought_are_left_out(cascade, astronaut):
    assert cascade.search(astronaut, 80)
    assert cascade.search(astronaut, 400) == []


def test_of_overlapping_boxes_the_best_is_kept():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [2, 2, 6, 6]])
    scores = np.array([0.8, 0.9, 0.7, 0.6])
    assert _distinct(boxes, scores, 0.5).tolist() == [1, 2, 3]
    assert _distinct(boxes, scores, 0.5, of_smaller=True).tolist() == [1, 2]


@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("size", [(3, 3), (10, 7), (11, 12), (40, 41)], ids="{0[0]} x {0[1]}".format)
def test_pooling_gives_the_numbers_of_torch(window, size):
    features = torch.randn((2, 10, *size), generator=torch.manual_seed(1)).to(memory_format=torch.channels_last)
    assert torch.equal(_pooled(features, window), max_pool2d(features, window, 2, ceil_mode=True))


def test_the_rectifier_gives_the_numbers_of_torch():
    rectifier = nn.PReLU(10).requires_grad_(False)
    rectifier.weight.copy_(torch.linspace(-0.5, 0.5, 10))
    features = torch.randn((2, 10, 9, 14), generator=torch.manual_seed(2)).to(memory_format=torch.channels_last)
    assert torch.equal(_rectified(features, rectifier), rectifier(features))


@torch.inference_mode()
def test_our_networks_give_the_numbers_of_facenet(networks):
    for ours, theirs, side in zip(load_networks(CPU), networks, (97, 24, 48), strict=True):
        pictures = torch.randn((3, 3, side, side), generator=torch.manual_seed(3)).to(memory_format=torch.channels_last)
        for mine, expected in zip(ours(pictures), theirs(pictures), strict=True):
            assert torch.equal(mine, expected)
