"""Loading of weights: verified in full at every load, and never unpickled."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from faceloupe.errors import WeightsError
from faceloupe.models.networks import build, fold
from faceloupe.models.records import ModelRecord

_REMEDY = "so nothing can be scored; restore the file from the repository."


def read_verified(record: ModelRecord, folder: Path) -> bytes:
    """Read a weights file and hold it against the record.

    Raises:
        WeightsError: the file is missing or unreadable, or its SHA-256 is not the record's.
    """
    path = folder / record.weights_file
    try:
        content = path.read_bytes()
    except OSError as problem:
        state = "are missing" if isinstance(problem, FileNotFoundError) else f"cannot be read ({problem.strerror})"
        raise WeightsError(f"The weights {path.name} {state}, {_REMEDY}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != record.weights_sha256:
        raise WeightsError(
            f"The weights {path.name} are not the verified ones "
            f"(SHA-256 {found[:8]}..., expected {record.weights_sha256[:8]}...), {_REMEDY}"
        )
    return content


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
            f"The weights {record.weights_file} do not fit the architecture {record.architecture}, {_REMEDY}"
        ) from problem
    return fold(network.eval()).requires_grad_(False).to(torch.device(device), memory_format=torch.channels_last)
