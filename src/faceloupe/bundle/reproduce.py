"""Reproduction of a bundle: its evidence is scored again, and the scores are compared with those in its reports."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.bundle import contents, format
from faceloupe.bundle.format import Manifest
from faceloupe.bundle.reader import Archive
from faceloupe.config import Sampling, Settings
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.media.evidence_file import open_evidence
from faceloupe.report.build import build
from faceloupe.report.case_schema import ItemRecord
from faceloupe.report.schema import Report
from faceloupe.system import temp
from faceloupe.types import Progress

TOLERANCE = 1e-3  # largest difference of a score; other processors and libraries round differently

_LIMITS = ("max_bytes", "max_pixels", "max_decoder_bytes", "max_decoder_s")  # they do not change a score


@dataclass(frozen=True, slots=True)
class _Score:
    """The values that are compared for a file, a face or a track, or a face in one frame."""

    outcome: str | None
    score: float | None
    logit: float | None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The reproduction of one item.

    Attributes:
        sha256: SHA-256 of the item.
        name: name of the item.
        score_difference: largest difference between an old and a new score of the item; None if none were compared.
        logit_difference: largest difference between an old and a new logit of the item; None if none were compared.
        versions: versions that differ between then and now, such as "torch 2.1, now 2.2".
        problem: why the item is not reproduced, one sentence; empty if it is.
    """

    sha256: str
    name: str
    score_difference: float | None = None
    logit_difference: float | None = None
    versions: tuple[str, ...] = ()
    problem: str = ""


def reproduce(
    stream: BinaryIO, *, folder: Path | None = None, progress: Progress | None = None
) -> Iterator[Reproduction]:
    """Score each item again with the settings of its report, and compare the results.

    The report is that of the run with the finding of the item, or of its last run if there is none.

    Args:
        stream: stream of a verified bundle.
        folder: folder with evidence that the bundle lacks; files are matched by their hash.
        progress: called with the stage and the share done, 0..1.

    Yields:
        The result of each item; items without a run are skipped.

    Raises:
        UsageError: the folder does not exist.
    """
    archive = Archive(stream)
    files = {} if folder is None else _hashed(folder, progress)
    loaded: dict[Settings, Networks] = {}
    for item in contents.items(archive, Manifest.from_bytes(archive.read(format.MANIFEST)).format):
        if not item.runs:
            continue
        with tempfile.TemporaryDirectory(prefix=temp.prefix("evidence")) as temporary:
            try:
                path = _evidence(archive, item.sha256, files, Path(temporary))
                yield _reproduce_item(item, path, loaded, progress)
            except FaceLoupeError as problem:
                yield Reproduction(item.sha256, item.name, problem=str(problem))


def _hashed(folder: Path, progress: Progress | None) -> dict[str, Path]:
    """Return the files in a folder and its subfolders by their SHA-256."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; give the folder that contains the evidence.")
    paths, hashes = [path for path in sorted(folder.rglob("*")) if path.is_file()], {}
    for number, path in enumerate(paths, 1):
        try:
            with path.open("rb") as stream:
                hashes[hashlib.file_digest(stream, "sha256").hexdigest()] = path
        except OSError:  # a file that cannot be read cannot match
            continue
        if progress:
            progress("Hashing", number / len(paths))
    return hashes


def _evidence(archive: Archive, sha256: str, files: Mapping[str, Path], folder: Path) -> Path:
    """Return the path of the evidence with this hash; evidence in the bundle is copied to ``folder``."""
    name = format.evidence_name(sha256)
    if name not in archive.sizes:
        if sha256 not in files:
            raise UsageError("Its evidence is neither in the bundle nor in a folder given with --evidence.")
        return files[sha256]
    path = folder / sha256
    try:
        with path.open("xb") as stream:
            for chunk in archive.chunks(name):
                stream.write(chunk)
    except OSError as problem:
        raise UsageError(
            f"Its evidence cannot be written to {folder} ({problem.strerror}); free some space there."
        ) from None
    return path


def _reproduce_item(
    item: ItemRecord, path: Path, loaded: dict[Settings, Networks], progress: Progress | None
) -> Reproduction:
    run = item.finding_run or item.runs[-1]
    before = run.report
    settings = _settings(before)
    loading = settings.with_sampling(Sampling())  # the networks do not depend on the sampling
    if loading not in loaded:
        loaded.clear()
        loaded[loading] = Networks.load(loading)
    evidence_file = open_evidence(path, max_bytes=settings.max_bytes)
    if evidence_file.evidence.sha256 != item.sha256:
        raise UsageError("Its evidence changed while it was read; try again.")
    # A pass with heatmaps sums in another order than a pass without them, so the last digits would differ.
    explain = any("heatmap" in name for name in run.pictures)
    analysis = analyze(evidence_file, loaded[loading], sampling=settings.sampling, explain=explain, progress=progress)
    return _compared(item, before, build(analysis))


def _settings(report: Report) -> Settings:
    """Return the settings of the report, with limits no higher than those of this machine.

    Anybody can sign a bundle, so its own limits do not protect this machine.

    Raises:
        UsageError: this version does not have these settings.
    """
    try:
        then = Settings.of_report(msgspec.to_builtins(report.settings))
    except (KeyError, TypeError, ValueError):
        raise UsageError("The settings of its report are not those of this version.") from None
    here = Settings.from_environment()
    return replace(then, **{name: min(getattr(then, name), getattr(here, name)) for name in _LIMITS})


def _compared(item: ItemRecord, before: Report, after: Report) -> Reproduction:
    same = Reproduction(item.sha256, item.name, versions=tuple(_differences(before, after)))
    if before.outcome != after.outcome:
        return replace(same, problem=f"Its outcome was {before.outcome} and is now {after.outcome}.")
    then, now = _scores(before), _scores(after)
    if then.keys() != now.keys():
        return replace(same, problem="Other faces were found, or faces in other frames.")
    pairs = [(score, now[name]) for name, score in then.items()]
    if any(old.outcome != new.outcome or (old.score is None) != (new.score is None) for old, new in pairs):
        return replace(same, problem="The outcome of one of its faces differs.")
    if all(old.score is None for old, _ in pairs):
        return same
    score = max(_distance(old.score, new.score) for old, new in pairs)
    logit = max(_distance(old.logit, new.logit) for old, new in pairs)
    problem = f"Its scores differ by more than {TOLERANCE:g}." if score > TOLERANCE else ""
    return replace(same, score_difference=score, logit_difference=logit, problem=problem)


def _distance(old: float | None, new: float | None) -> float:
    return 0.0 if old is None or new is None else abs(old - new)


def _scores(report: Report) -> dict[str, _Score]:
    """Return all scores of a report: of the file, of each face or track, and of each face in each frame."""
    scores = {"file": _Score(report.outcome, report.score, None)}
    for face in report.faces:
        scores[f"face {face.id}"] = _Score(face.outcome, face.score, face.raw_logit)
    for frame in report.frames:
        for seen in frame.faces:
            scores[f"frame {frame.index} face {seen.id}"] = _Score(None, seen.score, seen.raw_logit)
    return scores


def _differences(before: Report, after: Report) -> Iterator[str]:
    """Yield the versions that differ between two reports."""
    then, now = before.tool, after.tool
    yield from _difference("tool version", then.version, now.version)
    yield from _difference("tool git_commit", then.git_commit, now.git_commit)
    yield from _difference("tool modified", then.modified, now.modified)
    yield from _difference("model id", before.model.id, after.model.id)
    yield from _difference("model weights_sha256", before.model.weights_sha256, after.model.weights_sha256)
    yield from _difference("model record_sha256", before.model.record_sha256, after.model.record_sha256)
    yield from _difference("model calibrator_id", before.model.calibrator_id, after.model.calibrator_id)
    for name in sorted(then.libraries.keys() | now.libraries.keys()):
        yield from _difference(name, then.libraries.get(name), now.libraries.get(name))


def _difference(name: str, then: object, now: object) -> Iterator[str]:
    if then != now:
        yield f"{name} {then}, now {now}"
