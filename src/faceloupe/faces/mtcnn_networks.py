"""The three networks of MTCNN with the weights of facenet-pytorch (Zhang et al. 2016).

Layers and names are those of facenet-pytorch (MIT). The weights are read from the files of the installed package. The
package is not imported, because that would also import torchvision and take seconds. ``_rectified`` and ``_pooled``
compute the same numbers as torch's layers in a tenth of the time; torch's layers are slow on channels-last tensors with
few channels.
"""

import importlib.util
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from faceloupe.errors import WeightsError

_PACKAGE = "facenet_pytorch"


class ProposalNetwork(nn.Module):
    """The first stage, which scores every 12 px window of a picture of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 10, 3)
        self.prelu1 = nn.PReLU(10)
        self.conv2 = nn.Conv2d(10, 16, 3)
        self.prelu2 = nn.PReLU(16)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.prelu3 = nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (N, 3, H, W) to the shifts (N, 4, h, w) of the windows' corners and their scores (N, 2, h, w)."""
        features = _pooled(_rectified(self.conv1(inputs), self.prelu1), 2)
        features = self.prelu3(self.conv3(self.prelu2(self.conv2(features))))
        return self.conv4_2(features), self.conv4_1(features).softmax(1)


class RefinementNetwork(nn.Module):
    """The second stage, which scores crops of 24 px."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 28, 3)
        self.prelu1 = nn.PReLU(28)
        self.conv2 = nn.Conv2d(28, 48, 3)
        self.prelu2 = nn.PReLU(48)
        self.conv3 = nn.Conv2d(48, 64, 2)
        self.prelu3 = nn.PReLU(64)
        self.dense4 = nn.Linear(576, 128)
        self.prelu4 = nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (N, 3, 24, 24) to the shifts (N, 4) of the crops' corners and their scores (N, 2)."""
        features = _pooled(self.prelu1(self.conv1(inputs)), 3)
        features = _pooled(self.prelu2(self.conv2(features)), 3)
        features = _flat(self.prelu3(self.conv3(features)))
        features = self.prelu4(self.dense4(features))
        return self.dense5_2(features), self.dense5_1(features).softmax(1)


class OutputNetwork(nn.Module):
    """The third stage, which scores crops of 48 px and finds landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.prelu1 = nn.PReLU(32)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.prelu2 = nn.PReLU(64)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.prelu3 = nn.PReLU(64)
        self.conv4 = nn.Conv2d(64, 128, 2)
        self.prelu4 = nn.PReLU(128)
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map (N, 3, 48, 48) to the shifts (N, 4) of the corners, the landmarks (N, 10) and the scores (N, 2)."""
        features = _pooled(self.prelu1(self.conv1(inputs)), 3)
        features = _pooled(self.prelu2(self.conv2(features)), 3)
        features = _pooled(self.prelu3(self.conv3(features)), 2)
        features = _flat(self.prelu4(self.conv4(features)))
        features = self.prelu5(self.dense5(features))
        return self.dense6_2(features), self.dense6_3(features), self.dense6_1(features).softmax(1)


def _rectified(features: torch.Tensor, rectifier: nn.PReLU) -> torch.Tensor:
    """Apply a PReLU to (N, C, H, W), channels last, a row of pixels at a time: few channels do not fill a vector."""
    count, channels, height, width = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(count * height, width * channels)
    rectified = functional.prelu(rows, rectifier.weight.repeat(width))
    return rectified.view(count, height, width, channels).permute(0, 3, 1, 2)


def _pooled(features: torch.Tensor, window: int) -> torch.Tensor:
    """Max-pool (N, C, H, W) with a stride of 2; the last window may reach beyond the edge."""
    for dimension in (2, 3):
        count = (features.shape[dimension] - window + 1) // 2 + 1
        starts = [slice(None)] * dimension
        pooled = features[(*starts, slice(0, None, 2))].narrow(dimension, 0, count).clone()
        for offset in range(1, window):
            others = features[(*starts, slice(offset, None, 2))]
            within = min(count, others.shape[dimension])
            part = pooled.narrow(dimension, 0, within)
            torch.maximum(part, others.narrow(dimension, 0, within), out=part)
        features = pooled
    return features


def _flat(features: torch.Tensor) -> torch.Tensor:
    """Flatten (N, C, H, W) column by column, channels last, as the weights were trained."""
    return features.permute(0, 3, 2, 1).flatten(1)


def load_networks(device: torch.device) -> tuple[ProposalNetwork, RefinementNetwork, OutputNetwork]:
    """Build the networks of the three stages with their weights, ready for inference.

    Raises:
        WeightsError: facenet-pytorch is not installed, or its weights cannot be read.
    """
    networks = ProposalNetwork(), RefinementNetwork(), OutputNetwork()
    package = importlib.util.find_spec(_PACKAGE)  # does not import it
    if package is None or package.origin is None:
        raise WeightsError("facenet-pytorch is not installed, so no face can be found; install FaceLoupe again.")
    folder = Path(package.origin).parent / "data"
    for name, network in zip(("pnet", "rnet", "onet"), networks, strict=True):
        try:
            tensors = torch.load(folder / f"{name}.pt", map_location=device, weights_only=True)
            network.to(device).load_state_dict(tensors, strict=True)
        except (OSError, RuntimeError, ValueError) as problem:
            raise WeightsError(
                f"The weights {name}.pt of facenet-pytorch cannot be read, so no face can be found; install it again."
            ) from problem
        network.eval().requires_grad_(False)
    return networks
