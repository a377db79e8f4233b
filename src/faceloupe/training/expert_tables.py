"""Tables of the fusion's verdicts: by source, for left-out and held-out sources; by degradation; by pose and size."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from faceloupe.evaluation import metrics
from faceloupe.evaluation.measures import probabilities
from faceloupe.evaluation.source_rows import AS_IS, SourceRow
from faceloupe.models.record import SizeRates, Thresholds
from faceloupe.training.heads import balance

_NAMES = {0: "authentic", 1: "manipulated"}
VIEW_NAMES = {"as-is": AS_IS, "768": "768 px, JPEG 60", "512": "512 px, JPEG 40"}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Calibrated answers to N looks.

    Attributes:
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str.
        log_odds: (N,) float64, calibrated natural log-odds at even prior odds.
        manipulated, authentic: (N,) bool, the decisions; a look with neither is inconclusive.
    """

    labels: np.ndarray
    sources: np.ndarray
    log_odds: np.ndarray
    manipulated: np.ndarray
    authentic: np.ndarray

    @classmethod
    def at(cls, labels: np.ndarray, sources: np.ndarray, log_odds: np.ndarray, thresholds: Thresholds) -> "Verdicts":
        """Decide by two thresholds on the calibrated score."""
        scores = probabilities(log_odds)
        return cls(labels, sources, log_odds, scores >= thresholds.upper, scores <= thresholds.lower)

    def where(self, keep: np.ndarray) -> "Verdicts":
        """Return the verdicts that a (N,) bool mask keeps."""
        return Verdicts(*(getattr(self, part.name)[keep] for part in fields(self)))


def by_source(verdicts: Verdicts, view: str) -> list[SourceRow]:
    """Return a row for each source and class, and one for each whole class."""
    rows = []
    both = len(set(verdicts.labels.tolist())) == 2
    weights = balance(verdicts.labels, verdicts.sources) if both else np.ones(len(verdicts.labels))
    for label in (0, 1):
        of_class = verdicts.labels == label
        for source in (*np.unique(verdicts.sources[of_class]), "all"):
            mine = of_class if source == "all" else of_class & (verdicts.sources == source)
            if not mine.any():
                continue
            compared = mine | ~of_class
            auc = metrics.auc(verdicts.labels[compared], verdicts.log_odds[compared], weights[compared])
            truth = verdicts.log_odds[mine] * (1 if label else -1)
            rows.append(
                SourceRow(
                    str(source),
                    _NAMES[label],
                    view,
                    int(mine.sum()),
                    int(verdicts.manipulated[mine].sum()),
                    int(verdicts.authentic[mine].sum()),
                    round(float(auc), 3) if both else None,
                    round(float(np.logaddexp(0.0, -truth).mean() / np.log(2.0)), 3),
                )
            )
    return rows


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of one person, from one clip, or from several if the collection does not tell them apart.

    Attributes:
        family: family of the collection.
        label: 1 = manipulated.
        log_odds: (N,) float64, calibrated natural log-odds of the frames.
    """

    family: str
    label: int
    log_odds: np.ndarray


def by_clip(families: np.ndarray, units: np.ndarray, labels: np.ndarray, log_odds: np.ndarray) -> list[Clip]:
    """Group N frames by family, person and label."""
    keys = np.rec.fromarrays([families, units, labels])
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return [Clip(str(families[row]), int(labels[row]), log_odds[number == clip]) for clip, row in enumerate(first)]


def in_all(verdicts: Iterable[tuple[str, Verdicts]]) -> list[SourceRow]:
    """Return the rows of the whole classes for each view.

    Args:
        verdicts: description of each view, and the verdicts on it.
    """
    rows = [row for view, verdict in verdicts for row in by_source(verdict, view)]
    return [row for row in rows if row.source == "all"]


_FACE_OF = "face of "
_TURNED, _TILTED, _SIZES = (0, 10, 20, 35), (0, 5, 12, 30), (0, 60, 100, 200)  # lower bounds of the spans


def by_size(rows: Iterable[SourceRow]) -> tuple[SizeRates, ...]:
    """Return the counts by size of the face from the rows of ``by_condition``."""
    counts: dict[int, dict[str, SourceRow]] = {}
    for row in rows:
        if row.view.startswith(_FACE_OF):
            counts.setdefault(int(row.view.removeprefix(_FACE_OF).split()[0]), {})[row.label] = row
    return tuple(
        SizeRates(low, real.faces, real.manipulated, fake.faces, fake.manipulated, fake.authentic)
        for low, of_label in sorted(counts.items())
        if (real := of_label.get("authentic")) and (fake := of_label.get("manipulated"))
    )


def by_condition(verdicts: Verdicts, yaw_deg: np.ndarray, roll_deg: np.ndarray, face_px: np.ndarray) -> list[SourceRow]:
    """Return the rows of the whole classes by pose and size.

    Args:
        verdicts: verdicts on N faces.
        yaw_deg: (N,) float64, see ``faces.upright``; nan without landmarks.
        roll_deg: (N,) float64, likewise.
        face_px: (N,) float64, longer side of the face box, pixels.
    """
    parts = []
    for name, unit, values, bounds in (
        ("turned to a side by", "°", np.abs(yaw_deg), _TURNED),
        ("tilted by", "°", np.abs(roll_deg), _TILTED),
        (_FACE_OF.strip(), " px", face_px, _SIZES),
    ):
        for low, high in pairwise((*bounds, math.inf)):
            inside = (values >= low) & (values < high)
            span = f"{low} to {high:g}{unit}" if high < math.inf else f"{low}{unit} and more"
            if inside.any():
                parts.append((f"{name} {span}", verdicts.where(inside)))
    return in_all(parts)
