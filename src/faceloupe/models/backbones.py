"""MobileNetV2, MobileNetV3 and EfficientNet-B0, defined here so that scoring does not have to import torchvision.

Layers, parameter names and the order of random draws are those of torchvision 0.28 (BSD-3): its state dicts load here,
logits are equal to the last bit, and training with the same seed starts from the same numbers. The tests compare all
three with torchvision. Sources: Sandler et al. 2018 (MobileNetV2), Howard et al. 2019 (MobileNetV3), Tan and Le 2019
(EfficientNet). Every network ends in global average pooling and one output.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

_Layer = Callable[..., nn.Module]  # makes a layer


class _ConvNorm(nn.Sequential):
    """Convolution, batch normalization and an optional activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        activation: _Layer | None,
        norm: _Layer,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        layers = [convolution, norm(outputs)]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)


class SqueezeExcitation(nn.Module):
    """Weights for channels, computed from the channel means (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int, activation: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation, self.gate = activation, gate

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        means = functional.adaptive_avg_pool2d(inputs, 1)
        weights: torch.Tensor = self.gate(self.fc2(self.activation(self.fc1(means))))
        return weights * inputs


class _Residual(nn.Module):
    """A block whose input is added to its output if ``shortcut`` is set.

    In training, the block's output is dropped for a random share ``skipped`` of the pictures of a batch (stochastic
    depth, Huang et al. 2016).
    """

    def __init__(self, layers: Sequence[nn.Module], *, shortcut: bool, skipped: float = 0.0) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)
        self._shortcut, self._skipped = shortcut, skipped

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        outputs: torch.Tensor = self.block(inputs)
        if not self._shortcut:
            return outputs
        if self.training and self._skipped:
            share_kept = 1.0 - self._skipped
            outputs = outputs * outputs.new_empty((len(outputs), 1, 1, 1)).bernoulli_(share_kept).div_(share_kept)
        outputs += inputs
        return outputs


class _Bottleneck(nn.Module):
    """The inverted residual block of MobileNetV2, whose layers torchvision calls ``conv``."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layer = partial(_ConvNorm, norm=nn.BatchNorm2d, activation=nn.ReLU6)
        widen = [layer(inputs, inner, 1)] if expansion != 1 else []
        depthwise = layer(inner, inner, 3, stride=stride, groups=inner)
        self.conv = nn.Sequential(*widen, depthwise, nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self._shortcut = stride == 1 and inputs == outputs

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        outputs: torch.Tensor = self.conv(inputs)
        return inputs + outputs if self._shortcut else outputs


_draw_normal = partial(nn.init.normal_, std=0.01)


class Backbone(nn.Module):
    """Features, global average pooling and a classifier with one output."""

    def __init__(
        self,
        features: Sequence[nn.Module],
        classifier: Sequence[nn.Module],
        *,
        draw: Callable[[torch.Tensor], torch.Tensor] = _draw_normal,
    ) -> None:
        """Assemble the network and draw its initial weights.

        Args:
            features: layers that end in (N, C, H, W).
            classifier: layers from (N, C) to (N, 1).
            draw: initializes the weights of a linear layer in place.
        """
        super().__init__()
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(*classifier)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                draw(module.weight)
                nn.init.zeros_(module.bias)

    @property
    def output(self) -> nn.Linear:
        """The last layer, which outputs the logit."""
        layer = self.classifier[-1]
        if not isinstance(layer, nn.Linear):
            raise TypeError(f"a classifier ends in a linear layer, not in {type(layer).__name__}")
        return layer

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalized pictures: (N, 3, S, S) float32 to (N, 1) float32."""
        logits: torch.Tensor = self.classifier(torch.flatten(self.avgpool(self.features(inputs)), 1))
        return logits


class BlockStatistics(Backbone):
    """A network whose classifier reads the channels of all blocks, not only those of the last block.

    Textures tell a generated face from a photograph as much as objects do, but the last block of a trunk that was
    trained to recognize objects no longer has them. The classifier therefore reads the mean and the standard deviation
    of every channel of every block: (N, 2 C) for C channels in all.
    """

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See ``Backbone``."""
        logits: torch.Tensor = self.classifier(self.statistics(inputs))
        return logits

    def statistics(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the classifier's input for (N, 3, S, S) normalized pictures; see ``statistics_of``."""
        return statistics_of(self.blocks(inputs))

    def blocks(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of every block, each (N, C, H, W)."""
        activations = [inputs]
        for block in self.features:
            activations.append(block(activations[-1]))
        return activations[1:]


_LEAST_VARIANCE = 1e-6  # keeps the gradient of the square root finite for constant channels


def statistics_of(blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean and standard deviation of each channel of activations (N, C, H, W): (N, 2 C) float32 in all.

    The order is: means of the first block, its standard deviations, means of the second block, and so on.
    """
    parts = []
    for block in blocks:
        means = block.mean((2, 3))
        variances = (block - means[:, :, None, None]).square().mean((2, 3))
        parts += [means, (variances + _LEAST_VARIANCE).sqrt()]
    return torch.cat(parts, dim=1)


def mobilenet_v2() -> Backbone:
    """Build an untrained MobileNetV2 with one output."""
    layer = partial(_ConvNorm, norm=nn.BatchNorm2d, activation=nn.ReLU6)
    features: list[nn.Module] = [layer(3, 32, 3, stride=2)]
    channels = 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, outputs, count, stride in stages:
        for number in range(count):
            features.append(_Bottleneck(channels, outputs, 1 if number else stride, expansion))
            channels = outputs
    features.append(layer(channels, 1280, 1))
    return Backbone(features, [nn.Dropout(0.2), nn.Linear(1280, 1)])


class _V3Block(NamedTuple):
    """One row of tables 1 and 2 of Howard et al. 2019."""

    inputs: int
    kernel: int
    inner: int
    outputs: int
    squeezed: bool
    activation: type[nn.Module]
    stride: int


_RE, _HS = nn.ReLU, nn.Hardswish
_SMALL = (
    _V3Block(16, 3, 16, 16, True, _RE, 2),
    _V3Block(16, 3, 72, 24, False, _RE, 2),
    _V3Block(24, 3, 88, 24, False, _RE, 1),
    _V3Block(24, 5, 96, 40, True, _HS, 2),
    _V3Block(40, 5, 240, 40, True, _HS, 1),
    _V3Block(40, 5, 240, 40, True, _HS, 1),
    _V3Block(40, 5, 120, 48, True, _HS, 1),
    _V3Block(48, 5, 144, 48, True, _HS, 1),
    _V3Block(48, 5, 288, 96, True, _HS, 2),
    _V3Block(96, 5, 576, 96, True, _HS, 1),
    _V3Block(96, 5, 576, 96, True, _HS, 1),
)
_LARGE = (
    _V3Block(16, 3, 16, 16, False, _RE, 1),
    _V3Block(16, 3, 64, 24, False, _RE, 2),
    _V3Block(24, 3, 72, 24, False, _RE, 1),
    _V3Block(24, 5, 72, 40, True, _RE, 2),
    _V3Block(40, 5, 120, 40, True, _RE, 1),
    _V3Block(40, 5, 120, 40, True, _RE, 1),
    _V3Block(40, 3, 240, 80, False, _HS, 2),
    _V3Block(80, 3, 200, 80, False, _HS, 1),
    _V3Block(80, 3, 184, 80, False, _HS, 1),
    _V3Block(80, 3, 184, 80, False, _HS, 1),
    _V3Block(80, 3, 480, 112, True, _HS, 1),
    _V3Block(112, 3, 672, 112, True, _HS, 1),
    _V3Block(112, 5, 672, 160, True, _HS, 2),
    _V3Block(160, 5, 960, 160, True, _HS, 1),
    _V3Block(160, 5, 960, 160, True, _HS, 1),
)


def _v3_residual(block: _V3Block, norm: _Layer) -> _Residual:
    layer = partial(_ConvNorm, norm=norm, activation=block.activation)
    layers: list[nn.Module] = [layer(block.inputs, block.inner, 1)] if block.inner != block.inputs else []
    layers.append(layer(block.inner, block.inner, block.kernel, stride=block.stride, groups=block.inner))
    if block.squeezed:
        layers.append(SqueezeExcitation(block.inner, _rounded(block.inner // 4), nn.ReLU(), nn.Hardsigmoid()))
    layers.append(_ConvNorm(block.inner, block.outputs, 1, norm=norm, activation=None))
    return _Residual(layers, shortcut=block.stride == 1 and block.inputs == block.outputs)


def _rounded(channels: int) -> int:
    """Round to a multiple of 8, but not down by more than a tenth."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _mobilenet_v3(blocks: Sequence[_V3Block], hidden: int) -> Backbone:
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
    layer = partial(_ConvNorm, norm=norm, activation=nn.Hardswish)
    first, last = blocks[0].inputs, blocks[-1].outputs
    features: list[nn.Module] = [layer(3, first, 3, stride=2)]
    features += [_v3_residual(block, norm) for block in blocks]
    features.append(layer(last, 6 * last, 1))
    classifier = [
        nn.Linear(6 * last, hidden),
        nn.Hardswish(inplace=True),
        nn.Dropout(0.2, inplace=True),
        nn.Linear(hidden, 1),
    ]
    return Backbone(features, classifier)


def mobilenet_v3_small() -> Backbone:
    """Build an untrained MobileNetV3-Small with one output."""
    return _mobilenet_v3(_SMALL, 1024)


class Standardize(nn.Module):
    """Elementwise standardization: subtract a mean and multiply by a scale.

    This is not merged into the next layer, so that the weights there have similar magnitudes and can be rounded to 8
    bits.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int) -> None:
        """Start with the identity."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (N, size) to the same shape."""
        return (inputs - self.mean) * self.scale


_READ = 256  # hidden units of the classifier that reads all blocks


def mobilenet_v3_small_blocks() -> BlockStatistics:
    """Build an untrained MobileNetV3-Small whose classifier reads all blocks."""
    trunk = list(mobilenet_v3_small().features)
    with torch.no_grad():
        size = sum(block.shape[1] for block in BlockStatistics(trunk, []).eval().blocks(torch.zeros(1, 3, 32, 32)))
    classifier = [Standardize(2 * size), nn.Linear(2 * size, _READ), nn.Hardswish(), nn.Linear(_READ, 1)]
    return BlockStatistics(trunk, classifier)


def mobilenet_v3_large() -> Backbone:
    """Build an untrained MobileNetV3-Large with one output."""
    return _mobilenet_v3(_LARGE, 1280)


_SKIPPED = 0.2  # share of pictures for which a block is dropped in training: from 0, linearly with depth, up to this


def efficientnet_b0() -> Backbone:
    """Build an untrained EfficientNet-B0 with one output."""
    layer = partial(_ConvNorm, norm=nn.BatchNorm2d, activation=nn.SiLU)
    features: list[nn.Module] = [layer(3, 32, 3, stride=2)]
    stages = (
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    )
    inputs, depth, total = 32, 0, sum(count for *_, count in stages)
    for expansion, kernel, stride, outputs, count in stages:
        stage = []
        for number in range(count):
            inner, step = inputs * expansion, 1 if number else stride
            layers: list[nn.Module] = [layer(inputs, inner, 1)] if expansion != 1 else []
            layers.append(layer(inner, inner, kernel, stride=step, groups=inner))
            layers.append(SqueezeExcitation(inner, inputs // 4, nn.SiLU(inplace=True), nn.Sigmoid()))
            layers.append(_ConvNorm(inner, outputs, 1, norm=nn.BatchNorm2d, activation=None))
            shortcut = step == 1 and inputs == outputs
            stage.append(_Residual(layers, shortcut=shortcut, skipped=_SKIPPED * depth / total))
            inputs, depth = outputs, depth + 1
        features.append(nn.Sequential(*stage))
    features.append(layer(inputs, 1280, 1))
    draw = partial(nn.init.uniform_, a=-1.0, b=1.0)
    return Backbone(features, [nn.Dropout(0.2, inplace=True), nn.Linear(1280, 1)], draw=draw)


def efficientnet_lite0() -> Backbone:
    """Build an untrained EfficientNet-Lite0 with one output.

    It is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 in place of SiLU, as its authors adapted it for
    CPUs.
    """
    network = efficientnet_b0()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.SiLU):
                setattr(parent, name, nn.ReLU6(inplace=True))
            elif isinstance(child, SqueezeExcitation):
                setattr(parent, name, nn.Identity())
    return network
