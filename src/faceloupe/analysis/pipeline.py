"""``analyze``, the single entry point for the command line, the pages and the API."""

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
    """Analyze one file as an image or a video, depending on its content.

    Args:
        source: a path, or a file that is already open, such as an upload.
        networks: the networks, loaded with the device and limits to use.
        sampling: which frames of a video to analyze; None for the sampling in the settings of ``networks``.
        explain: whether to make heatmaps.
        progress: called with the stage and the share done, 0..1.
        cancel: called between steps; the analysis stops if it returns True.
        clock: returns seconds, to time the steps.
        decode: returns the picture of an image; callers that decode ahead pass their own function.

    Returns:
        The analysis. If the file cannot be decoded, its outcome is ``error`` and its reason says why.

    Raises:
        UsageError: the file does not exist, cannot be opened, or lacks the segment that the settings ask for.
        Cancelled: ``cancel`` returned True.
    """
    settings = networks.settings if sampling is None else networks.settings.with_sampling(sampling)
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
