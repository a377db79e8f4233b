"""``analyze``: the one entry point of command line, pages and API."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from faceloupe.analysis import image, video
from faceloupe.analysis.frame import FrameExplanation, explain_frame
from faceloupe.analysis.networks import Networks, RunContext
from faceloupe.analysis.preview import Preview, previews
from faceloupe.analysis.results import Analysis, Timing
from faceloupe.config import Sampling
from faceloupe.errors import EvidenceError
from faceloupe.forensics.registry import read_file
from faceloupe.forensics.source import LensSource
from faceloupe.media.evidence_file import EvidenceFile, open_evidence
from faceloupe.media.sandbox.image import Decode, decode
from faceloupe.types import Cancel, Outcome, Progress

__all__ = [
    "Analysis",
    "Cancel",
    "FrameExplanation",
    "Networks",
    "Preview",
    "Progress",
    "analyze",
    "explain_frame",
    "previews",
]


def analyze(
    source: Path | EvidenceFile,
    networks: Networks,
    *,
    sampling: Sampling | None = None,
    explain: bool = True,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    clock: Callable[[], float] = time.perf_counter,
    decode: Decode = decode,
) -> Analysis:
    """Examine one file: an image or a video, whichever its content is.

    Args:
        source: a path, or a file that was opened already (an upload).
        networks: the networks, with the device and the limits that they were loaded for.
        sampling: of the frames of a video; that of their settings where None.
        explain: whether to make heatmaps.
        progress: called with the stage and the share done, 0..1.
        cancel: asked between steps; True stops the work.
        clock: returns seconds, for the timing of the steps.
        decode: gives the picture of an image, for whoever has it decoded ahead.

    Returns:
        Always an analysis; a file that cannot be decoded has the outcome ``error`` and the reason in it.

    Raises:
        UsageError: there is no such file, it cannot be opened, or the settings ask for what it does not have.
        Cancelled: ``cancel`` said so.
    """
    settings = networks.settings if sampling is None else networks.settings.sampled(sampling)
    context = RunContext(progress, cancel, clock)
    context.step("Hashing", 0.0)
    if isinstance(source, EvidenceFile):
        evidence_file = source
    else:
        evidence_file = open_evidence(
            source, max_bytes=settings.max_bytes, step=lambda share: context.step("Hashing", 0.1 * share)
        )
    lenses = read_file(LensSource(evidence_file, settings=settings, check=context.check))
    way = video.examine if evidence_file.evidence.media_type == "video" else partial(image.examine, decode=decode)
    try:
        analysis = way(evidence_file, networks, settings=settings, explain=explain, context=context)
        origin = evidence_file.evidence.origin
        notes = analysis.notes if origin is None else [origin.sentence, *analysis.notes]
        return replace(analysis, lenses=lenses, notes=notes)
    except EvidenceError as problem:
        return Analysis(
            evidence_file.evidence,
            networks.scorer.record,
            networks.scorer.components,
            settings,
            Outcome.ERROR,
            str(problem),
            Timing(total_s=context.total),
            lenses=lenses,
        )
