"""Deliberate defects of a training run, to study their effect on a detector (see docs/robustness.md)."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from faceloupe.errors import DatasetError

# Mode -> meaning of its amount; None if it takes none.
MODES: dict[str, str | None] = {
    "label_noise": "share of the labels that are flipped, 0..1",
    "shuffle_labels": None,  # labels are shuffled within the batch
    "input_noise": "standard deviation of Gaussian noise on the normalized input",
    "wrong_loss": None,  # mean squared error on the probability instead of cross-entropy
    "shuffle_batch": None,  # pictures are shuffled within the batch, and lose their labels
    "random_weight_reset": "probability, at each step, that one layer's weights are drawn anew, 0..1",
    "skip_update": "every n-th update is left out, n >= 2",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One defect.

    Attributes:
        mode: one of ``MODES``.
        amount: see ``MODES``; 0 if the mode takes none.

    Raises:
        DatasetError: the mode is unknown, or its amount is out of range.
    """

    mode: str
    amount: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise DatasetError(f"There is no fault {self.mode!r}; known are {', '.join(MODES)}.")
        meaning = MODES[self.mode]
        finite = math.isfinite(self.amount)
        fits = finite and {
            "label_noise": 0.0 < self.amount <= 1.0,
            "random_weight_reset": 0.0 < self.amount <= 1.0,
            "input_noise": self.amount > 0.0,
            "skip_update": self.amount >= 2 and self.amount == math.floor(self.amount),
        }.get(self.mode, self.amount == 0.0)
        if not fits:
            raise DatasetError(f"The fault {self.mode} takes {meaning or 'no amount'}, not {self.amount:g}.")

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read ``MODE`` or ``MODE:AMOUNT``."""
        mode, _, amount = text.partition(":")
        try:
            return cls(mode, float(amount) if amount else 0.0)
        except ValueError:
            raise DatasetError(f"{amount!r} is no amount for the fault {mode}.") from None

    def batch(self, faces: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a batch under this fault: (N, 3, S, S) inputs and (N,) labels, 1 = manipulated."""
        if self.mode == "label_noise":
            return faces, torch.where(torch.rand(len(labels)).to(labels.device) < self.amount, 1.0 - labels, labels)
        if self.mode == "shuffle_labels":
            return faces, labels[torch.randperm(len(labels)).to(labels.device)]
        if self.mode == "input_noise":
            return faces + self.amount * torch.randn_like(faces), labels
        if self.mode == "shuffle_batch":
            return faces[torch.randperm(len(faces)).to(faces.device)], labels
        return faces, labels

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of (N,) logits under this fault."""
        if self.mode == "wrong_loss":
            return nn.functional.mse_loss(torch.sigmoid(logits), targets)
        return nn.functional.binary_cross_entropy_with_logits(logits, targets)

    def skips(self, step: int) -> bool:
        """Whether the update of a step, counted from 0, is skipped."""
        return self.mode == "skip_update" and step % int(self.amount) == int(self.amount) - 1

    def after(self, network: nn.Module) -> None:
        """Apply the fault to the network after an update."""
        if self.mode == "random_weight_reset" and float(torch.rand(())) < self.amount:
            layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
            layers[int(torch.randint(len(layers), ()))].reset_parameters()
