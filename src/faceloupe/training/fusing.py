"""Records of a fusion, made from the log-odds of core and heads: weights, calibration, thresholds, error rates.

Everything is fitted on two sets of faces with the same total weight: faces of sources that the heads of their fold
never saw, and faces of unseen people from known sources. An examiner's material can be of either kind.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from faceloupe.evaluation import metrics
from faceloupe.evaluation.measures import Decisions, measure, probabilities
from faceloupe.models.contract import Calibrator, QualityGates
from faceloupe.models.record import CalibrationQuality, ErrorRates, Fusion, ModelRecord, SourceResult, Thresholds
from faceloupe.training.calibrate import source_result
from faceloupe.training.fitting import choose_thresholds, fit_calibrator
from faceloupe.training.heads import balance

LIMIT = 8.0  # bound on a member's natural log-odds, so that no member can outvote the others
MAX_ERROR = 0.04  # largest share of wrong verdicts on either side of the band, see ``choose_thresholds``
MAX_ALARMS = 0.05  # largest share of the photographs of any source called manipulated, see ``thresholds_for``
ENOUGH = 30  # fewest photographs of a source for that limit
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """Faces that were scored by models that were not trained on them.

    Attributes:
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str.
        units: (N,) str.
        weights: (N,) float64 > 0, weights of the faces within their class.
        unseen: (N,) bool, whether no picture of the face's source was trained on.
        scored: (N,) bool, whether the face passes the gates. Other faces are used for fitting as well, so that scores
            stay cautious, but they count neither for the thresholds nor for the error rates.
    """

    labels: np.ndarray
    sources: np.ndarray
    units: np.ndarray
    weights: np.ndarray
    unseen: np.ndarray
    scored: np.ndarray

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        sources: np.ndarray,
        units: np.ndarray,
        unseen: np.ndarray,
        scored: np.ndarray | None = None,
    ) -> "Judged":
        """Compute weights by source; unseen and known sources get the same total weight."""
        weights = np.zeros(len(labels))
        for part in (unseen, ~unseen):
            if len(set(labels[part].tolist())) == 2:
                weights[part] = balance(labels[part], sources[part])
        return cls(labels, sources, units, weights, unseen, np.ones(len(labels), bool) if scored is None else scored)


def fit_fusion(log_odds: np.ndarray, partial: Sequence[bool], faces: Judged, *, frames: int) -> Fusion:
    """Fit the weights of a fusion by cross-entropy at even prior odds.

    Args:
        log_odds: (N, M) calibrated natural log-odds of the members.
        partial: for each of M members, whether it covers only one kind of manipulation.
        faces: the N faces with their labels, sources and units.
        frames: see ``Fusion``.
    """
    held = np.clip(log_odds, -LIMIT, LIMIT)
    parts = held[:, np.asarray(partial, bool)]
    joined = np.logaddexp.reduce(parts, axis=1) - np.log(parts.shape[1])
    columns = np.column_stack([held, joined])

    def cost(values: np.ndarray) -> float:
        return float(metrics.log_loss(faces.labels, columns @ values[:-1] + values[-1], faces.weights))

    count = columns.shape[1]
    start = np.full(count + 1, 0.3)
    start[-1] = 0.0
    best = minimize(cost, start, method="L-BFGS-B", bounds=[(0.0, 4.0)] * count + [(None, None)]).x
    return Fusion(
        tuple(round(float(value), 4) for value in best[: count - 1]), round(float(best[count - 1]), 4), LIMIT, frames
    )


def thresholds_for(scores: np.ndarray, faces: Judged) -> Thresholds:
    """Return thresholds that meet two limits on sources that were not trained on.

    At most ``MAX_ERROR`` of the verdicts on either side are wrong, with the faces weighted by source. Of each source
    with at least ``ENOUGH`` photographs, at most ``MAX_ALARMS`` are called manipulated. Only pictures that pass the
    gates are counted, since the others get no verdict.
    """
    new = faces.unseen & faces.scored
    thresholds = choose_thresholds(faces.labels[new], scores[new], MAX_ERROR, faces.weights[new])
    upper = thresholds.upper
    photos = new & (faces.labels == 0)
    for source in np.unique(faces.sources[photos]):
        mine = np.sort(scores[photos & (faces.sources == source)])
        if len(mine) >= ENOUGH:
            allowed = int(MAX_ALARMS * len(mine))
            upper = max(upper, float(np.nextafter(mine[len(mine) - 1 - allowed], 2.0)))
    return Thresholds(thresholds.lower, min(upper, 1.0))


def error_rates(decided: Decisions, described: str) -> ErrorRates:
    """Return the error rates at the thresholds, with intervals over units."""
    real, fake = decided.labels == 0, decided.labels == 1
    return ErrorRates(
        fpr=float(decided.called_fake[real].mean()),
        fnr=float(decided.called_real[fake].mean()),
        n_real=int(real.sum()),
        n_fake=int(fake.sum()),
        interval_95={
            "fpr": metrics.share_interval(decided.called_fake[real], decided.units[real]),
            "fnr": metrics.share_interval(decided.called_real[fake], decided.units[fake]),
        },
        inconclusive=float((~decided.called_fake & ~decided.called_real).mean()),
        measured_on=described,
    )


def rows(decided: Decisions, sources: np.ndarray, few: int = 8) -> tuple[SourceResult, ...]:
    """Return a row for each source with at least ``few`` faces, and one for all."""
    results = []
    for name in ("all", *np.unique(sources)):
        mask = np.ones(len(sources), bool) if name == "all" else sources == name
        if mask.sum() < few:
            continue
        results.append(source_result(str(name), measure(decided.where(mask), resamples=2)))
    return tuple(results)


def calibrated(logits: np.ndarray, faces: Judged, described: str) -> tuple[Calibrator, CalibrationQuality]:
    """Return a calibrator of the kind with the lowest Cllr on held-out folds of whole units, and its quality."""
    compared = {}
    folds = np.array([hash_fold(unit) for unit in faces.units])
    for kind in ("temperature", "platt"):
        log_odds = np.empty(len(logits))
        for number in range(FOLDS):
            out = folds == number
            calibrator = fit_calibrator(kind, faces.labels[~out], logits[~out], weights=faces.weights[~out])
            log_odds[out] = calibrator.log_odds(logits[out])
        ece = metrics.calibration_error(faces.labels, probabilities(log_odds), faces.weights)
        compared[kind] = float(ece), float(metrics.cllr(faces.labels, log_odds, faces.weights))
    kind = min(compared, key=lambda name: compared[name][1])
    calibrator = fit_calibrator(kind, faces.labels, logits, described, weights=faces.weights)
    return calibrator, CalibrationQuality(*compared[kind], compared=compared)


def hash_fold(unit: str) -> int:
    """Return the fold of a unit, 0 to ``FOLDS`` - 1, derived from its name."""
    return int(hashlib.sha256(f"unit{unit}".encode()).hexdigest()[:12], 16) % FOLDS


def make_record(
    logits: np.ndarray, faces: Judged, *, gates: QualityGates, described: str, **identity: Any
) -> ModelRecord:
    """Return the record of a model, from logits of ``faces`` that come from fits without these faces."""
    calibrator, quality = calibrated(logits, faces, described)
    log_odds = np.asarray(calibrator.log_odds(logits))
    thresholds = thresholds_for(probabilities(log_odds), faces)
    new = faces.unseen & faces.scored
    decided = Decisions.at(faces.labels[new], log_odds[new], thresholds, faces.units[new])
    bounds = metrics.likelihood_ratio_bounds(
        faces.labels[new], log_odds[new], lambda label: len(set(faces.units[new][faces.labels[new] == label]))
    )
    passed = faces.scored
    everyone = Decisions.at(faces.labels[passed], log_odds[passed], thresholds, faces.units[passed])
    return ModelRecord(
        calibrator=calibrator,
        thresholds=thresholds,
        log10_lr_bounds=bounds,
        error_rates=error_rates(decided, f"{described}, see the limits"),
        calibration=quality,
        gates=gates,
        validation=rows(everyone, faces.sources[passed]),
        **identity,
    )
