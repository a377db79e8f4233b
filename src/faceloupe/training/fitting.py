"""Calibrators and thresholds, fitted on validation faces and judged on folds that they were not fitted to."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from faceloupe.evaluation import metrics
from faceloupe.evaluation.measures import Decisions, probabilities
from faceloupe.models.contract import KINDS, Calibrator
from faceloupe.models.record import Thresholds
from faceloupe.training.scoring import GENERATED, ScoredFaces

MAX_ERROR = 0.03  # largest share of wrong faces on either side of the band
FOLDS = 5  # folds of the cross-fitting; a unit is never split
_FLAT = 1e-6  # smallest slope of a calibrator
_NOISE = 1e-5  # logits closer than this count as equal: smaller differences vary between batches and machines


def fit_calibrator(
    kind: str, labels: np.ndarray, logits: np.ndarray, described: str = "", *, weights: np.ndarray | None = None
) -> Calibrator:
    """Fit a calibrator of one kind by cross-entropy (isotonic: least squares) at even prior odds.

    Args:
        kind: one of ``models.contract.KINDS``.
        labels: (N,) 1 = manipulated, 0 = authentic.
        logits: (N,) raw logits.
        described: description of the faces.
        weights: (N,) weights of the faces, > 0; equal by default. Not used by ``isotonic``.
    """
    if kind == "isotonic":
        return _isotonic(labels, logits, described)
    once = np.ones(len(labels)) if weights is None else weights
    scale = max(float(np.std(logits)), 1e-9)

    def cost(values: np.ndarray) -> float:
        return float(
            metrics.log_loss(labels, values[0] * logits / scale + (values[1] if kind == "platt" else 0.0), once)
        )

    best = minimize(cost, x0=(scale, 0.0), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10}).x
    slope, intercept = float(best[0]) / scale, float(best[1]) if kind == "platt" else 0.0
    if slope < _FLAT:  # the scores are uninformative or inverted
        slope, intercept = _FLAT, 0.0
    return Calibrator(f"{kind}-{slope:.4f}{intercept:+.4f}", kind, slope, intercept, (), described)


def _isotonic(labels: np.ndarray, logits: np.ndarray, described: str) -> Calibrator:
    """Fit an isotonic regression; its probabilities stay off 0 and 1 as the number of faces allows (Laplace's rule)."""
    fake = labels == 1
    weights = np.where(fake, 0.5 / fake.sum(), 0.5 / (~fake).sum())
    margin = 1.0 / (min(fake.sum(), (~fake).sum()) + 2.0)
    if np.ptp(logits) < _NOISE:  # the network gives the same answer to all faces
        logits = np.full_like(logits, logits[0])
    fitted = IsotonicRegression(y_min=margin, y_max=1.0 - margin).fit(logits, fake.astype(float), weights)
    places, shares = fitted.X_thresholds_.astype(float), fitted.y_thresholds_
    keep = np.r_[True, np.diff(places) > 1e-9]
    knots = tuple(zip(places[keep].tolist(), np.log(shares / (1.0 - shares))[keep].tolist(), strict=True))
    if len(knots) == 1:  # all logits are equal
        knots += ((knots[0][0] + 1.0, knots[0][1]),)
    digest = hashlib.sha256(repr(knots).encode()).hexdigest()[:8]
    return Calibrator(f"isotonic-{len(knots)}-{digest}", "isotonic", 1.0, 0.0, knots, described)


def choose_thresholds(
    labels: np.ndarray, scores: np.ndarray, max_error: float = MAX_ERROR, weights: np.ndarray | None = None
) -> Thresholds:
    """Return the narrowest band between two thresholds that keeps the error on each side within ``max_error``.

    The error above the band is the share of authentic faces there, the error below it the share of manipulated faces;
    both classes have the same total weight. The upper threshold is never below 0.5 and the lower one never above it, so
    no verdict contradicts the score.

    Args:
        labels: (N,) 1 = manipulated, 0 = authentic.
        scores: (N,) calibrated P(manipulated), 0..1.
        max_error: largest share of wrong verdicts on either side, 0..1.
        weights: (N,) weights of the faces within their class, > 0; equal by default.
    """
    fake = labels == 1
    weights = np.ones(len(labels)) if weights is None else weights
    upper = _lowest_bar((scores[fake], weights[fake]), (scores[~fake], weights[~fake]), max_error)
    below = 1.0 - scores
    lower = 1.0 - _lowest_bar((below[~fake], weights[~fake]), (below[fake], weights[fake]), max_error)
    return Thresholds(float(min(max(lower, 0.0), 0.5 - 1e-6)), float(max(min(upper, 1.0), 0.5 + 1e-6)))


_Weighted = tuple[np.ndarray, np.ndarray]  # scores of the faces of a class, and their weights


def _lowest_bar(right: _Weighted, wrong: _Weighted, max_error: float) -> float:
    """Return the lowest score at and above which at most ``max_error`` of the weight is of the wrong class.

    If there is none, the result lies above all scores.
    """
    bars = np.unique(np.r_[right[0], wrong[0]])
    of_right, of_wrong = _share_from(*right, bars), _share_from(*wrong, bars)
    allowed = of_wrong <= max_error * (of_right + of_wrong)
    return float(bars[allowed][0]) if allowed.any() else float(np.nextafter(bars[-1], 2.0))


def _share_from(scores: np.ndarray, weights: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Return the share of a class's weight at or above each bar."""
    order = np.argsort(scores, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    share_below: np.ndarray = below[np.searchsorted(scores[order], bars, side="left")] / below[-1]
    return 1.0 - share_below


@dataclass(frozen=True, slots=True)
class Fit:
    """Calibrator and thresholds, fitted on validation faces."""

    calibrator: Calibrator
    thresholds: Thresholds

    @classmethod
    def to(cls, kind: str, labels: np.ndarray, logits: np.ndarray, described: str = "") -> "Fit":
        """Fit a calibrator and thresholds to (N,) labels and logits."""
        calibrator = fit_calibrator(kind, labels, logits, described)
        return cls(calibrator, choose_thresholds(labels, calibrator.probability(logits)))


Members = Sequence[tuple[str, ScoredFaces]]  # of an ensemble: kind of calibrator, and raw logits of the same faces


class CrossFit:
    """Cross-fitted calibrators and thresholds: each fold is judged by a fit on all the others.

    Errors are therefore not counted on faces that set the thresholds. The fits are made from the clean faces; the same
    faces under a degradation are judged by the fits of their own folds. For an ensemble, the calibrators of its members
    are also fitted anew for every fold.
    """

    def __init__(self, kind: str, faces: ScoredFaces, members: Members = (), folds: int = FOLDS) -> None:
        units = faces.units
        names = np.unique(units)
        fold_of = dict(zip(names, np.random.default_rng(0).permutation(len(names)) % folds, strict=True))
        self._fold = np.array([fold_of[unit] for unit in units])
        self._fits: list[tuple[list[Calibrator], Fit]] = []
        for number in range(folds):
            training = self._fold != number
            own = [fit_calibrator(of, member.labels[training], member.logits[training]) for of, member in members]
            logits = pooled_logits(own, faces, members)
            self._fits.append((own, Fit.to(kind, faces.labels[training], logits[training])))

    def decide(self, faces: ScoredFaces, members: Members = ()) -> Decisions:
        """Return decisions on the faces that the fits were made from, in their order; the pictures may be degraded."""
        count = len(faces.labels)
        log_odds, upper, lower = np.empty(count), np.empty(count), np.empty(count)
        for number, (own, fit) in enumerate(self._fits):
            inside = self._fold == number
            log_odds[inside] = fit.calibrator.log_odds(pooled_logits(own, faces, members)[inside])
            upper[inside], lower[inside] = fit.thresholds.upper, fit.thresholds.lower
        scores = probabilities(log_odds)
        return Decisions(faces.labels, log_odds, scores >= upper, scores <= lower, faces.units, faces.logits)


def pooled_logits(calibrators: Sequence[Calibrator], faces: ScoredFaces, members: Members) -> np.ndarray:
    """Return the logits of the faces; for an ensemble, the mean of its members' calibrated log-odds."""
    if not members:
        return faces.logits
    pairs = zip(calibrators, members, strict=True)
    mean: np.ndarray = np.mean([calibrator.log_odds(scored.logits) for calibrator, (_, scored) in pairs], axis=0)
    return mean


def compare_calibrators(faces: ScoredFaces, members: Members = ()) -> dict[str, tuple[float, float]]:
    """Return the expected calibration error and Cllr of every kind of calibrator, on held-out folds."""
    once = np.ones(len(faces.labels))
    table = {}
    for kind in KINDS:
        log_odds = CrossFit(kind, faces, members).decide(faces, members).log_odds
        ece = float(metrics.calibration_error(faces.labels, probabilities(log_odds), once))
        table[kind] = ece, float(metrics.cllr(faces.labels, log_odds, once))
    return table


def source_sets(faces: ScoredFaces) -> dict[str, np.ndarray]:
    """Return the (N,) mask of each row of a table by source, by row name."""
    sets = {"all": np.ones(len(faces.items), bool), "generated faces against photos": faces.mask(GENERATED)}
    sets |= {source: faces.mask((source,)) for source in faces.sources}
    return {name: mask for name, mask in sets.items() if mask.any()}
