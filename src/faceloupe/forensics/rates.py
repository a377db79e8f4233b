"""How often the rules of the lenses fire rightly and wrongly, as `python -m tools.lens_rates` measured it."""

from functools import cache
from pathlib import Path

import msgspec

from faceloupe.forensics.results import Rates

RATES = Path(__file__).parent / "data" / "rates.json"


class QualityCheck(msgspec.Struct, frozen=True):
    """How near the estimated quality of recompressed JPEG pictures is to the true one.

    Attributes:
        pictures: how many were recompressed.
        equal: of how many the estimate is the true quality.
        within_2: of how many it is at most 2 away.
        measured_on: the material, in words.
    """

    pictures: int
    equal: int
    within_2: int
    measured_on: str


class Separation(msgspec.Struct, frozen=True):
    """How well a score tells two kinds of files apart.

    Attributes:
        name: what is told apart.
        auc: area under the ROC curve, 0..1.
        low: lower end of its 95 % interval.
        high: upper end.
        positives: files that have what is sought.
        negatives: files that do not.
        measured_on: the material, in words.
    """

    name: str
    auc: float
    low: float
    high: float
    positives: int
    negatives: int
    measured_on: str


class CameraCheck(msgspec.Struct, frozen=True):
    """How often the rules of compression fire on photographs as cameras wrote them.

    Attributes:
        pictures: how many were looked at.
        aligned: on how many the rule of the same grid fired.
        shifted: likewise that of another grid.
    """

    pictures: int
    aligned: int
    shifted: int


class LensTime(msgspec.Struct, frozen=True):
    """What a lens takes on a picture of 12 megapixels.

    Attributes:
        title: of the lens, or of what is read for all of them.
        cpu_s: seconds of processor time in the process that looks.
        wall_s: seconds until it was done.
    """

    title: str
    cpu_s: float
    wall_s: float


class Trial(msgspec.Struct, frozen=True):
    """A way that was tried and not adopted.

    Attributes:
        sought: what it seeks.
        way: how, in words.
        areas: area under the ROC curve by what was told apart, 0..1.
    """

    sought: str
    way: str
    areas: dict[str, float]


class Measured(msgspec.Struct, frozen=True):
    """All that was measured of the lenses.

    Attributes:
        rules: rates by the id of the rule.
        jpeg_quality: see ``QualityCheck``.
        separations: see ``Separation``.
        cameras: see ``CameraCheck``; None where it was not measured.
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
    """Read what was measured."""
    return msgspec.json.decode(RATES.read_bytes(), type=Measured)


def rates_of(rule: str) -> Rates | None:
    """Rates of a rule by its id; None where they were not measured."""
    return measured().rules.get(rule)
