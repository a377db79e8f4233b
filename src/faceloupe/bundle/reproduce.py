"""Scoring the evidence of a bundle anew, and holding the scores against those that were reported."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from faceloupe.analysis.pipeline import Analyzer, analyze
from faceloupe.bundle import format
from faceloupe.bundle import stream as case_text
from faceloupe.bundle.reader import Archive
from faceloupe.config import Sampling, Settings
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.media.evidence_file import open_evidence
from faceloupe.report.document.exhibits import finding_run
from faceloupe.system import temp
from faceloupe.types import Progress

TOLERANCE = 1e-3  # of a score; other processors and libraries round differently

_LIMITS = ("max_bytes", "max_pixels", "max_decoder_bytes", "max_decoder_s")  # none of which changes a score

Report = Mapping[str, Any]
_Scores = dict[str, tuple[str | None, float | None, float | None]]  # of a face: outcome, score, logit


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What became of one item.

    Attributes:
        score_difference: the largest of all its faces and frames; None where nothing was compared.
        logit_difference: likewise.
        versions: what differs between then and now, such as "torch 2.1, now 2.2".
        problem: why it is not reproduced, one sentence; empty where it is.
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
    """Score the run of each item that says what was found anew, with the settings of its report.

    Args:
        stream: of a bundle that was verified.
        folder: where evidence that the bundle lacks is looked for, by its hash.
        progress: called with the stage and the share done, 0..1.

    Yields:
        An item after the other; those that no run is known of are left out.

    Raises:
        UsageError: there is no such folder.
    """
    archive = Archive(stream)
    found = {} if folder is None else _hashed(folder, progress)
    loaded: dict[Settings, Analyzer] = {}
    for part in case_text.parts(archive.lines(format.CASE)):
        if not isinstance(part, case_text.Item) or not part.value["runs"]:
            continue
        item = part.value
        with tempfile.TemporaryDirectory(prefix=temp.prefix("evidence")) as temporary:
            try:
                path = _evidence(archive, item["sha256"], found, Path(temporary))
                yield _one(item, path, loaded, progress)
            except FaceLoupeError as problem:
                yield Reproduction(item["sha256"], item["name"], problem=str(problem))


def _hashed(folder: Path, progress: Progress | None) -> dict[str, Path]:
    """The files of a folder by their SHA-256."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; give the folder that contains the evidence.")
    paths, hashes = [path for path in sorted(folder.rglob("*")) if path.is_file()], {}
    for number, path in enumerate(paths, 1):
        try:
            with path.open("rb") as stream:
                hashes[hashlib.file_digest(stream, "sha256").hexdigest()] = path
        except OSError:  # a file that cannot be read is none of those that are found
            continue
        if progress:
            progress("Hashing", number / len(paths))
    return hashes


def _evidence(archive: Archive, sha256: str, found: Mapping[str, Path], folder: Path) -> Path:
    """A file with the evidence of this hash; what is taken from the bundle is put into a folder."""
    name = format.evidence_name(sha256)
    if name not in archive.sizes:
        if sha256 not in found:
            raise UsageError("Its evidence is neither in the bundle nor in a folder given with --evidence.")
        return found[sha256]
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


def _one(item: Report, path: Path, loaded: dict[Settings, Analyzer], progress: Progress | None) -> Reproduction:
    run = finding_run(item["runs"])
    before = run["report"]
    settings = _settings(before)
    networks = settings.sampled(Sampling())  # these do not depend on the frames
    if networks not in loaded:
        loaded.clear()
        loaded[networks] = Analyzer.load(networks)
    evidence_file = open_evidence(path, max_bytes=settings.max_bytes)
    if evidence_file.evidence.sha256 != item["sha256"]:
        raise UsageError("Its evidence changed while it was read; try again.")
    # A pass that explains adds up in another order than one that does not: the last digits would differ.
    explain = any("heatmap" in name for name in run["pictures"])
    after = analyze(
        evidence_file, loaded[networks], sampling=settings.sampling, explain=explain, progress=progress
    ).report
    return _compared(item, before, after)


def _settings(report: Report) -> Settings:
    """Those of the report; but anybody can sign a bundle, so the limits that protect this machine are its own too."""
    try:
        then = Settings.of_report(report["settings"])
    except (KeyError, TypeError, ValueError):
        raise UsageError("The settings of its report are not those of this version.") from None
    here = Settings.from_environment()
    return replace(then, **{name: min(getattr(then, name), getattr(here, name)) for name in _LIMITS})


def _compared(item: Report, before: Report, after: Report) -> Reproduction:
    then, now = _scores(before), _scores(after)
    versions = tuple(_differences(before, after))
    identity = {"sha256": item["sha256"], "name": item["name"], "versions": versions}
    if before["outcome"] != after["outcome"]:
        return Reproduction(**identity, problem=f"Its outcome was {before['outcome']} and is now {after['outcome']}.")
    if then.keys() != now.keys():
        return Reproduction(**identity, problem="Other faces were found, or faces in other frames.")
    pairs = [(one, now[name]) for name, one in then.items()]
    if any(old[0] != new[0] or (old[1] is None) != (new[1] is None) for old, new in pairs):
        return Reproduction(**identity, problem="The outcome of one of its faces differs.")
    if all(old[1] is None for old, _ in pairs):
        return Reproduction(**identity)
    score, logit = (max(_distance(old[place], new[place]) for old, new in pairs) for place in (1, 2))
    problem = f"Its scores differ by more than {TOLERANCE:g}." if score > TOLERANCE else ""
    return Reproduction(**identity, score_difference=score, logit_difference=logit, problem=problem)


def _distance(old: float | None, new: float | None) -> float:
    return 0.0 if old is None or new is None else abs(old - new)


def _scores(report: Report) -> _Scores:
    """Every score of a report: of the file, of each face or track, and of each face in each frame."""
    scores: _Scores = {"file": (report["outcome"], report["score"], None)}
    for face in report["faces"]:
        scores[f"face {face['id']}"] = (face["outcome"], face["score"], face["raw_logit"])
    for frame in report.get("frames", ()):
        for face in frame["faces"]:
            scores[f"frame {frame['index']} face {face['id']}"] = (None, face["score"], face["raw_logit"])
    return scores


def _differences(before: Report, after: Report) -> Iterator[str]:
    """Every version that is not what it was, in words."""
    for part, names in (
        ("tool", ("version", "git_commit", "modified")),
        ("model", ("id", "weights_sha256", "record_sha256", "calibrator_id")),
    ):
        for name in names:
            yield from _difference(f"{part} {name}", before[part].get(name), after[part].get(name))
    libraries = before["tool"]["libraries"], after["tool"]["libraries"]
    for name in sorted(libraries[0].keys() | libraries[1].keys()):
        yield from _difference(name, libraries[0].get(name), libraries[1].get(name))


def _difference(name: str, then: object, now: object) -> Iterator[str]:
    if then != now:
        yield f"{name} {then}, now {now}"
