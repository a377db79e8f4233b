"""Which faces of other results are most like one face in score and quality. Nothing is computed from who they show."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from faceloupe.report.schema import Face

_SURE = 0.01  # scores nearer to 0 or 1 count as this near: beyond, the log-odds say little more


@dataclass(frozen=True, slots=True)
class NamedFace:
    """A face of a result, and where it is.

    Attributes:
        title: of the result, for people.
        sha256: of the evidence.
        face: as the report states it.
    """

    title: str
    sha256: str
    face: Face


@dataclass(frozen=True, slots=True)
class RankedFace:
    """Another face, and how far it is from the chosen one.

    Attributes:
        other: the face.
        score: difference of the log-odds of the scores, in factors of two.
        size: difference of the sizes, likewise.
        sharpness: difference of the sharpness, likewise.
    """

    other: NamedFace
    score: float
    size: float
    sharpness: float

    @property
    def distance(self) -> float:
        """Root of the sum of the squares of the three differences."""
        return math.hypot(self.score, self.size, self.sharpness)


def ranked(chosen: NamedFace, others: Iterable[NamedFace]) -> tuple[RankedFace, ...]:
    """Order faces by their distance from one, the nearest first.

    Args:
        chosen: a face with a score.
        others: those without a score, and the chosen face itself, are left out.

    Raises:
        ValueError: the chosen face has no score.
    """
    own = _log2_traits(chosen.face)
    if own is None:
        raise ValueError("a face without a score is like no other")
    rows = []
    for other in others:
        traits = _log2_traits(other.face)
        if traits is not None and (other.sha256, other.face.id) != (chosen.sha256, chosen.face.id):
            rows.append(RankedFace(other, *(abs(after - before) for before, after in zip(own, traits, strict=True))))
    return tuple(sorted(rows, key=lambda row: row.distance))


def _log2_traits(face: Face) -> tuple[float, float, float] | None:
    if face.score is None:
        return None
    share = min(max(face.score, _SURE), 1.0 - _SURE)
    return math.log2(share / (1.0 - share)), math.log2(max(face.size_px, 1.0)), math.log2(max(face.sharpness, 1.0))
