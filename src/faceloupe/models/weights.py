"""Loading of weights: verified in full at every load, and never unpickled."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from faceloupe.errors import WeightsError
from faceloupe.models.files import read_verified
from faceloupe.models.networks import build, fold
from faceloupe.models.records import ModelRecord


def load_network(record: ModelRecord, folder: Path, device: str = "cpu") -> nn.Module:
    """Build the record's network with its verified weights, ready for inference.

    Raises:
        WeightsError: no verified weights, or they belong to another architecture.
    """
    content = read_verified(record, folder)
    network = build(record.architecture)
    try:
        network.load_state_dict(load(content), strict=True)
    except (RuntimeError, SafetensorError) as problem:
        raise WeightsError(
            f"The weights {record.weights_file} do not fit the architecture {record.architecture}, so nothing can be "
            "scored; restore the file from the repository."
        ) from problem
    return fold(network.eval()).requires_grad_(False).to(torch.device(device), memory_format=torch.channels_last)
