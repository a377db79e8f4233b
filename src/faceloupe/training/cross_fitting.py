"""Cross-fitting: heads that judge only looks they were not trained on, and the shipped head trained on all looks.

A head looks better than it is if it is judged on its own training faces, or on other pictures of a collection that it
was trained on. Every look therefore gets two answers: one from a head that never saw the look's family, and one from a
head that never saw its person.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from faceloupe.errors import DatasetError
from faceloupe.training import heads
from faceloupe.training.fusing import FOLDS, hash_fold
from faceloupe.training.heads import Fitted, Projection, Remembered
from faceloupe.training.looks import CHANGED, NOT_SEEN, PHOTO, Looks
from faceloupe.training.plans import TRAINED_ON, HeadPlan

FAMILY_FOLDS = 12


@dataclass(frozen=True, slots=True)
class CrossAnswers:
    """Logits of N looks from heads that were not trained on them; nan where no head could judge.

    Attributes:
        unseen: (N,) float64 logits of heads that saw no picture of the look's family.
        strangers: (N,) float64 logits of heads that saw no picture of the look's unit.
    """

    unseen: np.ndarray
    strangers: np.ndarray

    def where(self, keep: np.ndarray) -> "CrossAnswers":
        """Return the answers to the looks that a (N,) bool mask keeps."""
        return CrossAnswers(self.unseen[keep], self.strangers[keep])


@dataclass(frozen=True, slots=True)
class Answers(CrossAnswers):
    """Answers of a plan's heads to N looks; nan for a look without the view, or without a head that could judge it.

    Attributes:
        head: the shipped head; it was trained on all training looks, and its own logits are not included here.
        projection: the projection in which the head was fitted.
        training: (N,) bool, looks that the shipped head was trained on.
    """

    head: Fitted | Remembered
    projection: Projection
    training: np.ndarray

    def judges_both(self, plan: HeadPlan, looks: Looks) -> bool:
        """Whether looks of both classes got the answers that ``expert_records.evidence`` uses."""
        mine = plan.speaks(looks) & plan.concerns(looks.kinds)
        photo, kind = mine & (looks.kinds == PHOTO), mine & (looks.kinds != PHOTO)
        answers = self.strangers if plan.kind == CHANGED else self.unseen
        return bool(np.isfinite(self.unseen[photo]).any() and np.isfinite(answers[kind]).any())


def family_fold(families: np.ndarray) -> np.ndarray:
    """Return the (N,) fold of each family, derived from its name."""
    return heads.fold_of(families, FAMILY_FOLDS)


def cross_fit(plan: HeadPlan, looks: Looks, values: np.ndarray) -> Answers:
    """Fit a plan's heads and let them judge the looks.

    Args:
        plan: plan of the head.
        looks: looks of train and val.
        values: (M, 15, 768) features; the looks hold row numbers of this array.

    Raises:
        DatasetError: there are no faces of one of the classes.
    """
    training, rows = plan.training(looks), plan.rows(looks)
    if set(looks.labels[training].tolist()) != {0, 1}:
        raise DatasetError(f"The head {plan.name} needs photographs and {plan.kind} faces to learn from.")
    clean = training & (looks.treatments == TRAINED_ON[0])
    projection = Projection.of(_Indexed(values, rows[clean]), plan.settings)
    inputs = _inputs(plan, projection, looks, values)

    def fitted(training: np.ndarray) -> Fitted | Remembered:
        return heads.fit(
            inputs[torch.from_numpy(training)], looks.labels[training], looks.sources[training], plan.settings
        )

    def answer(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return fitted(known)(inputs[torch.from_numpy(asked)])

    crossed = cross_answers(looks, training, answer)
    return Answers(crossed.unseen, crossed.strangers, fitted(training), projection, training)


def cross_answers(
    looks: Looks, training: np.ndarray, answer: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> CrossAnswers:
    """Get two answers to every look: from a fit without its family, and from a fit without its person.

    Args:
        looks: N looks of train and val.
        training: (N,) bool, looks that may be trained on.
        answer: fits on the looks of one (N,) bool mask, and returns the logits of the looks of another.
    """
    answers = []
    # Pictures without a group may show the same people as other pictures; only the splits keep people apart.
    people = np.where(looks.splits == "val", FOLDS, [hash_fold(unit) for unit in looks.units])
    for folds in (family_fold(looks.families), people):
        logits = np.full(len(looks), math.nan)
        for number in np.unique(folds):
            outside = folds == number
            if len(set(looks.labels[training & ~outside].tolist())) == 2:
                logits[outside] = answer(training & ~outside, outside)
        answers.append(logits)
    return CrossAnswers(*answers)


def ask(plan: HeadPlan, answers: Answers, looks: Looks, values: np.ndarray) -> np.ndarray:
    """Return the (N,) float64 logits of the shipped head, nan without the view; fair only for looks it never saw."""
    return answers.head(_inputs(plan, answers.projection, looks, values))


def _inputs(plan: HeadPlan, projection: Projection, looks: Looks, values: np.ndarray) -> torch.Tensor:
    """Return the (N, K) float32 projected features; nan for looks without the view."""
    rows = plan.rows(looks)
    seen = np.flatnonzero(rows != NOT_SEEN)
    inputs = torch.full((len(looks), projection.width), math.nan)
    inputs[torch.from_numpy(seen)] = projection.of_faces(_Indexed(values, rows[seen]))
    return inputs


@dataclass(frozen=True, slots=True)
class _Indexed:
    """Selected rows of a memory-mapped array, read on access."""

    values: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        values: np.ndarray = self.values[self.rows[chosen]]
        return values
