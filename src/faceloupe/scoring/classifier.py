"""A model of the registry in memory: its record with its networks, for still pictures and videos."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceloupe.faces.upright import Upright
from faceloupe.findings import Familiarity, PropositionFinding
from faceloupe.models.contract import FloatArray
from faceloupe.models.loading import load_expert, load_network, load_proportions
from faceloupe.models.record import HEAD, ModelRecord, find_record, members_of
from faceloupe.models.registry import components_of
from faceloupe.scoring.joint import JointScorer, Member
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.scoring.single import HeadScorer, NetworkScorer, Scorer


def _single(record: ModelRecord, folder: Path, device: str) -> Scorer:
    """Return the scorer of a record that has its own weights."""
    if record.architecture == HEAD:
        return HeadScorer(
            *load_expert(record, folder), record.input, (record.least_context, record.most_context or math.inf)
        )
    return NetworkScorer(load_network(record, folder, device), record.input, device)


@dataclass(frozen=True, slots=True)
class SlowReadings:
    """The results of a fusion's slow members on selected frames of a face in a video.

    Attributes:
        log_odds: (F, M') calibrated natural log-odds of F frames, by M' members.
        ids: ids of these members.
        familiarity: the smallest distance from known faces over the frames; None if the model does not measure it.
    """

    log_odds: FloatArray
    ids: tuple[str, ...]
    familiarity: Familiarity | None

    @property
    def pooled(self) -> dict[str, float]:
        """The mean log-odds of each member over the frames, by member id."""
        return dict(zip(self.ids, self.log_odds.mean(0).tolist(), strict=True))

    def at(self, times: Sequence[float], time_s: float) -> FloatArray:
        """Return the (M',) log-odds at a time, interpolated between the F frames at ``times`` (increasing, seconds)."""
        return np.array([np.interp(time_s, times, column) for column in self.log_odds.T])


class FaceScorer:
    """A verified model of the registry, ready for scoring: its record with its networks. Thread-safe.

    Attributes:
        record: record of the model.
        members: records of the members of an ensemble or a fusion; empty for a single network.
        components: records that have weights: the members or the record itself, and their components.
    """

    def __init__(self, record: ModelRecord, folder: Path, device: str = "cpu") -> None:
        """Load a model.

        Raises:
            WeightsError: weights are missing, altered, or of another architecture.
        """
        self.record = record
        self.members = members_of(record, folder)
        self.components = components_of(record, folder)
        members = [
            Member(part.id, _single(part, folder, device), part.calibrator, part.proposition, part.least_context)
            for part in (self.members or (record,))
        ]
        self._use(JointScorer(members, record.fusion) if record.members else members[0].scorer)
        self._proportions = load_proportions(record, folder) if record.fusion else None

    def _use(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.view, self.readings = scorer.view, scorer.readings
        self.logits, self.explained = scorer.logits, scorer.explained

    def with_scorer(self, scorer: Scorer) -> "FaceScorer":
        """Return a copy of this model, which must be a single network, with another scorer for the network."""
        changed = copy.copy(self)
        changed._use(scorer)
        return changed

    @classmethod
    def load(cls, folder: Path, model_id: str, device: str = "cpu") -> "FaceScorer":
        """Load a model of the registry by its id."""
        return cls(find_record(folder, model_id), folder, device)

    @property
    def _joint(self) -> JointScorer:
        """The scorer of a fusion, whose members can be called separately."""
        if not isinstance(self.scorer, JointScorer):
            raise TypeError(f"{self.record.id} is a single network and has no members")
        return self.scorer

    def stretch(self, face: FaceViews) -> float:
        """Measure the proportions of a face, see ``models.proportions``.

        Returns:
            The width of the face for its height, as a multiple of the natural width; 1.0 if it is within the natural
            variation, or if the model does not measure it.
        """
        if self._proportions is None:
            return 1.0
        joint = self._joint
        joint.encode(face)
        for member, views in zip(joint.members, face.members, strict=True):
            if isinstance(member.scorer, HeadScorer) and member.scorer.sees_face_alone:
                return self._proportions.stretch(member.scorer.encoded(views.crops[0]))
        return 1.0

    def restored(self, face: Upright, views: FaceViews) -> tuple[Upright, FaceViews, float]:
        """Restore the natural proportions of a face that its picture shows too wide or too narrow.

        Faces that were turned upright are returned unchanged, because a stretched picture shears them.

        Args:
            face: the upright face.
            views: its views.

        Returns:
            The face and its views in natural proportions, and the stretch that was undone; 1.0 if none was.
        """
        stretch = 1.0 if face.turned_deg else self.stretch(views)
        if stretch == 1.0:
            return face, views, 1.0
        natural = face.widened(1.0 / stretch)
        return natural, self.view(natural.rgb, natural.box), stretch

    def frame_logits(self, faces: Sequence[FaceViews]) -> FloatArray:
        """Return the raw logits of N frames of a video, (N,) float64; for a fusion, those of its quick member."""
        if self.record.fusion is None:
            return self.logits(faces)
        (quick,) = self._joint.quick_readings(faces)
        return np.array([reading.logit for reading in quick])

    def read_slow_members(
        self, faces: Sequence[FaceViews], *, check: Callable[[], None] = lambda: None
    ) -> SlowReadings:
        """Score N selected frames of one face with a fusion's slow members.

        Args:
            faces: the views of the N frames.
            check: called before each frame; it can raise an exception to stop the work.
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
        return SlowReadings(np.array(rows), tuple(member.id for member in slow_members), nearest)

    def frame_logit(self, quick: float, slow: FloatArray) -> float:
        """Return a fusion's logit for a frame, from the quick member's raw logit and the (M',) slow log-odds."""
        joint = self._joint
        is_slow = joint.slow_members
        (member,) = (member for member in joint.members if not member.scorer.slow)
        log_odds = np.empty(len(is_slow))
        log_odds[~is_slow], log_odds[is_slow] = member.calibrator.log_odds(quick), slow
        return float(joint.join_in_video(log_odds[None])[0])

    def propositions(self, log_odds: Mapping[str, float]) -> tuple[PropositionFinding, ...]:
        """Return the findings on the members' propositions, from calibrated natural log-odds by member id.

        If two members have the same proposition (for a wide and a tight view), the stronger finding counts.
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
        """Return the calibrated P(manipulated) at even prior odds, 0..1."""
        return float(self.record.calibrator.probability(logit))
