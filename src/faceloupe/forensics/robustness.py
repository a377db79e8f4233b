"""Robustness probe: how far the likelihood ratio of a face moves when its picture is changed a little."""

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
from faceloupe.faces.frame import PictureItself
from faceloupe.faces.quality import assess
from faceloupe.faces.upright import Upright, find, upright
from faceloupe.forensics.results import Fact, LensResult
from faceloupe.forensics.source import LensSource
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.classifier import FaceScorer
from faceloupe.scoring.decision import of_score
from faceloupe.scoring.preprocess import FaceViews, crop_square
from faceloupe.types import Box, Outcome

_CROPPED = 2.0  # longer sides of the face box
_MOST_PIXELS = 4_000_000  # of a picture that is changed: what messengers leave of it, and what two copies may take
_AT_ONCE = 2
_CHECKED_S = 0.1  # between two looks whether the work was cancelled

Change = Callable[[np.ndarray, Box], tuple[np.ndarray, Box]]
"""From (H, W, 3) uint8 RGB and the box of a face in it to the changed picture and the box there."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A small change of a picture, such as befalls it on its way.

    Attributes:
        id: stable, in reports.
        title: for people.
        change: makes it, in memory.
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
        # A picture's first pixel has its middle at 0 for OpenCV, and at 0.5 for a box.
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
    """What the model says of a face in one state of its picture.

    Attributes:
        log10_lr: bounded log10 of the likelihood ratio.
        outcome: that the score alone gives.
    """

    log10_lr: float
    outcome: Outcome

    @classmethod
    def of(cls, views: FaceViews, scorer: FaceScorer) -> "Scored":
        """Score a face."""
        score = scorer.probability(float(scorer.logits([views])[0]))
        ratio = log10_likelihood_ratio(score, scorer.record.log10_lr_bounds)
        return cls(ratio, of_score(score, scorer.record.thresholds)[0])


def look(source: LensSource) -> LensResult:
    """Change the picture a little in several ways, and score the face with the highest score again each time.

    Raises:
        EvidenceError: the picture cannot be decoded, is a video, or no face in it can be scored.
    """
    model = source.face_model
    if model is None:
        raise EvidenceError("No model was named that could score the changed picture.")
    scorer = model.scorer
    picture = PictureItself.of(source.picture.rgb)
    faces = [
        (number, upright(picture.rgb, face, picture.frame), face)
        for number, face in enumerate(find(picture.rgb, model.detector), 1)
    ]
    seen = [(number, stood, scorer.view(stood.rgb, stood.box), face) for number, stood, face in faces]
    fit = [face for face in seen if not assess(face[3], face[2].measured, scorer.record.gates).problem]
    if not fit:
        raise EvidenceError("No face of the picture can be scored, so nothing can be compared.")
    states = _at_once([partial(Scored.of, views, scorer) for _, _, views, _ in fit], source.check)
    best = max(range(len(fit)), key=lambda index: states[index].log10_lr)
    before, (number, stood, _, _) = states[best], fit[best]
    rgb, box = _on_its_way(stood)
    changes = [partial(_rescored, variant.change, rgb, box, scorer) for variant in VARIANTS]
    after = dict(zip((variant.title for variant in VARIANTS), _at_once(changes, source.check), strict=True))
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


def _on_its_way(stood: Upright) -> tuple[np.ndarray, Box]:
    """Return the picture that is changed, whole, as models see up to the largest square around a face; and the box."""
    shrink = math.sqrt(_MOST_PIXELS / (stood.rgb.shape[0] * stood.rgb.shape[1]))
    return _resized(shrink, cv2.INTER_AREA)(stood.rgb, stood.box) if shrink < 1 else (stood.rgb, stood.box)


def _rescored(change: Change, rgb: np.ndarray, box: Box, scorer: FaceScorer) -> Scored:
    return Scored.of(scorer.view(*change(rgb, box)), scorer)


def _at_once(tasks: Sequence[Callable[[], Scored]], check: Callable[[], None]) -> list[Scored]:
    """Do the tasks, ``_AT_ONCE`` of them at a time; ``check`` may raise to give the rest up."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            states = [pool.submit(task) for task in tasks]
            while wait(states, timeout=_CHECKED_S).not_done:
                check()
            return [state.result() for state in states]
        finally:
            pool.shutdown(cancel_futures=True)
