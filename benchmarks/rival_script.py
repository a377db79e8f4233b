"""A common, simple script for one picture, as a rival: ``python rival_script.py PHOTO WEIGHTS``.

It makes a new MTCNN, loads the weights, finds the faces at full size, scores the first, and runs pytorch-grad-cam as
its documentation shows. The tests' helper ``torchvision_compat`` makes torchvision importable beside a CPU torch.
"""

import sys

from tests.torchvision_compat import torchvision

models = torchvision().models

import numpy as np  # noqa: E402 - torchvision must be imported as above first
import torch  # noqa: E402
from facenet_pytorch import MTCNN  # noqa: E402
from PIL import Image  # noqa: E402
from pytorch_grad_cam import GradCAM  # noqa: E402
from pytorch_grad_cam.utils.image import show_cam_on_image  # noqa: E402
from pytorch_grad_cam.utils.model_targets import RawScoresOutputTarget  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def examine(photo: str, weights: str) -> float:
    """Score and explain one picture; nothing is kept from earlier pictures."""
    image = Image.open(photo).convert("RGB")
    boxes, _ = MTCNN(keep_all=True).detect(image)
    crop = image.crop(tuple(float(value) for value in boxes[0])).resize((224, 224))
    network = models.mobilenet_v3_small(num_classes=1)
    network.load_state_dict(load_file(weights))
    network.eval()
    pixels = np.asarray(crop, np.float32) / 255
    inputs = torch.from_numpy((pixels - np.array(MEAN)) / np.array(STD)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        score = float(torch.sigmoid(network(inputs)))
    with GradCAM(model=network, target_layers=[network.features[-1]]) as cam:
        heatmap = cam(input_tensor=inputs, targets=[RawScoresOutputTarget()])[0]
    show_cam_on_image(pixels, heatmap, use_rgb=True)
    return score


if __name__ == "__main__":
    examine(*sys.argv[1:])
