"""Fitting of the core's classifier on the statistics of its frozen trunk."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from faceloupe.models.backbones import BlockStatistics, Standardize
from faceloupe.models.networks import build
from faceloupe.models.record import CORE
from faceloupe.training.heads import balance

_LEAST_SPREAD = 1e-2  # added to the spread of a statistic, so that a constant one is not blown up
_MOST_WEIGHT = 20.0  # of a look, as a multiple of the mean weight: a source of one face must not dominate a step


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Settings for fitting the core's classifier.

    Attributes:
        version: part of the record's id.
        epochs: passes over the looks.
        batch: looks in one step.
        rate: highest learning rate of AdamW; it rises over the first tenth of the steps and then falls to 0.
        decay: weight decay.
        dropped_inputs, dropped_units: dropout probabilities of the inputs and of the hidden units.
        seed: seed of the initial weights, the order of the looks, and the dropout.
    """

    version: int = 3
    epochs: int = 20
    batch: int = 512
    rate: float = 2e-3
    decay: float = 0.2
    dropped_inputs: float = 0.1
    dropped_units: float = 0.5
    seed: int = 20261130


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean of each of D statistics, and the inverse of their spread, (D,) float32 each."""

    mean: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, statistics: torch.Tensor) -> "Standard":
        """Compute both from (N, D) statistics."""
        mean = statistics.float().mean(0)
        return cls(mean, 1.0 / ((statistics.float() - mean).square().mean(0).sqrt() + _LEAST_SPREAD))


@dataclass(frozen=True, slots=True)
class Examples:
    """N looks to train on.

    Attributes:
        statistics: (N, V, D) float16, one row for each of V crops.
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str.
    """

    statistics: torch.Tensor
    labels: np.ndarray
    sources: np.ndarray


def fit(examples: Examples, chosen: np.ndarray, standard: Standard, settings: CoreSettings) -> nn.Sequential:
    """Fit a classifier by cross-entropy; classes and sources are balanced as in ``heads.balance``.

    Each step uses one random crop of a look.

    Args:
        examples: the looks.
        chosen: (N,) bool, the looks to train on.
        standard: standardization of the statistics; it becomes part of the classifier.
        settings: settings of the fit.

    Returns:
        The classifier of ``BlockStatistics``, in evaluation mode: (N, D) statistics to (N, 1) logits.

    Raises:
        DatasetError: a class is missing.
    """
    torch.manual_seed(settings.seed)
    index = np.flatnonzero(chosen)
    shares = balance(examples.labels[index], examples.sources[index]) * len(index)
    weights = torch.from_numpy(np.minimum(shares, _MOST_WEIGHT).astype(np.float32))
    targets = torch.from_numpy(examples.labels[index].astype(np.float32))
    looks = torch.from_numpy(index)
    network = build(CORE)
    assert isinstance(network, BlockStatistics)
    standardized, first, act, last = network.classifier
    assert isinstance(standardized, Standardize)
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    trained = nn.Sequential(nn.Dropout(settings.dropped_inputs), first, act, nn.Dropout(settings.dropped_units), last)
    nn.init.kaiming_uniform_(first.weight, a=5**0.5)
    nn.init.kaiming_uniform_(last.weight, a=5**0.5)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=settings.rate, weight_decay=settings.decay)
    per_epoch = max(1, len(index) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=settings.epochs * per_epoch, pct_start=0.1
    )
    for _ in range(settings.epochs):
        order = torch.randperm(len(index))
        for step in range(per_epoch):
            part = order[step * settings.batch : (step + 1) * settings.batch]
            crop = torch.randint(examples.statistics.shape[1], (len(part),))
            inputs = (examples.statistics[looks[part], crop].float() - standard.mean) * standard.scale
            losses = binary_cross_entropy_with_logits(trained(inputs)[:, 0], targets[part], reduction="none")
            optimizer.zero_grad(set_to_none=True)
            (weights[part] * losses).mean().backward()  # type: ignore[no-untyped-call]  # torch does not type it
            optimizer.step()
            schedule.step()
    standardized.mean.copy_(standard.mean)
    standardized.scale.copy_(standard.scale)
    return network.classifier.eval().requires_grad_(False)


def logits(classifier: nn.Sequential, statistics: torch.Tensor, batch: int = 4096) -> np.ndarray:
    """Return the (N,) float64 logits of (N, V, D) float16 statistics: means over the crops, as in the scorer."""
    with torch.inference_mode():
        parts = [classifier(part.float())[..., 0].double().mean(1) for part in torch.split(statistics, batch)]
    return torch.cat(parts).numpy()
