"""The training recipes: typed here, stored in ``params.yaml``."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from faceloupe.errors import DatasetError
from faceloupe.models.contract import InputContract
from faceloupe.training.choosing import NEAR_BITS, Cap, Caps
from faceloupe.training.faults import Fault
from faceloupe.training.material import SPLITS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PARAMS = Path("params.yaml")
Values = dict[str, Any]  # values of the parameter file, before they are typed


# The network of `train` and `calibrate` that the model card describes, and whose quality gates all records share.
CARD_CORE = "faceloupe-mobilenet_v3_small-2"


@dataclass(frozen=True, slots=True)
class Draw:
    """One kind of training pair: an authentic face and a manipulated one.

    Attributes:
        share: share of all pairs, in proportion to the other draws.
        real: weights of the sources of authentic faces.
        fake: weights of the sources of manipulated faces. If empty, the authentic face is paired with a blend made from
            itself, see ``blending``.
    """

    share: float
    real: dict[str, float]
    fake: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training at one input size: ``images`` pictures of ``size`` pixels."""

    size: int
    images: int


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """All settings that determine the result of a training run.

    Attributes:
        draws: kinds of pairs, in proportion to their shares.
        donor_share: share of the blends that use the face of another person of the same source instead of the face
            itself, 0..1.
        stages: run one after the other; the first, small one is cheap and does most of the learning.
        batch_size: pictures in a step, half of them authentic.
        peak_rate: learning rate of AdamW after warm-up; it falls to ``final_rate`` along a cosine.
        dropout: dropout of the classifier during training.
        label_smoothing: distance of the targets from 0 and 1.
        average_decay: decay of the exponential moving average of the weights.
        validate_every: steps between two validations, and between two checkpoints.
        selection: rows of the validation table whose mean AUC selects the average to keep: late in training, the
            network memorizes the photographs, and the last average is not the best. If empty, the last one is kept.
        without: sources left out of training, on which the result is judged.
        fault: a deliberate defect of the training; the result of such a run can never be registered.
    """

    draws: tuple[Draw, ...]
    stages: tuple[Stage, ...]
    architecture: str = "mobilenet_v3_small"
    contract: InputContract = field(default_factory=InputContract)
    donor_share: float = 0.25
    batch_size: int = 32
    warmup_steps: int = 300
    peak_rate: float = 7e-4
    final_rate: float = 1e-5
    weight_decay: float = 0.05
    dropout: float = 0.4
    label_smoothing: float = 0.05
    average_decay: float = 0.999
    validate_every: int = 500
    selection: tuple[str, ...] = ("generated", "hardfake", "dfdc_faces", "ffpp_faces")
    without: tuple[str, ...] = ()
    fault: Fault | None = None
    seed: int = 20261121


T = TypeVar("T", bound="DataclassInstance")
_SCALARS = {float: (float, int), int: (int,), str: (str,), dict[str, float]: (dict,)}


def build(kind: type[T], values: Any, path: str) -> T:
    """Build a dataclass from a mapping; errors name unknown and missing keys."""
    if not isinstance(values, dict):
        raise DatasetError(f"{path} must be a mapping.")
    unknown = set(values) - {parameter.name for parameter in fields(kind)}
    if unknown:
        raise DatasetError(f"{path} has no setting named {', '.join(sorted(unknown))}.")
    for parameter in fields(kind):
        if (
            parameter.name in values
            and parameter.type in _SCALARS
            and not isinstance(values[parameter.name], _SCALARS[parameter.type])
        ):
            raise DatasetError(
                f"{path}: {parameter.name} must be {parameter.type.__name__}, not {values[parameter.name]!r}."
            )
    try:
        return kind(**values)
    except (TypeError, ValueError) as problem:
        raise DatasetError(f"{path}: {problem}.") from problem


def _recipe(values: Values, draws: Values, path: str) -> TrainingSettings:
    """Parse one recipe into typed settings.

    Args:
        values: as in ``params.yaml``; ``draws`` names an entry of ``draws``, a stage is a pair of size and images.
        draws: lists of draws by name.
        path: name of the recipe in error messages.

    Raises:
        DatasetError: a key is unknown, or a value is of the wrong kind.
    """
    values = dict(values)
    name = values.pop("draws", None)
    if name not in draws:
        raise DatasetError(f"{path} draws from {name!r}; known are {', '.join(draws)}.")
    stages = [dict(zip(("size", "images"), pair)) for pair in values.pop("stages", ())]
    parts: Values = {
        "draws": tuple(build(Draw, draw, f"draws.{name}") for draw in draws[name]),
        "stages": tuple(build(Stage, stage, f"{path}.stages") for stage in stages),
    }
    if "contract" in values:
        contract = {key: tuple(v) if isinstance(v, list) else v for key, v in values.pop("contract").items()}
        parts["contract"] = build(InputContract, contract, f"{path}.contract")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return build(TrainingSettings, values | parts, path)


@dataclass(frozen=True, slots=True)
class Registered:
    """The recipes that become records, and their version; several recipes can also become an ensemble."""

    version: int
    recipes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MaterialSettings:
    """Settings for choosing the large material and its views.

    Attributes:
        caps: limits for a source or a person, see ``choosing.bounded``.
        near_bits: see ``choosing.unlike``.
        crops: sources whose pictures are tight crops of a face, see ``regions.make``.
        tight_only: sources without a wide view, see ``features.extract``.
        treatments: treatments of the faces of each split, see ``views.treat``.
        core_treatments: the same, for the views that the core learns from and is judged by.
        view_caps: limits for a source or a person under a treatment; treatments that are not listed have none.
        excluded: ids of pictures that are not photographs of a face: name cards, drawings, collages.
    """

    caps: Caps = field(default_factory=Caps)
    near_bits: int = NEAR_BITS
    crops: tuple[str, ...] = ()
    tight_only: tuple[str, ...] = ()
    treatments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    core_treatments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    view_caps: dict[str, Caps] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()


def _caps(values: Any, path: str) -> Caps:
    """Parse caps from a mapping with ``default`` and ``of_source``."""
    values = mapping(values, path)
    if unknown := set(values) - {"default", "of_source"}:
        raise DatasetError(f"{path} has no setting named {', '.join(sorted(map(str, unknown)))}.")
    default, of_source = (mapping(values.get(name, {}), path) for name in ("default", "of_source"))
    own = {source: build(Cap, cap, f"{path}.of_source.{source}") for source, cap in of_source.items()}
    return Caps(build(Cap, default, f"{path}.default"), own)


def parse_material(values: Any) -> MaterialSettings:
    """Parse the entry ``material`` of ``params.yaml`` into typed settings.

    Raises:
        DatasetError: a key or a split is unknown, or a value is of the wrong kind.
    """
    path = "material"
    values = mapping(values, path)
    view_caps = mapping(values.get("view_caps", {}), f"{path}.view_caps")
    parts: Values = {
        "caps": _caps(values.get("caps", {}), f"{path}.caps"),
        "view_caps": {name: _caps(caps, f"{path}.view_caps.{name}") for name, caps in view_caps.items()},
    }
    for name in ("treatments", "core_treatments"):
        of_split = mapping(values.get(name, {}), f"{path}.{name}")
        if unknown := set(of_split) - set(SPLITS):
            raise DatasetError(f"{path}.{name} has no split named {', '.join(sorted(map(str, unknown)))}.")
        parts[name] = {split: names_of(some, f"{path}.{name}.{split}") for split, some in of_split.items()}
    for name in ("crops", "tight_only", "excluded"):
        parts[name] = names_of(values.get(name, []), f"{path}.{name}")
    return build(MaterialSettings, values | parts, path)


def mapping(values: Any, path: str) -> Values:
    """Return the values of ``path`` if they are a mapping.

    Raises:
        DatasetError: the values are not a mapping.
    """
    if not isinstance(values, dict):
        raise DatasetError(f"{path} must be a mapping.")
    return values


def names_of(values: Any, path: str) -> tuple[str, ...]:
    """Return the values of ``path`` if they are a list of names.

    Raises:
        DatasetError: the values are not a list of names.
    """
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DatasetError(f"{path} must be a list of names.")
    return tuple(values)


def read_material(path: Path = PARAMS) -> MaterialSettings:
    """Read the settings of the large material; missing values get the defaults of ``MaterialSettings``.

    Raises:
        DatasetError: the file is missing or does not fit the types.
    """
    return parse_material(read_entry(path, "material"))


def read_entry(path: Path, name: str) -> Any:
    """Read one entry of the parameter file; a missing entry is read as an empty mapping.

    Args:
        path: path of the file.
        name: name of the entry.

    Raises:
        DatasetError: the file is missing or is not a mapping.
    """
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as problem:
        raise DatasetError(f"{path} is missing or cannot be read.") from problem
    return mapping(params, str(path)).get(name, {})


def _read(path: Path) -> Values:
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {"recipes": params["recipes"], "draws": params["draws"], "registered": params["registered"]}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as problem:
        raise DatasetError(f"{path} is missing, or does not hold recipes, draws and registered.") from problem


def read_registered(path: Path = PARAMS) -> Registered:
    """Read which recipes of the parameter file become records.

    Raises:
        DatasetError: the file is missing or does not fit the types.
    """
    values = _read(path)["registered"]
    return Registered(int(values["version"]), tuple(values["recipes"]))


def read_recipe(name: str, path: Path = PARAMS) -> TrainingSettings:
    """Read one recipe of the parameter file.

    Raises:
        DatasetError: the file or the recipe is missing, or it does not fit the types.
    """
    params = _read(path)
    recipes, draws = params["recipes"], params["draws"]
    if name not in recipes:
        raise DatasetError(f"{path} holds no recipe {name!r}; known are {', '.join(recipes)}.")
    return _recipe(recipes[name], draws, f"recipes.{name}")
