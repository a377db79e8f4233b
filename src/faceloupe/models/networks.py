"""The architectures FaceLoupe can build, by name. Each maps (N, 3, S, S) to one logit: > 0 supports manipulated."""

from collections.abc import Callable
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from faceloupe.errors import WeightsError
from faceloupe.models import backbones

ARCHITECTURES: dict[str, Callable[[], backbones.Backbone]] = {
    "mobilenet_v3_small": backbones.mobilenet_v3_small,
    "mobilenet_v3_small_blocks": backbones.mobilenet_v3_small_blocks,
    "mobilenet_v3_large": backbones.mobilenet_v3_large,
    "mobilenet_v2": backbones.mobilenet_v2,
    "efficientnet_b0": backbones.efficientnet_b0,
    "efficientnet_lite0": backbones.efficientnet_lite0,
}


def build(architecture: str) -> backbones.Backbone:
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
    # In torchvision's definition, a single output of EfficientNet starts with weights of up to 1, so with logits of 10.
    nn.init.normal_(network.output.weight, std=0.01)
    nn.init.zeros_(network.output.bias)
    return network


def fold(network: backbones.Backbone) -> backbones.Backbone:
    """Merge every batch normalization into the convolution before it, in place, which makes inference a third faster.

    Args:
        network: in evaluation mode; it cannot be trained afterwards.
    """
    for parent in list(network.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        for (first, before), (second, after) in pairwise(list(parent.named_children())):
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(before, after))
                setattr(parent, second, nn.Identity())
    return network
