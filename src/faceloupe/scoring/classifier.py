"""Models in memory: a network, an ensemble or a fusion, its record, and the lock that lets sessions share them."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import nn

from faceloupe.errors import EvidenceError
from faceloupe.models.encoder import BLOCKS, Encoder, features_of
from faceloupe.models.expert import ARCHITECTURE as HEAD
from faceloupe.models.expert import Head
from faceloupe.models.loading import load_expert, load_network
from faceloupe.models.record import Fusion, ModelRecord, find_record, members_of
from faceloupe.models.registry import components_of
from faceloupe.scoring.calibration import Calibrator
from faceloupe.scoring.preprocess import FaceViews, InputContract, normalize, view_face
from faceloupe.types import Box, Familiarity, PropositionFinding

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
    """Anything that gives a face one logit: > 0 speaks for manipulated, before calibration."""

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        """Cut a face out of an (H, W, 3) uint8 RGB picture as this scorer wants to see it."""

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """What the model says of N faces."""

    def logits(self, faces: Sequence[FaceViews]) -> np.ndarray:
        """Raw logits of N faces: (N,) float64."""

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """What the model says of one face, and its (S, S) heatmap in the frame of its widest view."""


class _SingleScorer:
    """What scorers of one network share; the logit of a face is the mean over its views."""

    def __init__(self, contract: InputContract, device: str | torch.device = "cpu") -> None:
        self._contract = contract
        self._device = torch.device(device)
        self._lock = threading.Lock()

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        return view_face(rgb, box, self._contract)

    def logits(self, faces: Sequence[FaceViews]) -> np.ndarray:
        return np.array([reading.logit for reading in self.readings(faces)], np.float64)

    def _inputs(self, crops: np.ndarray) -> torch.Tensor:
        inputs = torch.from_numpy(normalize(crops, self._contract))  # a transposed view: channels last in memory
        return inputs.to(self._device, memory_format=torch.channels_last)


class NetworkScorer(_SingleScorer):
    """One convolutional network.

    Thread-safe: Grad-CAM hangs hooks on the shared network, so every pass holds the lock.
    """

    def __init__(self, network: nn.Module, contract: InputContract, device: str | torch.device = "cpu") -> None:
        super().__init__(contract, device)
        self._network = network.eval()

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        found: list[Reading] = []
        for start in range(0, len(faces), _BATCH):  # memory stays bounded however many faces a picture has
            views = np.stack([face.crops for face in faces[start : start + _BATCH]])
            with self._lock, torch.inference_mode():
                logits = self._network(self._inputs(views.reshape(-1, *views.shape[2:])))
            found += map(Reading, logits.double().cpu().numpy().reshape(views.shape[:2]).mean(1).tolist())
        return found

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        from faceloupe.scoring.gradcam import explain, merge  # seconds to import, and not every use asks for a map

        with self._lock:
            logits, maps = explain(self._network, self._inputs(face.crops))
        return Reading(float(logits.mean())), merge(maps, face.squares)


class HeadScorer(_SingleScorer):
    """A head of the expert on the shared encoder. Thread-safe."""

    def __init__(
        self, encoder: Encoder, head: Head, contract: InputContract, context: tuple[float, float] = (0.0, math.inf)
    ) -> None:
        """
        Args:
            context: the head speaks of faces whose ``FaceViews.context`` is at least the first, and less than the
                second number.
        """
        super().__init__(contract)
        self._encoder, self._head, self._context = encoder, head, context

    def _features(self, crops: np.ndarray) -> torch.Tensor:
        """(V, 15, 768) features of (V, 224, 224, 3) crops; those of heads that see the same crop are computed once."""
        return torch.cat([self._encoder.remembered(one.tobytes(), partial(self._seen, one)) for one in crops])

    def _seen(self, crop: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return self._encoder(self._inputs(crop[None]).contiguous())

    def _reading(self, features: torch.Tensor) -> Reading:
        """Of the (V, 15, 768) features of one face's views.

        Raises:
            EvidenceError: the network's answer is no number; a score must not be made of it.
        """
        logit = float(self._head(features).double().mean())
        if not np.isfinite(logit):
            raise EvidenceError("The expert network gave no finite answer for a face, so nothing can be said of it.")
        known = self._head.familiarity(features)[-1] if self._head.knows_its_scope else None
        return Reading(logit, familiarity=known)

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        return [
            Reading(0.0, silent=True)
            if not self._context[0] <= face.context < self._context[1]
            else self._reading(self._features(face.crops))
            for face in faces
        ]

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """The heatmap is the gradient of the logit times the patch tokens behind one block, less their mean, cut at 0:
        what each patch adds to the logit, to first order."""
        from faceloupe.scoring.gradcam import merge

        features, maps = [], []
        for crop in face.crops:
            with torch.no_grad():
                tokens = self._encoder.tokens(self._inputs(crop[None]).contiguous())
                tokens, early = self._encoder.walk(tokens, 1, _EXPLAINED_BLOCK)
            tokens.requires_grad_(True)
            _, late = self._encoder.walk(tokens, _EXPLAINED_BLOCK + 1, BLOCKS)
            features.append(features_of(early | late))
            self._head(features[-1]).sum().backward()
            patches = tokens.detach()[0, 1:]
            cells = (tokens.grad[0, 1:] * (patches - patches.mean(0))).sum(1)
            side = round(len(cells) ** 0.5)
            grown = cv2.resize(cells.reshape(side, side).numpy(), crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            maps.append(np.maximum(grown, 0.0))
        return self._reading(torch.cat(features).detach()), merge(np.stack(maps), face.squares)


@dataclass(frozen=True, slots=True)
class MemberViews(FaceViews):
    """A face as every member sees it; what is shown of it is the widest view of all."""

    members: tuple[FaceViews, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One model among several: its scorer and what its record says of it."""

    id: str
    scorer: Scorer
    calibrator: Calibrator
    proposition: str = ""

    def log_odds(self, reading: Reading) -> float:
        """Its calibrated natural log-odds; 0, no evidence either way, where it says nothing."""
        return 0.0 if reading.silent else float(self.calibrator.log_odds(reading.logit))


class JointScorer:
    """Several models: an ensemble, which averages their calibrated log-odds, or a fusion, which weighs them.

    Heatmaps are in natural log-odds, as the logit is.
    """

    def __init__(self, members: Sequence[Member], fusion: Fusion | None = None) -> None:
        """
        Args:
            fusion: how they are weighed; None for their mean.
        """
        self.members = tuple(members)
        self._fusion = fusion

    def view(self, rgb: np.ndarray, box: Box) -> MemberViews:
        views = tuple(member.scorer.view(rgb, box) for member in self.members)
        widest = views[0] if self._fusion is None else max(views, key=lambda one: one.widest[0].width)
        return MemberViews(widest.squares, widest.crops, widest.context, views)

    def part(self, faces: Sequence[MemberViews], *, telling: bool) -> list[list[Reading]]:
        """Readings of N faces by some of the members alone: M' lists of N, in the order of the members.

        Args:
            telling: by those that look at telling frames of a video only; else by the others.
        """
        return [
            member.scorer.readings([face.members[number] for face in faces])
            for number, member in enumerate(self.members)
            if isinstance(member.scorer, HeadScorer) is telling
        ]

    @property
    def telling(self) -> np.ndarray:
        """(M,) bool: the members that look at telling frames of a video only, as they are slow."""
        return np.array([isinstance(member.scorer, HeadScorer) for member in self.members])

    def join(self, log_odds: np.ndarray) -> np.ndarray:
        """Logits of N faces from the calibrated natural log-odds of their M members: (N, M) to (N,)."""
        return join(log_odds, self._fusion, self.members)

    def readings(self, faces: Sequence[MemberViews]) -> list[Reading]:
        by_member = [
            member.scorer.readings([face.members[number] for face in faces])
            for number, member in enumerate(self.members)
        ]
        return [self.joined(one) for one in zip(*by_member, strict=True)]

    def joined(self, readings: Sequence[Reading]) -> Reading:
        """What the members' readings of one face come to."""
        log_odds = [member.log_odds(reading) for member, reading in zip(self.members, readings, strict=True)]
        known = next((reading.familiarity for reading in readings if reading.familiarity), None)
        names = [member.id for member in self.members]
        return Reading(float(self.join(np.array([log_odds]))[0]), dict(zip(names, log_odds, strict=True)), known)

    def logits(self, faces: Sequence[MemberViews]) -> np.ndarray:
        return np.array([reading.logit for reading in self.readings(faces)], np.float64)

    def explained(self, face: MemberViews) -> tuple[Reading, np.ndarray]:
        """An ensemble's heatmap is the mean of its members' maps. A fusion's is the map of the member that spoke the
        loudest for manipulation, with the weight that it has, in the frame of the widest view."""
        if self._fusion is not None:
            return self._decisive(face)
        readings, maps, side = [], [], face.crops.shape[1]
        for member, views in zip(self.members, face.members, strict=True):
            reading, heatmap = member.scorer.explained(views)
            readings.append(reading)
            maps.append(cv2.resize(heatmap, (side, side), interpolation=cv2.INTER_LINEAR))
        return self.joined(readings), np.mean(maps, axis=0, dtype=np.float32)

    def _decisive(self, face: MemberViews) -> tuple[Reading, np.ndarray]:
        from faceloupe.scoring.gradcam import lay

        readings = [one for (one,) in (m.scorer.readings([v]) for m, v in zip(self.members, face.members, strict=True))]
        joined = self.joined(readings)
        log_odds = np.array([member.log_odds(reading) for member, reading in zip(self.members, readings, strict=True)])
        steps = [self._slope(log_odds, number, reading) for number, reading in enumerate(readings)]
        loudest = int(np.argmax([step * value for (step, _), value in zip(steps, log_odds, strict=True)]))
        member, views = self.members[loudest], face.members[loudest]
        _, heatmap = member.scorer.explained(views)
        weight = np.prod(steps[loudest])
        return joined, (weight * lay(heatmap, views.squares[-1], face.squares[-1])).astype(np.float32)

    def _slope(self, log_odds: np.ndarray, number: int, reading: Reading) -> tuple[float, float]:
        """How much the joined logit grows with a member's log-odds, and these with its logit, numerically."""
        if reading.silent:
            return 0.0, 0.0
        step, moved = 1e-3, log_odds.copy()
        moved[number] += step
        calibrator = self.members[number].calibrator
        grown = self.join(moved[None])[0] - self.join(log_odds[None])[0]
        own = float(calibrator.log_odds(reading.logit + step) - calibrator.log_odds(reading.logit))
        return float(grown) / step, own / step


def join(log_odds: np.ndarray, fusion: Fusion | None, members: Sequence[Member | ModelRecord]) -> np.ndarray:
    """Join the calibrated natural log-odds of M members into one logit a face: their mean, or as a fusion weighs them.

    Args:
        log_odds: (N, M).

    Returns:
        (N,) float64.
    """
    if fusion is None:
        return log_odds.mean(1)
    held = np.clip(log_odds, -fusion.limit, fusion.limit)
    logits = held @ np.asarray(fusion.weights)
    parts = held[:, [bool(member.proposition) for member in members]]
    if parts.shape[1]:
        logits = logits + fusion.joint * (np.logaddexp.reduce(parts, axis=1) - np.log(parts.shape[1]))
    return logits


def _single(record: ModelRecord, folder: Path, device: str) -> Scorer:
    """The scorer of a record that has weights of its own."""
    if record.architecture == HEAD:
        return HeadScorer(
            *load_expert(record, folder), record.input, (record.least_context, record.most_context or math.inf)
        )
    return NetworkScorer(load_network(record, folder, device), record.input, device)


@dataclass(frozen=True, slots=True)
class Consulted:
    """What the members that look at telling frames say of a face in a video.

    Attributes:
        log_odds: (F, M') calibrated natural log-odds of F frames, by M' members.
        ids: of these members.
        familiarity: of the frame that is the most familiar; None where the model cannot tell.
    """

    log_odds: np.ndarray
    ids: tuple[str, ...]
    familiarity: Familiarity | None

    @property
    def pooled(self) -> dict[str, float]:
        """Id of a member -> its mean log-odds over the frames."""
        return dict(zip(self.ids, self.log_odds.mean(0).tolist(), strict=True))

    def at(self, times: Sequence[float], time_s: float) -> np.ndarray:
        """(M',) log-odds at a moment, between those of the F frames at ``times`` (rising, seconds)."""
        return np.array([np.interp(time_s, times, column) for column in self.log_odds.T])


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
        self.members = members_of(record, folder)
        self.components = components_of(record, folder)
        made = [
            Member(one.id, _single(one, folder, device), one.calibrator, one.proposition)
            for one in (self.members or (record,))
        ]
        scorer: Scorer = JointScorer(made, record.fusion) if record.members else made[0].scorer
        self.scorer = scorer
        self.view, self.readings, self.logits = scorer.view, scorer.readings, scorer.logits
        self.explained = scorer.explained

    @classmethod
    def load(cls, folder: Path, model_id: str, device: str = "cpu") -> "FaceScorer":
        """Load a model of the registry by its id."""
        return cls(find_record(folder, model_id), folder, device)

    def frame_logits(self, faces: Sequence[FaceViews]) -> np.ndarray:
        """What is asked of every frame of a video: (N,) float64 raw logits, of a fusion those of its quick member."""
        if self.record.fusion is None:
            return self.logits(faces)
        (quick,) = self.scorer.part(faces, telling=False)
        return np.array([reading.logit for reading in quick])

    def consult(self, faces: Sequence[FaceViews], *, check: Callable[[], None] = lambda: None) -> Consulted:
        """Have N telling frames of one face looked at by a fusion's slow members.

        Args:
            check: called between the frames; it may raise to stop the work.
        """
        telling = [one for one, slow in zip(self.scorer.members, self.scorer.telling, strict=True) if slow]
        rows, known = [], []
        for face in faces:
            check()
            readings = [one for (one,) in self.scorer.part([face], telling=True)]
            rows.append([member.log_odds(one) for member, one in zip(telling, readings, strict=True)])
            known += [reading.familiarity for reading in readings if reading.familiarity]
        nearest = min(known, key=lambda one: one.distance) if known else None
        return Consulted(np.array(rows), tuple(member.id for member in telling), nearest)

    def frame_logit(self, quick: float, slow: np.ndarray) -> float:
        """A fusion's logit of one frame: from its quick member's raw logit and the (M',) log-odds of the slow ones."""
        slow_ones = self.scorer.telling
        log_odds = np.empty(len(slow_ones))
        (member,) = (one for one, late in zip(self.scorer.members, slow_ones, strict=True) if not late)
        log_odds[~slow_ones], log_odds[slow_ones] = member.calibrator.log_odds(quick), slow
        return float(self.scorer.join(log_odds[None])[0])

    def propositions(self, log_odds: Mapping[str, float]) -> tuple[PropositionFinding, ...]:
        """What members with a proposition say of it, by their calibrated natural log-odds.

        Where two speak for the same one (a wide and a tight look), the one that says more counts.
        """
        found: dict[str, PropositionFinding] = {}
        for one in self.members:
            if not one.proposition or one.id not in log_odds:
                continue
            low, high = one.log10_lr_bounds
            value = min(max(log_odds[one.id] / math.log(10.0), low), high)
            if one.proposition not in found or abs(value) > abs(found[one.proposition].log10_lr):
                found[one.proposition] = PropositionFinding(one.proposition, one.id, value)
        return tuple(found.values())

    def probability(self, logit: float) -> float:
        """Calibrated P(manipulated) at even prior odds, 0..1."""
        return float(self.record.calibrator.probability(logit))
