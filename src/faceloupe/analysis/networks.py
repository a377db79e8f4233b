"""The loaded networks and the context of a run, which every analysis needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from faceloupe.config import Settings, weights_folder
from faceloupe.errors import Cancelled, UsageError
from faceloupe.faces.detector import FaceDetector
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.faces.quality import assess
from faceloupe.faces.upright import roll, signed, upright, yaw
from faceloupe.findings import FaceFinding
from faceloupe.media.sandbox.client import start
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.classifier import FaceScorer
from faceloupe.scoring.decision import UNSCORED, kind_suffix, of_face
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.scoring.single import Reading
from faceloupe.types import Box, Cancel, DetectedFace, FaceQuality, Outcome, Progress


@dataclass(frozen=True, slots=True)
class Networks:
    """The loaded networks, and the settings that they were loaded with.

    They take long to load, and threads can share them.

    Attributes:
        detector: the network that finds faces.
        scorer: the model that scores faces.
        settings: settings of every analysis with these networks; a call may replace only the sampling of a video.
    """

    detector: FaceDetector
    scorer: FaceScorer
    settings: Settings

    @classmethod
    def load(cls, settings: Settings, *, folder: Path | None = None, start_decoder: bool = True) -> "Networks":
        """Load the networks, and verify their weights.

        Args:
            settings: settings of the analyses.
            folder: folder of the weights; None for ``config.weights_folder()``.
            start_decoder: whether to start the decoding process at the same time; otherwise the first file starts it.

        Raises:
            WeightsError: there are no verified weights, so nothing may be scored.
            UsageError: torch cannot use the device on this machine.
        """
        try:
            if settings.device.partition(":")[0] not in ("cpu", "cuda", "mps"):
                raise ValueError(settings.device)
            torch.zeros(1, device=settings.device).item()
        except (RuntimeError, AssertionError, ValueError) as problem:
            raise UsageError(f"The device {settings.device!r} cannot be used here; set it to cpu.") from problem
        if start_decoder:
            start()
        scorer = FaceScorer.load(folder or weights_folder(), settings.model_id, settings.device)
        return cls(FaceDetector(settings), scorer, settings)


class RunContext:
    """Reports progress, checks for cancellation between the steps, and times them."""

    def __init__(
        self,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._progress, self._cancel, self._clock = progress, cancel, clock
        self._began = self._last = clock()

    def step(self, stage: str, share: float) -> None:
        """Report the current stage and the share of the work that is done, 0..1.

        Raises:
            Cancelled: the caller cancelled the analysis.
        """
        self.check()
        if self._progress:
            self._progress(stage, share)

    def check(self) -> None:
        """Raise ``Cancelled`` if the caller cancelled the analysis; any thread may call this."""
        if self._cancel and self._cancel():
            raise Cancelled("The analysis was cancelled.")

    def now(self) -> float:
        """Return the seconds on the clock; any thread may call this."""
        return self._clock()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        before, self._last = self._last, self._clock()
        return self._last - before

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began


@dataclass(frozen=True, slots=True)
class Candidate:
    """A detected face, cut out and checked against the quality gates.

    Attributes:
        face: the face, in pixels of the file.
        views: the cut-out views of the face.
        quality: measured quality, with the gate that the face failed, if any.
        crop_box: area that the widest view shows, in pixels of the file.
        face_in_crop: box of the face in the widest view, in fractions of the side of this view.
        turned_deg: clockwise rotation that made the face upright in its views, degrees.
        stretch: width of the face in the picture, for its height, as a multiple of the natural width; its views show it
            in natural proportions. 1.0 if nothing was restored.
    """

    face: DetectedFace
    views: FaceViews
    quality: FaceQuality
    crop_box: Box
    face_in_crop: Box
    turned_deg: float = 0.0
    stretch: float = 1.0


def candidate(face: DetectedFace, picture: BorderlessPicture, scorer: FaceScorer) -> Candidate:
    """Turn a face upright inside its picture, cut it out, and check it against the gates of the model record.

    Args:
        face: the face as detected in ``picture.rgb``.
        picture: the picture without the single-color ground around it.
        scorer: the loaded model; its record holds the gates.

    Returns:
        The candidate, with its boxes and landmarks in pixels of the file.
    """
    stood = upright(picture.rgb, face, picture.outline)
    views = scorer.view(stood.rgb, stood.box)
    square, _ = views.widest
    in_file = picture.to_file(face)
    crop_box = stood.in_picture(square, picture.inverse)
    turned_deg = signed(stood.turned_deg + picture.turned_deg)
    quality = assess(in_file, views.measured, scorer.record.gates)
    return Candidate(in_file, views, quality, crop_box, _within(stood.box, square), turned_deg)


def in_natural_proportions(cut_out: Candidate, picture: BorderlessPicture, scorer: FaceScorer) -> Candidate:
    """Cut a face out again with its natural proportions restored, if the picture shows it too wide or too narrow.

    Tilted faces are returned unchanged, because a stretched picture shears them.

    Args:
        cut_out: the face, as ``candidate`` returns it.
        picture: the picture that it was cut out of.
        scorer: the loaded model; only some models measure proportions.
    """
    if cut_out.turned_deg:
        return cut_out
    stood = upright(picture.rgb, picture.from_file(cut_out.face), picture.outline)
    stood, views, stretch = scorer.restored(stood, cut_out.views)
    if stretch == 1.0:
        return cut_out
    square, _ = views.widest
    crop_box = stood.in_picture(square, picture.inverse)
    return replace(cut_out, views=views, crop_box=crop_box, face_in_crop=_within(stood.box, square), stretch=stretch)


def _within(box: Box, square: Box) -> Box:
    """Return a box in fractions of the side of a square, clipped to the square."""
    x0, y0, x1, y1 = np.clip((np.array(box.corners) - np.tile(square.corners[:2], 2)) / square.width, 0.0, 1.0)
    return Box(float(x0), float(y0), float(x1), float(y1))


def _share_inside(heatmap: np.ndarray | None, box: Box) -> float | None:
    """Return the share of a heatmap inside a box, given in fractions of its side; None if it is missing or all zero."""
    if heatmap is None or not (total := float(heatmap.sum())):
        return None
    x0, y0, x1, y1 = (round(corner * len(heatmap)) for corner in box.corners)
    return float(heatmap[y0:y1, x0:x1].sum()) / total


Pass = tuple[Reading, np.ndarray | None] | None  # reading and heatmap; None for a face that failed the gates


def finding(number: int, candidate: Candidate, done: Pass, scorer: FaceScorer) -> FaceFinding:
    """Return the finding on a face from the network's pass over it; its id is ``number``."""
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
        reason + kind_suffix(outcome, propositions),
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
        stretch=candidate.stretch,
    )
