"""The functions that jobs run. They run in other threads without Streamlit, so all inputs are arguments."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.batch.api import run_batch
from faceloupe.batch.driver import BatchProgress
from faceloupe.batch.executors.local import cores
from faceloupe.batch.executors.warm import WarmEngine
from faceloupe.batch.store import Batch
from faceloupe.cases.workflow import CaseWorkflow, OpenFile
from faceloupe.config import Settings
from faceloupe.errors import Cancelled, EvidenceError, FaceLoupeError
from faceloupe.forensics.registry import LENSES, ROBUSTNESS
from faceloupe.forensics.registry import examine as examine_with_lenses
from faceloupe.forensics.source import FaceModel, LensSource
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, open_evidence
from faceloupe.media.formats import VIDEO_FORMATS
from faceloupe.report.build import ReportedAnalysis
from faceloupe.report.drawing.annotated_video import write_annotated
from faceloupe.report.schema import Report
from faceloupe.types import Cancel, Outcome, Progress
from faceloupe.ui.caches import AnalysisKey, AnalysisStore, LensKey, LensStore, LensView
from faceloupe.ui.language import Translate

_COPIES, _COPY_S = 8, 600.0  # annotated copies to keep, and the shortest time to keep each, seconds
_LENS_SIDE = 1600  # pixels: longer side of the pictures of lenses, at most
_NAMED = 3  # problems quoted in full


def key_of(evidence_file: EvidenceFile, weights_sha256: str, settings: Settings) -> AnalysisKey:
    """Return the key of the analysis of a file."""
    digest = hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode()).hexdigest()
    return AnalysisKey(evidence_file.evidence.sha256, evidence_file.evidence.name, weights_sha256, digest)


def take_path(path: Path, max_bytes: int) -> OpenFile:
    """Return a function that opens a file on disk as evidence."""
    return lambda step: open_evidence(path, max_bytes=max_bytes, step=step)


def take_upload(content: bytes, name: str, max_bytes: int) -> OpenFile:
    """Return a function that opens an upload as evidence."""
    return lambda _: evidence_from_bytes(content, name, max_bytes=max_bytes)


def analyze_image_job(
    evidence_file: EvidenceFile,
    networks: Networks,
    store: AnalysisStore,
    *,
    progress: Progress,
    cancel: Cancel,
) -> AnalysisKey:
    """Analyze an open photo, store the analysis for the sessions, and return its key.

    Raises:
        EvidenceError: the file is a video.
        FaceLoupeError: see ``pipeline.analyze``.
    """
    name, file_format = evidence_file.evidence.name, evidence_file.evidence.format
    if evidence_file.evidence.media_type == "video":
        raise EvidenceError(f"{name} is a video ({file_format}), not an image; analyze it on the page Video.")
    key = key_of(evidence_file, networks.scorer.record.weights_sha256, networks.settings)
    analysis = store.get(key)
    if analysis is None:
        analysis = ReportedAnalysis.of(analyze(evidence_file, networks, progress=progress, cancel=cancel))
    store.put(key, analysis, evidence_file)  # an earlier file of the same bytes may no longer be readable
    return key


def run_lenses(
    evidence_file: EvidenceFile,
    settings: Settings,
    store: LensStore,
    networks: Networks | None = None,
    *,
    progress: Progress,
    cancel: Cancel,
) -> LensKey:
    """Examine a file with the lenses, store the result for the sessions, and return its key.

    Args:
        evidence_file: the file.
        settings: settings with the limits.
        store: store for the result.
        networks: networks that probe the robustness; None skips the probe.
        progress: called with the title of the lens and the share done, 0..1.
        cancel: called between the steps; True stops the work.

    Raises:
        EvidenceError: no lens can read the file.
        Cancelled: ``cancel`` returned True.
    """

    def check() -> None:
        if cancel():
            raise Cancelled("The lenses were cancelled.")

    evidence = evidence_file.evidence
    key = LensKey(evidence.sha256, evidence.name, networks.scorer.record.weights_sha256 if networks else "")
    if store.get(key) is None:
        model = FaceModel(networks.detector, networks.scorer) if networks else None
        source = LensSource(evidence_file, settings=settings, face_model=model, check=check)
        lenses = (*LENSES, ROBUSTNESS) if model else LENSES
        analysis = examine_with_lenses(source, progress=progress, cancel=cancel, lenses=lenses)
        original = _shown(source.picture.rgb) if analysis.pictures else None
        pictures = {
            picture.scale.name: replace(picture, levels=_shown(picture.levels)) for picture in analysis.pictures
        }
        store.put(key, LensView(evidence, analysis.report, original, pictures))
    return key


def _shown(values: np.ndarray) -> np.ndarray:
    """Return the picture, scaled down if it is large."""
    height, width = values.shape[:2]
    scale = _LENS_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return values if scale >= 1 else cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def examine(
    open_file: OpenFile,
    networks: Networks,
    store: AnalysisStore,
    *,
    progress: Progress,
    cancel: Cancel,
) -> AnalysisKey:
    """Analyze a video, store the analysis for the sessions, and return its key.

    Raises:
        EvidenceError: the file is not a video.
        FaceLoupeError: see ``pipeline.analyze``.
    """

    def hashed(share: float) -> None:
        if cancel():
            raise Cancelled("The analysis was cancelled.")
        progress("Hashing", 0.1 * share)

    evidence_file = open_file(hashed)
    _refuse_images(evidence_file)
    key = key_of(evidence_file, networks.scorer.record.weights_sha256, networks.settings)
    analysis = store.get(key)
    if analysis is None:
        analysis = ReportedAnalysis.of(analyze(evidence_file, networks, progress=progress, cancel=cancel))
    store.put(key, analysis, evidence_file)  # see analyze_image_job
    return key


def _refuse_images(evidence_file: EvidenceFile) -> None:
    name, file_format = evidence_file.evidence.name, evidence_file.evidence.format
    if file_format is None:
        kinds = ", ".join(sorted(VIDEO_FORMATS))
        raise EvidenceError(f"{name} contains no video in a supported format ({kinds}); export it as MP4.")
    if evidence_file.evidence.media_type != "video":
        raise EvidenceError(f"{name} is an image ({file_format}), not a video; analyze it on the page Image.")


def copy_path(folder: Path, key: AnalysisKey, language: str) -> Path:
    """Return the path of the annotated copy of a video in a language; the copy need not exist."""
    identity = json.dumps([key.evidence_sha256, key.name, key.weights_sha256, key.settings_digest, language])
    return folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.mp4"


def annotate(
    key: AnalysisKey,
    store: AnalysisStore,
    path: Path,
    *,
    language: str,
    settings: Settings,
    progress: Progress,
    cancel: Cancel,
) -> Path:
    """Write the annotated copy of a video unless it exists, remove the oldest copies, and return the path.

    Args:
        key: key of the analysis.
        store: store that holds the analysis.
        path: path of the copy, see ``copy_path``.
        language: language of the text in the copy.
        settings: settings with the limits.
        progress: called with the stage and the share done, 0..1.
        cancel: called before each frame; True stops the work.

    Raises:
        EvidenceError: the analysis is no longer cached, or the video has changed.
        UsageError: the copy cannot be written.
    """
    analysis, evidence_file = store.get(key), store.evidence_file(key)
    if analysis is None or evidence_file is None:
        raise EvidenceError(f"The result of {key.name} is no longer in memory; analyze it again.")
    if not path.exists():
        _remove_old_copies(path.parent)
        watched = partial(write_annotated, progress=progress, cancel=cancel)
        watched(evidence_file, analysis.report, path, settings=settings, language=language)
    return path


def _remove_old_copies(folder: Path) -> None:
    """Remove the oldest copies to make room for a new one.

    Another job may remove copies at the same time. Recent copies stay, because a page may still offer them.
    """
    copies = []
    for path in folder.glob("*.mp4"):
        with suppress(FileNotFoundError):
            copies.append((path.stat().st_mtime, path))
    for made, path in sorted(copies)[: max(0, len(copies) + 1 - _COPIES)]:
        if time.time() - made > _COPY_S:
            path.unlink(missing_ok=True)


def add_without_result(
    open_file: OpenFile,
    name: str,
    workflow: CaseWorkflow,
    networks: Networks,
    *,
    tr: Translate,
    progress: Progress,
    cancel: Cancel,
) -> str:
    """Add a file to a case and analyze it there, without revealing the result.

    Args:
        open_file: reads and hashes the file.
        name: name of the file.
        workflow: workflow of the case.
        networks: the loaded networks.
        tr: translation function.
        progress: called with the stage and the share done, 0..1.
        cancel: called between steps; True stops the work.

    Returns:
        One sentence on the outcome. The evidence stays filed even if its analysis fails.

    Raises:
        Cancelled: ``cancel`` returned True; the evidence may already be filed.
        FaceLoupeError: the file cannot be filed.
    """

    def report_progress(stage: str, share: float) -> None:
        if cancel():
            raise Cancelled("Filing was cancelled.")
        progress(stage, 0.1 * share)

    item = workflow.file(open_file, name, progress=report_progress)
    try:
        workflow.analyze(item, networks, progress=progress, cancel=cancel)
    except Cancelled:
        raise
    except FaceLoupeError as problem:
        return tr("{name} was filed but not analyzed: {problem}", name=item.name, problem=problem)
    return tr("{name} was filed and analyzed; enter your decision on the page Case to see the result.", name=item.name)


def run_batch_job(
    batch: Batch, settings: Settings, networks: Networks, *, tr: Translate, progress: Progress, cancel: Cancel
) -> None:
    """Run a batch, or resume it.

    Args:
        batch: the batch.
        settings: settings of every analysis.
        networks: the networks for these settings that this process has loaded.
        tr: translation function.
        progress: called with the stage and the share done, 0..1.
        cancel: called from time to time; True stops the work.

    Raises:
        FaceLoupeError: see ``batch.api.run_batch``.
    """

    def report_progress(batch_progress: BatchProgress) -> None:
        done, total = batch_progress.done, batch_progress.total
        stage = (
            tr("{done:,} done", done=done)
            if total is None
            else tr("{done:,} of {total:,} done", done=done, total=max(total, done))
        )
        if batch_progress.rate is not None:
            stage += tr(", {rate:.1f} files a second", rate=batch_progress.rate)
        if done <= batch_progress.resumed:
            stage = tr("Starting {count} worker processes: ", count=cores()) + stage
        progress(stage, batch_progress.share or 0.0)

    engine = partial(WarmEngine, networks=networks)
    run_batch(batch.spec(), settings, make_engine=engine, progress=report_progress, cancel=cancel)


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A file to be filed to a case.

    Attributes:
        name: name of the file.
        open_file: reads and hashes the file.
        report: returns an existing report on the file, or None if it must be analyzed.
    """

    name: str
    open_file: OpenFile
    report: Callable[[], Report | None] = lambda: None


def add_files(
    files: Sequence[PendingFile],
    workflow: CaseWorkflow,
    networks: Networks,
    *,
    seen: bool,
    tr: Translate,
    progress: Progress,
    cancel: Cancel,
) -> str:
    """Add files to a case one after another, each with its existing report or a new analysis.

    Args:
        files: the files.
        workflow: workflow of the case.
        networks: networks that score the files without a report.
        seen: whether the examiner has seen the results. If True, they are logged as seen; if False, the returned
            text reveals nothing about them.
        tr: translation function.
        progress: called with the stage and the share done, 0..1.
        cancel: called between files and stages; True stops the work.

    Returns:
        Text on the outcome, with the first problems.

    Raises:
        Cancelled: ``cancel`` returned True; files that were already filed stay filed.
    """
    filed = analyzed = known = 0
    problems: list[str] = []
    for number, file in enumerate(files):
        if cancel():
            raise Cancelled("Filing was cancelled.")

        def report_progress(stage: str, share: float, number: int = number, name: str = file.name) -> None:
            progress(f"{name}: {stage}", (number + share) / len(files))

        try:
            item = workflow.file(file.open_file, file.name, progress=report_progress)
            filed += 1
            report = file.report()
            if report is None:
                run = workflow.analyze(item, networks, progress=report_progress, cancel=cancel)
            else:
                earlier = {run.id for run in workflow.store.runs.of_item(workflow.case_id, item.sha256)}
                run = workflow.file_report(item, report)
                known += run.id in earlier
            if seen and run.outcome == Outcome.ERROR:
                problems.append(tr("{name} could not be analyzed; the page Case shows why.", name=file.name))
            else:
                analyzed += 1
            if seen:
                workflow.store.reviews.view_score(workflow.case_id, item.sha256, examiner=workflow.actor)
        except Cancelled:
            raise
        except FaceLoupeError as problem:
            problems.append(f"{file.name}: {problem}")
    sentence = (
        tr("{filed:,} of {count:,} files were filed and analyzed.", filed=filed, count=len(files))
        if filed == analyzed
        else tr(
            "{filed:,} of {count:,} files were filed, {analyzed:,} of them analyzed.",
            filed=filed,
            count=len(files),
            analyzed=analyzed,
        )
    )
    if known:
        sentence += tr(" The case already had {known:,} of these results.", known=known)
    if problems:
        sentence += tr(" Problems: {problems}", problems=" ".join(problems[:_NAMED]))
    if len(problems) > _NAMED:
        sentence += tr(" And {count:,} more.", count=len(problems) - _NAMED)
    return sentence
