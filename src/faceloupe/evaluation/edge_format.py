"""What a file format for exported networks can do; ``onnx_format`` and ``litert_format`` are the two."""

from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np
import torch
from msgspec import Struct

from faceloupe.models.contract import InputContract

INPUT, OUTPUT = "faces", "logits"

Runner = Callable[[np.ndarray], np.ndarray]
"""(V, 3, S, S) float32, normalized as the contract says, to (V, 1) float32 logits."""


class Peculiar(Struct, frozen=True, omit_defaults=True):
    """What is peculiar to a file format.

    Attributes:
        made_with: version of each library.
        batch: views that a file takes at once; ``n`` for any number.
        opset: of ONNX.
    """

    made_with: dict[str, str]
    batch: int | str
    opset: int | msgspec.UnsetType = msgspec.UNSET


class Format(Protocol):
    """A file format.

    Attributes:
        name: of its part in the record.
        suffix: of its files.
    """

    name: str
    suffix: str

    def require(self) -> None:
        """Refuse where the libraries are not installed.

        Raises:
            UsageError: one is missing.
        """

    def convert(self, network: torch.nn.Module, contract: InputContract, *, int8: bool) -> bytes:
        """Return the network as a file.

        Args:
            network: maps (N, 3, S, S) to (N, 1).
            contract: says S.
            int8: quantize the weights to 8 bits.

        Raises:
            WeightsError: it cannot be written so.
        """

    def runner(self, content: bytes) -> Runner:
        """Load a file.

        Raises:
            UsageError: a library is missing.
            WeightsError: the content is not a network that can be run.
        """

    def described(self) -> Peculiar:
        """Return what the record says of the file format."""
