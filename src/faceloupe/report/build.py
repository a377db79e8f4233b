"""The canonical report (schema version "1"): the source of every number that a page, document or command shows."""

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from functools import cache
from importlib import metadata
from typing import Any

import msgspec
from msgspec import UNSET

from faceloupe import __version__
from faceloupe.analysis.results import Analysis, Canvas
from faceloupe.faces.quality import TRACK_CONFIDENCE
from faceloupe.findings import FaceFinding, TrackFinding
from faceloupe.forensics.registry import LensReport
from faceloupe.forensics.results import LensSummary
from faceloupe.installation import git_checkout
from faceloupe.models.record import ComponentRecord, ModelRecord
from faceloupe.report.build_video import frames_of, people_of, rounded_box, track_of, video_scope
from faceloupe.report.schema import (
    SCHEMA_VERSION,
    Bounds,
    CalibratorInfo,
    Component,
    CutInfo,
    EmbeddedInfo,
    ErrorRatesInfo,
    Evidence,
    FamiliarityInfo,
    FileClaim,
    FileFact,
    FileLens,
    Gates,
    ImageFace,
    ModelInfo,
    OriginInfo,
    PropositionRatio,
    Propositions,
    ProvenanceInfo,
    RateIntervals,
    Report,
    ScoreThresholds,
    SettingsInfo,
    ShownAs,
    SizeRatesInfo,
    Timing,
    Tool,
    UnreadFrame,
    VideoFacts,
)
from faceloupe.scoring import aggregation
from faceloupe.scoring.verbal import verbal_equivalent

_LIBRARIES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "facenet_pytorch": "facenet-pytorch",
    "opencv": "opencv-python-headless",
    "pillow": "pillow",
    "pillow_heif": "pillow-heif",
    "grad_cam": "grad-cam",
    "numpy": "numpy",
    "av": "av",
}
MANIPULATED = "The face was generated or manipulated by a method of the kinds listed."
AUTHENTIC = "The face is as a camera recorded it, possibly recompressed."
NOT_A_POSTERIOR = (
    "The score is not the probability of either proposition: that needs prior odds, which pixels do not hold."
)


def _git(*arguments: str) -> str | None:
    checkout = git_checkout()
    if checkout is None:
        return None
    try:
        command = ["git", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def git_commit() -> str | None:
    """Return the commit of the checkout that this code runs from; None outside a checkout."""
    return _git("rev-parse", "HEAD")


@cache
def _modified() -> bool | None:
    """Return whether tracked files differ from the commit; None outside a checkout.

    If they differ, the commit does not identify the code that ran.
    """
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)


@cache
def _library_versions() -> dict[str, str]:
    return {name: metadata.version(package) for name, package in _LIBRARIES.items()}


def tool() -> Tool:
    """Return the name, version, commit and libraries of this installation, and whether files were modified."""
    return Tool(
        name="FaceLoupe",
        version=__version__,
        git_commit=git_commit(),
        modified=_modified(),
        libraries=dict(_library_versions()),
    )


def model(record: ModelRecord, components: Sequence[ModelRecord | ComponentRecord]) -> ModelInfo:
    """Return the model block of a report.

    Args:
        record: the record of the model.
        components: the records of its networks; the record of the model itself if it is a single network.
    """
    lower, upper = record.log10_lr_bounds
    rates = asdict(record.error_rates)
    return ModelInfo(
        id=record.id,
        architecture=record.architecture,
        components=tuple(Component(id=part.id, weights_sha256=part.weights_sha256) for part in components),
        weights_sha256=record.weights_sha256,
        members=record.members,
        record_sha256=record.sha256,
        calibrator_id=record.calibrator.id,
        calibrator=CalibratorInfo(**asdict(record.calibrator)),
        thresholds=ScoreThresholds(**asdict(record.thresholds)),
        log10_lr_bounds=Bounds(lower=lower, upper=upper),
        error_rates=ErrorRatesInfo(
            **rates
            | {
                "interval_95": RateIntervals(**rates["interval_95"]),
                "by_size": tuple(SizeRatesInfo(**counts) for counts in rates["by_size"]),
            }
        ),
        explanation_max=record.explanation_max,
    )


def _face(face: FaceFinding) -> ImageFace:
    return ImageFace(
        id=face.id,
        box=rounded_box(face.box),
        crop_box=None if face.crop_box is None else rounded_box(face.crop_box),
        detection_confidence=round(face.detection_confidence, 6),
        size_px=round(face.size_px, 1),
        roll_deg=round(face.roll_deg, 1),
        turned_deg=round(face.turned_deg, 1),
        stretch=round(face.stretch, 2),
        sharpness=round(face.quality.sharpness, 2),
        outcome=face.outcome,
        reason=face.reason,
        score=face.score,
        raw_logit=face.raw_logit,
        log10_lr=face.log10_lr,
        propositions=tuple(PropositionRatio(**asdict(part)) for part in face.propositions),
        familiarity=None if face.familiarity is None else FamiliarityInfo(**asdict(face.familiarity)),
        heatmap_peak=None if face.heatmap is None else float(face.heatmap.max()),
        first_s=None,
        last_s=None,
        frames_scored=0 if face.score is None else 1,
        yaw_deg=round(face.yaw_deg, 1),
        heatmap_in_face=None if face.heatmap_in_face is None else round(face.heatmap_in_face, 4),
    )


def _image_scope(faces: Sequence[FaceFinding]) -> list[str]:
    scored = sum(face.score is not None for face in faces)
    if scored < 2:
        return []
    return [
        f"The outcome is that of the highest of {scored} scores. The error rates and the likelihood ratio are those of "
        "a single face: the more faces a picture has, the likelier one authentic face is called manipulated."
    ]


def _settings(analysis: Analysis) -> SettingsInfo:
    record = analysis.record
    stated: dict[str, Any] = analysis.settings.as_dict()  # the keys are the names of the fields
    return SettingsInfo(
        **stated,
        crop_margins=record.input.views,
        input_size=record.input.size,
        gates=Gates(**record.as_dict()["gates"]),
        frame_memory_s=aggregation.MEMORY_S if analysis.video else UNSET,
        typical_spread=aggregation.TYPICAL_SPREAD if analysis.video else UNSET,
        frame_correlation=record.fusion.correlation if analysis.video and record.fusion else UNSET,
        frame_bias=record.fusion.bias if analysis.video and record.fusion else UNSET,
        track_confidence=TRACK_CONFIDENCE if analysis.video else UNSET,
    )


def _provenance(lenses: LensReport) -> ProvenanceInfo:
    claims = tuple(FileClaim(id=claim.id, severity=claim.severity, text=claim.text) for claim in lenses.findings)
    return ProvenanceInfo(state=lenses.provenance, signer=lenses.signer, generator=lenses.generator, claims=claims)


def _file_lens(lens: LensSummary) -> FileLens:
    return FileLens(
        id=lens.id,
        title=lens.title,
        does_not_show=lens.does_not_show,
        facts=tuple(FileFact(name=fact.name, value=fact.value) for fact in lens.facts),
        problem=lens.problem,
    )


def build(analysis: Analysis) -> Report:
    """Build the report of an analysis."""
    decisive, record, video = analysis.decisive, analysis.record, analysis.video
    log10_lr, origin = analysis.log10_lr, analysis.evidence.origin
    scope = video_scope(video, analysis.tracks, record.fusion) if video else _image_scope(analysis.faces)
    report = Report(
        schema_version=SCHEMA_VERSION,
        created_utc=analysis.ended.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        tool=tool(),
        model=model(record, analysis.components),
        evidence=Evidence(
            **(asdict(analysis.evidence) | {"origin": UNSET if origin is None else OriginInfo(**asdict(origin))}),
            notes=tuple(analysis.notes),
            embedded=tuple(EmbeddedInfo(**asdict(piece)) for piece in analysis.embedded),
        ),
        outcome=analysis.outcome,
        reason=analysis.reason,
        score=analysis.score,
        log10_lr=log10_lr,
        verbal=None if log10_lr is None else verbal_equivalent(log10_lr),
        decisive_id=decisive.id if decisive else None,
        segment=video.segment if video else None,
        propositions=Propositions(manipulated=MANIPULATED, authentic=AUTHENTIC, kinds=record.manipulations),
        scope=(NOT_A_POSTERIOR, *scope, *record.limits),
        faces=tuple(map(track_of, analysis.tracks)) if video else tuple(map(_face, analysis.faces)),
        shown=ShownAs(**asdict(analysis.shown)),
        settings=_settings(analysis),
        timing=Timing(**{stage: round(seconds, 4) for stage, seconds in asdict(analysis.timing).items()}),
        provenance=None if analysis.lenses is None else _provenance(analysis.lenses),
        lenses=() if analysis.lenses is None else tuple(map(_file_lens, analysis.lenses.lenses)),
    )
    if video is None:
        return report
    facts, rate = video.facts, video.facts.frame_rate
    return msgspec.structs.replace(
        report,
        video=VideoFacts(
            container=facts.container,
            codec=facts.codec,
            pixel_format=facts.pixel_format,
            rotation=facts.rotation,
            start_s=facts.start_s,
            variable_frame_rate=facts.variable_frame_rate,
            frame_rate=None if rate is None else f"{rate.numerator}/{rate.denominator}",
            audio=facts.audio,
        ),
        frames=frames_of(video, analysis.tracks),
        cuts=tuple(
            CutInfo(after_index=cut.after, before_index=cut.before, time_s=round(cut.time_s, 6)) for cut in video.cuts
        ),
        people=people_of(video),
        unread_frames=tuple(
            UnreadFrame(index=index, time_s=round(time_s, 6)) for index, time_s in video.unread.items()
        ),
    )


@dataclass(frozen=True, slots=True)
class ReportedAnalysis:
    """An analysis and its report.

    Attributes:
        report: the report of the analysis.
        analysis: findings and pixels.
    """

    report: Report
    analysis: Analysis

    @classmethod
    def of(cls, analysis: Analysis) -> "ReportedAnalysis":
        """Build the report of an analysis, and keep it together with the analysis."""
        return cls(build(analysis), analysis)

    @property
    def canvas(self) -> Canvas | None:
        """The canvas of an image, see ``Analysis``."""
        return self.analysis.canvas

    @property
    def faces(self) -> tuple[FaceFinding, ...]:
        """The findings in an image, see ``Analysis``."""
        return self.analysis.faces

    @property
    def tracks(self) -> tuple[TrackFinding, ...]:
        """The findings in a video, see ``Analysis``."""
        return self.analysis.tracks
