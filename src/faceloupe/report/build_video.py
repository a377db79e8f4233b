"""The parts of the canonical report that only a video has."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faceloupe.faces.quality import TRACK_CONFIDENCE
from faceloupe.faces.tracks import Person
from faceloupe.media.sampling import Cut
from faceloupe.media.video import VideoFacts
from faceloupe.scoring import aggregation
from faceloupe.types import FaceFinding, FaceObservation, PersonFinding, Pooled, TrackFinding, corners


@dataclass(frozen=True, slots=True)
class VideoAnalysis:
    """What was looked at in a video.

    Attributes:
        facts: of the container.
        frames: index -> time in seconds and number of the shot, of every frame looked at, rising.
        cuts: between them.
        people: to whom the tracks were linked.
        tracks: findings.
        unread: index -> time in seconds, of frames that should have been looked at, but could not be decoded.
        segment: start and end in seconds of the part that was asked for; None for the whole video.
        persons: what the tracks of each of the people say together.
    """

    facts: VideoFacts
    frames: Mapping[int, tuple[float, int]]
    cuts: Sequence[Cut]
    people: Sequence[Person]
    tracks: Sequence[TrackFinding]
    unread: Mapping[int, float]
    segment: tuple[float, float] | None = None
    persons: Sequence[PersonFinding] = ()


def _pooled(pooled: Pooled | None) -> dict[str, Any] | None:
    if pooled is None:
        return None
    return {
        "score": pooled.score,
        "score_interval_95": [pooled.low, pooled.high],
        "effective_frames": round(pooled.effective_n, 2),
        "frames": pooled.frames,
        "first_s": round(pooled.first_s, 6),
        "last_s": round(pooled.last_s, 6),
    }


def _observation(observation: FaceObservation, track: int) -> dict[str, Any]:
    return {
        "id": track,
        "box": corners(observation.face.box),
        "score": observation.score,
        "raw_logit": observation.raw_logit,
        "detection_confidence": round(observation.face.confidence, 6),
        "size_px": round(observation.face.size_px, 1),
        "sharpness": round(observation.quality.sharpness, 2),
        "problem": observation.quality.problem or None,
        "by_expert": observation.by_expert,
    }


def by_parts(found: FaceFinding | TrackFinding) -> dict[str, Any]:
    """``propositions`` and ``familiarity`` of a face or a track."""
    return {
        "propositions": [asdict(one) for one in found.propositions],
        "familiarity": None if found.familiarity is None else asdict(found.familiarity),
    }


def track_entry(track: TrackFinding) -> dict[str, Any]:
    """One entry of ``faces``. The box and what goes with it are those of the frame with the highest score."""
    shown = track.strongest or track.largest
    return {
        "id": track.id,
        "person": track.person,
        "shot": track.shot,
        "box": corners(shown.face.box),
        "crop_box": corners(track.crop_box),
        "detection_confidence": round(shown.face.confidence, 6),
        "size_px": round(shown.face.size_px, 1),
        "sharpness": round(shown.quality.sharpness, 2),
        "outcome": track.outcome.value,
        "reason": track.reason,
        "score": track.score,
        "raw_logit": track.raw_logit,
        "log10_lr": track.log10_lr,
        **by_parts(track),
        "whole": _pooled(track.pooled),
        "stretch": _pooled(track.segment),
        "shown_frame": {"index": shown.frame, "time_s": round(shown.time_s, 6), "score": shown.score},
        "heat_peak": None if track.heatmap is None else float(track.heatmap.max()),
        "first_s": round(track.observations[0].time_s, 6),
        "last_s": round(track.observations[-1].time_s, 6),
        "frames_found": len(track.observations),
        "frames_scored": len(track.scored),
    }


def sections(seen: VideoAnalysis) -> dict[str, Any]:
    """``video``, ``frames``, ``cuts``, ``people`` and ``unread_frames`` of the report."""
    faces: dict[int, list[dict[str, Any]]] = {index: [] for index in seen.frames}
    for track in seen.tracks:
        for observation in track.observations:
            faces[observation.frame].append(_observation(observation, track.id))
    facts = asdict(seen.facts)
    rate = seen.facts.frame_rate
    return {
        "video": {
            **{name: facts[name] for name in ("container", "codec", "pixel_format", "rotation", "start_s")},
            "variable_frame_rate": facts["variable_frame_rate"],
            "frame_rate": None if rate is None else f"{rate.numerator}/{rate.denominator}",
            "audio": list(facts["audio"]),
        },
        "frames": [
            {"index": index, "time_s": round(time_s, 6), "shot": shot, "faces": faces[index]}
            for index, (time_s, shot) in seen.frames.items()
        ],
        "cuts": [
            {"after_index": cut.after, "before_index": cut.before, "time_s": round(cut.time_s, 6)} for cut in seen.cuts
        ],
        "people": [
            {"id": person.id, "tracks": list(person.tracks), "likeness": round(person.similarity, 3)}
            | _judged(person.id, seen.persons)
            for person in seen.people
        ],
        "unread_frames": [{"index": index, "time_s": round(time_s, 6)} for index, time_s in seen.unread.items()],
    }


def _judged(number: int, persons: Sequence[PersonFinding]) -> dict[str, Any]:
    """What the tracks of a person say together; nothing where that was not asked."""
    finding = next((person for person in persons if person.id == number), None)
    if finding is None:
        return {}
    return {
        "outcome": finding.outcome.value,
        "reason": finding.reason,
        "pooled": _pooled(finding.pooled),
        "agreeing_tracks": list(finding.agreeing),
    }


def segment(from_s: float, to_s: float, lasts: float | None) -> tuple[float, float] | None:
    """Start and end of the part of a video that its settings asked for, seconds; None where that is all of it.

    Args:
        from_s, to_s: see ``config.Settings``.
        lasts: of the video; None where that is not known.
    """
    end, whole = to_s or math.inf, lasts or math.inf
    return (from_s, min(end, whole)) if from_s > 0.0 or end < whole else None


def scope(seen: VideoAnalysis) -> list[str]:
    """What the report of a video does not say."""
    where, unseen = "", "the time between them"
    if seen.segment:
        begin, end = seen.segment
        where, unseen = f", all from {begin:.2f} s to {end:.2f} s", "the rest of the video"
    lines = [
        f"{len(seen.frames)} of {seen.facts.frame_count:,} frames were analyzed{where}; {unseen} was not.",
        "The interval of a track's score covers the choice of its frames and not the errors of the model; "
        "the error rates and the bounds of the likelihood ratio are those of single faces.",
    ]
    if any(len(person.tracks) > 1 for person in seen.people):
        lines.append(
            "Tracks were linked to one person by similar appearance (layout and colors of face and shoulders); this "
            "does not identify anyone. An outcome depends on it only where the shots, each for itself, agree."
        )
    scored = sum(track.score is not None for track in seen.tracks)
    if scored > 1:
        lines.append(
            f"The outcome is that of the most suspicious of {scored} tracks: the more tracks a video has, the likelier "
            "one authentic face is called manipulated."
        )
    return lines


def settings() -> dict[str, float]:
    """Constants of tracks and their aggregation, for the settings of the report."""
    return {
        "frame_memory_s": aggregation.MEMORY_S,
        "typical_spread": aggregation.TYPICAL_SPREAD,
        "track_confidence": TRACK_CONFIDENCE,
    }
