"""Training of the expert's heads on cached features, and cross-fitting over whole sources."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import save

from faceloupe.errors import DatasetError
from faceloupe.models.encoder import ROWS, WIDTH
from faceloupe.models.expert import neighbor_log_odds
from faceloupe.system.files import replacing

_STEPS = 120  # of L-BFGS; the loss is convex, and converges long before
_LEAST_SPREAD = 1e-2  # added to the spread of a feature, so that a constant one is not blown up
_FEW = 8  # the mean of a source with fewer faces is not penalized
SCOPE_ROW = ROWS.index("class 11")
_SCOPE_WIDTH = 64  # dimensions kept


class Rows(Protocol):
    """(N, 15, 768) features whose rows are read on access; an array fits this protocol."""

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: slice | np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """Settings for training a head.

    Attributes:
        rows: names of the feature rows to use.
        decay: weight of the squared weights in the loss.
        scatter: weight of the squared distances between the mean logits of sources of one class, a penalty on features
            that only tell sources apart.
        width: dimensions that the standardized features are projected to; 0 keeps all of them.
        examples: number of faces from which the scale and the projection of the features are computed.
        remembered: number of faces that a nearest-neighbor head remembers; 0 for a linear head.
        seed: seed of the projection and of the choice of known faces.
    """

    rows: tuple[str, ...] = ROWS
    decay: float = 1e-4
    scatter: float = 0.0
    width: int = 1024
    examples: int = 6000
    remembered: int = 0
    seed: int = 20261129


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces with cached features.

    Attributes:
        features: (N, 15, 768) float16, rows as in ``models.encoder.ROWS``.
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str, the collection of each face, with its method if the collection holds several.
        units: (N,) str, the independent unit: person, video or picture.
    """

    features: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    units: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.features.shape != (count, len(ROWS), WIDTH) or len(self.sources) != count or len(self.units) != count:
            raise ValueError(f"{count} faces do not go with features of the shape {self.features.shape}")

    def where(self, keep: np.ndarray) -> "Faces":
        """Return the faces that a (N,) bool mask or an index array keeps."""
        return Faces(self.features[keep], self.labels[keep], self.sources[keep], self.units[keep])


def balance(labels: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Return weights of N faces, summing to 1: equal for both classes, and by the root of its size for each source."""
    weights = np.zeros(len(labels))
    for label in (0, 1):
        mine = labels == label
        if not mine.any():
            raise DatasetError("A head needs faces of both classes.")
        _, index, counts = np.unique(sources[mine], return_inverse=True, return_counts=True)
        share = 1.0 / np.sqrt(counts)[index]
        weights[mine] = 0.5 * share / share.sum()
    return weights


@dataclass(frozen=True, slots=True)
class Projection:
    """Standardization of features, with an optional unsupervised projection to fewer dimensions.

    Attributes:
        rows: (R,) int64, row numbers of the features.
        mean, scale: (R * 768,) float32.
        basis: (R * 768, K) float32, the principal directions as orthonormal columns; None to keep all dimensions.
    """

    rows: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    basis: torch.Tensor | None

    @property
    def width(self) -> int:
        """K, the number of output dimensions."""
        return len(self.mean) if self.basis is None else self.basis.shape[1]

    @classmethod
    def of(cls, features: Rows, settings: HeadSettings) -> "Projection":
        """Compute the map from (N, 15, 768) features."""
        rows = torch.tensor([ROWS.index(name) for name in settings.rows])
        chosen = np.random.default_rng(settings.seed).permutation(len(features))[: settings.examples]
        part = features[np.sort(chosen)][:, rows.numpy()]
        inputs = torch.from_numpy(part.reshape(len(part), -1).astype(np.float32))
        mean, scale = inputs.mean(0), 1.0 / (inputs.std(0) + _LEAST_SPREAD)
        if not settings.width:
            return cls(rows, mean, scale, None)
        torch.manual_seed(settings.seed)
        width = min(settings.width, *inputs.shape)
        _, _, basis = torch.svd_lowrank((inputs - mean) * scale, q=width, niter=2)
        return cls(rows, mean, scale, basis)

    def of_faces(self, features: Rows, batch: int = 2048) -> torch.Tensor:
        """Map (N, 15, 768) features to (N, K) float32."""
        inputs = torch.empty(len(features), self.width)
        for start in range(0, len(features), batch):
            part = torch.from_numpy(features[start : start + batch][:, self.rows.numpy()].astype(np.float32))
            standard = (part.flatten(1) - self.mean) * self.scale
            inputs[start : start + batch] = standard if self.basis is None else standard @ self.basis
        return inputs


@dataclass(frozen=True, slots=True)
class Fitted:
    """A linear head in the dimensions of a projection: logit = inputs @ weights + bias."""

    weights: torch.Tensor
    bias: torch.Tensor

    def __call__(self, inputs: torch.Tensor) -> np.ndarray:
        """Return the (N,) float64 logits of (N, K) inputs."""
        return (inputs @ self.weights + self.bias).double().numpy()

    def parameters(self, projection: Projection) -> int:
        """Return the number of fitted parameters, as the head is stored."""
        return len(projection.mean) + len(self.bias)

    def tensors(self, projection: Projection) -> dict[str, torch.Tensor]:
        """Return the tensors of ``models.expert.Head``: the same map, applied directly to the features."""
        size = len(projection.mean)
        return {
            "rows": projection.rows,
            "mean": projection.mean,
            "scale": projection.scale,
            "linear": self.weights if projection.basis is None else projection.basis @ self.weights,
            "bias": self.bias,
            "hidden": torch.zeros(0, size),
            "hidden_bias": torch.zeros(0),
            "output": torch.zeros(0),
        }


@dataclass(frozen=True, slots=True)
class Remembered:
    """A head that judges by the labels of the nearest known faces, in the dimensions of a projection.

    Attributes:
        scale: (K,) float32, factors of the dimensions.
        points: (M, K) float32 of unit length, the known faces.
        labels, weights: (M,) float32, of the known faces, see ``models.expert.neighbor_log_odds``.
    """

    scale: torch.Tensor
    points: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor

    def __call__(self, inputs: torch.Tensor, batch: int = 2048) -> np.ndarray:
        """Return the (N,) float64 logits of (N, K) inputs."""
        parts = torch.split(inputs, batch)
        answers = [neighbor_log_odds(part * self.scale, self.points, self.labels, self.weights) for part in parts]
        return torch.cat(answers).double().numpy()

    def parameters(self, projection: Projection) -> int:
        """Return the number of fitted parameters, as the head is stored."""
        return len(projection.mean) * projection.width + self.points.numel()

    def tensors(self, projection: Projection) -> dict[str, torch.Tensor]:
        """Return the tensors of ``models.expert.Head``: the same map, applied directly to the features."""
        if projection.basis is None:
            raise DatasetError("A head that remembers faces needs a projection to fewer dimensions.")
        size = len(projection.mean)
        return {
            "rows": projection.rows,
            "mean": projection.mean,
            "scale": projection.scale,
            "linear": torch.zeros(size),
            "bias": torch.zeros(1),
            "hidden": torch.zeros(0, size),
            "hidden_bias": torch.zeros(0),
            "output": torch.zeros(0),
            "basis": projection.basis * self.scale,
            "remembered": self.points.half(),
            "remembered_label": self.labels,
            "remembered_weight": self.weights,
        }


def remember(inputs: torch.Tensor, labels: np.ndarray, sources: np.ndarray, settings: HeadSettings) -> Remembered:
    """Choose the faces that a head remembers, spread over the sources.

    The weight of each face is the root of its weight in ``balance``: a large source counts more than a small one, but
    not in proportion to its size.

    Args:
        inputs: (N, K) float32 from a projection.
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str.
        settings: settings of the fit.

    Raises:
        DatasetError: a class is missing.
    """
    weights = np.sqrt(balance(labels, sources))
    count = min(settings.remembered, len(labels))
    random = np.random.default_rng(settings.seed)
    chosen = np.sort(random.choice(len(labels), count, replace=False, p=balance_over(sources)))
    scale = 1.0 / (inputs.std(0) + _LEAST_SPREAD)
    points = torch.nn.functional.normalize(inputs[torch.from_numpy(chosen)] * scale, dim=1).half().float()  # as stored
    of_chosen = (torch.from_numpy(values[chosen].astype(np.float32)) for values in (labels, weights / weights.mean()))
    return Remembered(scale, points, *of_chosen)


def fit(inputs: torch.Tensor, labels: np.ndarray, sources: np.ndarray, settings: HeadSettings) -> Fitted | Remembered:
    """Fit a head: a linear one by cross-entropy, or one that remembers faces.

    Args:
        inputs: (N, K) float32 from a projection.
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str.
        settings: settings of the fit.

    Raises:
        DatasetError: a class is missing.
    """
    if settings.remembered:
        return remember(inputs, labels, sources, settings)
    weights = torch.from_numpy(balance(labels, sources).astype(np.float32))
    targets = torch.from_numpy(labels.astype(np.float32))
    centers = _centers(inputs, labels, sources) if settings.scatter else None
    linear, bias = torch.zeros(inputs.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([linear, bias], max_iter=_STEPS, history_size=15, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        losses = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ linear + bias, targets, reduction="none")
        value = (weights * losses).sum() + settings.decay * (linear @ linear)
        if centers is not None:
            value = value + settings.scatter * (centers @ linear).square().mean()
        value.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch does not type it
    return Fitted(linear.detach(), bias.detach())


def _centers(inputs: torch.Tensor, labels: np.ndarray, sources: np.ndarray) -> torch.Tensor:
    """Return the mean of each source of a class, minus the mean of these means; small sources are left out."""
    parts = []
    for label in (0, 1):
        of_class = labels == label
        masks = [of_class & (sources == source) for source in np.unique(sources[of_class])]
        means = [inputs[torch.from_numpy(mask)].mean(0) for mask in masks if mask.sum() >= _FEW]
        if means:
            stacked = torch.stack(means)
            parts.append(stacked - stacked.mean(0))
    return torch.cat(parts)


def fold_of(sources: Sequence[str] | np.ndarray, folds: int) -> np.ndarray:
    """Return the (N,) fold of each face, from the name of its source: independent of the machine and of other faces."""
    numbers = {
        name: int(hashlib.sha256(f"fold{name}".encode()).hexdigest()[:12], 16) % folds for name in np.unique(sources)
    }
    return np.array([numbers[name] for name in sources])


def scope(faces: Faces, count: int, seed: int) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return the tensors for measuring how far a face lies from known ones, see ``models.expert.Head.familiarity``.

    Args:
        faces: the known faces.
        count: number of known faces to keep, spread over the sources.
        seed: seed of the choice of the known faces.

    Returns:
        The tensors, and the names of the sources.
    """
    values = faces.features[:, SCOPE_ROW].astype(np.float64)
    mean = values.mean(0)
    _, spread, basis = np.linalg.svd(values - mean, full_matrices=False)
    width = min(_SCOPE_WIDTH, len(values) // 2)  # with few faces, the last directions have no spread to divide by
    directions = basis[:width].T / (spread[:width] / np.sqrt(len(values)))
    random = np.random.default_rng(seed)
    chance = balance_over(faces.sources)
    chosen = np.sort(random.choice(len(values), min(count, len(values)), replace=False, p=chance))
    points = (values[chosen] - mean) @ directions
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    names = np.unique(faces.sources[chosen])
    numbers = np.searchsorted(names, faces.sources[chosen])
    return {
        "scope_row": torch.tensor([SCOPE_ROW]),
        "scope_mean": torch.from_numpy(mean.astype(np.float32)),
        "scope_basis": torch.from_numpy(directions.astype(np.float32)),
        "known": torch.from_numpy(points.astype(np.float16)),
        "known_source": torch.from_numpy(numbers),
    }, names.tolist()


def balance_over(sources: np.ndarray) -> np.ndarray:
    """Return the probabilities of drawing N faces, summing to 1: each source by the root of its size."""
    _, index, counts = np.unique(sources, return_inverse=True, return_counts=True)
    share: np.ndarray = 1.0 / np.sqrt(counts)[index]
    chances: np.ndarray = share / share.sum()
    return chances


def write(tensors: dict[str, torch.Tensor], sources: Sequence[str], path: Path) -> str:
    """Write a head as safetensors, completely or not at all.

    Returns:
        SHA-256 of the file, hexadecimal.
    """
    content = save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, {"sources": json.dumps(list(sources))}
    )
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
