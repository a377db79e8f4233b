"""The evaluation that lies beside the model records: what the tables and figures of the app are made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from faceloupe.errors import WeightsError
from faceloupe.evaluation.measures import AucRow, Curves, MeasuredRow, Measures
from faceloupe.models.record import ModelRecord
from faceloupe.system.files import replacing

Row = TypeVar("Row")


class ModelIdentity(Struct, frozen=True, omit_defaults=True):
    """A model that was measured.

    Attributes:
        parameters: of its network; None for a published detector that stands beside the own models.
        weights_sha256, record_sha256: of an own model; "" for a published detector.
    """

    id: str
    architecture: str
    parameters: int | None
    weights_sha256: str = ""
    record_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Localization:
    """How well heatmaps point at what was changed.

    Attributes:
        faces: blended faces behind the numbers.
        blank: faces whose map was 0 everywhere, not counted among them.
        mass: mean share of a map's mass inside the mask, 0..1.
        area: mean share of the mask in the frame, 0..1: what a map without knowledge reaches.
        gain: mean, over the faces, of mass divided by area; 1 is chance. All three are None where no face was counted.
    """

    faces: int
    blank: int
    mass: float | None
    area: float | None
    gain: float | None


@dataclass(frozen=True)
class _OfModel:
    model: str
    part: str


@dataclass(frozen=True)
class HeatmapRow(Localization, _OfModel):
    """The heatmaps of a model on a part of the blended faces."""


class ClipRow(Struct, frozen=True):
    """The answer of a model to a clip: the mean log-odds over its frames.

    Attributes:
        group: people of the clip, which is not independent of others of theirs; "" where it is.
    """

    model: str
    split: str
    source: str
    clip: str
    method: str
    label: int
    group: str
    frames: int
    log_odds: float


class Tables(Struct, frozen=True):
    """Tables of all models, in the order of the models; the parts are those that each table is named after."""

    conditions: list[MeasuredRow]
    sources: list[MeasuredRow]
    sizes: list[MeasuredRow]
    people: list[AucRow]
    clips: list[MeasuredRow]
    heatmaps: list[HeatmapRow]


@dataclass(frozen=True)
class _OfFold:
    source: str
    fold: str
    kept_auc: dict[str, float]  # source that was kept -> AUC


@dataclass(frozen=True)
class LeftOutRow(Measures, _OfFold):
    """A source that was left out of a training, judged by it."""


class FaultRow(Struct, frozen=True):
    """What a fault of training did to AUC and calibration; ``none`` is the training without one."""

    fault: str
    auc: float
    mean_auc: float
    ece: float
    cllr: float
    calibrated_ece: float
    calibrated_cllr: float


class Study(Struct, Generic[Row], frozen=True):
    """A series of short training runs.

    Attributes:
        pictures: that each run was shown.
        sizes: of the input, pixels, rising.
    """

    pictures: int
    sizes: list[int]
    rows: list[Row]


class Studies(Struct, frozen=True):
    """The studies beside the main run; None where one was not run."""

    left_out: Study[LeftOutRow] | None
    faults: Study[FaultRow] | None


class Evaluation(Struct, frozen=True):
    """Everything that was measured of the models of a registry.

    Attributes:
        default: id of the model that the card is about.
        curves: by model.
    """

    models: list[ModelIdentity]
    default: str
    tables: Tables
    clips: list[ClipRow]
    curves: dict[str, Curves]
    studies: Studies

    def __post_init__(self) -> None:
        """Refuse an evaluation that lacks the curves of a model."""
        if missing := {model.id for model in self.models} - self.curves.keys():
            raise ValueError(f"no curves of {', '.join(sorted(missing))}")


def write(values: Evaluation | Study[LeftOutRow] | Study[FaultRow], path: Path) -> None:
    """Write an evaluation or a study as JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(values), indent=1) + b"\n")


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation, as ``faceloupe.training evaluate`` made it.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except FileNotFoundError:
        raise WeightsError(f"{path.name} is missing, so there are no tables; restore it from the repository.") from None
    except (OSError, msgspec.DecodeError, RecursionError) as problem:
        raise WeightsError(
            f"{path.name} is damaged, so there are no tables; restore it from the repository."
        ) from problem


def is_of(evaluation: Evaluation, record: ModelRecord) -> bool:
    """Whether a record is the very one that was measured."""
    return (record.id, record.sha256) in {(model.id, model.record_sha256) for model in evaluation.models}
