"""Edge export: a network as an ONNX or LiteRT file, checked against the original, with its own record beside it.

The exported file is a different model and does not inherit error rates. Its record states how much its logits differ
from the original's, and contains error rates only if they were measured on the exported file.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec import UNSET, Struct, UnsetType

from faceloupe.analysis.pipeline import Networks
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError, UsageError, WeightsError
from faceloupe.evaluation import labeled_folder
from faceloupe.evaluation.edge_format import INPUT, OUTPUT, Format, Runner
from faceloupe.evaluation.litert_format import LiteRt
from faceloupe.evaluation.measures import Measures
from faceloupe.evaluation.onnx_format import Onnx
from faceloupe.media.evidence_file import open_evidence, printable_name
from faceloupe.media.sandbox.image import decode
from faceloupe.models.contract import Calibrator, InputContract
from faceloupe.models.loading import load_network, load_with_encoder
from faceloupe.models.record import HEAD, ModelRecord, Thresholds
from faceloupe.report.schema import json_text
from faceloupe.report.write import publish, refuse_taken
from faceloupe.samples import SAMPLES
from faceloupe.scoring.preprocess import FaceViews, normalize
from faceloupe.scoring.single import Reading, SingleScorer
from faceloupe.types import Progress

_FORMATS: tuple[Format, ...] = (Onnx(), LiteRt())
_MOST_FACES = 256  # greatest number of faces for parity


class ExportedScorer(SingleScorer):
    """A scorer that replaces the original by an exported network: same views and calibration, no heatmaps."""

    def __init__(self, contract: InputContract, run: Runner) -> None:
        """Store a loaded network.

        Args:
            contract: input contract of the original.
            run: runs the exported network.
        """
        super().__init__(contract)
        self._run = run

    def readings(self, faces: Sequence[FaceViews]) -> list[Reading]:
        """See ``Scorer``."""
        return [Reading(float(_logits(self._run, face.crops, self._contract).mean())) for face in faces]

    def explained(self, face: FaceViews) -> tuple[Reading, np.ndarray]:
        """Raise NotImplementedError: the gradients for a heatmap are not exported."""
        raise NotImplementedError("an exported network draws no heatmap")


@dataclass(frozen=True, slots=True)
class Parity:
    """The differences between an exported network and the original, on the same views of the same faces.

    Attributes:
        faces: number of faces compared.
        largest_logit_difference: greatest absolute difference for a single view.
        mean_logit_difference: mean absolute difference over all views.
        other_outcomes: number of faces whose score is on another side of a threshold.
        measured_on: the pictures used.
    """

    faces: int
    largest_logit_difference: float
    mean_logit_difference: float
    other_outcomes: int
    measured_on: str


class Original(Struct, frozen=True):
    """The model that was exported."""

    id: str
    weights_sha256: str
    record_sha256: str


class Port(Struct, frozen=True):
    """The input or output of an exported network.

    Attributes:
        shape: lengths of the axes; ``n`` for any length.
        type: type and meaning of the numbers.
    """

    name: str
    shape: list[int | str]
    type: str


class ExportedFile(Struct, frozen=True):
    """The exported file; only ONNX files have an ``opset``."""

    file: str
    sha256: str
    size_bytes: int
    precision: str
    input: Port
    output: Port
    made_with: dict[str, str]
    opset: int | UnsetType = UNSET


@dataclass(frozen=True)
class Rates:
    """Error rates of an exported network or of its original.

    Attributes:
        measured_on: the pictures used, and how they were scored.
    """

    measures: Measures
    measured_on: str


@dataclass(frozen=True)
class FolderRates(Rates, labeled_folder.Summary):
    """Error rates on a labeled folder."""


class ExportedRecord(Struct, frozen=True, kw_only=True):
    """The record beside an exported network.

    Attributes:
        of: the original.
        onnx, litert: the file, in one of the two formats.
        input, calibrator, thresholds: taken from the original.
        error_rates: error rates of the exported network; None if they were not measured.
    """

    id: str
    of: Original
    onnx: ExportedFile | UnsetType = UNSET
    litert: ExportedFile | UnsetType = UNSET
    input: InputContract
    calibrator: Calibrator
    thresholds: Thresholds
    thresholds_from: str
    license: str
    limits: tuple[str, ...]
    error_rates: Rates | None
    parity: Parity
    error_rates_of_the_original: Rates | UnsetType = UNSET

    @property
    def file(self) -> ExportedFile:
        """The exported file."""
        file = self.onnx or self.litert
        assert file
        return file

    def to_json(self) -> str:
        """Return the text of the record's file."""
        return json_text(msgspec.to_builtins(self)) + "\n"


def export(
    record: ModelRecord,
    folder: Path,
    target: Path,
    *,
    settings: Settings,
    int8: bool = False,
    pictures: Path | None = None,
    labeled: Path | None = None,
    progress: Progress | None = None,
) -> ExportedRecord:
    """Export a network to ``target`` and write its record beside it (the same name with ``.json``).

    Args:
        record: record of a single network, or of a head of the expert, which is exported together with its encoder.
        folder: folder of the model registry.
        target: path of the file; the suffix, ``.onnx`` or ``.tflite``, selects the format. Nothing is overwritten.
        settings: settings of the analyses that measure parity and error rates.
        int8: quantize the weights to 8 bits.
        pictures: folder of pictures with faces, for parity; None uses the bundled samples.
        labeled: folder with ``real`` and ``fake``, to measure error rates of both networks.
        progress: called with the stage and the share done, 0..1.

    Returns:
        The record of the exported network.

    Raises:
        UsageError: the record has members, the target or a folder is not usable, or the libraries for the format are
            not installed.
        WeightsError: the weights are missing or not verified, or the format cannot hold the network.
    """
    say = progress or (lambda stage, share: None)
    if record.members:
        raise UsageError(f"{record.id} is an ensemble; export its members ({', '.join(record.members)}) one by one.")
    file_format = _format_of(target)
    if target.parent.resolve() == folder.resolve():
        raise UsageError(
            f"{target.parent} contains the model records, where exports do not belong; choose another folder."
        )
    names = target.name, target.with_suffix(".json").name
    refuse_taken(names, target.parent)
    file_format.require()
    say("Loading", 0.0)
    settings = replace(settings, model=record.id, device="cpu")
    networks = Networks.load(settings, folder=folder)
    faces, described = _faces(pictures, networks)
    say("Exporting", 0.1)
    network = _network(record, folder)
    content = file_format.convert(network, record.input, int8=int8)
    say("Comparing", 0.3)
    run = file_format.runner(content)
    parity = _parity(network, run, record, faces, described)
    exported_record = _described(record, content, names[0], file_format, parity, int8=int8)
    if labeled is not None:
        exported = networks.scorer.with_scorer(ExportedScorer(record.input, run))
        for name, scorer in (("error_rates", exported), ("error_rates_of_the_original", networks.scorer)):
            say("Measuring error rates", 0.4 if scorer is exported else 0.7)
            summary = labeled_folder.validate(labeled, replace(networks, scorer=scorer)).summary
            rates = FolderRates(**vars(summary), measured_on="a folder of labeled pictures, through the whole pipeline")
            exported_record = msgspec.structs.replace(exported_record, **{name: rates})
    publish({names[0]: content, names[1]: exported_record.to_json().encode()}, target.parent)
    say("Exported", 1.0)
    return exported_record


def read_exported(path: Path, record: ModelRecord) -> tuple[ExportedRecord, ExportedScorer]:
    """Return the record and the scorer of an exported network, checked against each other and the original's record.

    Raises:
        WeightsError: a file is missing or damaged, or does not match its record or the original.
        UsageError: the suffix is of neither format, or the libraries for the format are not installed.
    """
    file_format = _format_of(path)
    try:
        exported_record = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=ExportedRecord)
        content = path.read_bytes()
    except (OSError, msgspec.DecodeError, RecursionError) as problem:
        raise WeightsError(
            f"{printable_name(path.name)} or its record is missing or damaged; export it again."
        ) from problem
    expected = hashlib.sha256(content).hexdigest(), record.sha256
    if (exported_record.file.sha256, exported_record.of.record_sha256) != expected:
        raise WeightsError(f"{printable_name(path.name)} does not match its record; export it again.")
    return exported_record, ExportedScorer(record.input, file_format.runner(content))


def _network(record: ModelRecord, folder: Path) -> torch.nn.Module:
    """Load the network to export: a single network, or a head of the expert together with its encoder."""
    if record.architecture == HEAD:
        return load_with_encoder(record, folder)
    network = load_network(record, folder)
    return network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]  # torch's stubs lack it


def _format_of(path: Path) -> Format:
    for file_format in _FORMATS:
        if path.suffix == file_format.suffix:
            return file_format
    suffixes = " or ".join(file_format.suffix for file_format in _FORMATS)
    raise UsageError(f"{printable_name(path.name)} must end in {suffixes}.")


def _logits(run: Runner, crops: np.ndarray, contract: InputContract) -> np.ndarray:
    """Return the logits of (V, S, S, 3) uint8 RGB views: (V,) float64."""
    return run(np.ascontiguousarray(normalize(crops, contract))).astype(np.float64).ravel()


def _faces(pictures: Path | None, networks: Networks) -> tuple[list[FaceViews], str]:
    """Return the views of at most ``_MOST_FACES`` faces, and a description of their pictures.

    Args:
        pictures: folder of pictures; None uses the bundled samples.
        networks: the detector and the scorer.

    Raises:
        UsageError: no picture has a face.
    """
    paths = [sample.path for sample in SAMPLES]
    if pictures is not None:
        paths = sorted(path for path in pictures.rglob("*") if path.is_file()) if pictures.is_dir() else []
    views: list[FaceViews] = []
    used = 0
    for path in paths:
        if len(views) >= _MOST_FACES:
            break
        with contextlib.suppress(EvidenceError):  # files that cannot be read are skipped
            evidence_file = open_evidence(path, max_bytes=networks.settings.max_bytes)
            rgb = decode(evidence_file, settings=networks.settings).rgb
            new_views = [networks.scorer.view(rgb, face.box) for face in networks.detector.detect(rgb)]
            views, used = views + new_views, used + bool(new_views)
    if not views:
        raise UsageError(f"{pictures} contains no image with a face; give another folder.")
    source = "the bundled samples" if pictures is None else "a folder of pictures"
    return views[:_MOST_FACES], f"{len(views[:_MOST_FACES])} faces of {used} pictures: {source}"


def _parity(
    network: torch.nn.Module, run: Runner, record: ModelRecord, faces: Sequence[FaceViews], described: str
) -> Parity:
    apart, other = [], 0
    lower, upper = record.thresholds.lower, record.thresholds.upper
    for face in faces:
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(normalize(face.crops, record.input)))
            expected = network(given).double().numpy().ravel()
        exported = _logits(run, face.crops, record.input)
        apart.append(np.abs(exported - expected))
        sides = [
            (score <= lower, score >= upper)
            for score in (record.calibrator.probability(float(logits.mean())) for logits in (expected, exported))
        ]
        other += sides[0] != sides[1]
    gaps = np.concatenate(apart)
    return Parity(len(faces), float(gaps.max()), float(gaps.mean()), other, described)


def _described(
    record: ModelRecord, content: bytes, name: str, file_format: Format, parity: Parity, *, int8: bool
) -> ExportedRecord:
    size, properties = record.input.size, file_format.properties()
    file = ExportedFile(
        name,
        hashlib.sha256(content).hexdigest(),
        len(content),
        "int8 weights, float32 activations" if int8 else "float32",
        Port(INPUT, [properties.batch, 3, size, size], "float32, normalized as the contract says"),
        Port(OUTPUT, [properties.batch, 1], "raw logit of one view; a face's is the mean of its views"),
        properties.made_with,
        properties.opset,
    )
    return ExportedRecord(
        id=f"{record.id}-{file_format.name}-{'int8' if int8 else 'float32'}",
        of=Original(record.id, record.weights_sha256, record.sha256),
        onnx=file if file_format.name == "onnx" else UNSET,
        litert=file if file_format.name == "litert" else UNSET,
        input=record.input,
        calibrator=record.calibrator,
        thresholds=record.thresholds,
        thresholds_from="the original; they were not fitted to this network",
        license=record.license,
        limits=record.limits,
        error_rates=None,
        parity=parity,
    )
