"""The canonical report (schema version "1"): the one source of every number that any surface shows."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

from faceloupe import __version__
from faceloupe.config import Settings
from faceloupe.installation import git_checkout
from faceloupe.models.record import ModelRecord
from faceloupe.report import build_video
from faceloupe.scoring.calibration import verbal_equivalent
from faceloupe.types import AS_STORED, EmbeddedContent, Evidence, FaceFinding, Outcome, Shown, TrackFinding, corners

SCHEMA_VERSION = "1"
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
PROPOSITIONS = {
    "manipulated": "The face was generated or manipulated by a method of the kinds listed.",
    "authentic": "The face is as a camera recorded it, possibly recompressed.",
}
NOT_A_POSTERIOR = (
    "The score is not the probability of either proposition: that needs prior odds, which pixels do not hold."
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds spent. Where heatmaps are made, one pass scores and explains a face of a still, and counts as explaining.
    The stages of a video overlap, so that their sum may exceed the total."""

    decode_s: float = 0.0
    detect_s: float = 0.0
    score_s: float = 0.0
    explain_s: float = 0.0
    total_s: float = 0.0


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
    """Commit of the checkout this runs from; None outside one."""
    return _git("rev-parse", "HEAD")


@cache
def _modified() -> bool | None:
    """Whether tracked files differ from the commit, so that it does not name the code that ran; None outside one."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)


@cache
def _library_versions() -> dict[str, str]:
    return {name: metadata.version(package) for name, package in _LIBRARIES.items()}


def tool() -> dict[str, Any]:
    """Name, version, commit (and whether files were modified since) and libraries of this installation."""
    return {
        "name": "FaceLoupe",
        "version": __version__,
        "git_commit": git_commit(),
        "modified": _modified(),
        "libraries": dict(_library_versions()),
    }


def model(record: ModelRecord, components: Sequence[ModelRecord]) -> dict[str, Any]:
    """The model block of a report.

    Args:
        components: records of the networks that it is made of; itself where it is one.
    """
    rates = asdict(record.error_rates)
    rates["interval_95"] = {name: list(interval) for name, interval in record.error_rates.interval_95.items()}
    return {
        "id": record.id,
        "architecture": record.architecture,
        "components": [{"id": one.id, "weights_sha256": one.weights_sha256} for one in components],
        "weights_sha256": record.weights_sha256,
        "members": list(record.members),
        "record_sha256": record.sha256,
        "calibrator_id": record.calibrator.id,
        "calibrator": asdict(record.calibrator) | {"knots": [list(knot) for knot in record.calibrator.knots]},
        "thresholds": asdict(record.thresholds),
        "log10_lr_bounds": dict(zip(("lower", "upper"), record.log10_lr_bounds, strict=True)),
        "error_rates": rates,
        "explanation_max": record.explanation_max,
    }


def _face(face: FaceFinding) -> dict[str, Any]:
    return {
        "id": face.id,
        "box": corners(face.box),
        "crop_box": corners(face.crop_box),
        "detection_confidence": round(face.detection_confidence, 6),
        "size_px": round(face.size_px, 1),
        "roll_deg": round(face.roll_deg, 1),
        "turned_deg": round(face.turned_deg, 1),
        "sharpness": round(face.quality.sharpness, 2),
        "outcome": face.outcome.value,
        "reason": face.reason,
        "score": face.score,
        "raw_logit": face.raw_logit,
        "log10_lr": face.log10_lr,
        **build_video.by_parts(face),
        "heat_peak": None if face.heatmap is None else float(face.heatmap.max()),
        "first_s": None,
        "last_s": None,
        "frames_scored": 0 if face.score is None else 1,
    }


def _multiplicity(faces: Sequence[FaceFinding]) -> list[str]:
    scored = sum(face.score is not None for face in faces)
    if scored < 2:
        return []
    return [
        f"The outcome is that of the highest of {scored} scores. The error rates and the likelihood ratio are those of "
        "a single face: the more faces a picture has, the likelier one authentic face is called manipulated."
    ]


def build(
    evidence: Evidence,
    record: ModelRecord,
    settings: Settings,
    faces: Sequence[FaceFinding],
    *,
    components: Sequence[ModelRecord],
    outcome: Outcome,
    reason: str,
    decisive: FaceFinding | TrackFinding | None,
    notes: Sequence[str],
    timing: Timing,
    shown: Shown = AS_STORED,
    embedded: Sequence[EmbeddedContent] = (),
    seen: build_video.VideoAnalysis | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Build a report.

    Args:
        faces: of a still; none for a video.
        components: of the model, see ``model``.
        decisive: the face or the track whose score is the file's; None where nothing was scored.
        notes: what was done to the stored pixels before they were examined.
        shown: what was done to show the file as a viewer would.
        embedded: what a picture file holds behind its picture.
        seen: what was looked at in a video; None for a still.
        now: creation time; the present where None.

    Returns:
        The report as plain JSON values, without NaN.
    """
    log10_lr = decisive.log10_lr if decisive else None
    created = (now or datetime.now(UTC)).astimezone(UTC)
    return {
        "schema_version": SCHEMA_VERSION,
        "created_utc": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tool": tool(),
        "model": model(record, components),
        "evidence": asdict(evidence) | {"notes": list(notes), "embedded": [asdict(piece) for piece in embedded]},
        "outcome": outcome.value,
        "reason": reason,
        "score": decisive.score if decisive else None,
        "log10_lr": log10_lr,
        "verbal": None if log10_lr is None else verbal_equivalent(log10_lr),
        "propositions": PROPOSITIONS | {"kinds": record.manipulations},
        "scope": [NOT_A_POSTERIOR, *(build_video.scope(seen) if seen else _multiplicity(faces)), *record.limits],
        "faces": [build_video.track_entry(track) for track in seen.tracks] if seen else [_face(face) for face in faces],
        **(build_video.sections(seen) if seen else {}),
        "shown": asdict(shown),
        "settings": settings.as_dict()
        | {
            "crop_margins": list(record.input.views),
            "input_size": record.input.size,
            "gates": asdict(record.gates),
            **(build_video.settings() if seen else {}),
        },
        "timing": {key: round(value, 4) for key, value in asdict(timing).items()},
    }


def of_segment(report: Mapping[str, Any]) -> bool:
    """Whether a report is of a part of a video alone, as its settings asked for."""
    if "frames" not in report:
        return False
    settings = report["settings"]
    return build_video.segment(settings["from_s"], settings["to_s"], report["evidence"]["duration_s"]) is not None


def to_json(report: dict[str, Any]) -> str:
    """Text of a report: UTF-8, indented, never NaN."""
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
