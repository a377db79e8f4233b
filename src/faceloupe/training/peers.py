"""MesoNet as a peer for the tables (Afchar et al. 2018, "MesoNet: a Compact Facial Video Forgery Detection Network").

Its two networks in torch, filled with the authors' own Keras weights. They are measured beside ours and never shipped.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from faceloupe.errors import DatasetError
from faceloupe.models.contract import InputContract

CONTRACT = InputContract(size=256, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), crop_margin=1.2, views=(1.2,))
_EPS = 1e-3  # Keras' default; torch's is 1e-5
_SLOPE = 0.1
_LAYER = re.compile(r"(conv2d|batch_normalization|dense)_(\d+)")


class _Convolution(nn.Sequential):
    def __init__(self, before: int, after: int, side: int, *, dilation: int = 1) -> None:
        super().__init__(nn.Conv2d(before, after, side, padding="same", dilation=dilation), nn.ReLU())


class _Inception(nn.Module):
    """Parallel branches: a 1x1 convolution, and three 3x3 convolutions of growing dilation."""

    def __init__(self, before: int, *after: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([_Convolution(before, after[0], 1)])
        for dilation, channels in enumerate(after[1:], 1):
            wide = _Convolution(channels, channels, 3, dilation=dilation)
            self.branches.append(nn.Sequential(_Convolution(before, channels, 1), wide))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(pictures) for branch in self.branches], 1)


class MesoNet(nn.Module):
    """Four stages of convolution, normalization and pooling, then two dense layers.

    Takes (N, 3, 256, 256) RGB, 0..1, and returns (N, 1) logits; > 0 speaks for manipulated.
    """

    def __init__(self, stages: list[tuple[nn.Module, int]]) -> None:
        """Build the network.

        Args:
            stages: the convolutions of each stage and the number of channels they give.
        """
        super().__init__()
        layers: list[nn.Module] = []
        for (convolutions, channels), pool in zip(stages, (2, 2, 2, 4), strict=True):
            layers += [convolutions, nn.BatchNorm2d(channels, eps=_EPS), nn.MaxPool2d(pool)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(8 * 8 * 16, 16), nn.LeakyReLU(_SLOPE), nn.Dropout(0.5), nn.Linear(16, 1)
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the (N, 1) logits of (N, 3, S, S) pictures; > 0 speaks for manipulated."""
        # Keras keeps the channels last, and the first dense layer's weights are in that order.
        flat = self.features(pictures).permute(0, 2, 3, 1).flatten(1)
        logits: torch.Tensor = self.classifier(flat)
        return -logits  # the authors use sigmoid(classifier), with 1 = real


def meso4() -> MesoNet:
    """Build an untrained Meso-4."""
    return MesoNet(
        [
            (_Convolution(3, 8, 3), 8),
            (_Convolution(8, 8, 5), 8),
            (_Convolution(8, 16, 5), 16),
            (_Convolution(16, 16, 5), 16),
        ]
    )


def meso_inception4() -> MesoNet:
    """Build an untrained MesoInception-4."""
    return MesoNet(
        [
            (_Inception(3, 1, 4, 4, 2), 11),
            (_Inception(11, 2, 4, 4, 2), 12),
            (_Convolution(12, 16, 5), 16),
            (_Convolution(16, 16, 5), 16),
        ]
    )


# Name of each peer, which is also its file name. The suffix states its training data: Deepfakes or Face2Face.
PEERS: dict[str, Callable[[], MesoNet]] = {
    "Meso4_DF": meso4,
    "Meso4_F2F": meso4,
    "MesoInception_DF": meso_inception4,
    "MesoInception_F2F": meso_inception4,
}


def _read_layers(path: Path) -> dict[str, list[dict[str, np.ndarray]]]:
    """Return the arrays by name of every layer that has any, grouped by kind, in the order in which they were made."""
    import h5py  # here: nothing else in the project needs it

    layers: dict[str, list[tuple[int, dict[str, np.ndarray]]]] = {}
    with h5py.File(path) as file:
        for layer in file:
            # Keras numbers the layers of a session, so the first convolution need not be conv2d_1, and the names do not
            # sort like numbers.
            if match := _LAYER.fullmatch(layer):
                arrays = {name.removesuffix(":0"): array[()] for name, array in file[layer][layer].items()}
                layers.setdefault(match[1], []).append((int(match[2]), arrays))
    return {kind: [arrays for _, arrays in sorted(some, key=lambda entry: entry[0])] for kind, some in layers.items()}


_BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
# Per kind of layer: its torch class, the axes of a Keras kernel in torch's order, and Keras' names with torch's.
_KINDS: dict[str, tuple[type[nn.Module], tuple[int, ...], dict[str, str]]] = {
    "conv2d": (nn.Conv2d, (3, 2, 0, 1), {"kernel": "weight", "bias": "bias"}),
    "batch_normalization": (nn.BatchNorm2d, (), _BATCH_NORM),
    "dense": (nn.Linear, (1, 0), {"kernel": "weight", "bias": "bias"}),
}


def load_keras(network: MesoNet, path: Path) -> None:
    """Fill a network with the weights of a Keras 2 HDF5 file.

    Raises:
        DatasetError: the file is missing, damaged, or of another architecture.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is not there: give the folder that holds the peers' weights.")
    try:
        layers = _read_layers(path)
    except (OSError, KeyError, AttributeError, TypeError, ValueError, RuntimeError) as problem:  # h5py raises them all
        raise DatasetError(f"{path} is not a complete HDF5 file of Keras weights ({problem}); get it again.") from None
    for kind, (module_class, order, names) in _KINDS.items():
        modules = [module for module in network.modules() if isinstance(module, module_class)]
        stored = layers.get(kind, [])
        if len(stored) != len(modules):
            raise DatasetError(f"{path} holds {len(stored)} layers of kind {kind}, but {len(modules)} were expected.")
        for module, arrays in zip(modules, stored, strict=True):
            for theirs, ours in names.items():
                _fill(getattr(module, ours), arrays.get(theirs), order if theirs == "kernel" else None, path)


def _fill(target: torch.Tensor, array: np.ndarray | None, order: tuple[int, ...] | None, path: Path) -> None:
    if array is not None and order is not None and array.ndim == len(order):
        array = array.transpose(order)
    if array is None or array.shape != target.shape:
        came = "nothing" if array is None else f"an array of shape {array.shape}"
        raise DatasetError(f"{path} holds {came} where {tuple(target.shape)} was expected: another architecture.")
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise DatasetError(f"{path} holds weights that are not finite 32-bit numbers: it is damaged; get it again.")
    with torch.no_grad():
        target.copy_(torch.from_numpy(array.copy()))


def load_peers(folder: Path) -> dict[str, nn.Module]:
    """Load all peers, ready to be measured like our own networks, with ``CONTRACT``.

    Args:
        folder: holds one ``NAME.h5`` for each name in ``PEERS``.

    Raises:
        DatasetError: a file is missing, damaged, or of another architecture.
    """
    networks: dict[str, nn.Module] = {}
    for name, build in PEERS.items():
        network = build()
        load_keras(network, Path(folder) / f"{name}.h5")
        networks[name] = network.eval()
    return networks
