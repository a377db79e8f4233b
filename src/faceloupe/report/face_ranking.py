"""Ranking of faces by their similarity to one face in score and quality; identity is not compared."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from faceloupe.report.schema import Face

_END = 0.01  # scores are clipped to this distance from 0 and 1: differences beyond it mean little


@dataclass(frozen=True, slots=True)
class NamedFace:
    """A face, and the result that states it.

    Attributes:
        title: name of the result, as shown to people.
        sha256: hash of the evidence.
        face: the face as the report states it.
    """

    title: str
    sha256: str
    face: Face


@dataclass(frozen=True, slots=True)
class RankedFace:
    """Another face, and how far it is from the chosen one.

    Attributes:
        other: the face.
        score_gap: absolute difference of the log2 odds of the scores.
        size_gap: absolute difference of the log2 sizes.
        sharpness_gap: absolute difference of the log2 sharpness values.
    """

    other: NamedFace
    score_gap: float
    size_gap: float
    sharpness_gap: float

    @property
    def distance(self) -> float:
        """Root of the sum of the squares of the three differences."""
        return math.hypot(self.score_gap, self.size_gap, self.sharpness_gap)


def rank_faces(chosen: NamedFace, others: Iterable[NamedFace]) -> tuple[RankedFace, ...]:
    """Order faces by their distance from the chosen one, the nearest first.

    Args:
        chosen: a face with a score.
        others: faces to rank; faces without a score, and the chosen face itself, are left out.

    Raises:
        ValueError: the chosen face has no score.
    """
    chosen_traits = _log2_traits(chosen.face)
    if chosen_traits is None:
        raise ValueError("the chosen face has no score")
    rows = []
    for other in others:
        traits = _log2_traits(other.face)
        if traits is not None and (other.sha256, other.face.id) != (chosen.sha256, chosen.face.id):
            rows.append(RankedFace(other, *(abs(a - b) for a, b in zip(chosen_traits, traits, strict=True))))
    return tuple(sorted(rows, key=lambda row: row.distance))


def _log2_traits(face: Face) -> tuple[float, float, float] | None:
    if face.score is None:
        return None
    score = min(max(face.score, _END), 1.0 - _END)
    return math.log2(score / (1.0 - score)), math.log2(max(face.size_px, 1.0)), math.log2(max(face.sharpness, 1.0))
