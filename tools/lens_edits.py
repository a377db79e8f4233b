"""Rules of the lenses, measured on pictures that are compressed and edited here, so that the truth is known."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from faceloupe.evaluation.metrics import auc, bootstrap_weights, interval
from faceloupe.forensics import clone, compression
from faceloupe.forensics.rates import CameraCheck, Separation, Trial
from faceloupe.forensics.results import Rates
from faceloupe.media import jpeg_structure, luma
from tools import lens_trials
from tools.lens_material import Material

_QUALITIES = range(50, 100, 5)
_MOST_PIXELS = 10**8
_COPIES = (
    "pictures of the material made smaller, in each of which an ellipse of 3 to 12 % of its area is copied, in about "
    "half of them turned by up to 20 degrees and scaled by 0.9 to 1.15, saved at quality 75 to 95; and the same "
    "pictures without a copy. The threshold was set on the other half"
)
_HISTORIES = (
    "pictures of the material made smaller, with an earlier quality of 50 to 90 and a later, higher one of 55 to 95, "
    "in steps of 5; thresholds were set on the other half. Wrong are findings on pictures saved once and on those that "
    "were saved twice on the other kind of grid"
)


@dataclass(frozen=True, slots=True)
class History:
    """Scores of a picture that was saved once, twice on the same grid, and twice on another grid.

    Attributes:
        picture: picture that the files were made from.
        aligned: scores of the three files under the rule of the same grid.
        shifted: scores of the three files under the rule of another grid.
    """

    picture: Material
    aligned: tuple[float, float, float]
    shifted: tuple[float, float, float]


def history(picture: Material) -> History | None:
    """Save a picture once and twice, and score the files; None if it has too few blocks.

    Random choices depend only on the picture, so that several pictures can be measured in parallel.

    Args:
        picture: picture without traces of an earlier compression.
    """
    draw = random.Random(f"{picture.name} {picture.rgb.sum()}")
    earlier, later = sorted(draw.sample(_QUALITIES, 2))
    sampling, (y, x) = draw.choice((0, 2)), divmod(draw.randrange(1, 64), 8)
    before = np.asarray(Image.open(io.BytesIO(_saved(picture.rgb, earlier, sampling))))
    height, width = before[y:, x:].shape[:2]
    if (height // 8) * (width // 8) < compression.FEWEST_BLOCKS:
        return None
    files = (picture.rgb[y:, x:], before, before[y:, x:])
    return History(picture, *zip(*(_scores(_saved(rgb, later, sampling)) for rgb in files), strict=True))


def compressed_twice(rows: Sequence[History]) -> tuple[dict[str, Rates], tuple[Separation, ...]]:
    """Return the rates of the compression rules, and how well their scores separate files saved once and twice."""
    held_out = [row for row in rows if not row.picture.to_set]
    fired = [
        [compression.fired(aligned, shifted) for aligned, shifted in zip(row.aligned, row.shifted, strict=True)]
        for row in held_out
    ]
    rules, separations = dict[str, Rates](), list[Separation]()
    for rule, title, number in (
        (compression.ALIGNED, "saved twice on the same grid", 1),
        (compression.SHIFTED, "saved twice on another grid", 2),
    ):
        hits, *wrong = (sum(of_files[file] == rule for of_files in fired) for file in (number, 0, 3 - number))
        rules[rule] = Rates(hits, len(fired), sum(wrong), 2 * len(fired), _HISTORIES)
        scores = [(row.picture, *(row.aligned if number == 1 else row.shifted)) for row in held_out]
        for label, chosen in (
            ("all", scores),
            ("crops of faces of about 200 pixels", [row for row in scores if row[0].small]),
            ("larger pictures", [row for row in scores if not row[0].small]),
        ):
            names = [row[0].name for row in chosen]
            once, twice = ([row[file] for row in chosen] for file in (1, 1 + number))
            separations.append(separation(f"{title}: {label}", once, twice, names, _HISTORIES))
    return rules, tuple(separations)


@dataclass(frozen=True, slots=True)
class Copied:
    """Scores of a picture without and with a copied part.

    Attributes:
        picture: picture that the files were made from.
        without: score of the rule without a copy; 0 if nothing is found twice.
        with_copy: score of the rule with a copy.
        autocorrelation: both scores of a second method, the largest autocorrelation away from the center.
        keypoints: both scores of a third method, the number of ORB keypoint pairs that agree on one movement.
    """

    picture: Material
    without: float
    with_copy: float
    autocorrelation: tuple[float, float]
    keypoints: tuple[int, int]


def copied(picture: Material) -> Copied | None:
    """Copy a part within a picture and search for it; None if there is no room. Random choices: see ``history``.

    Args:
        picture: picture to copy a part within.
    """
    draw = random.Random(f"copy {picture.name} {picture.rgb.sum()}")
    edited, quality = _with_copy(picture.rgb, draw, turned=draw.random() < 0.5), draw.randint(75, 95)
    if edited is None:
        return None
    grays = [np.asarray(Image.open(io.BytesIO(_saved(rgb, quality, 2))).convert("L")) for rgb in (picture.rgb, edited)]
    without, with_copy = (0.0 if copy is None else copy.score for copy in map(clone.find, grays))
    return Copied(
        picture,
        without,
        with_copy,
        (lens_trials.autocorrelation(grays[0]), lens_trials.autocorrelation(grays[1])),
        (lens_trials.agreeing_keypoints(grays[0]), lens_trials.agreeing_keypoints(grays[1])),
    )


def copies(rows: Sequence[Copied]) -> tuple[dict[str, Rates], tuple[Separation, ...], tuple[Trial, ...]]:
    """Return the rates of the rule of copied parts, how well its score separates, and how well other methods do."""
    held_out = [row for row in rows if not row.picture.to_set]
    hits, alarms = (
        sum(score >= clone.LEAST_SCORE for score in scores)
        for scores in zip(*((row.with_copy, row.without) for row in held_out), strict=True)
    )
    names = [row.picture.name for row in held_out]
    area = separation(
        "a part copied within the picture",
        [row.without for row in held_out],
        [row.with_copy for row in held_out],
        names,
        _COPIES,
    )
    trials = tuple(
        Trial("a copied part", way, {"held-out half": separation("", *zip(*scores, strict=True), names, "").auc})
        for way, scores in (
            ("largest value of the autocorrelation of the high frequencies", [row.autocorrelation for row in held_out]),
            ("pairs of ORB keypoints that agree on one movement", [row.keypoints for row in held_out]),
        )
    )
    return {clone.COPIED: Rates(hits, len(held_out), alarms, len(held_out), _COPIES)}, (area,), trials


def _with_copy(rgb: np.ndarray, draw: random.Random, *, turned: bool) -> np.ndarray | None:
    """Copy an ellipse of 3 to 12 % of a picture to another position in it; None if there is no room."""
    height, width = rgb.shape[:2]
    for _ in range(200):
        area, aspect = draw.uniform(0.03, 0.12) * height * width / np.pi, draw.uniform(0.6, 1.6)
        across, down = float(np.sqrt(area * aspect)), float(np.sqrt(area / aspect))
        if 2 * across >= 0.48 * width or 2 * down >= 0.48 * height:
            continue
        x, to_x = (draw.uniform(across + 2, width - across - 2) for _ in range(2))
        y, to_y = (draw.uniform(down + 2, height - down - 2) for _ in range(2))
        if abs(x - to_x) < 2.2 * across and abs(y - to_y) < 2.2 * down:
            continue
        angle, scale = (draw.uniform(-20, 20), draw.uniform(0.9, 1.15)) if turned else (0.0, 1.0)
        movement = cv2.getRotationMatrix2D((x, y), angle, scale)
        movement[:, 2] += round(to_x - x), round(to_y - y)
        moved = cv2.warpAffine(rgb, movement, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        mask = np.zeros((height, width), np.float32)
        cv2.ellipse(mask, ((x, y), (2 * across, 2 * down), 0), 1.0, -1)
        mask = cv2.GaussianBlur(cv2.warpAffine(mask, movement, (width, height)), (0, 0), 1)[..., None]
        edited: np.ndarray = (rgb * (1 - mask) + moved * mask).round().astype(np.uint8)
        return edited
    return None


def of_cameras(folder: Path) -> CameraCheck:
    """Count the findings on photographs as cameras wrote them; their history is not known for certain.

    Args:
        folder: folder of JPEG files.
    """
    rules = [compression.fired(*_scores(path.read_bytes())) for path in sorted(folder.iterdir())]
    return CameraCheck(len(rules), rules.count(compression.ALIGNED), rules.count(compression.SHIFTED))


def separation(
    name: str, negatives: Sequence[float], positives: Sequence[float], units: Sequence[str], measured_on: str
) -> Separation:
    """Return the area under the ROC curve, with a bootstrap interval over the files that the examples come from."""
    labels = np.r_[np.zeros(len(negatives), bool), np.ones(len(positives), bool)]
    scores = np.r_[np.asarray(negatives, float), np.asarray(positives, float)]
    area = float(auc(labels, scores, np.ones((1, len(scores))))[0])
    drawn = bootstrap_weights([*units, *units])
    low, high = interval(auc(labels, scores, drawn))
    return Separation(name, area, low, high, len(positives), len(negatives), measured_on)


def _saved(rgb: np.ndarray, quality: int, sampling: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=quality, subsampling=sampling)
    return stream.getvalue()


def _scores(content: bytes) -> tuple[float, float]:
    structure, values = jpeg_structure.read(content), luma.read(content, max_pixels=_MOST_PIXELS)
    steps = np.array(structure.tables[structure.table_of[0]])
    return compression.aligned(values, steps).score, compression.shifted(values).score
