"""Rules of the lenses on pictures that are compressed here, so that the truth is known."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from faceloupe.evaluation.metrics import auc, bootstrap_weights, interval
from faceloupe.forensics import compression
from faceloupe.forensics.rates import CameraCheck, Separation
from faceloupe.forensics.results import Rates
from faceloupe.media import jpeg_structure, luma
from tools.lens_material import Material

_QUALITIES = range(50, 100, 5)
_MOST_PIXELS = 10**8
_HISTORIES = (
    "pictures of the material made smaller, with an earlier quality of 50 to 90 and a later, higher one of 55 to 95, "
    "in steps of 5; thresholds were set on the other half. Wrong are findings on pictures saved once and on those that "
    "were saved twice on the other kind of grid"
)


@dataclass(frozen=True, slots=True)
class History:
    """Scores of a picture that was saved once, twice on the same grid, and twice on another grid.

    Attributes:
        picture: that the files were made from.
        aligned: score of the rule of the same grid, of the three files.
        shifted: of the rule of another grid, likewise.
    """

    picture: Material
    aligned: tuple[float, float, float]
    shifted: tuple[float, float, float]


def history(picture: Material) -> History | None:
    """Save a picture once and twice, and score the files; None where it has too few blocks.

    What chance decides depends on the picture alone, so that several can be measured at once.

    Args:
        picture: without traces of an earlier compression.
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
    """Rates of the rules of compression, and how well their scores tell files saved once and twice apart."""
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


def of_cameras(folder: Path) -> CameraCheck:
    """Count the findings on photographs as cameras wrote them; their history is not known for certain.

    Args:
        folder: of JPEG files.
    """
    rules = [compression.fired(*_scores(path.read_bytes())) for path in sorted(folder.iterdir())]
    return CameraCheck(len(rules), rules.count(compression.ALIGNED), rules.count(compression.SHIFTED))


def separation(
    name: str, negatives: Sequence[float], positives: Sequence[float], units: Sequence[str], measured_on: str
) -> Separation:
    """Area under the ROC curve with the interval of a bootstrap over the files that the examples come from."""
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
