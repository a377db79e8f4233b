"""Scores of labeled faces of the material."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from faceloupe.evaluation import metrics
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.training.data import Item, read_rgb
from faceloupe.types import Box

# Sources of photographs and of wholly generated faces. Their authentic and manipulated faces come from different
# collections, so they are judged together.
GENERATED = (
    "hardfake",
    "ffhq_tpdne",
    "omi_stylegan2",
    "generated_photos",
    "boredhumans",
    "sdfd_sd21",
    "utkface",
    "facemask_nomask",
)
_BATCH = 32

# Degradation before a picture is examined: maps (H, W, 3) uint8 RGB and the face box in it to the degraded ones.
Degrade = Callable[[np.ndarray, Box], tuple[np.ndarray, Box]]


class LogitScorer(Protocol):
    """The part of ``scoring.single.Scorer`` that scoring a list of faces needs."""

    def view(self, rgb: np.ndarray, box: Box) -> FaceViews:
        """Cut a face out of an (H, W, 3) uint8 RGB picture."""

    def logits(self, faces: Sequence[FaceViews]) -> np.ndarray:
        """Return the raw logits of N faces: (N,) float64."""


@dataclass(frozen=True, slots=True)
class ScoredFaces:
    """Labeled faces with a model's logits.

    Attributes:
        items: N items.
        labels: (N,) int, 1 = manipulated.
        logits: (N,) float64, before calibration.
    """

    items: list[Item]
    labels: np.ndarray
    logits: np.ndarray

    def of(self, sources: tuple[str, ...]) -> "ScoredFaces":
        """Return the faces of some sources."""
        keep = self.mask(sources)
        return ScoredFaces(
            [i for i, k in zip(self.items, keep, strict=True) if k], self.labels[keep], self.logits[keep]
        )

    def mask(self, sources: tuple[str, ...]) -> np.ndarray:
        """Return a (N,) bool mask of the faces of some sources."""
        return np.array([item.source in sources for item in self.items], bool)

    @property
    def units(self) -> np.ndarray:
        """(N,) str: the independent unit of each face."""
        return np.array([item.unit for item in self.items])

    @property
    def sources(self) -> list[str]:
        """Names of the collections, sorted."""
        return sorted({item.source for item in self.items})


def score_all(
    scorers: Mapping[str, LogitScorer],
    root: Path,
    items: list[Item],
    degrade: Degrade | None = None,
    *,
    read: Callable[[Path], np.ndarray] = read_rgb,
) -> dict[str, ScoredFaces]:
    """Score every item's face with every scorer, cropped as in the app; each picture is read only once."""
    logits: dict[str, list[np.ndarray]] = {name: [] for name in scorers}
    for start in range(0, len(items), _BATCH):
        batch = [(read(root / item.path), item.face_box) for item in items[start : start + _BATCH]]
        if degrade:
            batch = [degrade(rgb, box) for rgb, box in batch]
        for name, scorer in scorers.items():
            logits[name].append(scorer.logits([scorer.view(rgb, box) for rgb, box in batch]))
    labels = np.array([item.label for item in items])
    return {name: ScoredFaces(items, labels, np.concatenate(parts)) for name, parts in logits.items()}


def auc(faces: ScoredFaces) -> float:
    """Return the area under the ROC curve, 0..1; nan if a class is missing."""
    if len(set(faces.labels.tolist())) < 2:
        return float("nan")
    return float(metrics.auc(faces.labels, faces.logits, np.ones(len(faces.labels))))


def auc_by_source(faces: ScoredFaces) -> dict[str, float]:
    """Return the AUC of the generated-face sources together, and of every source with both classes."""
    table = {"generated": auc(faces.of(GENERATED))}
    table |= {source: auc(faces.of((source,))) for source in faces.sources}
    return {name: value for name, value in table.items() if not np.isnan(value)}
