"""Scorers for a single network: a convolutional network, or a head of the expert on the shared encoder."""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import nn

from faceloupe.errors import EvidenceError
from faceloupe.findings import Familiarity
from faceloupe.models.contract import FloatArray, InputContract
from faceloupe.models.encoder import BLOCKS, Encoder, features_of
from faceloupe.models.expert import Head
from faceloupe.scoring.gradcam import average_maps, explain
from faceloupe.scoring.preprocess import FACE_ALONE, FaceViews, normalize, view_face
from faceloupe.types import Box

_BATCH = 4  # faces per batch: more do not fit into a core's cache and take longer per face
_EXPLAINED_BLOCK = 8  # encoder block: its patch tokens are still local, and the heads read later blocks


@dataclass(frozen=True, slots=True)
class Reading:
    """A model's result for one face.

    Attributes:
        logit: logit before the record's calibrator; > 0 supports manipulated.
        log_odds: calibrated natural log-odds by member id; empty for a single network.
        familiarity: distance from the known faces; None if the model does not measure it.
        silent: whether the model does not judge this face, because its ``FaceViews.context`` is outside the model's
            bounds; the log-odds then count as 0.
    """

    logit: float
    log_odds: Mapping[str, float] = field(default_factory=dict)
    familiarity: Familiarity | None = None
    silent: bool = False


class Scorer(Protocol):
    """An object that assigns a face one logit before calibration; > 0 supports manipulated.

    Attributes:
        slow: whether it scores only selected frames of a video, because scoring all frames would take too long.
    """

    @property
    def slow(self) -> bool:
        """See the class."""

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        """Crop the views that this scorer needs of a face in an (H, W, 3) uint8 RGB picture."""

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """Return the readings of N faces."""

    def encodings(self, face: FaceViews) -> dict[bytes, Callable[[], object]]:
        """Return the computations that scorers share for a face, by input; they can run in advance in threads."""

    def logits(self, faces: Sequence[FaceViews]) -> FloatArray:
        """Return the raw logits of N faces: (N,) float64."""

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """Return the reading of one face, and its (S, S) heatmap in the square of its widest view."""


class SingleScorer(ABC):
    """The base class of scorers for one network; the logit of a face is the mean over its views."""

    slow = False  # see ``Scorer``

    def __init__(self, contract: InputContract, device: str | torch.device = "cpu") -> None:
        """Store the network's input contract and its device."""
        self._contract = contract
        self._device = torch.device(device)
        self._lock = threading.Lock()

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        """See ``Scorer``."""
        return view_face(rgb, box, self._contract)

    @abstractmethod
    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """See ``Scorer``."""

    def encodings(self, face: FaceViews) -> dict[bytes, Callable[[], object]]:
        """See ``Scorer``."""
        return {}

    def logits(self, faces: Sequence[FaceViews]) -> FloatArray:
        """See ``Scorer``."""
        return np.array([reading.logit for reading in self.readings(faces)], np.float64)

    def _inputs(self, crops: np.ndarray) -> torch.Tensor:
        inputs = torch.from_numpy(normalize(crops, self._contract))  # a transposed view: channels last in memory
        return inputs.to(self._device, memory_format=torch.channels_last)


class NetworkScorer(SingleScorer):
    """A scorer for one convolutional network.

    Thread-safe: every pass holds a lock, because Grad-CAM adds hooks to the shared network.
    """

    def __init__(self, network: nn.Module, contract: InputContract, device: str | torch.device = "cpu") -> None:
        """Store a network with its weights, and put it into evaluation mode."""
        super().__init__(contract, device)
        self._network = network.eval()

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """See ``Scorer``."""
        readings: list[Reading] = []
        for start in range(0, len(faces), _BATCH):  # batches limit the memory for pictures with many faces
            views = np.stack([face.crops for face in faces[start : start + _BATCH]])
            with self._lock, torch.inference_mode():
                logits = self._network(self._inputs(views.reshape(-1, *views.shape[2:])))
            readings += map(Reading, logits.double().cpu().numpy().reshape(views.shape[:2]).mean(1).tolist())
        return readings

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """See ``Scorer``."""
        with self._lock:
            logits, maps = explain(self._network, self._inputs(face.crops))
        return Reading(float(logits.mean())), average_maps(maps, face.squares)


class HeadScorer(SingleScorer):
    """A scorer for a head of the expert on the shared encoder. Thread-safe."""

    slow = True

    def __init__(
        self, encoder: Encoder, head: Head, contract: InputContract, context: tuple[float, float] = (0.0, math.inf)
    ) -> None:
        """Combine a head with its encoder.

        Args:
            encoder: the shared encoder.
            head: the head, which reads the features of the encoder.
            contract: input contract of the encoder.
            context: the head scores faces whose ``FaceViews.context`` is at least the first number and less than the
                second.
        """
        super().__init__(contract)
        self._encoder, self._head, self._context = encoder, head, context

    def encoded(self, crop: np.ndarray) -> torch.Tensor:
        """Return the (1, 15, 768) features of a (224, 224, 3) crop, computed once for all heads with the same crop."""

        def compute() -> torch.Tensor:
            with torch.inference_mode():
                features: torch.Tensor = self._encoder(self._inputs(crop[None]).contiguous())
                return features

        return self._encoder.remembered(crop.tobytes(), compute)

    @property
    def sees_face_alone(self) -> bool:
        """Whether the head looks at one view with little around the face, in pictures of any size."""
        return self._contract.views == (FACE_ALONE,) and self._context[0] == 0.0

    def _speaks_of(self, face: FaceViews) -> bool:
        return self._context[0] <= face.context < self._context[1]

    def encodings(self, face: FaceViews) -> dict[bytes, Callable[[], object]]:
        """See ``Scorer``."""
        crops = face.crops if self._speaks_of(face) else ()
        return {crop.tobytes(): partial(self.encoded, crop) for crop in crops}

    def _reading(self, features: torch.Tensor) -> Reading:
        """Return the reading for the (V, 15, 768) features of one face's views.

        Raises:
            EvidenceError: the network's logit is not a finite number.
        """
        logit = float(self._head(features).double().mean())
        if not np.isfinite(logit):
            raise EvidenceError("The expert network gave no finite answer for a face, so nothing can be said of it.")
        known = self._head.familiarity(features)[-1] if self._head.knows_its_scope else None
        return Reading(logit, familiarity=known)

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """See ``Scorer``."""
        return [
            self._reading(torch.cat([self.encoded(crop) for crop in face.crops]))
            if self._speaks_of(face)
            else Reading(0.0, silent=True)
            for face in faces
        ]

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """See ``Scorer``.

        The heatmap is the gradient of the logit times the patch tokens after one block minus their mean, clipped below
        at 0: the contribution of each patch to the logit, to first order.
        """
        features, maps = [], []
        for crop in face.crops:
            with torch.no_grad():
                tokens = self._encoder.tokens(self._inputs(crop[None]).contiguous())
                tokens, early = self._encoder.walk(tokens, 1, _EXPLAINED_BLOCK)
            tokens.requires_grad_(True)
            _, late = self._encoder.walk(tokens, _EXPLAINED_BLOCK + 1, BLOCKS)
            features.append(features_of(early | late))
            (gradients,) = torch.autograd.grad(self._head(features[-1]).sum(), tokens)
            patches = tokens.detach()[0, 1:]
            cells = (gradients[0, 1:] * (patches - patches.mean(0))).sum(1)
            side = round(len(cells) ** 0.5)
            grown = cv2.resize(cells.reshape(side, side).numpy(), crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            maps.append(np.maximum(grown, 0.0))
        return self._reading(torch.cat(features).detach()), average_maps(np.stack(maps), face.squares)
