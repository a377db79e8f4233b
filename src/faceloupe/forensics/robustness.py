"""Robustness probe: how far the likelihood ratio of a face moves when its picture is changed a little."""

import io
from collections.abc import Callable
from dataclasses import dataclass

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
from faceloupe.scoring.preprocess import crop_square
from faceloupe.types import Box, Outcome

_AROUND = 2.6  # side of the part that is changed, in longer sides of the face box: more than any model sees
_GRID = 16  # pixels of a JPEG block with halved colors; the part keeps the grid of its picture
_CROPPED = 2.0  # longer sides of the face box

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


def surroundings(rgb: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
    """Cut out the part of a picture around a face that a model can see, on the grid of JPEG blocks.

    Args:
        rgb: (H, W, 3) uint8.
        box: of the face, pixels of ``rgb``.

    Returns:
        The part, and the box of the face in it.
    """
    height, width = rgb.shape[:2]
    square = crop_square(box, width, height, _AROUND)
    x0, y0 = (int(value) // _GRID * _GRID for value in (square.x0, square.y0))
    return _part(rgb, box, Box(float(x0), float(y0), square.x1, square.y1))


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
    def of(cls, rgb: np.ndarray, box: Box, scorer: FaceScorer) -> "Scored":
        """Score a face in an (H, W, 3) uint8 RGB picture."""
        score = scorer.probability(float(scorer.logits([scorer.view(rgb, box)])[0]))
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
    fit = [
        (number, stood)
        for number, stood, face in faces
        if not assess(face, scorer.view(stood.rgb, stood.box).measured, scorer.record.gates).problem
    ]
    if not fit:
        raise EvidenceError("No face of the picture can be scored, so nothing can be compared.")
    scored = [(Scored.of(stood.rgb, stood.box, scorer), number, stood) for number, stood in fit]
    before, number, stood = max(scored, key=lambda entry: entry[0].log10_lr)
    after = _changed(stood, scorer, source)
    ratios = [state.log10_lr for state in (before, *after.values())]
    same = sum(state.outcome is before.outcome for state in after.values())
    facts = [
        Fact("Face", f"face {number} of {len(faces)}, the one with the highest score, by {scorer.record.id}"),
        Fact("As it is", f"log10 LR {before.log10_lr:+.2f}, {before.outcome}"),
        *(
            Fact(title.capitalize(), f"log10 LR {state.log10_lr:+.2f}, {state.outcome}")
            for title, state in after.items()
        ),
        Fact("Range of log10 LR", f"{min(ratios):+.2f} to {max(ratios):+.2f}"),
        Fact("Same outcome", f"after {same} of {len(after)} changes"),
    ]
    return LensResult(tuple(facts))


def _changed(stood: Upright, scorer: FaceScorer, source: LensSource) -> dict[str, Scored]:
    part, box = surroundings(stood.rgb, stood.box)
    states = {}
    for variant in VARIANTS:
        source.check()
        states[variant.title] = Scored.of(*variant.change(part, box), scorer)
    return states
