"""What jobs do. They run in another thread: nothing here may touch Streamlit, so everything is passed in."""

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

_COPIES, _COPY_S = 8, 600.0  # annotated copies that are kept, and seconds that each is kept at least
_LENS_SIDE = 1600  # pixels of the longer side that the pictures of lenses are shown at, at most
_NAMED = 3  # problems that are named in full


def key_of(evidence_file: EvidenceFile, weights_sha256: str, settings: Settings) -> AnalysisKey:
    """Key of the analysis of a file."""
    digest = hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode()).hexdigest()
    return AnalysisKey(evidence_file.evidence.sha256, evidence_file.evidence.name, weights_sha256, digest)


def take_path(path: Path, max_bytes: int) -> OpenFile:
    """Take in a file on disk."""
    return lambda step: open_evidence(path, max_bytes=max_bytes, step=step)


def take_upload(content: bytes, name: str, max_bytes: int) -> OpenFile:
    """Take in an upload."""
    return lambda _: evidence_from_bytes(content, name, max_bytes=max_bytes)


def analyze_image_job(
    evidence_file: EvidenceFile,
    networks: Networks,
    store: AnalysisStore,
    *,
    progress: Progress,
    cancel: Cancel,
) -> AnalysisKey:
    """Analyze a photo that was taken in already, and put the analysis where the sessions find it.

    Raises:
        EvidenceError: the file holds a video.
        FaceLoupeError: see ``pipeline.analyze``.
    """
    name, file_format = evidence_file.evidence.name, evidence_file.evidence.format
    if evidence_file.evidence.media_type == "video":
        raise EvidenceError(f"{name} is a video ({file_format}), not an image; analyze it on the page Video.")
    key = key_of(evidence_file, networks.scorer.record.weights_sha256, networks.settings)
    analysis = store.get(key)
    if analysis is None:
        analysis = ReportedAnalysis.of(analyze(evidence_file, networks, progress=progress, cancel=cancel))
    store.put(key, analysis, evidence_file)  # of the same bytes, this file is the one that can be read now
    return key


def look_through_lenses(
    evidence_file: EvidenceFile,
    settings: Settings,
    store: LensStore,
    networks: Networks | None = None,
    *,
    progress: Progress,
    cancel: Cancel,
) -> LensKey:
    """Look at a file through the lenses, and put what they found where the sessions find it.

    Args:
        evidence_file: the file.
        settings: with the limits.
        store: of what was found.
        networks: that probe the robustness; None where it is not probed.
        progress: called with the title of the lens and the share done, 0..1.
        cancel: asked between the steps; True stops the work.

    Raises:
        EvidenceError: no lens can read the file.
        Cancelled: ``cancel`` said so.
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
    """Make a large picture smaller."""
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
    """Examine a video, and put the analysis where the sessions find it.

    Raises:
        EvidenceError: the file holds no video.
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
    store.put(key, analysis, evidence_file)  # likewise
    return key


def _refuse_images(evidence_file: EvidenceFile) -> None:
    name, file_format = evidence_file.evidence.name, evidence_file.evidence.format
    if file_format is None:
        kinds = ", ".join(sorted(VIDEO_FORMATS))
        raise EvidenceError(f"{name} contains no video in a supported format ({kinds}); export it as MP4.")
    if evidence_file.evidence.media_type != "video":
        raise EvidenceError(f"{name} is an image ({file_format}), not a video; analyze it on the page Image.")


def copy_path(folder: Path, key: AnalysisKey, language: str) -> Path:
    """Where the annotated copy of an examined video lies, or is going to, with its words in a language."""
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
    """Write the annotated copy of an examined video, and let go of the oldest copies.

    Args:
        key: of the analysis.
        store: that keeps it.
        path: of the copy, see ``copy_path``.
        language: of the words that are drawn in.
        settings: with the limits.
        progress: called with the stage and the share done, 0..1.
        cancel: asked before each frame; True stops the work.

    Raises:
        EvidenceError: the analysis is not kept any more, or the video is not what it was.
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
    """Make room for a new copy. Another job may do the same now, and a recent copy may still be offered somewhere."""
    copies = []
    for path in folder.glob("*.mp4"):
        with suppress(FileNotFoundError):
            copies.append((path.stat().st_mtime, path))
    for made, path in sorted(copies)[: max(0, len(copies) + 1 - _COPIES)]:
        if time.time() - made > _COPY_S:
            path.unlink(missing_ok=True)


def file_unseen(
    open_file: OpenFile,
    name: str,
    workflow: CaseWorkflow,
    networks: Networks,
    *,
    tr: Translate,
    progress: Progress,
    cancel: Cancel,
) -> str:
    """File a file to a case and analyze it there, telling nothing of what is found.

    Args:
        open_file: reads and hashes the file.
        name: of the file.
        workflow: of the case.
        networks: the loaded networks.
        tr: translates.
        progress: called with the stage and the share done, 0..1.
        cancel: asked between steps; True stops the work.

    Returns:
        What became of it, one sentence: evidence stays filed, whatever becomes of its analysis.

    Raises:
        Cancelled: before it was filed.
        FaceLoupeError: it cannot be filed.
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
    """Carry out a batch, or go on with it.

    Args:
        batch: what is examined.
        settings: of every analysis.
        networks: those of this process, for these settings.
        tr: translates.
        progress: called with the stage and the share done, 0..1.
        cancel: asked now and then; True ends the work.

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
    run_batch(batch.order(), settings, engine=engine, progress=report_progress, cancel=cancel)


@dataclass(frozen=True, slots=True)
class FileToFile:
    """A file that is to be filed to a case.

    Attributes:
        name: of the file.
        open_file: reads and hashes it.
        report: returns the report on it that was made already; None where it is to be analyzed.
    """

    name: str
    open_file: OpenFile
    report: Callable[[], Report | None] = lambda: None


def file_several(
    files: Sequence[FileToFile],
    workflow: CaseWorkflow,
    networks: Networks,
    *,
    seen: bool,
    tr: Translate,
    progress: Progress,
    cancel: Cancel,
) -> str:
    """File files to a case one after another, each with the report that was made of it, or analyzed there.

    Args:
        files: what is filed.
        workflow: of the case.
        networks: that scores what has no report.
        seen: whether the examiner saw the results; they are logged as seen then. Of unseen ones nothing is told.
        tr: translates.
        progress: called with the stage and the share done, 0..1.
        cancel: asked between files and stages.

    Returns:
        What became of them, one sentence.

    Raises:
        Cancelled: what was filed stays filed.
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
        sentence += tr(" The case had {known:,} of these results already.", known=known)
    if problems:
        sentence += tr(" Problems: {problems}", problems=" ".join(problems[:_NAMED]))
    if len(problems) > _NAMED:
        sentence += tr(" And {count:,} more.", count=len(problems) - _NAMED)
    return sentence
