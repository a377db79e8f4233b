"""Models in memory: a network or an ensemble, its record, and the lock that lets sessions share them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import nn

from faceloupe.models.records import ModelRecord, find_record, members_of
from faceloupe.models.weights import load_network
from faceloupe.scoring.calibration import Calibrator
from faceloupe.scoring.preprocess import FaceViews, InputContract, normalize, view_face
from faceloupe.types import Box

_BATCH = 4  # faces in one pass of the network: more do not fit into a core's cache, and take longer each


class Scorer(Protocol):
    """Anything that gives a face one logit: > 0 speaks for manipulated, before calibration."""

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        """Cut a face out of an (H, W, 3) uint8 RGB picture as this scorer wants to see it."""

    def logits(self, faces: Sequence[FaceViews]) -> np.ndarray:
        """Raw logits of N faces: (N,) float64."""

    def explained_logit(self, face: FaceViews) -> tuple[float, np.ndarray]:
        """Raw logit of one face, and its (S, S) heatmap in the frame of its widest view."""


class NetworkScorer:
    """One network; the logit of a face is the mean over its views.

    Thread-safe: Grad-CAM hangs hooks on the shared network, so every pass holds the lock.
    """

    def __init__(self, network: nn.Module, contract: InputContract, device: str | torch.device = "cpu") -> None:
        self._network = network.eval()
        self._contract = contract
        self._device = torch.device(device)
        self._lock = threading.Lock()

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        return view_face(rgb, box, self._contract)

    def _inputs(self, crops: np.ndarray) -> torch.Tensor:
        inputs = torch.from_numpy(normalize(crops, self._contract))  # a transposed view: channels last in memory
        return inputs.to(self._device, memory_format=torch.channels_last)

    def logits(self, faces: Sequence[FaceViews]) -> np.ndarray:
        parts = []
        for start in range(0, len(faces), _BATCH):  # memory stays bounded however many faces a picture has
            views = np.stack([face.crops for face in faces[start : start + _BATCH]])
            with self._lock, torch.inference_mode():
                logits = self._network(self._inputs(views.reshape(-1, *views.shape[2:])))
            parts.append(logits.double().cpu().numpy().reshape(views.shape[:2]).mean(1))
        return np.concatenate(parts)

    def explained_logit(self, face: FaceViews) -> tuple[float, np.ndarray]:
        from faceloupe.explain.gradcam import explain, merge  # seconds to import, and not every use asks for a map

        with self._lock:
            logits, maps = explain(self._network, self._inputs(face.crops))
        return float(logits.mean()), merge(maps, face.squares)


@dataclass(frozen=True, slots=True)
class _MemberViews(FaceViews):
    """A face as every member of an ensemble sees it; what is shown of it is what the first member sees."""

    members: tuple[FaceViews, ...]


class EnsembleScorer:
    """Several networks; the logit of a face is the mean of their calibrated log-likelihood ratios, in natural units.

    Its heatmap is the mean of the members' maps, in the frame of the first.
    """

    def __init__(self, members: Sequence[tuple[NetworkScorer, Calibrator]]) -> None:
        self._members = tuple(members)

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        views = tuple(scorer.view(rgb, box) for scorer, _ in self._members)
        return _MemberViews(views[0].squares, views[0].crops, views)

    def logits(self, faces: Sequence[_MemberViews]) -> np.ndarray:
        return np.mean(
            [
                calibrator.log_odds(scorer.logits([face.members[number] for face in faces]))
                for number, (scorer, calibrator) in enumerate(self._members)
            ],
            axis=0,
        )

    def explained_logit(self, face: _MemberViews) -> tuple[float, np.ndarray]:
        log_odds, maps, side = [], [], face.crops.shape[1]
        for (scorer, calibrator), views in zip(self._members, face.members, strict=True):
            logit, heat = scorer.explained_logit(views)
            log_odds.append(float(calibrator.log_odds(logit)))
            maps.append(cv2.resize(heat, (side, side), interpolation=cv2.INTER_LINEAR))
        return float(np.mean(log_odds)), np.mean(maps, axis=0, dtype=np.float32)


class FaceScorer:
    """A model of the registry, verified and ready: its record with its network or networks. Thread-safe.

    Attributes:
        record: of the model.
        components: records of its networks: the members of an ensemble, else the record itself.
    """

    def __init__(self, record: ModelRecord, folder: Path, device: str = "cpu") -> None:
        """
        Raises:
            WeightsError: the weights are missing, altered, or of another architecture.
        """
        self.record = record
        self.components = members_of(record, folder) or (record,)
        networks = [
            (NetworkScorer(load_network(one, folder, device), one.input, device), one.calibrator)
            for one in self.components
        ]
        self._scorer: Scorer = EnsembleScorer(networks) if record.members else networks[0][0]
        self.view, self.logits, self.explained_logit = (
            self._scorer.view,
            self._scorer.logits,
            self._scorer.explained_logit,
        )

    @classmethod
    def load(cls, folder: Path, model_id: str, device: str = "cpu") -> "FaceScorer":
        """Load a model of the registry by its id."""
        return cls(find_record(folder, model_id), folder, device)

    def probability(self, logit: float) -> float:
        """Calibrated P(manipulated) at even prior odds, 0..1."""
        return float(self.record.calibrator.probability(logit))
