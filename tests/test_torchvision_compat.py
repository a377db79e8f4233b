import subprocess
import sys

import pytest
import torch

from tests.torchvision_compat import non_maximum_suppression, torchvision


def reference_nms(boxes, scores, threshold):
    """Compute the definition in plain Python, box by box."""

    def iou(a, b):
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return width * height / union

    survivors = []
    for candidate in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(iou(boxes[candidate], boxes[other]) <= threshold for other in survivors):
            survivors.append(candidate)
    return survivors


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_nms_follows_its_definition(seed, threshold):
    random = torch.Generator().manual_seed(seed)
    corners = torch.rand(60, 2, generator=random, dtype=torch.float64) * 50
    sides = torch.rand(60, 2, generator=random, dtype=torch.float64) * 30 + 1
    boxes, scores = torch.cat([corners, corners + sides], 1), torch.rand(60, generator=random, dtype=torch.float64)
    survivors = non_maximum_suppression(boxes, scores, threshold).tolist()
    assert survivors == reference_nms(boxes.tolist(), scores.tolist(), threshold)


def test_nms_of_nothing_is_nothing():
    survivors = non_maximum_suppression(torch.empty(0, 4), torch.empty(0), 0.5)
    assert survivors.shape == (0,)
    assert survivors.dtype == torch.int64


def test_torchvision_uses_it_or_its_own():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    scores = torch.tensor([0.8, 0.9, 0.7])
    ops = torchvision().ops
    assert ops.nms(boxes, scores, 0.5).tolist() == [1, 2]
    assert ops.batched_nms(boxes, scores, torch.tensor([0, 1, 0]), 0.5).tolist() == [1, 0, 2]


def test_the_import_is_silent():
    code = "import tests.torchvision_compat as v; v.torchvision(); import facenet_pytorch, pytorch_grad_cam"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
