"""The interface of file formats for exported networks; ``onnx_format`` and ``litert_format`` implement it."""

from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np
import torch
from msgspec import Struct

from faceloupe.models.contract import InputContract

INPUT, OUTPUT = "faces", "logits"

Runner = Callable[[np.ndarray], np.ndarray]
"""Function from (V, 3, S, S) float32 views, normalized as in the input contract, to (V, 1) float32 logits."""


class FormatProperties(Struct, frozen=True, omit_defaults=True):
    """The properties that depend on the file format.

    Attributes:
        made_with: versions of the libraries used, by name.
        batch: number of views that a file takes at once; ``n`` for any number.
        opset: ONNX opset; unset for other formats.
    """

    made_with: dict[str, str]
    batch: int | str
    opset: int | msgspec.UnsetType = msgspec.UNSET


class Format(Protocol):
    """A file format.

    Attributes:
        name: name of its field in the record.
        suffix: suffix of its files.
    """

    name: str
    suffix: str

    def require(self) -> None:
        """Check that the libraries are installed.

        Raises:
            UsageError: a library is missing.
        """

    def convert(self, network: torch.nn.Module, contract: InputContract, *, int8: bool) -> bytes:
        """Return the bytes of a file with the network.

        Args:
            network: maps (N, 3, S, S) to (N, 1).
            contract: input contract with the size S.
            int8: quantize the weights to 8 bits.

        Raises:
            WeightsError: the format cannot hold the network.
        """

    def runner(self, content: bytes) -> Runner:
        """Load a network from the bytes of its file.

        Raises:
            UsageError: a library is missing.
            WeightsError: the content is not a network that can be run.
        """

    def properties(self) -> FormatProperties:
        """Return the properties of the file format for the record."""
