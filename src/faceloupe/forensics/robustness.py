"""Robustness probe: how much the likelihood ratio of a face changes when its picture is changed slightly."""

import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from PIL import Image

from faceloupe.errors import EvidenceError
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.faces.quality import assess
from faceloupe.faces.upright import Upright, find, upright
from faceloupe.forensics.results import Fact, LensResult
from faceloupe.forensics.source import LensSource
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.classifier import FaceScorer
from faceloupe.scoring.decision import of_score
from faceloupe.scoring.preprocess import FaceViews, crop_square
from faceloupe.types import Box, Outcome

_CROPPED = 2.0  # side of the crop, in units of the longer side of the face box
_MOST_PIXELS = 4_000_000  # of a changed picture: about the size after messengers, and a limit for two copies in memory
_AT_ONCE = 2
_CHECKED_S = 0.1  # interval of the checks for cancellation

Change = Callable[[np.ndarray, Box], tuple[np.ndarray, Box]]
"""Function from an (H, W, 3) uint8 RGB picture and a box in it to the changed picture and the box there."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A small change that a picture can undergo when it is passed on.

    Attributes:
        id: stable id for reports.
        title: title for people.
        change: function that makes the change in memory.
    """

    id: str
    title: str
    change: Change


def _saved(quality: int) -> Change:
    def change(rgb: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, "JPEG", quality=quality)
        return np.asarray(Image.open(stream)), box

    return change


def _resized(factor: float, interpolation: int) -> Change:
    def change(rgb: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
        height, width = rgb.shape[:2]
        size = max(1, round(width * factor)), max(1, round(height * factor))
        x, y = size[0] / width, size[1] / height
        return cv2.resize(rgb, size, interpolation=interpolation), Box(box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y)

    return change


def _cropped(rgb: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
    return _part(rgb, box, crop_square(box, rgb.shape[1], rgb.shape[0], _CROPPED))


def _mirrored(rgb: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
    width = rgb.shape[1]
    return np.ascontiguousarray(rgb[:, ::-1]), Box(width - box.x1, box.y0, width - box.x0, box.y1)


def _turned(degrees: float) -> Change:
    def change(rgb: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
        # The center of the first pixel is at 0 for OpenCV, and at 0.5 for a box.
        center = (box.x0 + box.x1) / 2 - 0.5, (box.y0 + box.y1) / 2 - 0.5
        matrix = cv2.getRotationMatrix2D(center, degrees, 1.0)
        size = rgb.shape[1], rgb.shape[0]
        return cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), box

    return change


VARIANTS: tuple[Variant, ...] = (
    Variant("jpeg-85", "saved as JPEG, quality 85", _saved(85)),
    Variant("jpeg-60", "saved as JPEG, quality 60", _saved(60)),
    Variant("smaller", "shrunk to 70 %", _resized(0.7, cv2.INTER_AREA)),
    Variant("larger", "enlarged to 140 %", _resized(1.4, cv2.INTER_CUBIC)),
    Variant("cropped", "cropped to twice the face", _cropped),
    Variant("mirrored", "mirrored", _mirrored),
    Variant("turned-left", "turned by 4 degrees to the left", _turned(4.0)),
    Variant("turned-right", "turned by 4 degrees to the right", _turned(-4.0)),
)


def _part(rgb: np.ndarray, box: Box, part: Box) -> tuple[np.ndarray, Box]:
    x0, y0, x1, y1 = (int(value) for value in part.corners)
    moved = Box(box.x0 - x0, box.y0 - y0, box.x1 - x0, box.y1 - y0)
    return np.ascontiguousarray(rgb[y0:y1, x0:x1]), moved


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of a face in one version of its picture.

    Attributes:
        log10_lr: bounded log10 of the likelihood ratio.
        outcome: outcome by the score, without any other rule.
    """

    log10_lr: float
    outcome: Outcome

    @classmethod
    def of(cls, views: FaceViews, scorer: FaceScorer) -> "Scored":
        """Score a face."""
        score = scorer.probability(float(scorer.logits([views])[0]))
        ratio = log10_likelihood_ratio(score, scorer.record.log10_lr_bounds)
        return cls(ratio, of_score(score, scorer.record.thresholds)[0])


def examine(source: LensSource) -> LensResult:
    """Change the picture slightly in several ways, and score the face with the highest score again each time.

    Raises:
        EvidenceError: the picture cannot be decoded, is a video, or no face in it can be scored.
    """
    model = source.face_model
    if model is None:
        raise EvidenceError("No model was named that could score the changed picture.")
    scorer = model.scorer
    picture = BorderlessPicture.find_in(source.picture.rgb)
    faces = [
        (number, upright(picture.rgb, face, picture.outline), face)
        for number, face in enumerate(find(picture.rgb, model.detector), 1)
    ]
    seen = [(number, stood, scorer.view(stood.rgb, stood.box), face) for number, stood, face in faces]
    fit = [face for face in seen if not assess(face[3], face[2].measured, scorer.record.gates).problem]
    if not fit:
        raise EvidenceError("No face of the picture can be scored, so nothing can be compared.")
    if not picture.turned_deg:  # a tilted picture keeps its proportions, as in the analysis
        fit = [(number, *scorer.restored(stood, views)[:2], face) for number, stood, views, face in fit]
    states = _run_tasks([partial(Scored.of, views, scorer) for _, _, views, _ in fit], source.check)
    best = max(range(len(fit)), key=lambda index: states[index].log10_lr)
    before, (number, stood, _, _) = states[best], fit[best]
    rgb, box = _limited_size(stood)
    changes = [partial(_rescored, variant.change, rgb, box, scorer) for variant in VARIANTS]
    after = dict(zip((variant.title for variant in VARIANTS), _run_tasks(changes, source.check), strict=True))
    ratios = [state.log10_lr for state in (before, *after.values())]
    same = sum(state.outcome is before.outcome for state in after.values())
    facts = [
        Fact("Face", f"face {number} of {len(faces)}, the one with the highest score, by {scorer.record.id}"),
        Fact("As it is", f"log10 LR {before.log10_lr:+.2f}, {before.outcome}"),
        Fact("Changed", f"the picture of {rgb.shape[1]} x {rgb.shape[0]} px"),
        *(
            Fact(title.capitalize(), f"log10 LR {state.log10_lr:+.2f}, {state.outcome}")
            for title, state in after.items()
        ),
        Fact("Range of log10 LR", f"{min(ratios):+.2f} to {max(ratios):+.2f}"),
        Fact("Same outcome", f"after {same} of {len(after)} changes"),
    ]
    return LensResult(tuple(facts))


def _limited_size(stood: Upright) -> tuple[np.ndarray, Box]:
    """Return the picture to be changed and the box of the face in it, shrunk to ``_MOST_PIXELS`` if it is larger.

    The picture is not cropped, because models see up to the largest square around a face.
    """
    shrink = math.sqrt(_MOST_PIXELS / (stood.rgb.shape[0] * stood.rgb.shape[1]))
    return _resized(shrink, cv2.INTER_AREA)(stood.rgb, stood.box) if shrink < 1 else (stood.rgb, stood.box)


def _rescored(change: Change, rgb: np.ndarray, box: Box, scorer: FaceScorer) -> Scored:
    return Scored.of(scorer.view(*change(rgb, box)), scorer)


def _run_tasks(tasks: Sequence[Callable[[], Scored]], check: Callable[[], None]) -> list[Scored]:
    """Run the tasks, ``_AT_ONCE`` at a time; an exception raised by ``check`` cancels the remaining tasks."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            states = [pool.submit(task) for task in tasks]
            while wait(states, timeout=_CHECKED_S).not_done:
                check()
            return [state.result() for state in states]
        finally:
            pool.shutdown(cancel_futures=True)
