"""Features of every view from the core's trunk: the statistics of all its blocks, on which its classifier is fitted.

The trunk keeps its ImageNet weights, so it was never trained on the material. A classifier fitted without a family of
sources is therefore a fair test of the core on that family.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from faceloupe.models.backbones import BlockStatistics
from faceloupe.models.contract import InputContract
from faceloupe.models.networks import build, fold
from faceloupe.models.record import CORE
from faceloupe.scoring.preprocess import normalize
from faceloupe.training import views
from faceloupe.training.features import Crops, Encode
from faceloupe.training.regions import FACE
from faceloupe.training.train import load_trunk

# The traces are fine details: at 224 px, fewer generated faces of unknown generators are detected.
CROPS = Crops({"tight": FACE, "wide": FACE}, side=288)
CONTRACT = InputContract(
    size=CROPS.side,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    crop_margin=views.CROPS["tight"],
    views=tuple(views.CROPS[name] for name in CROPS.regions),
)
_PASS = 4  # crops in one pass: more do not fit into a CPU core's cache, and each takes longer


def load_statistics(trunk: Path) -> tuple[Encode, tuple[int, int], str]:
    """Load the trunk.

    Args:
        trunk: ImageNet weights of MobileNetV3-small, see ``train.load_trunk``.

    Returns:
        A function that maps (N, S, S, 3) uint8 RGB crops to (N, 1, D) float32 statistics, their shape (1, D), and the
        SHA-256 of the file, hexadecimal.

    Raises:
        DatasetError: the file is missing, or does not hold the trunk.
    """
    network = build(CORE)
    load_trunk(network, trunk)
    network = fold(network.eval()).requires_grad_(False)
    assert isinstance(network, BlockStatistics)

    def encoded(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            inputs = torch.from_numpy(normalize(crops, CONTRACT)).contiguous(memory_format=torch.channels_last)
            statistics: np.ndarray = network.statistics(inputs).numpy()
        return statistics[:, None]

    torch.set_num_threads(1)  # parallel passes take less time than one pass that is spread over the CPU cores
    pool = ThreadPoolExecutor(os.cpu_count())

    def encode(crops: np.ndarray) -> np.ndarray:
        parts = [crops[start : start + _PASS] for start in range(0, len(crops), _PASS)]
        return np.concatenate(list(pool.map(encoded, parts)))

    shape = encode(np.zeros((1, CONTRACT.size, CONTRACT.size, 3), np.uint8)).shape[1:]
    return encode, shape, hashlib.sha256(trunk.read_bytes()).hexdigest()
