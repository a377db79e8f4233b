"""What jobs do. They run in another thread: nothing here may touch Streamlit, so everything is passed in."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from faceloupe.analysis.pipeline import Cancel, Instruments, Progress, analyze
from faceloupe.analysis.prefetch import one_network_thread
from faceloupe.batch.api import carry_out
from faceloupe.batch.driver import Tally
from faceloupe.batch.store import Batch
from faceloupe.bundle.export import export_case
from faceloupe.cases.store import CaseStore
from faceloupe.cases.workflow import Desk, Take
from faceloupe.config import Settings
from faceloupe.errors import Cancelled, EvidenceError, FaceLoupeError
from faceloupe.media.evidence_file import VIDEO_FORMATS, Intake, take_in, take_in_bytes
from faceloupe.report.document.case import Letterhead
from faceloupe.report.drawing.annotated_video import write_annotated
from faceloupe.ui.caches import AnalysisKey, AnalysisStore

_COPIES = 8  # annotated copies that are kept
_NAMED = 3  # problems that are told in full


def key_of(intake: Intake, weights_sha256: str, settings: Settings) -> AnalysisKey:
    """Key of the analysis of a file."""
    digest = hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode()).hexdigest()
    return AnalysisKey(intake.evidence.sha256, intake.evidence.name, weights_sha256, digest)


def take_path(path: Path, max_bytes: int) -> Take:
    """Take in a file on disk."""
    return lambda step: take_in(path, max_bytes=max_bytes, step=step)


def take_upload(content: bytes, name: str, max_bytes: int) -> Take:
    """Take in an upload."""
    return lambda _: take_in_bytes(content, name, max_bytes=max_bytes)


def examine_still(
    intake: Intake,
    instruments: Instruments,
    store: AnalysisStore,
    *,
    settings: Settings,
    progress: Progress,
    cancel: Cancel,
) -> AnalysisKey:
    """Analyze a photo that was taken in already, and put the analysis where the sessions find it.

    Raises:
        EvidenceError: the file holds a video.
        FaceLoupeError: see ``pipeline.analyze``.
    """
    name, found = intake.evidence.name, intake.evidence.format
    if intake.evidence.media_type == "video":
        raise EvidenceError(f"{name} is a video ({found}), not a still picture; examine it on the page Video.")
    key = key_of(intake, instruments.scorer.record.weights_sha256, settings)
    analysis = store.get(key)
    if analysis is None:
        with one_network_thread():  # several jobs at once share the cores; threads within each would wait for others
            analysis = analyze(intake, instruments, settings=settings, progress=progress, cancel=cancel)
    store.put(
        key, analysis, intake
    )  # also what was there: of the same bytes, this file is the one that can be read now
    return key


def examine(
    take: Take,
    instruments: Instruments,
    store: AnalysisStore,
    *,
    settings: Settings,
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

    intake = take(hashed)
    _refuse_stills(intake)
    key = key_of(intake, instruments.scorer.record.weights_sha256, settings)
    analysis = store.get(key)
    if analysis is None:
        analysis = analyze(intake, instruments, settings=settings, progress=progress, cancel=cancel)
    store.put(key, analysis, intake)  # likewise
    return key


def _refuse_stills(intake: Intake) -> None:
    name, found = intake.evidence.name, intake.evidence.format
    if found is None:
        kinds = ", ".join(sorted(VIDEO_FORMATS))
        raise EvidenceError(f"{name} holds no video of a kind that can be read here ({kinds}); export it as MP4.")
    if intake.evidence.media_type != "video":
        raise EvidenceError(f"{name} is a still picture ({found}), not a video; examine it on the page Image.")


def copy_path(folder: Path, key: AnalysisKey) -> Path:
    """Where the annotated copy of an examined video lies, or is going to."""
    identity = json.dumps([key.evidence_sha256, key.name, key.weights_sha256, key.settings_digest])
    return folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.mp4"


def annotate(
    key: AnalysisKey, store: AnalysisStore, folder: Path, *, settings: Settings, progress: Progress, cancel: Cancel
) -> Path:
    """Write the annotated copy of an examined video, and let go of the oldest copies.

    Raises:
        EvidenceError: the analysis is not kept any more, or the video is not what it was.
        UsageError: the copy cannot be written.
    """
    analysis, intake, path = store.get(key), store.intake(key), copy_path(folder, key)
    if analysis is None or intake is None:
        raise EvidenceError(f"The result of {key.name} is not in memory any more; examine it anew.")
    if not path.exists():
        kept = sorted(folder.glob("*.mp4"), key=lambda one: one.stat().st_mtime_ns)
        for old in kept[: max(0, len(kept) + 1 - _COPIES)]:
            old.unlink()
        write_annotated(intake, analysis.report, path, progress=progress, cancel=cancel, settings=settings)
    return path


def write_bundle(
    store: CaseStore,
    case_id: str,
    examiner: str,
    letterhead: Letterhead,
    language: str,
    *,
    with_evidence: bool,
    progress: Progress,
    cancel: Cancel,
) -> str:
    """Write the bundle of a case into the data folder.

    Args:
        with_evidence: put the evidence into it, so that whoever has it can score it again.

    Returns:
        Where it lies, one sentence.

    Raises:
        Cancelled: there is no bundle then.
        FaceLoupeError: see ``export_case``.
    """

    def told(stage: str, share: float) -> None:
        if cancel():
            raise Cancelled("The export was cancelled.")
        progress(stage, share)

    path = store.folder / "exports" / f"faceloupe-case-{case_id}-{store.clock():%Y%m%dT%H%M%SZ}.zip"
    style = {"letterhead": letterhead, "language": language, "with_evidence": with_evidence}
    found = export_case(store, case_id, path, actor=examiner, progress=told, **style)
    return f"The bundle lies at {path}; the SHA-256 of its manifest is {found.manifest_sha256}."


def file_unseen(
    take: Take, name: str, desk: Desk, instruments: Instruments, *, progress: Progress, cancel: Cancel
) -> str:
    """File a file to a case and analyze it there, telling nothing of what is found.

    Args:
        name: of the file.

    Returns:
        What became of it, one sentence: evidence stays filed, whatever becomes of its analysis.

    Raises:
        Cancelled: before it was filed.
        FaceLoupeError: it cannot be filed.
    """

    def told(stage: str, share: float) -> None:
        if cancel():
            raise Cancelled("The filing was cancelled.")
        progress(stage, 0.1 * share)

    item = desk.file(take, name, progress=told)
    try:
        desk.analyze(item, instruments, progress=progress, cancel=cancel)
    except Cancelled:
        raise
    except FaceLoupeError as problem:
        return f"{item.name} was filed, but not analyzed: {problem}"
    return f"{item.name} was filed and analyzed; enter your decision on the page Case to see what was found."


def carry_out_batch(batch: Batch, settings: Settings, *, progress: Progress, cancel: Cancel) -> None:
    """Carry out a batch, or go on with it.

    Raises:
        FaceLoupeError: see ``batch.api.carry_out``.
    """

    def told(tally: Tally) -> None:
        whole = "" if tally.total is None else f" of {max(tally.total, tally.done):,}"
        rate = "" if tally.rate is None else f", {tally.rate:.1f} files a second"
        progress(f"{tally.done:,}{whole} done{rate}", tally.share or 0.0)

    carry_out(batch.order(), settings, progress=told, cancel=cancel)


def file_rows(
    takes: Sequence[tuple[str, Callable[[], Intake]]],
    desk: Desk,
    instruments: Instruments,
    *,
    progress: Progress,
    cancel: Cancel,
) -> str:
    """File files to a case one after another, and analyze each there with its heatmaps.

    Args:
        takes: name of each file, and what takes it in.

    Returns:
        What became of them, one sentence.

    Raises:
        Cancelled: what was filed stays filed.
    """
    filed, problems = 0, []
    for number, (name, take) in enumerate(takes):
        if cancel():
            raise Cancelled("The filing was cancelled.")

        def told(stage: str, share: float, number: int = number, name: str = name) -> None:
            progress(f"{name}: {stage}", (number + share) / len(takes))

        try:
            item = desk.file(lambda _, take=take: take(), name, progress=told)
            filed += 1
            desk.analyze(item, instruments, progress=told, cancel=cancel)
            desk.store.view_score(desk.case_id, item.sha256, examiner=desk.actor)  # the table of the batch showed it
        except Cancelled:
            raise
        except FaceLoupeError as problem:
            problems.append(f"{name}: {problem}")
    told = f"{filed} of {len(takes)} files were filed and analyzed."
    return (
        told
        if not problems
        else f"{told} Not so: {' '.join(problems[:_NAMED])}"
        + (f" And {len(problems) - _NAMED} more." if len(problems) > _NAMED else "")
    )
