"""Scorers of one network: a convolutional network, or a head of the expert on the shared encoder."""

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
from faceloupe.scoring.gradcam import explain, merge
from faceloupe.scoring.preprocess import FaceViews, normalize, view_face
from faceloupe.types import Box

_BATCH = 4  # faces in one pass of the network: more do not fit into a core's cache, and take longer each
_EXPLAINED_BLOCK = 8  # of the encoder: its patch tokens still know their place, and the heads read what follows


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of one face.

    Attributes:
        logit: before the record's calibrator; > 0 speaks for manipulated.
        log_odds: id of a member -> its calibrated natural log-odds; empty for a single network.
        familiarity: where the face lies among the known ones; None where the model cannot tell.
        silent: whether the model says nothing of this face, as too little around it is in the picture; its log-odds
            then count as 0.
    """

    logit: float
    log_odds: Mapping[str, float] = field(default_factory=dict)
    familiarity: Familiarity | None = None
    silent: bool = False


class Scorer(Protocol):
    """Anything that gives a face one logit: > 0 speaks for manipulated, before calibration.

    Attributes:
        slow: whether it scores telling frames of a video only, as scoring all of them would take too long.
    """

    @property
    def slow(self) -> bool:
        """See the class."""

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        """Cut a face out of an (H, W, 3) uint8 RGB picture as this scorer wants to see it."""

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """Return what the model says of N faces."""

    def encodings(self, face: FaceViews) -> dict[bytes, Callable[[], object]]:
        """Return the work that scorers of a face share, by its input; it may be done ahead, in threads."""

    def logits(self, faces: Sequence[FaceViews]) -> FloatArray:
        """Raw logits of N faces: (N,) float64."""

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """Return what the model says of one face, and its (S, S) heatmap in the frame of its widest view."""


class SingleScorer(ABC):
    """What scorers of one network share; the logit of a face is the mean over its views."""

    slow = False  # see ``Scorer``

    def __init__(self, contract: InputContract, device: str | torch.device = "cpu") -> None:
        """Take what the network expects, and where it runs."""
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
    """One convolutional network.

    Thread-safe: Grad-CAM hangs hooks on the shared network, so every pass holds the lock.
    """

    def __init__(self, network: nn.Module, contract: InputContract, device: str | torch.device = "cpu") -> None:
        """Take a network with its weights; it is put into evaluation mode."""
        super().__init__(contract, device)
        self._network = network.eval()

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """See ``Scorer``."""
        readings: list[Reading] = []
        for start in range(0, len(faces), _BATCH):  # memory stays bounded however many faces a picture has
            views = np.stack([face.crops for face in faces[start : start + _BATCH]])
            with self._lock, torch.inference_mode():
                logits = self._network(self._inputs(views.reshape(-1, *views.shape[2:])))
            readings += map(Reading, logits.double().cpu().numpy().reshape(views.shape[:2]).mean(1).tolist())
        return readings

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """See ``Scorer``."""
        with self._lock:
            logits, maps = explain(self._network, self._inputs(face.crops))
        return Reading(float(logits.mean())), merge(maps, face.squares)


class HeadScorer(SingleScorer):
    """A head of the expert on the shared encoder. Thread-safe."""

    slow = True

    def __init__(
        self, encoder: Encoder, head: Head, contract: InputContract, context: tuple[float, float] = (0.0, math.inf)
    ) -> None:
        """Join a head to its encoder.

        Args:
            encoder: the shared encoder.
            head: reads the features of the encoder.
            contract: of the crops that the encoder is given.
            context: the head speaks of faces whose ``FaceViews.context`` is at least the first, and less than the
                second number.
        """
        super().__init__(contract)
        self._encoder, self._head, self._context = encoder, head, context

    def _encoded(self, crop: np.ndarray) -> torch.Tensor:
        """(1, 15, 768) features of a (224, 224, 3) crop; those of heads that see the same crop are computed once."""

        def compute() -> torch.Tensor:
            with torch.inference_mode():
                features: torch.Tensor = self._encoder(self._inputs(crop[None]).contiguous())
                return features

        return self._encoder.remembered(crop.tobytes(), compute)

    def _speaks_of(self, face: FaceViews) -> bool:
        return self._context[0] <= face.context < self._context[1]

    def encodings(self, face: FaceViews) -> dict[bytes, Callable[[], object]]:
        """See ``Scorer``."""
        crops = face.crops if self._speaks_of(face) else ()
        return {crop.tobytes(): partial(self._encoded, crop) for crop in crops}

    def _reading(self, features: torch.Tensor) -> Reading:
        """Of the (V, 15, 768) features of one face's views.

        Raises:
            EvidenceError: the network's answer is not a finite number.
        """
        logit = float(self._head(features).double().mean())
        if not np.isfinite(logit):
            raise EvidenceError("The expert network gave no finite answer for a face, so nothing can be said of it.")
        known = self._head.familiarity(features)[-1] if self._head.knows_its_scope else None
        return Reading(logit, familiarity=known)

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """See ``Scorer``."""
        return [
            self._reading(torch.cat([self._encoded(crop) for crop in face.crops]))
            if self._speaks_of(face)
            else Reading(0.0, silent=True)
            for face in faces
        ]

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """See ``Scorer``.

        The heatmap is the gradient of the logit times the patch tokens behind one block, less their mean, cut at 0:
        what each patch adds to the logit, to first order.
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
        return self._reading(torch.cat(features).detach()), merge(np.stack(maps), face.squares)
