"""A model of the registry in memory: its record with its network or networks, for stills and for videos."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceloupe.findings import Familiarity, PropositionFinding
from faceloupe.models.contract import FloatArray
from faceloupe.models.loading import load_expert, load_network
from faceloupe.models.record import HEAD, ModelRecord, find_record, members_of
from faceloupe.models.registry import components_of
from faceloupe.scoring.joint import JointScorer, Member
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.scoring.single import HeadScorer, NetworkScorer, Scorer


def _single(record: ModelRecord, folder: Path, device: str) -> Scorer:
    """Return the scorer of a record that has weights of its own."""
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

    log_odds: FloatArray
    ids: tuple[str, ...]
    familiarity: Familiarity | None

    @property
    def pooled(self) -> dict[str, float]:
        """Id of a member -> its mean log-odds over the frames."""
        return dict(zip(self.ids, self.log_odds.mean(0).tolist(), strict=True))

    def at(self, times: Sequence[float], time_s: float) -> FloatArray:
        """(M',) log-odds at a moment, between those of the F frames at ``times`` (rising, seconds)."""
        return np.array([np.interp(time_s, times, column) for column in self.log_odds.T])


class FaceScorer:
    """A model of the registry, verified and ready: its record with its network or networks. Thread-safe.

    Attributes:
        record: of the model.
        components: records of its networks: the members of an ensemble, else the record itself.
    """

    def __init__(self, record: ModelRecord, folder: Path, device: str = "cpu") -> None:
        """Load a model.

        Raises:
            WeightsError: the weights are missing, altered, or of another architecture.
        """
        self.record = record
        self.members = members_of(record, folder)
        self.components = components_of(record, folder)
        members = [
            Member(part.id, _single(part, folder, device), part.calibrator, part.proposition)
            for part in (self.members or (record,))
        ]
        self._use(JointScorer(members, record.fusion) if record.members else members[0].scorer)

    def _use(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.view, self.readings = scorer.view, scorer.readings
        self.logits, self.explained = scorer.logits, scorer.explained

    def with_scorer(self, scorer: Scorer) -> "FaceScorer":
        """Return the same model, of a single network, with another scorer in the place of that network."""
        changed = copy.copy(self)
        changed._use(scorer)
        return changed

    @classmethod
    def load(cls, folder: Path, model_id: str, device: str = "cpu") -> "FaceScorer":
        """Load a model of the registry by its id."""
        return cls(find_record(folder, model_id), folder, device)

    @property
    def _joint(self) -> JointScorer:
        """The scorer of a fusion, whose members can be asked apart."""
        if not isinstance(self.scorer, JointScorer):
            raise TypeError(f"{self.record.id} is a single network and has no members")
        return self.scorer

    def frame_logits(self, faces: Sequence[FaceViews]) -> FloatArray:
        """Return the raw logits of N frames of a video, of a fusion those of its quick member: (N,) float64."""
        if self.record.fusion is None:
            return self.logits(faces)
        (quick,) = self._joint.quick_readings(faces)
        return np.array([reading.logit for reading in quick])

    def consult(self, faces: Sequence[FaceViews], *, check: Callable[[], None] = lambda: None) -> Consulted:
        """Have N telling frames of one face analyzed by a fusion's slow members.

        Args:
            faces: the views of the N frames.
            check: called between the frames; it may raise to stop the work.
        """
        joint = self._joint
        slow_members = [member for member in joint.members if member.scorer.slow]
        rows, known = [], []
        for face in faces:
            check()
            readings = joint.slow_readings(face)
            rows.append([member.log_odds(reading) for member, reading in zip(slow_members, readings, strict=True)])
            known += [reading.familiarity for reading in readings if reading.familiarity]
        nearest = min(known, key=lambda familiarity: familiarity.distance) if known else None
        return Consulted(np.array(rows), tuple(member.id for member in slow_members), nearest)

    def frame_logit(self, quick: float, slow: FloatArray) -> float:
        """Return a fusion's logit of a frame, from the raw logit of its quick member and (M',) slow log-odds."""
        joint = self._joint
        is_slow = joint.slow_members
        (member,) = (member for member in joint.members if not member.scorer.slow)
        log_odds = np.empty(len(is_slow))
        log_odds[~is_slow], log_odds[is_slow] = member.calibrator.log_odds(quick), slow
        return float(joint.join_in_video(log_odds[None])[0])

    def propositions(self, log_odds: Mapping[str, float]) -> tuple[PropositionFinding, ...]:
        """Return what members with a proposition say of it, by their calibrated natural log-odds.

        Where two speak for the same one (a wide and a tight look), the one that says more counts.
        """
        findings: dict[str, PropositionFinding] = {}
        for member in self.members:
            if not member.proposition or member.id not in log_odds:
                continue
            low, high = member.log10_lr_bounds
            value = min(max(log_odds[member.id] / math.log(10.0), low), high)
            if member.proposition not in findings or abs(value) > abs(findings[member.proposition].log10_lr):
                findings[member.proposition] = PropositionFinding(member.proposition, member.id, value)
        return tuple(findings.values())

    def probability(self, logit: float) -> float:
        """Calibrated P(manipulated) at even prior odds, 0..1."""
        return float(self.record.calibrator.probability(logit))
