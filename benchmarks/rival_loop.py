"""A common, simple loop over many pictures, as a rival: ``python rival_loop.py WEIGHTS``, with the paths on stdin.

MTCNN is made once and runs on each picture at full size; the network gets one face at a time. The tests' helper
``torchvision_compat`` makes torchvision importable beside a CPU torch.
"""

import sys

from tests.torchvision_compat import torchvision

models = torchvision().models

import numpy as np  # noqa: E402 - torchvision must be imported as above first
import torch  # noqa: E402
from facenet_pytorch import MTCNN  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main(weights: str) -> None:
    """Score every face of every picture."""
    mtcnn = MTCNN(keep_all=True)
    network = models.mobilenet_v3_small(num_classes=1)
    network.load_state_dict(load_file(weights))
    network.eval()
    for path in sys.stdin.read().splitlines():
        image = Image.open(path).convert("RGB")
        boxes, _ = mtcnn.detect(image)
        for box in [] if boxes is None else boxes:
            crop = image.crop(tuple(float(value) for value in box)).resize((224, 224))
            pixels = (np.asarray(crop, np.float32) / 255 - np.array(MEAN)) / np.array(STD)
            with torch.inference_mode():
                score = torch.sigmoid(network(torch.from_numpy(pixels).permute(2, 0, 1)[None].float()))
            sys.stdout.write(f"{path},{float(score)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
