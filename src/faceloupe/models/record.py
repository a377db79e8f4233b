"""The model record: a JSON file beside the weights, with everything that is needed to use and judge them.

A record makes a score reproducible and open to challenge. It names the network and the hash of its weights, and says
how the input is prepared, how the logit becomes a probability, where the thresholds are, and which errors were measured
on which faces.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from faceloupe.config import DEFAULT_MODEL
from faceloupe.errors import WeightsError
from faceloupe.models.contract import Calibrator, InputContract, QualityGates
from faceloupe.system.files import replacing

EVALUATION, REGISTRY = "evaluation.json", "registry.json"  # files in the records' folder that are not records
COMPONENTS = "components"  # folder of the components that several models share, beside the records
ENSEMBLE = "ensemble"  # architecture of a record that averages other records
FUSION = "fusion"  # architecture of a record that combines other records with weights
HEAD = "clip_vit_b16_head"  # architecture of a head on the expert's encoder
CORE = "mobilenet_v3_small_blocks"  # architecture of the core of the effort `quick`
RATES_OF_UNSEEN = (FUSION, HEAD, CORE)  # architectures whose error rates are of sources that no part of the model saw


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of the calibrated score, 0..1: authentic at or below ``lower``, manipulated at or above ``upper``."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.lower < self.upper <= 1.0:
            raise ValueError(f"thresholds need 0 <= lower < upper <= 1, got {self}")


@dataclass(frozen=True, slots=True)
class SizeRates:
    """Counts of the verdicts on faces of similar size, at the thresholds.

    Attributes:
        least_px: least longer side of the face box, pixels; the next entry begins where this one ends.
        n_real, n_fake: number of authentic and of manipulated faces.
        accused: authentic faces called manipulated.
        detected: manipulated faces called manipulated.
        cleared: manipulated faces called authentic.
    """

    least_px: int
    n_real: int
    accused: int
    n_fake: int
    detected: int
    cleared: int


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Error rates at the thresholds, for single faces.

    Attributes:
        fpr: share of authentic faces called manipulated, 0..1.
        fnr: share of manipulated faces called authentic, 0..1.
        n_real, n_fake: number of authentic and of manipulated faces.
        interval_95: 95 % intervals of ``fpr`` and ``fnr``, by name.
        inconclusive: share of all faces whose scores lie between the thresholds.
        measured_on: the faces used.
        by_size: the counts by size of the face, from small to large; empty if they were not made.
    """

    fpr: float
    fnr: float
    n_real: int
    n_fake: int
    interval_95: dict[str, tuple[float, float]]
    inconclusive: float
    measured_on: str
    by_size: tuple[SizeRates, ...] = ()


@dataclass(frozen=True, slots=True)
class CalibrationQuality:
    """The quality of the calibrated scores on held-out folds.

    Attributes:
        ece: expected calibration error, 15 bins, 0..1.
        cllr: log-likelihood-ratio cost, bits; 0 is perfect, 1 is no information.
        compared: (ece, cllr) of all kinds of calibrator that were tried; the kind with the lowest Cllr was kept.
    """

    ece: float
    cllr: float
    compared: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceResult:
    """One row of the validation table: rates over one source's faces, 0..1; None if the source lacks a class."""

    source: str
    n_real: int
    n_fake: int
    auc: float | None
    accuracy: float | None
    decided_accuracy: float | None
    inconclusive: float
    fpr: float | None
    fnr: float | None


@dataclass(frozen=True, slots=True)
class ComponentRecord:
    """A network that gives no score itself: the encoder that the heads share, or the map that measures proportions.

    Attributes:
        id: identifier of the component.
        architecture: name of the architecture.
        parameters: number of parameters.
        weights_file: name of the weights file, beside the model records.
        weights_sha256: SHA-256 of that file.
        license: license of the weights.
        origin: where the weights come from, and how they were changed.
    """

    id: str
    architecture: str
    parameters: int
    weights_file: str
    weights_sha256: str
    license: str
    origin: str

    def __post_init__(self) -> None:
        """Check the ranges of the fields.

        Raises:
            ValueError: a field is out of range.
        """
        texts = (self.id, self.architecture, self.weights_file, self.weights_sha256, self.license, self.origin)
        sound = all(isinstance(text, str) and text for text in texts) and type(self.parameters) is int
        if not (sound and self.parameters >= 0 and Path(self.weights_file).name == self.weights_file):
            raise ValueError("a field of the component record is out of range")

    def to_json(self) -> str:
        """Return the text of the record's file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Fusion:
    """The weights that combine the members' calibrated natural log-odds into one logit.

    The logit is the sum of weight times log-odds over the members, plus ``joint`` times the joined log-odds of the
    members whose proposition is only a part of "manipulated": the likelihood ratio of "one part or another" is the mean
    of the likelihood ratios of the parts.

    Attributes:
        weights: one weight per member, >= 0.
        joint: weight of the joined log-odds, >= 0.
        limit: members' log-odds are clipped to -limit..limit before they are combined, > 0.
        frames: number of frames per face in a video that members with an encoder score; the others score all frames.
        correlation: correlation between the log-odds of two frames of one filmed face, 0..1, see ``pool_frames``.
        bias: mean amount by which the log-odds of filmed faces are too high, natural units, >= 0.
        lead: most by which the log-odds of a member that looks at the surroundings of a face may exceed those of the
            members that look at the face alone, natural units, >= 0; 0 for no limit. See ``joint.join``.
    """

    weights: tuple[float, ...]
    joint: float
    limit: float
    frames: int = 8
    correlation: float = 1.0
    bias: float = 0.0
    lead: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields.

        Raises:
            ValueError: a number is out of range.
        """
        numbers = (*self.weights, self.joint)
        sound = all(math.isfinite(value) and value >= 0.0 for value in numbers) and 0.0 < self.limit < math.inf
        if not (sound and type(self.frames) is int and self.frames > 0):
            raise ValueError(f"weights of a fusion are >= 0, its limit and its frames > 0, got {self}")
        if not (0.0 <= self.correlation <= 1.0 and 0.0 <= self.bias < math.inf and 0.0 <= self.lead < math.inf):
            raise ValueError(f"a correlation lies in 0..1, a bias and a lead are >= 0, got {self}")

    @property
    def adds_up(self) -> bool:
        """Whether the evidence of a face's frames adds up; older fusions average it."""
        return (self.correlation, self.bias) != (1.0, 0.0)

    def pool_frames(self, mean: float, effective_frames: float) -> float:
        """Return the combined log-odds of several frames of one filmed face.

        The model's errors on the frames of one face are correlated, so n frames count as n / (1 + (n - 1) *
        correlation) (design effect, Kish 1965). At most ``frames`` frames count, as many as the members with an encoder
        score. The bias is subtracted, and evidence below it counts as none. Evidence against a manipulation is not
        added up: a manipulation that the model cannot detect looks authentic in every frame.

        Args:
            mean: mean of the frames' calibrated natural log-odds.
            effective_frames: effective number of frames, 1 or more.
        """
        if mean <= 0.0:
            return mean
        counted = min(effective_frames, float(self.frames))
        return max(mean - self.bias, 0.0) * counted / (1.0 + (counted - 1.0) * self.correlation)


@dataclass(frozen=True)  # without slots, because ``sha256`` is cached: every report needs it
class ModelRecord:
    """The record of one model.

    ``explanation_max`` is the upper end of the heatmap's fixed color scale, in logits per cell. ``members`` are the ids
    of the records that an ensemble averages or a fusion combines; such a record has no weights file, and its
    ``weights_sha256`` is the hash over the hashes of the members' records, see ``ensemble_hash``. ``fusion`` has the
    weights of a fusion. ``component`` and ``component_sha256`` name the shared encoder of a head, or the map with which
    a fusion measures proportions, see ``models.proportions``. ``proposition`` is the part of "manipulated" that the
    model detects; it is empty for a model that covers all of it. The model scores a face only if ``FaceViews.context``
    is at least ``least_context`` and below ``most_context``; 0 means no bound. ``scope_limit`` is the greatest distance
    from known faces, see ``models.expert``, at which a verdict is given; 0 means that the distance is not measured.
    Fields that were added after the first records are omitted from the text if they are empty, so that the hash of an
    older record does not change.
    """

    id: str
    architecture: str
    parameters: int
    weights_file: str
    weights_sha256: str
    input: InputContract
    calibrator: Calibrator
    thresholds: Thresholds
    log10_lr_bounds: tuple[float, float]
    error_rates: ErrorRates
    calibration: CalibrationQuality
    gates: QualityGates
    explanation_max: float
    validation: tuple[SourceResult, ...]
    trained_on: str
    license: str
    limits: tuple[str, ...]
    manipulations: str
    members: tuple[str, ...] = ()
    fusion: Fusion | None = None
    component: str = ""
    component_sha256: str = ""
    proposition: str = ""
    scope_limit: float = 0.0
    least_context: float = 0.0
    most_context: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields.

        Raises:
            ValueError: a field is out of range.
        """
        low, high = self.log10_lr_bounds
        rates = self.error_rates
        shares = [rates.fpr, rates.fnr, rates.inconclusive, *rates.interval_95["fpr"], *rates.interval_95["fnr"]]
        sound = (
            all(
                isinstance(text, str)
                for text in (
                    *(
                        self.id,
                        self.architecture,
                        self.weights_file,
                        self.weights_sha256,
                        self.trained_on,
                        self.license,
                    ),
                    *(self.manipulations, rates.measured_on, self.calibrator.id, self.calibrator.fitted_on),
                    *(*self.limits, *self.members),
                    *(self.component, self.component_sha256, self.proposition),
                )
            )
            and all(type(count) is int and count >= 0 for count in (self.parameters, rates.n_real, rates.n_fake))
            and all(math.isfinite(value) for value in (low, high, self.calibration.ece, self.calibration.cllr))
            and Path(self.weights_file).name == self.weights_file
            and (self.architecture in (ENSEMBLE, FUSION)) == bool(self.members) == (not self.weights_file)
            and (self.architecture == FUSION) == (self.fusion is not None)
            and (self.fusion is None or len(self.fusion.weights) == len(self.members))
            and bool(self.component) == bool(self.component_sha256)
            and 0.0 <= self.scope_limit < math.inf
            and 0.0 <= self.least_context < math.inf
            and 0.0 <= self.most_context < math.inf
            and low <= 0.0 <= high
            and all(0.0 <= share <= 1.0 for share in shares)
            and 0.0 < self.explanation_max < math.inf
            and 16 <= self.input.size <= 2048
            and self.input.views
            and min(self.input.views) > 0.0
            and list(self.input.views) == sorted(self.input.views)
            and min(asdict(self.gates).values()) >= 0.0
        )
        if not sound:
            raise ValueError("a field of the model record is out of range")

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON values, as they are in its file."""
        values = asdict(self)
        if not self.gates.min_color:  # added later, like the fields in ``_LATER``
            del values["gates"]["min_color"]
        if not self.error_rates.by_size:
            del values["error_rates"]["by_size"]
        if self.fusion and not self.fusion.adds_up:  # also added later
            del values["fusion"]["correlation"], values["fusion"]["bias"]
        if self.fusion and not self.fusion.lead:
            del values["fusion"]["lead"]
        return {name: value for name, value in values.items() if value or name not in _LATER}

    def pool_frames(self, mean: float, effective_frames: float) -> float:
        """Return the log-odds of a filmed face, see ``Fusion.pool_frames``; without a fusion, return ``mean``."""
        return self.fusion.pool_frames(mean, effective_frames) if self.fusion else mean

    def to_json(self) -> str:
        """Return the text of the record's file."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the record's text; in a report, it fixes every threshold and rate of the record."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelRecord":
        """Build a record from JSON values.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or out of range.
        """
        values = dict(values)
        contract = dict(values["input"])
        contract |= {key: tuple(contract[key]) for key in ("mean", "std", "views")}
        rates = dict(values["error_rates"])
        rates["interval_95"] = {key: tuple(pair) for key, pair in rates["interval_95"].items()}
        rates["by_size"] = tuple(SizeRates(**counts) for counts in rates.get("by_size", ()))
        values |= {
            "input": InputContract(**contract),
            "calibrator": _calibrator(values["calibrator"]),
            "thresholds": Thresholds(**values["thresholds"]),
            "log10_lr_bounds": tuple(values["log10_lr_bounds"]),
            "error_rates": ErrorRates(**rates),
            "calibration": _quality(values["calibration"]),
            "gates": QualityGates(**values["gates"]),
            "validation": tuple(SourceResult(**row) for row in values["validation"]),
            "limits": tuple(values["limits"]),
            "members": tuple(values.get("members", ())),
            "fusion": _fusion(values.get("fusion")),
        }
        return cls(**values)


_LATER = ("fusion", "component", "component_sha256", "proposition", "scope_limit", "least_context", "most_context")


def _fusion(values: dict[str, Any] | None) -> Fusion | None:
    return None if values is None else Fusion(**(values | {"weights": tuple(values["weights"])}))


def _calibrator(values: dict[str, Any]) -> Calibrator:
    return Calibrator(**(dict(values) | {"knots": tuple((x, y) for x, y in values["knots"])}))


def _quality(values: dict[str, Any]) -> CalibrationQuality:
    compared = {kind: (ece, cllr) for kind, (ece, cllr) in values["compared"].items()}
    return CalibrationQuality(**(values | {"compared": compared}))


def ensemble_hash(members: Sequence[ModelRecord]) -> str:
    """Return the SHA-256 over the hashes of the members' records, in order; any change to a member changes it."""
    return hashlib.sha256("".join(member.sha256 for member in members).encode()).hexdigest()


def members_of(record: ModelRecord, folder: Path) -> tuple[ModelRecord, ...]:
    """Return the members of an ensemble or a fusion, verified against its hash; empty for a single network.

    Raises:
        WeightsError: a member is missing, has members itself, or differs from the member that was measured.
    """
    if not record.members:
        return ()
    members = tuple(find_record(folder, name) for name in record.members)
    if any(member.members for member in members) or ensemble_hash(members) != record.weights_sha256:
        raise WeightsError(
            f"The members of {record.id} are not those it was measured with, so nothing can be scored; "
            "restore the weights folder from the repository."
        )
    return members


def component_of(record: ModelRecord, folder: Path) -> ComponentRecord | None:
    """Return the record of a model's component, see ``ModelRecord``; None for a model without one.

    Raises:
        WeightsError: the record is missing or damaged, or is not that of the component that the model was made with.
    """
    if not record.component:
        return None
    name = Path(record.component).name
    try:
        values = json.loads((folder / COMPONENTS / f"{name}.json").read_text(encoding="utf-8"))
        component = ComponentRecord(**values)
    except (OSError, ValueError, TypeError, RecursionError) as problem:
        state = "missing" if isinstance(problem, FileNotFoundError) else "damaged"
        raise WeightsError(
            f"The record of the component {name} is {state}, so nothing can be scored; restore it from the repository."
        ) from problem
    if component.weights_sha256 != record.component_sha256:
        raise WeightsError(
            f"The component {name} is not the one that {record.id} was made with, so nothing can be scored; restore "
            "the weights folder from the repository."
        )
    return component


def read_record(path: Path) -> ModelRecord:
    """Read one record.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        return _record_of(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"The model record {path.name} is missing from the weights folder, so nothing can be scored; "
            "restore it from the repository."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise WeightsError(
            f"The model record {path.name} is damaged, so nothing can be scored; restore it from the repository."
        ) from problem


@lru_cache(maxsize=32)  # records name one another, so a list of models would parse and hash each record many times
def _record_of(text: str) -> ModelRecord:
    return ModelRecord.from_dict(json.loads(text, parse_constant=_refuse_constant))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def read_registry(folder: Path) -> dict[str, ModelRecord]:
    """Read every record (``*.json``) of the weights folder, by id.

    Raises:
        WeightsError: a record is damaged, or two records have the same id.
    """
    records: dict[str, ModelRecord] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name in (EVALUATION, REGISTRY):
            continue
        record = read_record(path)
        if record.id in records:
            raise WeightsError(f"Two model records carry the id {record.id}; remove one from the weights folder.")
        records[record.id] = record
    return records


def find_record(folder: Path, model_id: str = DEFAULT_MODEL) -> ModelRecord:
    """Return the record of one model.

    Raises:
        WeightsError: there is no record with that id.
    """
    records = read_registry(folder)
    if model_id not in records:
        known = ", ".join(records) or "none"
        raise WeightsError(
            f"There is no model record {model_id} in the weights folder (found: {known}), so nothing can be scored; "
            "restore it from the repository."
        )
    return records[model_id]


def write_record(record: ModelRecord, path: Path) -> None:
    """Write a record atomically."""
    with replacing(path) as temporary:
        temporary.write_text(record.to_json(), encoding="utf-8")
