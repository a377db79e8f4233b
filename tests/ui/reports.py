"""Findings and reports of made-up videos, for what draws them."""

import io
from typing import Any

import numpy as np
from PIL import Image

from faceloupe.types import Box, DetectedFace, FaceObservation, FaceQuality, Outcome, TrackFinding

THRESHOLDS = {"lower": 0.05, "upper": 0.87}


def jpeg(gray: int = 120) -> bytes:
    """A small picture of one gray."""
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (gray, gray, gray)).save(stream, "JPEG")
    return stream.getvalue()


def track(scores: list[float | None], *, number: int = 1, step_s: float = 0.5) -> TrackFinding:
    """A track with one look every ``step_s`` seconds, of these scores."""
    observations = []
    for place, score in enumerate(scores):
        face = DetectedFace(Box(10 + place, 10, 60 + place, 60), 0.99, np.zeros((5, 2)))
        quality = FaceQuality(50.0, 80.0, 0.99, "" if score is not None else "too blurred")
        observations.append(FaceObservation(place * 10, place * step_s, face, quality, score, score, jpeg()))
    return TrackFinding(number, number, 0, tuple(observations), Outcome.NOT_APPLICABLE, "made up")


def report(
    tracks: dict[int, list[float | None]],
    *,
    people: list[list[int]] | None = None,
    cuts: list[float] | None = None,
    unread: list[float] | None = None,
    segment: dict[int, dict[str, Any]] | None = None,
    step_s: float = 0.5,
) -> dict[str, Any]:
    """What the surfaces read of the report of a video.

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
            "index": 10 * place,
            "time_s": place * step_s,
            "shot": 0,
            "faces": [
                {
                    "id": number,
                    "box": [10.0 + 10 * place, 10.0, 60.0 + 10 * place, 60.0],
                    "score": scores[place],
                    "raw_logit": scores[place],
                    "detection_confidence": 0.99,
                    "size_px": 50.0,
                    "sharpness": 80.0,
                    "problem": None if scores[place] is not None else "too blurred",
                }
                for number, scores in tracks.items()
                if place < len(scores)
            ],
        }
        for place in range(count)
    ]
    return {
        "model": {"thresholds": THRESHOLDS},
        "settings": {"from_s": 0.0, "to_s": 0.0},
        "evidence": {"duration_s": count * step_s},
        "score": max((score for scores in tracks.values() for score in scores if score is not None), default=None),
        "outcome": "inconclusive",
        "frames": frames,
        "cuts": [{"after_index": 0, "before_index": 1, "time_s": time_s} for time_s in cuts or []],
        "people": [{"id": person, "tracks": mine, "likeness": 1.0} for person, mine in enumerate(people, 1)],
        "unread_frames": [{"index": 1, "time_s": time_s} for time_s in unread or []],
        "faces": [_entry(number, owner[number], scores, segment or {}, step_s) for number, scores in tracks.items()],
    }


def _entry(number: int, person: int, scores: list, segment: dict, step_s: float) -> dict[str, Any]:
    scored = [score for score in scores if score is not None]
    top = max(scored, default=None)
    whole = None
    if scored:
        whole = {"score": top, "score_interval_95": [top / 2, top], "effective_frames": 2.0, "first_s": 0.0}
        whole |= {"last_s": (len(scores) - 1) * step_s}
    return {
        "id": number,
        "person": person,
        "outcome": "inconclusive" if scored else "not_applicable",
        "reason": "inconclusive: made up",
        "score": top,
        "log10_lr": 0.0 if scored else None,
        "whole": whole,
        "stretch": segment.get(number),
        "first_s": 0.0,
        "last_s": (len(scores) - 1) * step_s,
        "frames_found": len(scores),
        "frames_scored": len(scored),
    }
