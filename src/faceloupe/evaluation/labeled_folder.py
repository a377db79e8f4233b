"""Validation on a user's labeled folder: error rates of the full pipeline on the user's own files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.config import Settings
from faceloupe.errors import Cancelled, UsageError
from faceloupe.evaluation import plots
from faceloupe.evaluation.measures import NAMES, Decisions, Measures, curves_of, measure
from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name
from faceloupe.models.record import Thresholds
from faceloupe.report.schema import json_text
from faceloupe.report.spreadsheet import ENCODING, to_csv
from faceloupe.report.write import publish
from faceloupe.types import Cancel, Outcome, Progress

WRITTEN = ("predictions.csv", "roc.png", "reliability.png", "tippett.png", "validation.json")
FOLDERS = {"real": 0, "fake": 1}  # polarity everywhere: 1 = manipulated


@dataclass(frozen=True, slots=True)
class LabeledResult:
    """One file with its label and the result of the pipeline.

    Attributes:
        path: path relative to the folder.
        label: 1 = manipulated, 0 = authentic.
        sha256: hash of the file; empty if it could not be read.
        outcome: see ``types.Outcome``.
        score: calibrated P(manipulated), 0..1; None if nothing was scored.
        reason: reason for the outcome.
    """

    path: Path
    label: int
    sha256: str
    outcome: Outcome
    score: float | None
    reason: str

    @property
    def unit(self) -> str:
        """The independent unit of the file.

        The files of one subfolder (a person, a camera, a video) are not independent, so they form one unit. Any other
        file is its own unit.
        """
        return self.path.as_posix() if len(self.path.parts) == 2 else self.path.parent.as_posix()


class Unscored(Struct, frozen=True):
    """The number of files of one label that were not scored, by outcome."""

    not_applicable: int
    error: int


class ScoringModel(Struct, frozen=True):
    """The model that scored."""

    id: str
    weights_sha256: str


@dataclass(frozen=True)
class Summary:
    """The contents of ``validation.json``.

    Attributes:
        effort: see ``Validation``.
        files: number of files in the folder.
        units: number of independent units among the scored files.
        unscored: number of files without a score, by name of the subfolder.
    """

    effort: str | None
    model: ScoringModel
    thresholds: Thresholds
    files: int
    units: int
    unscored: dict[str, Unscored]
    measures: Measures


@dataclass(frozen=True, slots=True)
class Validation:
    """The error rates of a model on a labeled folder.

    Attributes:
        effort: the effort setting; None if the user named a model instead.
        model_id: id of the model that scored.
        weights_sha256: hash of its weights.
        thresholds: thresholds of its record.
        files: all files, in order.
        measures: measures over the files that were scored.
    """

    effort: str | None
    model_id: str
    weights_sha256: str
    thresholds: Thresholds
    files: tuple[LabeledResult, ...]
    measures: Measures

    @property
    def scored(self) -> tuple[LabeledResult, ...]:
        """The files that have a score."""
        return tuple(file for file in self.files if file.score is not None)

    @property
    def summary(self) -> Summary:
        """The contents of ``validation.json``."""
        outcomes = {
            name: [file.outcome for file in self.files if file.label == label] for name, label in FOLDERS.items()
        }
        return Summary(
            self.effort,
            ScoringModel(self.model_id, self.weights_sha256),
            self.thresholds,
            len(self.files),
            len({file.unit for file in self.scored}),
            {
                name: Unscored(of_label.count(Outcome.NOT_APPLICABLE), of_label.count(Outcome.ERROR))
                for name, of_label in outcomes.items()
            },
            self.measures,
        )

    def to_json(self) -> str:
        """Return the text of ``validation.json``."""
        return json_text(msgspec.to_builtins(self.summary))


def _listed(folder: Path) -> list[tuple[Path, int]]:
    """Return every file below ``real`` and ``fake``, except hidden files, with its label.

    Raises:
        UsageError: a folder is missing, empty, unreadable, or a link, whose files would not be counted.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; expected a folder with the subfolders real and fake.")
    files = []
    for name, label in FOLDERS.items():
        paths = []
        for parent, inner, names in os.walk(folder / name, onerror=_refuse):
            inner[:] = sorted(folder_name for folder_name in inner if not folder_name.startswith("."))
            for folder_name in inner:
                if (path := Path(parent, folder_name)).is_symlink():
                    raise UsageError(f"{path} is a link to a folder; put the files themselves there.")
            paths += [Path(parent, name).relative_to(folder) for name in sorted(names) if not name.startswith(".")]
        if not paths:
            raise UsageError(
                f"{folder / name} contains no files; expected authentic files in real and manipulated files in fake."
            )
        files += [(path, label) for path in sorted(paths)]
    return files


def _refuse(problem: OSError) -> None:
    if not isinstance(problem, FileNotFoundError):
        raise UsageError(f"{problem.filename} cannot be read ({problem.strerror}).") from problem


def validate(
    folder: Path,
    networks: Networks,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Validation:
    """Analyze every file of ``folder/real`` and ``folder/fake`` as the app would, and measure the error rates.

    A file with several faces counts once, by its most suspicious face, as everywhere in the app. A copy of another file
    is listed as a duplicate and not counted; a file that cannot be read is listed as an error.

    Args:
        folder: folder with the subfolders ``real`` and ``fake``.
        networks: the networks that score.
        progress: called with the stage and the share done, 0..1.
        cancel: called between the files; the validation stops when it returns True.

    Raises:
        UsageError: the folder lacks a class, a file has both labels, or no file of a class could be scored.
        Cancelled: ``cancel`` returned True.
    """
    listed, files = _listed(folder), []
    first: dict[str, tuple[Path, int]] = {}
    copies: dict[Path, Path] = {}
    for number, (path, label) in enumerate(listed):  # hash all files first, to find wrong labels before hours of work
        _step(progress, cancel, f"Hashing file {number + 1} of {len(listed)}", 0.1 * number / len(listed))
        evidence_file = _taken(folder / path, networks.settings)
        if not isinstance(evidence_file, str):
            before, its_label = first.setdefault(evidence_file.evidence.sha256, (path, label))
            if its_label != label:
                raise UsageError(f"{path} and {before} are the same file with different labels; remove the wrong one.")
            if before != path:
                copies[path] = before
    for number, (path, label) in enumerate(listed):
        _step(progress, cancel, f"File {number + 1} of {len(listed)}", 0.1 + 0.9 * number / len(listed))
        evidence_file = _taken(folder / path, networks.settings)
        if isinstance(evidence_file, str):
            files.append(LabeledResult(path, label, "", Outcome.ERROR, None, evidence_file))
            continue
        digest = evidence_file.evidence.sha256
        if path in copies:
            why = f"duplicate of {copies[path]}, counted there"
            files.append(LabeledResult(path, label, digest, Outcome.NOT_APPLICABLE, None, why))
            continue
        analysis = analyze(evidence_file, networks, explain=False)
        files.append(LabeledResult(path, label, digest, analysis.outcome, analysis.score, analysis.reason))
    return _measured(files, networks)


def _taken(path: Path, settings: Settings) -> EvidenceFile | str:
    """Return the opened file, or the reason why it cannot be read."""
    try:
        return open_evidence(path, max_bytes=settings.max_bytes)
    except UsageError as problem:
        return str(problem)


def _step(progress: Progress | None, cancel: Cancel | None, stage: str, share: float) -> None:
    if cancel and cancel():
        raise Cancelled("The validation was cancelled.")
    if progress:
        progress(stage, share)


def _measured(files: Sequence[LabeledResult], networks: Networks) -> Validation:
    scored = [file for file in files if file.score is not None]
    for name, label in FOLDERS.items():
        if not any(file.label == label for file in scored):
            raise UsageError(
                f"No file in {name} could be scored, so there are no error rates; see the reasons of the files."
            )
    record = networks.scorer.record
    return Validation(
        networks.settings.reported_effort,
        record.id,
        record.weights_sha256,
        record.thresholds,
        tuple(files),
        measure(_decisions(scored)),
    )


def _decisions(scored: Sequence[LabeledResult]) -> Decisions:
    """Return the decisions as they were reported, because a quality gate may have overruled a score."""
    scores = np.clip([file.score for file in scored], 1e-12, 1.0 - 1e-12)
    return Decisions(
        labels=np.array([file.label for file in scored]),
        log_odds=np.log(scores / (1.0 - scores)),
        called_fake=np.array([file.outcome is Outcome.MANIPULATED for file in scored]),
        called_real=np.array([file.outcome is Outcome.AUTHENTIC for file in scored]),
        units=np.array([file.unit for file in scored]),
        ranks=scores,
    )


def table(validation: Validation) -> str:
    """Return the result as a plain-text table."""
    measures, summary = validation.measures, validation.summary
    lines = [
        f"Effort     {validation.effort or 'none (a model was named)'}",
        f"Model      {validation.model_id} (weights {validation.weights_sha256[:8]}, verified)",
        f"Files      {summary.files}: {measures.n_real} authentic and {measures.n_fake} manipulated were scored, "
        f"{summary.units} independent units",
    ]
    for name, counts in summary.unscored.items():
        if counts.not_applicable or counts.error:
            lines.append(f"Unscored   in {name}: {counts.not_applicable} not applicable, {counts.error} errors")
    lines += ["", f"{'Measure':<30}  {'value':>6}  95 % interval"]
    for key, name in NAMES.items():
        estimate, name = getattr(measures, key), name[:1].upper() + name[1:]
        interval = "too few for an interval" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"
        if estimate.value is None:
            lines.append(f"{name:<30}  {'-':>6}  nothing to measure")
        else:
            lines.append(f"{name:<30}  {estimate.value:>6.3f}  {interval}")
    return "\n".join(lines)


def write(validation: Validation, folder: Path) -> list[Path]:
    """Write ``validation.json``, ``predictions.csv`` and the plots into a folder.

    Raises:
        UsageError: the folder cannot be written, or already contains a file with one of these names.
    """
    names = {label: name for name, label in FOLDERS.items()}
    rows = [
        (
            printable_name(file.path.as_posix()),
            file.sha256,
            names[file.label],
            file.outcome.value,
            file.score,
            printable_name(file.reason),
        )
        for file in validation.files
    ]
    curves = {validation.model_id: curves_of(_decisions(validation.scored))}
    contents = (
        to_csv(("path", "sha256", "label", "outcome", "score", "reason"), rows).encode(ENCODING),
        plots.roc(curves),
        plots.reliability(curves),
        plots.tippett(curves),
        f"{validation.to_json()}\n".encode(),
    )
    return publish(dict(zip(WRITTEN, contents, strict=True)), folder)
