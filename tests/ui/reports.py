"""Findings and reports of invented videos, for tests of drawings."""

import io
import json
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from faceloupe.findings import FaceObservation, TrackFinding
from faceloupe.report.schema import (
    Bounds,
    CalibratorInfo,
    ErrorRatesInfo,
    Evidence,
    Gates,
    ModelInfo,
    Propositions,
    RateIntervals,
    Report,
    ScoreThresholds,
    SettingsInfo,
    Timing,
    Tool,
    VideoFacts,
)
from faceloupe.types import Box, DetectedFace, FaceQuality, Outcome

THRESHOLDS = ScoreThresholds(lower=0.05, upper=0.87)
_SHA256 = "0" * 64
_BARE = Report(
    schema_version="1",
    created_utc="2026-01-01T00:00:00Z",
    tool=Tool(name="FaceLoupe", version="0", git_commit=None, libraries={}),
    model=ModelInfo(
        id="made-up",
        architecture="none",
        weights_sha256=_SHA256,
        members=(),
        record_sha256=_SHA256,
        calibrator_id="made-up",
        calibrator=CalibratorInfo(id="made-up", kind="platt", slope=1.0, intercept=0.0, knots=(), fitted_on="nothing"),
        thresholds=THRESHOLDS,
        log10_lr_bounds=Bounds(lower=-2.0, upper=2.0),
        error_rates=ErrorRatesInfo(
            fpr=0.05,
            fnr=0.05,
            n_real=100,
            n_fake=100,
            interval_95=RateIntervals(fpr=(0.0, 0.1), fnr=(0.0, 0.1)),
            inconclusive=0.2,
            measured_on="nothing",
        ),
        explanation_max=0.2,
    ),
    evidence=Evidence(
        name="made-up.mp4",
        sha256=_SHA256,
        size_bytes=1,
        media_type="video",
        format="MP4",
        width=160,
        height=120,
        duration_s=None,
        frame_rate=None,
        frame_count=None,
        notes=(),
    ),
    outcome=Outcome.INCONCLUSIVE,
    reason="cannot say: made up",
    score=None,
    log10_lr=None,
    verbal=None,
    propositions=Propositions(manipulated="made up", authentic="made up", kinds="made up"),
    scope=("made up",),
    faces=(),
    video=VideoFacts(
        container="mp4",
        codec="h264",
        pixel_format="yuv420p",
        rotation=0,
        start_s=0.0,
        variable_frame_rate=False,
        frame_rate=None,
        audio=(),
    ),
    settings=SettingsInfo(
        max_bytes=1,
        max_pixels=1,
        max_decoder_bytes=1,
        max_decoder_s=1.0,
        detection_long_side=64,
        smallest_sought_px=20,
        detection_confidence=0.7,
        device="cpu",
        model="made-up",
        frames=0,
        from_s=0.0,
        to_s=0.0,
        crop_margins=(1.0,),
        input_size=224,
        gates=Gates(min_size_px=48, min_sharpness=1.0, min_confidence=0.9),
    ),
    timing=Timing(),
)


def jpeg(gray: int = 120) -> bytes:
    """A small picture of one gray."""
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (gray, gray, gray)).save(stream, "JPEG")
    return stream.getvalue()


def track(scores: list[float | None], *, number: int = 1, step_s: float = 0.5) -> TrackFinding:
    """A track with one look every ``step_s`` seconds, of these scores."""
    observations = []
    for position, score in enumerate(scores):
        face = DetectedFace(Box(10 + position, 10, 60 + position, 60), 0.99, np.zeros((5, 2)))
        quality = FaceQuality(50.0, 80.0, 0.99, "" if score is not None else "too blurred")
        observations.append(FaceObservation(position * 10, position * step_s, face, quality, score, score, jpeg()))
    return TrackFinding(number, number, 0, tuple(observations), Outcome.NOT_APPLICABLE, "made up")


def report(
    tracks: dict[int, list[float | None]],
    *,
    people: list[list[int]] | None = None,
    cuts: list[float] | None = None,
    unread: list[float] | None = None,
    segment: dict[int, dict[str, Any]] | None = None,
    step_s: float = 0.5,
) -> Report:
    """A report of a made-up video.

    Args:
        tracks: id -> scores in successive frames, None where a face was found and not scored.
        people: ids of the tracks of each person; a person a track by default.
        cuts: times, seconds.
        unread: times of frames that could not be decoded.
        segment: id of a track -> its loudest stretch.
        step_s: seconds between two frames, which are ten frames of the video apart.
    """
    count = max(map(len, tracks.values()))
    people = people or [[number] for number in tracks]
    owner = {number: person for person, mine in enumerate(people, 1) for number in mine}
    frames = [
        {
            "index": 10 * position,
            "time_s": position * step_s,
            "shot": 0,
            "faces": [
                {
                    "id": number,
                    "box": [10.0 + 10 * position, 10.0, 60.0 + 10 * position, 60.0],
                    "score": scores[position],
                    "raw_logit": scores[position],
                    "detection_confidence": 0.99,
                    "size_px": 50.0,
                    "sharpness": 80.0,
                    "problem": None if scores[position] is not None else "too blurred",
                }
                for number, scores in tracks.items()
                if position < len(scores)
            ],
        }
        for position in range(count)
    ]
    scores_of_tracks = [score for scores in tracks.values() for score in scores if score is not None]
    score = max(scores_of_tracks, default=None)
    values = msgspec.to_builtins(_BARE) | {
        "score": score,
        "log10_lr": None if score is None else 0.0,
        "decisive_id": next((number for number, scores in tracks.items() if score in scores), None) if score else None,
        "frames": frames,
        "cuts": [{"after_index": 0, "before_index": 1, "time_s": time_s} for time_s in cuts or []],
        "people": [{"id": person, "tracks": mine, "likeness": 1.0} for person, mine in enumerate(people, 1)],
        "unread_frames": [{"index": 1, "time_s": time_s} for time_s in unread or []],
        "faces": [_entry(number, owner[number], scores, segment or {}, step_s) for number, scores in tracks.items()],
    }
    values["evidence"]["duration_s"] = count * step_s
    return Report.from_json(json.dumps(values))


def _entry(number: int, person: int, scores: list, segment: dict, step_s: float) -> dict[str, Any]:
    scored = [score for score in scores if score is not None]
    top = max(scored, default=None)
    whole = None
    if scored:
        whole = {"score": top, "score_interval_95": [top / 2, top], "effective_frames": 2.0, "frames": len(scored)}
        whole |= {"first_s": 0.0, "last_s": (len(scores) - 1) * step_s}
    return {
        "id": number,
        "person": person,
        "shot": 0,
        "box": [10.0, 10.0, 60.0, 60.0],
        "crop_box": None,
        "detection_confidence": 0.99,
        "size_px": 50.0,
        "sharpness": 80.0,
        "shown_frame": {"index": 0, "time_s": 0.0, "score": top},
        "raw_logit": top,
        "heat_peak": None,
        "outcome": "inconclusive" if scored else "not_applicable",
        "reason": "inconclusive: made up",
        "score": top,
        "log10_lr": 0.0 if scored else None,
        "whole": whole,
        "stretch": (whole and number in segment and (whole | segment[number])) or None,
        "first_s": 0.0,
        "last_s": (len(scores) - 1) * step_s,
        "frames_found": len(scores),
        "frames_scored": len(scored),
    }
