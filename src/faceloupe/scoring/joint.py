"""Several models combined into one scorer: an ensemble or a fusion."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceloupe.models.contract import Calibrator, FloatArray
from faceloupe.models.record import Fusion, ModelRecord
from faceloupe.scoring.gradcam import place_map
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.scoring.single import Reading, Scorer
from faceloupe.types import Box

CHANGED = "changed"  # the proposition of members that detect faces changed in part: swapped, reenacted, composed


@dataclass(frozen=True, slots=True)
class Member:
    """One of several combined models: its scorer, and the fields of its record that combining needs."""

    id: str
    scorer: Scorer
    calibrator: Calibrator
    proposition: str = ""
    least_context: float = 0.0

    def log_odds(self, reading: Reading) -> float:
        """Return the calibrated natural log-odds of a reading; 0, no evidence either way, if it is silent."""
        return 0.0 if reading.silent else float(self.calibrator.log_odds(reading.logit))


class JointScorer:
    """A scorer for several models: an ensemble, which averages their calibrated log-odds, or a fusion with weights.

    Heatmaps are in natural log-odds, like the logit.
    """

    slow = False  # see ``Scorer``; its members may be slow

    def __init__(self, members: Sequence[Member], fusion: Fusion | None = None) -> None:
        """Combine scorers into one.

        Args:
            members: the scorers with their calibrators.
            fusion: the weights of the members; None for their mean.
        """
        self.members = tuple(members)
        self._fusion = fusion

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        """See ``Scorer``. A fusion shows the member with the widest view, an ensemble the first member."""
        views = tuple(member.scorer.view(rgb, box) for member in self.members)
        widest = views[0] if self._fusion is None else max(views, key=lambda view: view.widest[0].width)
        return FaceViews(widest.squares, widest.crops, widest.context, views)

    def quick_readings(self, faces: Sequence[FaceViews]) -> list[list[Reading]]:
        """Return the readings of N faces by the M' quick members, see ``Scorer``: M' lists of N readings."""
        return [
            member.scorer.readings([face.members[number] for face in faces])
            for number, member in enumerate(self.members)
            if not member.scorer.slow
        ]

    def slow_readings(self, face: FaceViews) -> list[Reading]:
        """Return the readings of a face by the slow members."""
        self.encode(face)
        pairs = zip(self.members, face.members, strict=True)
        return [reading for m, views in pairs if m.scorer.slow for reading in m.scorer.readings([views])]

    def encode(self, face: FaceViews) -> None:
        """Compute the encodings that the slow members share for a face, in threads; the encoder remembers them."""
        shared = list(self.encodings(face).values())
        if len(shared) > 1:
            with ThreadPoolExecutor(min(len(shared), os.cpu_count() or 1)) as threads:
                for outcome in [threads.submit(work) for work in shared]:
                    outcome.result()

    def encodings(self, face: FaceViews) -> dict[bytes, Callable[[], object]]:
        """See ``Scorer``."""
        shared: dict[bytes, Callable[[], object]] = {}
        for member, views in zip(self.members, face.members, strict=True):
            shared |= member.scorer.encodings(views)
        return shared

    @property
    def slow_members(self) -> NDArray[np.bool_]:
        """Whether each member is slow, (M,) bool."""
        return np.array([member.scorer.slow for member in self.members])

    def join(self, log_odds: FloatArray) -> FloatArray:
        """Return the logits of N faces from the calibrated natural log-odds of the M members: (N, M) to (N,)."""
        return join(log_odds, self._fusion, self.members)

    def join_in_video(self, log_odds: FloatArray) -> FloatArray:
        """Return the logits of N faces in frames of a video, see ``join_in_video``: (N, M) to (N,)."""
        return join_in_video(log_odds, self._fusion, self.members)

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """See ``Scorer``."""
        return [self.joined(readings) for readings in self._by_face(faces)]

    def _by_face(self, faces: Sequence[FaceViews]) -> list[list[Reading]]:
        """Return the readings of N faces by all M members: N lists of M readings."""
        by_quick, rows = self.quick_readings(faces), []
        for number, face in enumerate(faces):
            quick, slow = iter([readings[number] for readings in by_quick]), iter(self.slow_readings(face))
            rows.append([next(slow if member.scorer.slow else quick) for member in self.members])
        return rows

    def joined(self, readings: Sequence[Reading]) -> Reading:
        """Combine the members' readings of one face into one reading."""
        log_odds = [member.log_odds(reading) for member, reading in zip(self.members, readings, strict=True)]
        known = next((reading.familiarity for reading in readings if reading.familiarity), None)
        names = [member.id for member in self.members]
        return Reading(float(self.join(np.array([log_odds]))[0]), dict(zip(names, log_odds, strict=True)), known)

    def logits(self, faces: Sequence[FaceViews]) -> FloatArray:
        """See ``Scorer``."""
        return np.array([reading.logit for reading in self.readings(faces)], np.float64)

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """See ``Scorer``.

        An ensemble's heatmap is the mean of its members' maps. A fusion's heatmap is the map of the member that
        contributes most to the logit, times its weight, in the square of the widest view.
        """
        if self._fusion is not None:
            return self._decisive(face)
        readings, maps, side = [], [], face.crops.shape[1]
        for member, views in zip(self.members, face.members, strict=True):
            reading, heatmap = member.scorer.explained(views)
            readings.append(reading)
            maps.append(cv2.resize(heatmap, (side, side), interpolation=cv2.INTER_LINEAR))
        return self.joined(readings), np.stack(maps).mean(axis=0, dtype=np.float32)

    def _decisive(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        (readings,) = self._by_face([face])
        joined = self.joined(readings)
        log_odds = np.array([member.log_odds(reading) for member, reading in zip(self.members, readings, strict=True)])
        steps = [self._slope(log_odds, number, reading) for number, reading in enumerate(readings)]
        loudest = int(np.argmax([step * value for (step, _), value in zip(steps, log_odds, strict=True)]))
        member, views = self.members[loudest], face.members[loudest]
        _, heatmap = member.scorer.explained(views)
        placed = np.prod(steps[loudest]) * place_map(heatmap, views.squares[-1], face.squares[-1])
        side = face.crops.shape[1]  # members' crops differ in size
        return joined, cv2.resize(placed.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)

    def _slope(self, log_odds: FloatArray, number: int, reading: Reading) -> tuple[float, float]:
        """Return numerical derivatives: of the joined logit by a member's log-odds, and of those by its logit."""
        if reading.silent:
            return 0.0, 0.0
        step, moved = 1e-3, log_odds.copy()
        moved[number] += step
        calibrator = self.members[number].calibrator
        grown = self.join(moved[None])[0] - self.join(log_odds[None])[0]
        own = float(calibrator.log_odds(reading.logit + step) - calibrator.log_odds(reading.logit))
        return float(grown) / step, own / step


def join(log_odds: FloatArray, fusion: Fusion | None, members: Sequence[Member | ModelRecord]) -> FloatArray:
    """Combine the calibrated natural log-odds of M members into one logit per face: their mean, or a fusion's logit.

    Args:
        log_odds: (N, M).
        fusion: the weights of the members, see ``Fusion``; None for their mean.
        members: the members, in the order of the columns of ``log_odds``.

    Returns:
        (N,) float64.
    """
    if fusion is None:
        mean: FloatArray = log_odds.mean(1)
        return mean
    held = np.clip(hold_to_face(log_odds, fusion.lead, members), -fusion.limit, fusion.limit)
    logits: FloatArray = held @ np.asarray(fusion.weights)
    parts = held[:, [bool(member.proposition) for member in members]]
    if parts.shape[1]:
        logits = logits + fusion.joint * (np.logaddexp.reduce(parts, axis=1) - np.log(parts.shape[1]))
    return logits


def hold_to_face(log_odds: FloatArray, lead: float, members: Sequence[Member | ModelRecord]) -> FloatArray:
    """Limit the evidence in the surroundings of a face by the evidence in the face itself.

    A verdict is about the face: an authentic face that is pasted into another picture is not a generated one. Members
    with a ``least_context`` look at the surroundings. Their log-odds exceed the greatest log-odds of the members that
    look at the face alone and have a proposition, or 0 if these are negative, by at most ``lead``.

    Args:
        log_odds: (N, M) calibrated natural log-odds.
        lead: see ``Fusion``; 0 for no limit.
        members: the members, in the order of the columns of ``log_odds``.

    Returns:
        (N, M) float64.
    """
    if not lead:
        return log_odds
    around = np.array([member.least_context > 0.0 for member in members])
    alone = np.array([bool(member.proposition) for member in members]) & ~around
    if not around.any() or not alone.any():
        return log_odds
    most = np.maximum(log_odds[:, alone].max(axis=1, keepdims=True), 0.0) + lead
    return np.where(around, np.minimum(log_odds, most), log_odds)


def join_in_video(log_odds: FloatArray, fusion: Fusion | None, members: Sequence[Member | ModelRecord]) -> FloatArray:
    """Combine the log-odds of M members for faces in a video, where manipulated faces are mostly changed in part.

    Evidence against a fully generated face is not evidence against a swap in a filmed scene, so it counts as none. The
    likelihood ratio is the mean of two: that of all members combined in this way, and the greatest of the members whose
    proposition is ``CHANGED``.

    Args:
        log_odds: (N, M) calibrated natural log-odds.
        fusion: see ``join``.
        members: the members, in the order of the columns of ``log_odds``.

    Returns:
        (N,) float64; the same as ``join`` if no member has the proposition ``CHANGED`` or there is no fusion.
    """
    knowing = np.array([member.proposition == CHANGED for member in members])
    if fusion is None or not knowing.any():
        return join(log_odds, fusion, members)
    of_generated = np.array([bool(member.proposition) for member in members]) & ~knowing
    together = join(np.where(of_generated, np.maximum(log_odds, 0.0), log_odds), fusion, members)
    changed = np.clip(log_odds, -fusion.limit, fusion.limit)[:, knowing].max(axis=1)
    mean: FloatArray = np.logaddexp(together, changed) - np.log(2.0)
    return mean
