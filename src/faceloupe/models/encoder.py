"""The expert's encoder: the frozen image tower of CLIP ViT-B/16, with weights stored in 8 bits.

Architecture and weights: Radford et al. 2021, "Learning transferable visual models from natural language supervision"
(MIT). Weight matrices are stored as int8 with one scale per output channel and dequantized on loading; activations are
never quantized. Each crop is encoded separately and in one thread: on some processors (AMX matrix tiles), a larger
batch or several threads would round sums differently, and the features of a face must depend only on the face.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn
from torch.nn import functional

from faceloupe.errors import WeightsError

SIDE, PATCH, WIDTH, HEADS, BLOCKS = 224, 16, 768, 12, 12
_TOKENS = (SIDE // PATCH) ** 2 + 1
_EPSILON = 1e-5
_SPREAD_OF = (7, 9, 11)  # blocks for which the features include the standard deviation of the patch tokens
_REMEMBERED = 256  # crops; their features take 46 KB each
FIRST_CLASS, FIRST_MEAN, LAST_MEAN = 7, 6, 11

# Rows of the features, in order: the class token of a block, the mean of its patch tokens, or their standard deviation.
ROWS = (
    *(f"class {number}" for number in range(FIRST_CLASS, BLOCKS + 1)),
    *(f"mean {number}" for number in range(FIRST_MEAN, LAST_MEAN + 1)),
    *(f"spread {number}" for number in _SPREAD_OF),
)


def native_precision() -> torch.dtype:
    """Return the number format for multiplications: bfloat16 if this processor has instructions for it, else float32.

    Both lead to the same outcomes. Scores differ in the third digit, and bfloat16 takes half the time.
    """
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread inside the ``with`` block."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class _Block:
    """The weight and bias of each linear layer of a transformer block, and of its two layer normalizations."""

    norm1: tuple[torch.Tensor, torch.Tensor]
    joint: tuple[torch.Tensor, torch.Tensor]
    out: tuple[torch.Tensor, torch.Tensor]
    norm2: tuple[torch.Tensor, torch.Tensor]
    widen: tuple[torch.Tensor, torch.Tensor]
    narrow: tuple[torch.Tensor, torch.Tensor]


class Encoder(nn.Module):
    """The image tower. Thread-safe: its only mutable state is a small cache, which a lock protects."""

    def __init__(self, tensors: dict[str, torch.Tensor], precision: torch.dtype | None = None) -> None:
        """Load the encoder.

        Args:
            tensors: tensors of the weights file, by name.
            precision: number format of the multiplications; ``native_precision()`` by default.

        Raises:
            KeyError: a tensor is missing.
        """
        super().__init__()
        self.precision = precision or native_precision()
        self._memory: dict[bytes, torch.Tensor] = {}
        self._lock = threading.Lock()

        def plain(name: str) -> tuple[torch.Tensor, torch.Tensor]:
            return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

        def matrix(name: str) -> torch.Tensor:
            return tensors[f"{name}.weight"].float() * tensors[f"{name}.scale"][:, None]

        def linear(*names: str) -> tuple[torch.Tensor, torch.Tensor]:
            weight, bias = torch.cat([matrix(n) for n in names]), torch.cat([tensors[f"{n}.bias"] for n in names])
            return weight.to(self.precision), bias.to(self.precision)

        self._patch = tensors["patch.weight"].reshape(WIDTH, -1).to(self.precision)
        self._class_token, self._positions = tensors["class_token"], tensors["positions"]
        self._norm = plain("norm_in")
        self._blocks = [
            _Block(
                plain(f"{at}.norm1"),
                linear(f"{at}.q", f"{at}.k", f"{at}.v"),
                linear(f"{at}.out"),
                plain(f"{at}.norm2"),
                linear(f"{at}.fc1"),
                linear(f"{at}.fc2"),
            )
            for at in (f"blocks.{number}" for number in range(BLOCKS))
        ]

    @classmethod
    def load(cls, content: bytes, precision: torch.dtype | None = None) -> "Encoder":
        """Build the encoder from the bytes of its weights file, which the caller has verified.

        Raises:
            WeightsError: the weights do not fit this architecture.
        """
        try:
            return cls(load(content), precision)
        except (KeyError, RuntimeError, SafetensorError) as problem:
            raise WeightsError(
                "The encoder's weights do not fit its architecture, so nothing can be scored; restore the file from "
                "the repository."
            ) from problem

    def remembered(self, crop: bytes, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the features of a crop from a cache of recent crops, as several heads often ask for the same crop.

        Args:
            crop: the bytes of its pixels.
            compute: computes the (1, 15, 768) features if the cache does not hold them.
        """
        key = hashlib.sha256(crop).digest()
        with self._lock:
            features = self._memory.get(key)
        if features is None:
            features = compute()
            with self._lock:
                self._memory[key] = features
                while len(self._memory) > _REMEMBERED:
                    del self._memory[next(iter(self._memory))]
        return features

    def forget(self) -> None:
        """Empty the cache, as benchmarks must do between their rounds."""
        with self._lock:
            self._memory.clear()

    def tokens(self, inputs: torch.Tensor) -> torch.Tensor:
        """Split pictures into patches and embed them.

        Args:
            inputs: (N, 3, 224, 224) float32, normalized as the model record says.

        Returns:
            (N, 197, 768) float32: the class token, then the patches row by row.
        """
        count, cells = inputs.shape[0], SIDE // PATCH
        patches = inputs.reshape(count, 3, cells, PATCH, cells, PATCH).permute(0, 2, 4, 1, 3, 5)
        embedded = functional.linear(patches.reshape(count, cells * cells, -1).to(self.precision), self._patch).float()
        tokens = torch.cat([self._class_token.expand(count, 1, WIDTH), embedded], 1) + self._positions
        return functional.layer_norm(tokens, (WIDTH,), *self._norm, _EPSILON)

    def _advance(self, tokens: torch.Tensor, number: int) -> torch.Tensor:
        """Pass (N, 197, 768) float32 tokens through block ``number``, counted from 1."""
        block, count = self._blocks[number - 1], tokens.shape[0]
        inner = functional.layer_norm(tokens, (WIDTH,), *block.norm1, _EPSILON).to(self.precision)
        joint = functional.linear(inner, *block.joint).reshape(count, _TOKENS, 3, HEADS, WIDTH // HEADS)
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(count, _TOKENS, WIDTH)
        tokens = tokens + functional.linear(mixed, *block.out).float()
        inner = functional.layer_norm(tokens, (WIDTH,), *block.norm2, _EPSILON).to(self.precision)
        inner = functional.linear(inner, *block.widen)
        inner = inner * torch.sigmoid(1.702 * inner)  # QuickGELU, as CLIP was trained
        return tokens + functional.linear(inner, *block.narrow).float()

    def walk(self, tokens: torch.Tensor, first: int, last: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Pass tokens through the blocks ``first`` to ``last`` and collect the rows of the features on the way.

        Args:
            tokens: (N, 197, 768) float32, the input of block ``first``.
            first: number of the first block, from 1.
            last: number of the last block, inclusive.

        Returns:
            The output tokens of block ``last``, and the rows by name, each (N, 768) float32.
        """
        with _one_thread():
            return self._walk(tokens, first, last)

    def _walk(self, tokens: torch.Tensor, first: int, last: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        rows: dict[str, torch.Tensor] = {}
        for number in range(first, last + 1):
            tokens = self._advance(tokens, number)
            rows[f"class {number}"] = tokens[:, 0]
            rows[f"mean {number}"] = tokens[:, 1:].mean(1)
            if number in _SPREAD_OF:
                rows[f"spread {number}"] = tokens[:, 1:].std(1)
        return tokens, rows

    def in_one_pass(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the same features as ``forward`` up to rounding, computed as one batch so that it can be exported."""
        return features_of(self._walk(self.tokens(inputs), 1, BLOCKS)[1])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the features of normalized crops: (N, 3, 224, 224) to (N, 15, 768) float32, rows as in ``ROWS``."""
        return torch.cat([self._features(crop[None]) for crop in inputs])

    def _features(self, crop: torch.Tensor) -> torch.Tensor:
        """Return the features of one normalized crop: (1, 3, 224, 224) float32 to (1, 15, 768) float32."""
        with _one_thread():
            _, rows = self.walk(self.tokens(crop), 1, BLOCKS)
        return features_of(rows)


def features_of(rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """Stack the rows that ``Encoder.walk`` collected over all blocks: (N, 15, 768) float32, ordered as in ``ROWS``."""
    return torch.stack([rows[name] for name in ROWS], 1)
