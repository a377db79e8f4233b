"""The expert's heads, which map the encoder's features to a logit and to a distance from known faces."""

import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn
from torch.nn import functional

from faceloupe.errors import WeightsError
from faceloupe.findings import Familiarity
from faceloupe.models.encoder import ROWS, WIDTH, Encoder

NEIGHBORS = 5  # nearest known faces whose mean distance measures how familiar a face is
_ALIKE = 64  # nearest remembered faces that are used
_SHARPNESS = 8.0  # how fast their weight decreases with their distance
_DOUBT = 0.05  # shares are mapped to _DOUBT..1 - _DOUBT, because neighbors are never certain evidence


def neighbor_log_odds(
    points: torch.Tensor, remembered: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the log-odds of the weighted share of manipulated faces among the nearest remembered faces.

    Args:
        points: (N, D) float32, the faces.
        remembered: (K, D) float32 of unit length, faces with a known label.
        labels: (K,) float32, 1 = manipulated.
        weights: (K,) float32 > 0.

    Returns:
        (N,) float32 natural log-odds, at most 2.94 from 0.
    """
    similarity = functional.normalize(points, dim=1) @ remembered.T
    nearest = similarity.topk(min(_ALIKE, len(remembered)), dim=1)
    near = weights[nearest.indices] * torch.exp(_SHARPNESS * (nearest.values - nearest.values[:, :1]))
    share = (near * labels[nearest.indices]).sum(1) / near.sum(1)
    return torch.logit(_DOUBT + (1 - 2 * _DOUBT) * share)


class Head(nn.Module):
    """A linear map of standardized features, plus an optional small network and optional remembered faces.

    logit = linear(z) + output(gelu(hidden(z))) + neighbor_log_odds(z @ basis), with z = (features - mean) * scale.
    Thread-safe after construction.
    """

    def __init__(self, tensors: dict[str, torch.Tensor], sources: tuple[str, ...] = ()) -> None:
        """Load a head.

        Args:
            tensors: ``rows`` (R,) int64, the rows of the features to read; ``mean`` and ``scale`` (R * 768,);
                ``linear`` (R * 768,); ``bias`` (1,); ``hidden`` (H, R * 768), ``hidden_bias`` (H,) and ``output``
                (H,), H may be 0. A head that remembers faces also has ``basis`` (R * 768, D), ``remembered`` (K, D) of
                unit length, ``remembered_label`` and ``remembered_weight`` (K,), see ``neighbor_log_odds``. A head that
                knows its scope also has ``scope_row`` (1,) int64, ``scope_mean`` (768,), ``scope_basis`` (768, D),
                ``known`` (K, D) of unit length, and ``known_source`` (K,) int64.
            sources: names of the sources of the known faces; ``known_source`` indexes them.

        Raises:
            KeyError: a tensor is missing.
            ValueError: shapes do not match, or a number is not finite.
        """
        super().__init__()
        self.rows = tensors["rows"].tolist()
        size = len(self.rows) * WIDTH
        shapes = {name: tuple(tensors[name].shape) for name in ("mean", "scale", "linear")}
        hidden = tuple(tensors["hidden"].shape)
        fits = set(shapes.values()) == {(size,)} and hidden[1:] == (size,) and max(self.rows) < len(ROWS)
        if not fits or not all(t.isfinite().all() for t in tensors.values() if t.is_floating_point()):
            raise ValueError("the tensors of the head do not fit together")
        self._mean, self._scale, self._linear, self._bias, self._hidden, self._hidden_bias, self._output = (
            tensors[name].float() for name in ("mean", "scale", "linear", "bias", "hidden", "hidden_bias", "output")
        )
        self._basis = tensors["basis"].float() if "basis" in tensors else None
        if self._basis is not None:
            names = ("remembered", "remembered_label", "remembered_weight")
            self._remembered = tuple(tensors[name].float() for name in names)
            known, labels, weights = (tuple(part.shape) for part in self._remembered)
            if self._basis.shape != (size, *known[1:]) or not known[0] or {labels, weights} != {known[:1]}:
                raise ValueError("the faces that the head remembers do not fit together")
        self._scope = {name: tensors[name] for name in ("scope_mean", "scope_basis", "known") if name in tensors}
        if self._scope:
            self._scope_row = int(tensors["scope_row"])
            self._known_source = tensors["known_source"].tolist()
        self._sources = sources

    @classmethod
    def load(cls, content: bytes) -> "Head":
        """Build the head from the bytes of its weights file, which the caller has verified.

        Raises:
            WeightsError: the weights are not those of a head.
        """
        try:
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            sources = json.loads(header.get("__metadata__", {}).get("sources", "[]"))
            return cls(load(content), tuple(sources))
        except (KeyError, IndexError, ValueError, RuntimeError, SafetensorError) as problem:
            raise WeightsError(
                "The weights of the expert's head do not fit its architecture, so nothing can be scored; restore the "
                "file from the repository."
            ) from problem

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits of (N, 15, 768) float32 features: (N,) float32."""
        inputs = (features[:, self.rows].flatten(1) - self._mean) * self._scale
        logits = inputs @ self._linear + self._bias
        if len(self._output):
            logits = logits + functional.gelu(functional.linear(inputs, self._hidden, self._hidden_bias)) @ self._output
        if self._basis is not None:
            logits = logits + neighbor_log_odds(inputs @ self._basis, *self._remembered)
        return logits

    @property
    def knows_its_scope(self) -> bool:
        """Whether the head can measure how far a face is from the known faces."""
        return bool(self._scope)

    def familiarity(self, features: torch.Tensor) -> list[Familiarity]:
        """Measure the distance of (N, 15, 768) float32 features from the known faces; requires ``knows_its_scope``.

        Each result also names the most frequent source of the nearest known faces.
        """
        points = (features[:, self._scope_row] - self._scope["scope_mean"]) @ self._scope["scope_basis"]
        similarity = functional.normalize(points, dim=1) @ self._scope["known"].float().T
        nearest = similarity.topk(NEIGHBORS, dim=1)
        distances = []
        for values, indices in zip(nearest.values, nearest.indices.tolist(), strict=True):
            names = [self._sources[self._known_source[index]] for index in indices]
            distances.append(Familiarity(float(1.0 - values.mean()), max(names, key=names.count)))
        return distances


class HeadWithEncoder(nn.Module):
    """A head and its encoder as one network, for export."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        """Join a head and an encoder; the encoder should multiply in float32, as other runtimes do."""
        super().__init__()
        self._encoder, self._head = encoder, head

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalized crops: (N, 3, 224, 224) float32 to (N, 1) float32."""
        logits: torch.Tensor = self._head(self._encoder.in_one_pass(inputs))
        return logits[:, None]
