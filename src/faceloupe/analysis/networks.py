"""What every analysis needs: the loaded networks, and the context of the run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from faceloupe.config import Settings, weights_folder
from faceloupe.errors import Cancelled, UsageError
from faceloupe.faces.detector import FaceDetector
from faceloupe.faces.frame import PictureItself
from faceloupe.faces.quality import assess
from faceloupe.faces.upright import roll, signed, upright, yaw
from faceloupe.findings import FaceFinding
from faceloupe.media.sandbox.client import start
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.classifier import FaceScorer
from faceloupe.scoring.decision import UNSCORED, of_face, which_kind
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.scoring.single import Reading
from faceloupe.types import Box, Cancel, DetectedFace, FaceQuality, Outcome, Progress


@dataclass(frozen=True, slots=True)
class Networks:
    """The loaded networks, and the settings that they were loaded with; safe to share between threads, costly to make.

    Attributes:
        settings: of every analysis by these networks; a call may replace the sampling of a video alone.
    """

    detector: FaceDetector
    scorer: FaceScorer
    settings: Settings

    @classmethod
    def load(cls, settings: Settings, *, folder: Path | None = None, decoder: bool = True) -> "Networks":
        """Load and verify.

        Args:
            settings: of the analyses to come.
            folder: of the weights; ``config.weights_folder()`` where None.
            decoder: whether to start the process that decodes meanwhile; else the first file starts it.

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
        if decoder:
            start()
        scorer = FaceScorer.load(folder or weights_folder(), settings.model_id, settings.device)
        return cls(FaceDetector(settings), scorer, settings)


class RunContext:
    """Tells progress and asks for cancellation between the steps, and times them."""

    def __init__(
        self,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._progress, self._cancel, self._clock = progress, cancel, clock
        self._began = self._last = clock()

    def step(self, stage: str, share: float) -> None:
        """Tell how far the work is, 0..1.

        Raises:
            Cancelled: the caller wants it to stop.
        """
        self.check()
        if self._progress:
            self._progress(stage, share)

    def check(self) -> None:
        """Raise ``Cancelled`` if the caller wants the work to stop; any thread may call it."""
        if self._cancel and self._cancel():
            raise Cancelled("The analysis was cancelled.")

    def now(self) -> float:
        """Seconds on the clock; any thread may ask."""
        return self._clock()

    def lap(self) -> float:
        """Seconds since the last lap."""
        before, self._last = self._last, self._clock()
        return self._last - before

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began


@dataclass(frozen=True, slots=True)
class Candidate:
    """A found face, cut out and checked against the gates.

    Attributes:
        crop_box: what its widest view shows, in pixels of the picture.
        face_in_crop: box of the face in its widest view, shares of the side of that.
        turned_deg: clockwise turn that it stands upright by in its views, degrees.
    """

    face: DetectedFace
    views: FaceViews
    quality: FaceQuality
    crop_box: Box
    face_in_crop: Box
    turned_deg: float = 0.0


def candidate(face: DetectedFace, picture: PictureItself, scorer: FaceScorer) -> Candidate:
    """Turn a face upright inside its picture, cut it out, and check it against the gates of the model record.

    Args:
        face: as detected in ``picture.rgb``.
        picture: without the ground that it lies on.
        scorer: the loaded model; its record holds the gates.

    Returns:
        The candidate, with its boxes and landmarks in pixels of the file.
    """
    stood = upright(picture.rgb, face, picture.frame)
    views = scorer.view(stood.rgb, stood.box)
    square, _ = views.widest
    in_file = picture.in_file(face)
    crop_box = stood.in_picture(square, picture.inverse)
    turned_deg = signed(stood.turned_deg + picture.turned_deg)
    quality = assess(in_file, views.measured, scorer.record.gates)
    return Candidate(in_file, views, quality, crop_box, _within(stood.box, square), turned_deg)


def _within(box: Box, square: Box) -> Box:
    """Return a box in shares of a square around it; what lies outside of that is left out."""
    x0, y0, x1, y1 = np.clip((np.array(box.corners) - np.tile(square.corners[:2], 2)) / square.width, 0.0, 1.0)
    return Box(float(x0), float(y0), float(x1), float(y1))


def _share_inside(heatmap: np.ndarray | None, box: Box) -> float | None:
    """Return the share of a heatmap that lies inside a box, given in shares of its side; None where it is empty."""
    if heatmap is None or not (total := float(heatmap.sum())):
        return None
    x0, y0, x1, y1 = (round(corner * len(heatmap)) for corner in box.corners)
    return float(heatmap[y0:y1, x0:x1].sum()) / total


Pass = tuple[Reading, np.ndarray | None] | None  # with its heatmap; None for a face that the gates kept back


def finding(number: int, candidate: Candidate, done: Pass, scorer: FaceScorer) -> FaceFinding:
    """Return the finding that follows from a pass of the network over a face; its id is ``number``."""
    face, quality, record = candidate.face, candidate.quality, scorer.record
    common = (number, face.box, face.confidence, face.size_px, quality)
    roll_deg, turned_deg, yaw_deg = roll(face), candidate.turned_deg, yaw(face)
    if done is None:
        reason = f"{UNSCORED}{quality.problem}"
        return FaceFinding(
            *common, Outcome.NOT_APPLICABLE, reason, roll_deg=roll_deg, turned_deg=turned_deg, yaw_deg=yaw_deg
        )
    reading, heatmap = done
    _, crop = candidate.views.widest
    score = scorer.probability(reading.logit)
    outcome, reason = of_face(score, record.thresholds, reading.familiarity, record.scope_limit)
    log10_lr = log10_likelihood_ratio(score, record.log10_lr_bounds)
    propositions = scorer.propositions(reading.log_odds)
    return FaceFinding(
        *common,
        outcome,
        reason + which_kind(outcome, propositions),
        score,
        reading.logit,
        log10_lr,
        crop=crop,
        heatmap=heatmap,
        heatmap_in_face=_share_inside(heatmap, candidate.face_in_crop),
        crop_box=candidate.crop_box,
        propositions=propositions,
        familiarity=reading.familiarity,
        roll_deg=roll_deg,
        turned_deg=turned_deg,
        yaw_deg=yaw_deg,
    )
