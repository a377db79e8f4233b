"""Loading of weights, which are verified in full and never unpickled.

The encoder stays in memory for all heads. Its file is verified again if it was replaced or written to.
"""

import threading
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from faceloupe.errors import WeightsError
from faceloupe.models.backbones import Backbone
from faceloupe.models.encoder import Encoder
from faceloupe.models.expert import Head, HeadWithEncoder
from faceloupe.models.networks import build, fold
from faceloupe.models.proportions import Proportions
from faceloupe.models.record import ComponentRecord, ModelRecord, component_of
from faceloupe.models.registry import read_verified, weights_path


def load_network(record: ModelRecord, folder: Path, device: str = "cpu") -> Backbone:
    """Build the record's network with its verified weights, ready for inference.

    Raises:
        WeightsError: the weights are missing or not verified, or belong to another architecture.
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
    network = fold(network.eval()).requires_grad_(False).to(torch.device(device))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's stubs lack it


_encoders: dict[str, Encoder] = {}  # by SHA-256 of the weights; all heads share them because each takes half a gigabyte
_verified: dict[str, tuple[Path, int, int]] = {}  # by the same hash: state of the file that was last verified
_encoders_lock = threading.Lock()


def forget_crops() -> None:
    """Empty the caches of all encoders, as benchmarks must do between their rounds."""
    for encoder in _encoders.values():
        encoder.forget()


def load_expert(record: ModelRecord, folder: Path) -> tuple[Encoder, Head]:
    """Load a head and its encoder, both verified.

    Raises:
        WeightsError: the weights are missing or not verified, or belong to another architecture.
    """
    component = _encoder_of(record, folder)
    head = Head.load(read_verified(record, folder))
    with _encoders_lock:
        state = _state(weights_path(component, folder))
        if state is None or _verified.get(component.weights_sha256) != state:
            content = read_verified(component, folder)
            if component.weights_sha256 not in _encoders:
                _encoders[component.weights_sha256] = Encoder.load(content)
            if state is not None:
                _verified[component.weights_sha256] = state
        return _encoders[component.weights_sha256], head


def _state(path: Path) -> tuple[Path, int, int] | None:
    """Return a value that changes when the file is written, to detect that the cached encoder is stale.

    It is None if the file cannot be accessed.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return path, status.st_size, status.st_mtime_ns


def _encoder_of(record: ModelRecord, folder: Path) -> ComponentRecord:
    component = component_of(record, folder)
    if component is None:
        raise WeightsError(f"The record of {record.id} names no encoder, so nothing can be scored; restore it.")
    return component


def load_proportions(fusion: ModelRecord, folder: Path) -> Proportions | None:
    """Load the map with which a fusion measures proportions, verified; None if it does not measure them.

    Raises:
        WeightsError: the weights are missing or not verified, or are not those of such a map.
    """
    component = component_of(fusion, folder)
    return None if component is None else Proportions.load(read_verified(component, folder))


def load_with_encoder(record: ModelRecord, folder: Path) -> HeadWithEncoder:
    """Load a head and a separate copy of its encoder as one network in float32.

    Raises:
        WeightsError: see ``load_expert``.
    """
    component = _encoder_of(record, folder)
    head = Head.load(read_verified(record, folder))
    encoder = Encoder.load(read_verified(component, folder), torch.float32)
    return HeadWithEncoder(encoder, head).eval().requires_grad_(False)
