"""A model in memory: its record, its network, and the lock that lets sessions share both."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from faceloupe.explain.gradcam import explain, merge
from faceloupe.models.records import ModelRecord, find_record
from faceloupe.models.weights import load_network
from faceloupe.scoring.preprocess import FaceViews, normalize

_BATCH = 16  # faces


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

    def logits(self, faces: Sequence[FaceViews]) -> np.ndarray:
        """Raw logits of N faces, each the mean over its views: (N,) float64."""
        parts = []
        for start in range(0, len(faces), _BATCH):  # memory stays bounded however many faces a picture has
            views = np.stack([face.crops for face in faces[start : start + _BATCH]])
            with self._lock, torch.inference_mode():
                logits = self._network(self._inputs(views.reshape(-1, *views.shape[2:])))
            parts.append(logits.double().cpu().numpy().reshape(views.shape[:2]).mean(1))
        return np.concatenate(parts)

    def explained_logit(self, face: FaceViews) -> tuple[float, np.ndarray]:
        """Raw logit of one face, and its (S, S) heatmap in the frame of its widest view."""
        with self._lock:
            logits, maps = explain(self._network, self._inputs(face.crops))
        return float(logits.mean()), merge(maps, face.squares)

    def probability(self, logit: float) -> float:
        """Calibrated P(manipulated) at even prior odds, 0..1."""
        return float(self.record.calibrator.probability(logit))
