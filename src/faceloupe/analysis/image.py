"""Analysis of an image: every face is found, scored and explained."""

from collections.abc import Sequence
from dataclasses import replace

from faceloupe.analysis.networks import (
    Candidate,
    Networks,
    Pass,
    RunContext,
    candidate,
    finding,
    in_natural_proportions,
)
from faceloupe.analysis.results import Analysis, Canvas, Timing
from faceloupe.config import Settings
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.faces.upright import find
from faceloupe.findings import FaceFinding
from faceloupe.media.evidence import Picture
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sandbox.image import Decode, decode
from faceloupe.scoring.classifier import FaceScorer
from faceloupe.scoring.decision import of_image, withhold_if_flawed


def examine(
    evidence_file: EvidenceFile,
    networks: Networks,
    *,
    settings: Settings,
    explain: bool,
    context: RunContext,
    decode: Decode = decode,
) -> Analysis:
    """Analyze an image.

    Args:
        evidence_file: the image.
        networks: the loaded networks.
        settings: settings of this analysis.
        explain: whether to make heatmaps.
        context: reports progress, checks for cancellation and times the steps.
        decode: function that decodes the image; see ``media.sandbox.image.decode``.

    Raises:
        EvidenceError: the image cannot be decoded.
        Cancelled: the caller cancelled the analysis.
    """
    context.step("Decoding", 0.1)
    picture = decode(evidence_file, settings=settings, check=context.check)
    height, width = picture.rgb.shape[:2]
    evidence = replace(evidence_file.evidence, width=width, height=height)
    decode_s = context.lap()
    context.step("Finding faces", 0.2)
    borderless = BorderlessPicture.find_in(picture.rgb)
    detected = find(borderless.rgb, networks.detector)
    detect_s = context.lap()
    candidates = [candidate(face, borderless, networks.scorer) for face in detected]
    candidates = _restored(candidates, borderless, networks.scorer, context)
    passes = _run(candidates, networks.scorer, explain, context)
    explain_s = context.lap() if explain else 0.0
    findings = [finding(number, *pair, networks.scorer) for number, pair in enumerate(zip(candidates, passes), 1)]
    findings = [
        withhold_if_flawed(face_finding, unshown=picture.unshown, damage=picture.damage, coarse=picture.coarse)
        for face_finding in findings
    ]
    smallest = networks.detector.min_detectable_px(width, height)
    outcome, reason, decisive = of_image(findings, smallest_px=smallest)
    timing = Timing(decode_s, detect_s, context.lap(), explain_s, context.total)
    return Analysis(
        evidence,
        networks.scorer.record,
        networks.scorer.components,
        settings,
        outcome,
        reason,
        timing,
        decisive=decisive,
        notes=(*picture.notes, *_embedded(picture), *_ground(borderless), *_turns(findings), *_stretches(findings)),
        embedded=picture.embedded,
        shown=picture.shown,
        canvas=Canvas.of(picture.rgb),
        faces=tuple(findings),
    )


def _embedded(picture: Picture) -> list[str]:
    return [
        f"Besides its picture, the file holds {piece.kind}: {piece.size:,} bytes from byte {piece.offset:,}; "
        "not analyzed."
        for piece in picture.embedded
    ]


def _ground(borderless: BorderlessPicture) -> list[str]:
    if not borderless.has_ground:
        return []
    turned = f", turned by {-borderless.turned_deg:.0f} degrees," if borderless.turned_deg else ""
    return [f"The picture lies{turned} on a ground of one color; the ground was left out."]


def _turns(faces: Sequence[FaceFinding]) -> list[str]:
    return [
        f"Face {face.id} is tilted by {face.roll_deg:.0f} degrees (clockwise is positive); "
        "it was turned upright before scoring."
        for face in faces
        if face.turned_deg
    ]


def _stretches(faces: Sequence[FaceFinding]) -> list[str]:
    return [
        f"Face {face.id} is shown about {face.stretch:.2f} times as wide as it is; "
        "its proportions were restored before scoring."
        for face in faces
        if face.stretch != 1.0
    ]


def _restored(
    candidates: list[Candidate], picture: BorderlessPicture, scorer: FaceScorer, context: RunContext
) -> list[Candidate]:
    """Restore the natural proportions of the candidates that passed the quality gates."""
    restored = []
    for cut_out in candidates:
        context.check()
        restored.append(cut_out if cut_out.quality.problem else in_natural_proportions(cut_out, picture, scorer))
    return restored


def _run(candidates: list[Candidate], scorer: FaceScorer, explain: bool, context: RunContext) -> list[Pass]:
    """Score the candidates that passed the quality gates: one by one with heatmaps, otherwise in one batch."""
    fit = [number for number, cut_out in enumerate(candidates) if not cut_out.quality.problem]
    passes: list[Pass] = [None] * len(candidates)
    if explain:
        for done, number in enumerate(fit):
            context.step(f"Scoring face {done + 1} of {len(fit)}", 0.4 + 0.6 * done / len(fit))
            passes[number] = scorer.explained(candidates[number].views)
    elif fit:
        context.step(f"Scoring {len(fit)} faces", 0.4)
        for number, reading in zip(fit, scorer.readings([candidates[n].views for n in fit]), strict=True):
            passes[number] = reading, None
    return passes
