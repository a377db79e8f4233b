"""``analyze``: the one entry point of command line, pages and API."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faceloupe.config import Settings, weights_folder
from faceloupe.errors import Cancelled, EvidenceError, UsageError
from faceloupe.faces.detector import FaceDetector
from faceloupe.faces.quality import assess
from faceloupe.media.image import decode
from faceloupe.media.intake import Intake, take_in
from faceloupe.report.canonical import Timing, build
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.outcome import of_image, of_score
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.scoring.scorer import FaceScorer
from faceloupe.types import DetectedFace, FaceFinding, FaceQuality, Outcome, Picture

Progress = Callable[[str, float], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Instruments:
    """The loaded networks; safe to share between threads, costly to make."""

    detector: FaceDetector
    scorer: FaceScorer

    @classmethod
    def load(cls, settings: Settings, *, folder: Path | None = None) -> "Instruments":
        """Load and verify.

        Raises:
            WeightsError: no verified weights; nothing may be scored.
            UsageError: torch has no such device here.
        """
        try:
            if settings.device.partition(":")[0] not in ("cpu", "cuda", "mps"):
                raise ValueError(settings.device)
            torch.zeros(1, device=settings.device).item()
        except (RuntimeError, AssertionError, ValueError) as problem:
            raise UsageError(f"The device {settings.device!r} cannot be used here; set it to cpu.") from problem
        scorer = FaceScorer.load(folder or weights_folder(), settings.model, settings.device)
        return cls(FaceDetector(settings), scorer)


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysis: the canonical report, and the pixels that pictures are drawn from.

    Attributes:
        report: see ``report.canonical``.
        picture: as decoded; None where the file could not be.
        faces: findings, in the order of the report.
    """

    report: dict[str, Any]
    picture: Picture | None = field(repr=False)
    faces: tuple[FaceFinding, ...] = ()


class _Watch:
    """Tells progress and asks for cancellation between the steps, and times them."""

    def __init__(self, progress: Progress | None, cancel: Cancel | None, clock: Callable[[], float]) -> None:
        self._progress, self._cancel, self._clock = progress, cancel, clock
        self._began = self._last = clock()

    def step(self, stage: str, share: float) -> None:
        if self._cancel and self._cancel():
            raise Cancelled("The analysis was cancelled.")
        if self._progress:
            self._progress(stage, share)

    def lap(self) -> float:
        before, self._last = self._last, self._clock()
        return self._last - before

    @property
    def total(self) -> float:
        return self._clock() - self._began


def analyze(
    source: Path | Intake,
    instruments: Instruments,
    *,
    settings: Settings,
    explain: bool = True,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Analysis:
    """Examine one file.

    Args:
        source: a path, or a file that was taken in already (an upload).
        explain: whether to make heatmaps.
        progress: called with the stage and the share done, 0..1.
        cancel: asked between steps; True stops the work.

    Returns:
        Always a report; a file that cannot be decoded has the outcome ``error`` and the reason in it.

    Raises:
        UsageError: there is no such file, or it cannot be opened.
        Cancelled: ``cancel`` said so.
    """
    watch = _Watch(progress, cancel, clock)
    watch.step("Hashing", 0.0)
    intake = source if isinstance(source, Intake) else take_in(source, max_bytes=settings.max_bytes)
    record = instruments.scorer.record
    watch.step("Decoding", 0.1)
    try:
        picture = decode(intake, max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
    except EvidenceError as problem:
        timing = Timing(decode_s=watch.lap(), total_s=watch.total)
        report = build(
            intake.evidence,
            record,
            settings,
            (),
            outcome=Outcome.ERROR,
            reason=str(problem),
            decisive=None,
            notes=(),
            timing=timing,
        )
        return Analysis(report, None)
    height, width = picture.rgb.shape[:2]
    evidence = replace(intake.evidence, width=width, height=height)
    decode_s = watch.lap()
    watch.step("Finding faces", 0.2)
    detected = instruments.detector.detect(picture.rgb)
    detect_s = watch.lap()
    candidates = [_candidate(face, picture.rgb, instruments.scorer) for face in detected]
    passes = _run(candidates, instruments.scorer, explain, watch)
    explain_s = watch.lap() if explain else 0.0
    findings = [_finding(number, *pair, instruments.scorer) for number, pair in enumerate(zip(candidates, passes), 1)]
    smallest = instruments.detector.smallest_sought(width, height)
    outcome, reason, decisive = of_image(findings, smallest_px=smallest)
    timing = Timing(decode_s, detect_s, watch.lap(), explain_s, watch.total)
    report = build(
        evidence,
        record,
        settings,
        findings,
        outcome=outcome,
        reason=reason,
        decisive=decisive,
        notes=picture.notes,
        timing=timing,
    )
    return Analysis(report, picture, tuple(findings))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A found face, cut out and held against the gates."""

    face: DetectedFace
    views: FaceViews
    quality: FaceQuality


def _candidate(face: DetectedFace, rgb: np.ndarray, scorer: FaceScorer) -> _Candidate:
    views = scorer.view(rgb, face.box)
    return _Candidate(face, views, assess(face, views.widest[1], scorer.record.gates))


_Pass = tuple[float, np.ndarray | None] | None  # logit and heatmap; None for a face that the gates kept back


def _run(candidates: list[_Candidate], scorer: FaceScorer, explain: bool, watch: _Watch) -> list[_Pass]:
    """Score the candidates that passed the gates: with heatmaps one by one, else in one batch."""
    fit = [number for number, candidate in enumerate(candidates) if not candidate.quality.problem]
    passes: list[_Pass] = [None] * len(candidates)
    if explain:
        for done, number in enumerate(fit):
            watch.step(f"Scoring face {done + 1} of {len(fit)}", 0.4 + 0.6 * done / len(fit))
            passes[number] = scorer.explained_logit(candidates[number].views)
    elif fit:
        watch.step(f"Scoring {len(fit)} faces", 0.4)
        for number, logit in zip(fit, scorer.logits([candidates[n].views for n in fit]), strict=True):
            passes[number] = float(logit), None
    return passes


def _finding(number: int, candidate: _Candidate, done: _Pass, scorer: FaceScorer) -> FaceFinding:
    face, quality, record = candidate.face, candidate.quality, scorer.record
    common = (number, face.box, face.confidence, face.size_px, quality)
    if done is None:
        return FaceFinding(*common, Outcome.NOT_APPLICABLE, f"cannot say: {quality.problem}")
    logit, heat = done
    square, crop = candidate.views.widest
    score = scorer.probability(logit)
    outcome, reason = of_score(score, record.thresholds)
    log10_lr = log10_likelihood_ratio(score, record.log10_lr_bounds)
    return FaceFinding(*common, outcome, reason, score, logit, log10_lr, crop=crop, heat=heat, crop_box=square)
