"""The architectures FaceLoupe can build, by name. Each maps (N, 3, S, S) to one logit: > 0 speaks for manipulated."""

from collections.abc import Callable
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from faceloupe.errors import WeightsError
from faceloupe.system.torchvision_compat import torchvision


def _torchvision(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(torchvision().models, name)(num_classes=1)


def _efficientnet_lite0() -> nn.Module:
    """EfficientNet-B0 without squeeze-and-excitation and with ReLU6 for SiLU, as its authors made it for CPUs."""
    network = torchvision().models.efficientnet_b0(num_classes=1)
    gate = torchvision().ops.SqueezeExcitation
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.SiLU):
                setattr(parent, name, nn.ReLU6(inplace=True))
            elif isinstance(child, gate):
                setattr(parent, name, nn.Identity())
    return network


# torchvision's definitions (MobileNetV2: Sandler et al. 2018; MobileNetV3: Howard et al. 2019; EfficientNet: Tan and Le
# 2019). Each ends in global average pooling and one output.
ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    name: _torchvision(name) for name in ("mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v2", "efficientnet_b0")
} | {"efficientnet_lite0": _efficientnet_lite0}


def build(architecture: str) -> nn.Module:
    """Build an untrained network.

    Raises:
        WeightsError: the name is not known.
    """
    try:
        factory = ARCHITECTURES[architecture]
    except KeyError:
        known = ", ".join(sorted(ARCHITECTURES))
        raise WeightsError(
            f"The model record requires the architecture {architecture!r}; this version knows {known}."
        ) from None
    network = factory()
    # torchvision starts a lone output of EfficientNet at weights of up to 1: logits of 10 before the first step.
    nn.init.normal_(network.classifier[-1].weight, std=0.01)
    nn.init.zeros_(network.classifier[-1].bias)
    return network


def fold(network: nn.Module) -> nn.Module:
    """Merge every batch normalization into the convolution before it, in place: the same function, a third faster.

    Args:
        network: in evaluation mode; it cannot be trained any further.
    """
    for parent in list(network.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        for (first, before), (second, after) in pairwise(list(parent.named_children())):
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(before, after))
                setattr(parent, second, nn.Identity())
    return network
