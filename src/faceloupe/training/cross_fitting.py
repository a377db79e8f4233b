"""Heads that judge only what they were not trained on: by families of sources, by people, and the one that is shipped.

A head that is judged on its own training faces, or on other pictures of a collection that it knows, looks better than
it is. So every look gets two answers: of a head that never saw its family, and of one that never saw its person.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from faceloupe.errors import DatasetError
from faceloupe.training import data, heads
from faceloupe.training.fusing import hash_fold
from faceloupe.training.heads import Fitted, HeadSettings, Projection
from faceloupe.training.looks import NOT_SEEN, PHOTO, Looks

TRAINED_ON = ("as-is", "heavy-1")  # treatments
FAMILY_FOLDS = 12


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """What a head is for, and what it learns from.

    Attributes:
        name: in the id of its record.
        crop: of ``views.CROPS``.
        kind: of the manipulated faces, ``GENERATED`` or ``CHANGED``.
        context: it speaks of faces with at least the first, and less than the second context.
        learns_from: the same of the faces that it is trained on.
        settings: of the fit.
    """

    name: str
    crop: str
    kind: str
    context: tuple[float, float] = (0.0, math.inf)
    learns_from: tuple[float, float] = (0.0, math.inf)
    settings: HeadSettings = field(default_factory=HeadSettings)

    def rows(self, looks: Looks) -> np.ndarray:
        """(N,) int rows of the features that the head reads of each look; ``NOT_SEEN`` where it has no such view."""
        return looks.wide if self.crop == "wide" else looks.tight

    def speaks(self, looks: Looks) -> np.ndarray:
        """(N,) bool: looks that the head has an answer to."""
        low, high = self.context
        return (self.rows(looks) != NOT_SEEN) & (looks.context >= low) & (looks.context < high)

    def training(self, looks: Looks) -> np.ndarray:
        """(N,) bool: looks that the head may be trained on."""
        low, high = self.learns_from
        return (
            (self.rows(looks) != NOT_SEEN)
            & np.isin(looks.kinds, (PHOTO, self.kind))
            & np.isin(looks.treatments, TRAINED_ON)
            & np.isin(looks.splits, data.SPLITS)
            & (looks.context >= low)
            & (looks.context < high)
        )


@dataclass(frozen=True, slots=True)
class Answers:
    """What the heads of a plan say of N looks; nan where the plan has no view of a look.

    Attributes:
        unseen: (N,) float64 logits of heads that saw no picture of the look's family.
        strangers: (N,) float64 logits of heads that saw no picture of the look's unit.
        final: (N,) float64 logits of the head that is shipped: an honest answer for the split ``cross`` alone.
        head: that head.
        projection: that it was fitted in.
        training: (N,) bool, looks it was trained on.
    """

    unseen: np.ndarray
    strangers: np.ndarray
    final: np.ndarray
    head: Fitted
    projection: Projection
    training: np.ndarray


def family_fold(families: np.ndarray) -> np.ndarray:
    """(N,) fold of each family, by its name."""
    return heads.fold_of(families, FAMILY_FOLDS)


def cross_fit(plan: HeadPlan, looks: Looks, values: np.ndarray) -> Answers:
    """Fit a plan's heads and have them judge.

    Args:
        values: (M, 15, 768) features that the looks point into.

    Raises:
        DatasetError: there are no faces of one of the classes.
    """
    training, rows = plan.training(looks), plan.rows(looks)
    if set(looks.labels[training].tolist()) != {0, 1}:
        raise DatasetError(f"The head {plan.name} needs photographs and {plan.kind} faces to learn from.")
    clean = training & (looks.treatments == TRAINED_ON[0])
    projection = Projection.of(_Indexed(values, rows[clean]), plan.settings)
    seen = np.flatnonzero(rows != NOT_SEEN)
    inputs = torch.full((len(looks), projection.basis.shape[1]), math.nan)
    inputs[torch.from_numpy(seen)] = projection.of_faces(_Indexed(values, rows[seen]))
    return _answers(plan.settings, looks, inputs, training, projection)


def _answers(
    settings: HeadSettings, looks: Looks, inputs: torch.Tensor, training: np.ndarray, projection: Projection
) -> Answers:
    def fitted(kept: np.ndarray) -> Fitted:
        return heads.fit(inputs[torch.from_numpy(kept)], looks.labels[kept], looks.sources[kept], settings)

    answers: dict[str, np.ndarray] = {}
    people = np.array([hash_fold(unit) for unit in looks.units])
    for name, folds in (("unseen", family_fold(looks.families)), ("strangers", people)):
        answers[name] = np.full(len(looks), math.nan)
        for number in np.unique(folds):
            outside = folds == number
            answers[name][outside] = fitted(training & ~outside)(inputs[torch.from_numpy(outside)])
    head = fitted(training)
    return Answers(answers["unseen"], answers["strangers"], head(inputs), head, projection, training)


@dataclass(frozen=True, slots=True)
class _Indexed:
    """Some rows of a memory-mapped array, read when they are asked for."""

    values: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        return self.values[self.rows[chosen]]
