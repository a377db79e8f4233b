"""Rates at which the rules of the lenses fire correctly and wrongly, measured by `python -m tools.lens_rates`."""

from functools import cache
from pathlib import Path

import msgspec

from faceloupe.forensics.results import Rates

RATES = Path(__file__).parent / "data" / "rates.json"


class QualityCheck(msgspec.Struct, frozen=True):
    """Accuracy of the estimated quality of recompressed JPEG pictures.

    Attributes:
        pictures: number of recompressed pictures.
        equal: number of pictures whose estimated quality is the true one.
        within_2: number of pictures whose estimated quality differs from the true one by at most 2.
        measured_on: description of the material.
    """

    pictures: int
    equal: int
    within_2: int
    measured_on: str


class Separation(msgspec.Struct, frozen=True):
    """Ability of a score to separate two kinds of files.

    Attributes:
        name: description of the two kinds.
        auc: area under the ROC curve, 0..1.
        low: lower end of the 95 % interval of the area.
        high: upper end of the interval.
        positives: number of files with the sought property.
        negatives: number of files without it.
        measured_on: description of the material.
    """

    name: str
    auc: float
    low: float
    high: float
    positives: int
    negatives: int
    measured_on: str


class CameraCheck(msgspec.Struct, frozen=True):
    """Number of original camera photographs on which the rules of the compression lens fire.

    Attributes:
        pictures: number of photographs examined.
        aligned: number of photographs on which the rule for the same grid fired.
        shifted: number of photographs on which the rule for another grid fired.
    """

    pictures: int
    aligned: int
    shifted: int


class LensTime(msgspec.Struct, frozen=True):
    """Time that a lens takes for a picture of 12 megapixels.

    Attributes:
        title: title of the lens, or of the data that is read for all lenses.
        cpu_s: processor time of the process that runs the lens, seconds.
        wall_s: elapsed time, seconds.
    """

    title: str
    cpu_s: float
    wall_s: float


class Trial(msgspec.Struct, frozen=True):
    """A method that was tried and not adopted.

    Attributes:
        sought: the property that the method searches for.
        way: description of the method.
        areas: separated kinds of files -> area under the ROC curve, 0..1.
    """

    sought: str
    way: str
    areas: dict[str, float]


class Measured(msgspec.Struct, frozen=True):
    """All measurements of the lenses.

    Attributes:
        rules: id of the rule -> rates.
        jpeg_quality: see ``QualityCheck``.
        separations: see ``Separation``.
        cameras: see ``CameraCheck``; None if it was not measured.
        times: see ``LensTime``.
        trials: see ``Trial``.
    """

    rules: dict[str, Rates]
    jpeg_quality: QualityCheck
    separations: tuple[Separation, ...] = ()
    cameras: CameraCheck | None = None
    times: tuple[LensTime, ...] = ()
    trials: tuple[Trial, ...] = ()


@cache
def measured() -> Measured:
    """Read the measurements."""
    return msgspec.json.decode(RATES.read_bytes(), type=Measured)


def rates_of(rule: str) -> Rates | None:
    """Return the rates of a rule by its id; None if they were not measured."""
    return measured().rules.get(rule)
