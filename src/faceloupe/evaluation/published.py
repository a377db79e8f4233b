"""The evaluation file beside the model records, which the tables and figures of the app are made from."""

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
        parameters: number of parameters; None for a published detector that is listed for comparison.
        weights_sha256, record_sha256: hashes of a FaceLoupe model; "" for a published detector.
    """

    id: str
    architecture: str
    parameters: int | None
    weights_sha256: str = ""
    record_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Localization:
    """How well heatmaps locate the changed part of a face.

    Attributes:
        faces: number of blended faces measured.
        blank: number of faces whose map was 0 everywhere; ``faces`` does not include them.
        mass: mean share of a map's mass inside the mask, 0..1.
        area: mean share of the frame that the mask covers, 0..1, which is the ``mass`` expected by chance.
        gain: mean, over the faces, of mass divided by area; 1 is chance. ``mass``, ``area`` and ``gain`` are None if
            ``faces`` is 0.
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
    """A model's result for a clip: the mean log-odds over its frames.

    Attributes:
        group: the people in the clip, because clips of the same people are not independent; "" if it is independent.
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
    """Tables of all models, in the order of the models; each table is named after its parts."""

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
    kept_auc: dict[str, float]  # AUC by source, for the sources that were kept


@dataclass(frozen=True)
class LeftOutRow(Measures, _OfFold):
    """The measures on a source that was left out of a training."""


class FaultRow(Struct, frozen=True):
    """The effect of a training fault on AUC and calibration; ``none`` is the training without a fault."""

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
        pictures: number of pictures shown in each run.
        sizes: input sizes, pixels, ascending.
    """

    pictures: int
    sizes: list[int]
    rows: list[Row]


class Studies(Struct, frozen=True):
    """The studies besides the main run; None for a study that was not run."""

    left_out: Study[LeftOutRow] | None
    faults: Study[FaultRow] | None


class Evaluation(Struct, frozen=True):
    """All measurements of the models of a registry.

    Attributes:
        default: id of the model that the card describes.
        curves: curves by model id.
    """

    models: list[ModelIdentity]
    default: str
    tables: Tables
    clips: list[ClipRow]
    curves: dict[str, Curves]
    studies: Studies

    def __post_init__(self) -> None:
        """Check that every model has curves.

        Raises:
            ValueError: the curves of a model are missing.
        """
        if missing := {model.id for model in self.models} - self.curves.keys():
            raise ValueError(f"no curves of {', '.join(sorted(missing))}")


def write(values: Evaluation | Study[LeftOutRow] | Study[FaultRow], path: Path) -> None:
    """Write an evaluation or a study as JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(values), indent=1) + b"\n")


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation that ``faceloupe.training evaluate`` wrote.

    Raises:
        WeightsError: the file is missing or damaged.
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
    """Return whether a record is exactly the one that was measured."""
    return (record.id, record.sha256) in {(model.id, model.record_sha256) for model in evaluation.models}
