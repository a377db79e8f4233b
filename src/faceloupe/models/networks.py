"""The architectures FaceLoupe can build, by name. Each maps (N, 3, S, S) to one logit: > 0 speaks for manipulated."""

from collections.abc import Callable

from torch import nn

from faceloupe.errors import WeightsError
from faceloupe.vision_ops import torchvision


def _mobilenet_v3_small() -> nn.Module:
    """torchvision's MobileNetV3-small (Howard et al. 2019) with a single output: 1,518,881 parameters."""
    return torchvision().models.mobilenet_v3_small(num_classes=1)


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {"mobilenet_v3_small": _mobilenet_v3_small}


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
            f"The model record asks for the architecture {architecture!r}; this version knows {known}."
        ) from None
    return factory()
