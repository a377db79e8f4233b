"""The rows of all tables: measures of a model's decisions on labeled faces, each with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from msgspec import Struct, field

from faceloupe.evaluation import metrics
from faceloupe.models.record import Thresholds

Row = TypeVar("Row")
FEW_UNITS = 5  # with fewer people, videos or pictures than this, a bootstrap interval is meaningless


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured number and its 95 % interval.

    All fields are None if nothing could be measured (only one class, nothing decided). Only the interval is None if a
    class has fewer than ``FEW_UNITS`` independent units.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Decisions:
    """A model's decisions on N labeled faces.

    Attributes:
        labels: (N,) int, 1 = manipulated.
        log_odds: (N,) float64, calibrated natural log-odds at even prior odds.
        called_fake, called_real: (N,) bool; a face with neither is inconclusive.
        units: (N,) str, the independent unit that each face belongs to.
        ranks: (N,) float64, values that order the faces for AUC, equal error rate and ROC: raw logits if the log-odds
            come from several calibrators, otherwise the log-odds.
    """

    labels: np.ndarray
    log_odds: np.ndarray
    called_fake: np.ndarray
    called_real: np.ndarray
    units: np.ndarray
    ranks: np.ndarray

    @classmethod
    def at(cls, labels: np.ndarray, log_odds: np.ndarray, thresholds: Thresholds, units: np.ndarray) -> "Decisions":
        """Decide with two thresholds on the calibrated score."""
        scores = probabilities(log_odds)
        return cls(
            labels, log_odds, scores >= thresholds.upper, scores <= thresholds.lower, np.asarray(units), log_odds
        )

    def where(self, keep: np.ndarray) -> "Decisions":
        """Return the decisions on the faces that an (N,) bool mask selects."""
        return Decisions(*(getattr(self, column.name)[keep] for column in fields(self)))


def probabilities(log_odds: np.ndarray) -> np.ndarray:
    """Return P(manipulated) at even prior odds, 0..1, for natural log-odds."""
    scores: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -60.0, 60.0)))
    return scores


@dataclass(frozen=True, slots=True)
class Measures:
    """The measures of a set of decisions.

    Attributes:
        n_real, n_fake: number of authentic and of manipulated faces.
        auc: area under the ROC curve, 0..1.
        eer: equal error rate, 0..1.
        accuracy: accuracy at a threshold of 0.5 on the score, 0..1.
        decided_accuracy: share of the decided faces that were decided correctly, 0..1.
        coverage: share of all faces that were decided, 0..1.
        fpr: share of the authentic faces that were called manipulated, 0..1.
        fnr: share of the manipulated faces that were called authentic, 0..1.
        ece: expected calibration error, 0..1.
        cllr: log-likelihood-ratio cost, bits.
    """

    n_real: int
    n_fake: int
    auc: Estimate
    eer: Estimate
    accuracy: Estimate
    decided_accuracy: Estimate
    coverage: Estimate
    fpr: Estimate
    fnr: Estimate
    ece: Estimate
    cllr: Estimate

    def as_row(self, kind: Callable[..., Row], **names: object) -> Row:
        """Return the measures as a table row of type ``kind``, which has their fields and those in ``names``."""
        return kind(**names, **{column.name: getattr(self, column.name) for column in fields(Measures)})


@dataclass(frozen=True)
class AucRow:
    """The AUC of a model on a part of the faces, with the numbers of authentic and manipulated faces."""

    model: str
    part: str
    n_real: int
    n_fake: int
    auc: Estimate


@dataclass(frozen=True)
class MeasuredRow(Measures, AucRow):
    """All measures of a model on a part of the faces."""


def of_model(rows: Sequence[MeasuredRow], model: str) -> list[tuple[str, Measures]]:
    """Return the rows of one model, each with the name of its part."""
    return [(row.part, row) for row in rows if row.model == model]


class ReliabilityPoint(Struct, frozen=True):
    """A bin of a reliability diagram: predicted and observed share of manipulated faces, and share of the weight."""

    promised: float
    observed: float = field(name="found")
    weight: float


class Tippett(Struct, frozen=True):
    """The curves of a Tippett plot, see ``tippett_points``."""

    authentic: list[tuple[float, float]]
    manipulated: list[tuple[float, float]]


class Curves(Struct, frozen=True):
    """The data for the figures of a model.

    Attributes:
        roc: see ``roc_points``.
        reliability: points in ascending order of the predicted share.
        tippett: curves of both classes.
        confusion: numbers of authentic (first row) and manipulated faces that were called authentic, inconclusive and
            manipulated.
    """

    roc: list[tuple[float, float]]
    reliability: list[ReliabilityPoint]
    tippett: Tippett
    confusion: list[list[int]]


def measure(decisions: Decisions, *, resamples: int = 1000, seed: int = 0) -> Measures:
    """Measure decisions, with intervals from a bootstrap over independent units.

    Intervals of shares are widened to Wilson's interval with the number of units as the number of observations.

    Args:
        decisions: the decisions to measure.
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap.
    """
    labels, log_odds = decisions.labels, decisions.log_odds
    fake, real = labels == 1, labels == 0
    fake_calls, real_calls = decisions.called_fake, decisions.called_real
    decided, everyone = fake_calls | real_calls, np.ones(len(labels), bool)
    right = np.where(fake, fake_calls, real_calls)
    scores = probabilities(log_odds)
    drawn = metrics.bootstrap_weights(list(decisions.units), resamples=resamples, seed=seed)
    once = np.ones(len(labels))
    few = min(len(np.unique(decisions.units[of_class])) for of_class in (real, fake)) < FEW_UNITS

    nothing = Estimate(None, None, None)

    def estimate(function: Callable[..., np.ndarray], *values: np.ndarray) -> Estimate:
        value = float(function(*values, once))
        if not np.isfinite(value):
            return Estimate(None, None, None)
        if few:
            return Estimate(value, None, None)
        return Estimate(value, *metrics.interval(function(*values, drawn)))

    def share(chosen: np.ndarray, of: np.ndarray) -> Estimate:
        if not of.any():
            return nothing
        return Estimate(
            float(chosen[of].mean()), *metrics.share_interval(chosen[of], decisions.units[of], drawn[:, of])
        )

    both = fake.any() and real.any()
    return Measures(
        n_real=int(real.sum()),
        n_fake=int(fake.sum()),
        auc=estimate(metrics.auc, labels, decisions.ranks) if both else nothing,
        eer=estimate(metrics.equal_error_rate, labels, decisions.ranks) if both else nothing,
        accuracy=share((scores >= 0.5) == fake, everyone),
        decided_accuracy=share(right, decided),
        coverage=share(decided, everyone),
        fpr=share(fake_calls, real),
        fnr=share(real_calls, fake),
        ece=estimate(metrics.calibration_error, labels, scores) if both else nothing,
        cllr=estimate(metrics.cllr, labels, log_odds) if both else nothing,
    )


def roc_points(labels: np.ndarray, ranks: np.ndarray, count: int = 200) -> list[tuple[float, float]]:
    """Return (false positive rate, true positive rate) pairs from (0, 0) to (1, 1), at most ``count`` of them."""
    thresholds = np.unique(ranks)[::-1]
    if len(thresholds) > count:
        thresholds = thresholds[np.linspace(0, len(thresholds) - 1, count).round().astype(int)]
    real, fake = np.sort(ranks[labels == 0]), np.sort(ranks[labels == 1])
    rates = [1.0 - np.searchsorted(values, thresholds, side="left") / len(values) for values in (real, fake)]
    return [(0.0, 0.0), *zip(rates[0].tolist(), rates[1].tolist(), strict=True)]


def reliability_points(labels: np.ndarray, log_odds: np.ndarray) -> list[ReliabilityPoint]:
    """Return the points of a reliability diagram, one per bin that contains faces."""
    weight, promised, observed = metrics.reliability(labels, probabilities(log_odds), np.ones(len(labels)))
    return [
        ReliabilityPoint(float(p / w), float(f / w), float(w))
        for w, p, f in zip(weight, promised, observed, strict=True)
        if w > 0
    ]


def tippett_points(values: Sequence[float] | np.ndarray, count: int = 120) -> list[tuple[float, float]]:
    """Return a Tippett curve of one class: (log10 LR, share of faces with at least that LR), ascending in log10 LR.

    Args:
        values: log10 LRs of the faces.
        count: greatest number of points.
    """
    ranked = np.sort(np.asarray(values, np.float64))
    shares = 1.0 - np.arange(len(ranked)) / len(ranked)
    keep = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))
    return list(zip(ranked[keep].tolist(), shares[keep].tolist(), strict=True))


def curves_of(decisions: Decisions) -> Curves:
    """Return the data for the figures of these decisions."""
    labels, log_odds = decisions.labels, decisions.log_odds
    ratios = log_odds / np.log(10.0)
    called = np.where(decisions.called_fake, 2, np.where(decisions.called_real, 0, 1))
    return Curves(
        roc_points(labels, decisions.ranks),
        reliability_points(labels, log_odds),
        Tippett(*(tippett_points(ratios[labels == label]) for label in (0, 1))),
        [[int(((labels == label) & (called == call)).sum()) for call in range(3)] for label in (0, 1)],
    )


# Display name of each measure, in the order of all tables.
NAMES = {
    "auc": "AUC",
    "eer": "equal error rate",
    "accuracy": "accuracy at .5",
    "coverage": "decided",
    "decided_accuracy": "accuracy of decided",
    "fpr": "authentic called manipulated",
    "fnr": "manipulated called authentic",
    "ece": "ECE",
    "cllr": "Cllr",
}


def shown(estimate: Estimate) -> str:
    """Return an estimate as text: the number, and its interval if there is one."""
    if estimate.value is None:
        return "-"
    if estimate.low is None:
        return f"{estimate.value:.3f} (too few for an interval)"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def across(rows: Sequence[AucRow], measure: str) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return one measure of several models as a table with a column per model.

    Args:
        rows: rows of all models, which must have the same parts.
        measure: name of a field of the rows.

    Returns:
        The model ids, and for each part in which a model has a number, the part and a text per model.
    """
    estimates: dict[tuple[str, str], Estimate] = {(row.model, row.part): getattr(row, measure) for row in rows}
    models, parts = list(dict.fromkeys(row.model for row in rows)), list(dict.fromkeys(row.part for row in rows))
    shown_parts = [part for part in parts if any(estimates[model, part].value is not None for model in models)]
    return models, [(part, [shown(estimates[model, part]) for model in models]) for part in shown_parts]
