"""A model in memory: its record, its network, and the lock that lets sessions share both."""

import threading
from pathlib import Path

import numpy as np
import torch

from faceloupe.explain.gradcam import explain
from faceloupe.models.records import ModelRecord, find_record
from faceloupe.models.weights import load_network
from faceloupe.scoring.preprocess import normalize

_BATCH = 32


class FaceScorer:
    """Scores crops with one verified network.

    Thread-safe: Grad-CAM hangs hooks on the shared network, so every pass holds the lock.
    """

    def __init__(self, record: ModelRecord, folder: Path, device: str = "cpu") -> None:
        """
        Raises:
            WeightsError: the weights are missing, altered, or of another architecture.
        """
        self.record = record
        self._network = load_network(record, folder, device)
        self._device = torch.device(device)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path, model_id: str, device: str = "cpu") -> "FaceScorer":
        """Load a model of the registry by its id."""
        return cls(find_record(folder, model_id), folder, device)

    def _inputs(self, crops: np.ndarray) -> torch.Tensor:
        inputs = torch.from_numpy(np.ascontiguousarray(normalize(crops, self.record.input)))
        return inputs.to(self._device, memory_format=torch.channels_last)

    def logits(self, crops: np.ndarray) -> np.ndarray:
        """Raw logits of (N, S, S, 3) uint8 RGB crops: (N,) float64."""
        parts = []
        for start in range(0, len(crops), _BATCH):  # memory stays bounded however many faces a picture has
            with self._lock, torch.inference_mode():
                parts.append(self._network(self._inputs(crops[start : start + _BATCH])).squeeze(1).double().cpu())
        return torch.cat(parts).numpy()

    def explained_logit(self, crop: np.ndarray) -> tuple[float, np.ndarray]:
        """Raw logit of one (S, S, 3) crop and its heatmap, see ``explain.gradcam.explain``."""
        with self._lock:
            return explain(self._network, self._inputs(crop[None]))

    def probability(self, logit: float) -> float:
        """Calibrated P(manipulated) at even prior odds, 0..1."""
        return float(self.record.calibrator.probability(logit))
