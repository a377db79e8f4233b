"""The parts of the canonical report that only a video has."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from faceloupe.analysis.results import VideoAnalysis
from faceloupe.faces.upright import roll, yaw
from faceloupe.findings import FaceObservation, Pooled, TrackFinding
from faceloupe.models.record import Fusion
from faceloupe.report.schema import (
    BoxCorners,
    FaceInFrame,
    FamiliarityInfo,
    Frame,
    PersonInfo,
    PooledScore,
    PropositionRatio,
    ShownFrame,
    Track,
)
from faceloupe.types import Box


def rounded_box(box: Box) -> BoxCorners:
    """Return the corners of a box for a report, rounded to 0.1 pixel, which is finer than the error of any box."""
    x0, y0, x1, y1 = (round(value, 1) for value in box.corners)
    return x0, y0, x1, y1


def _pooled(pooled: Pooled | None) -> PooledScore | None:
    if pooled is None:
        return None
    return PooledScore(
        score=pooled.score,
        score_interval_95=(pooled.low, pooled.high),
        effective_frames=round(pooled.effective_n, 2),
        frames=pooled.frames,
        first_s=round(pooled.first_s, 6),
        last_s=round(pooled.last_s, 6),
    )


def _in_frame(observation: FaceObservation, track_id: int) -> FaceInFrame:
    return FaceInFrame(
        id=track_id,
        box=rounded_box(observation.face.box),
        score=observation.score,
        raw_logit=observation.raw_logit,
        detection_confidence=round(observation.face.confidence, 6),
        size_px=round(observation.face.size_px, 1),
        sharpness=round(observation.quality.sharpness, 2),
        problem=observation.quality.problem or None,
        by_expert=observation.by_expert,
    )


def track_of(track: TrackFinding) -> Track:
    """Return the entry of a track in ``faces``.

    The box and the values that belong to it are from the frame with the highest score, or from the frame with the
    largest face if no frame was scored.
    """
    shown = track.strongest or track.largest
    return Track(
        id=track.id,
        person=track.person,
        shot=track.shot,
        box=rounded_box(shown.face.box),
        crop_box=None if track.crop_box is None else rounded_box(track.crop_box),
        detection_confidence=round(shown.face.confidence, 6),
        size_px=round(shown.face.size_px, 1),
        sharpness=round(shown.quality.sharpness, 2),
        outcome=track.outcome,
        reason=track.reason,
        score=track.score,
        raw_logit=track.raw_logit,
        log10_lr=track.log10_lr,
        propositions=tuple(PropositionRatio(**asdict(part)) for part in track.propositions),
        familiarity=None if track.familiarity is None else FamiliarityInfo(**asdict(track.familiarity)),
        whole=_pooled(track.pooled),
        segment=_pooled(track.segment),
        shown_frame=ShownFrame(index=shown.frame, time_s=round(shown.time_s, 6), score=shown.score),
        heatmap_peak=None if track.heatmap is None else float(track.heatmap.max()),
        first_s=round(track.observations[0].time_s, 6),
        last_s=round(track.observations[-1].time_s, 6),
        frames_found=len(track.observations),
        frames_scored=len(track.scored),
        roll_deg=round(roll(shown.face), 1),
        yaw_deg=round(yaw(shown.face), 1),
    )


def frames_of(video: VideoAnalysis, tracks: Sequence[TrackFinding]) -> tuple[Frame, ...]:
    """Return every frame that was analyzed, with the faces of the tracks in it."""
    faces: dict[int, list[FaceInFrame]] = {index: [] for index in video.frames}
    for track in tracks:
        for observation in track.observations:
            faces[observation.frame].append(_in_frame(observation, track.id))
    return tuple(
        Frame(index=index, time_s=round(time_s, 6), shot=shot, faces=tuple(faces[index]))
        for index, (time_s, shot) in video.frames.items()
    )


def people_of(video: VideoAnalysis) -> tuple[PersonInfo, ...]:
    """Return the people that tracks were linked to, with the joint finding of their tracks if there is one."""
    findings = {finding.id: finding for finding in video.persons}
    people: list[PersonInfo] = []
    for person in video.people:
        linked = PersonInfo(id=person.id, tracks=tuple(person.tracks), similarity=round(person.similarity, 3))
        finding = findings.get(person.id)
        if finding is not None:
            linked = msgspec.structs.replace(
                linked,
                outcome=finding.outcome,
                reason=finding.reason,
                pooled=_pooled(finding.pooled),
                agreeing_tracks=finding.agreeing,
            )
        people.append(linked)
    return tuple(people)


def video_scope(video: VideoAnalysis, tracks: Sequence[TrackFinding], fusion: Fusion | None) -> list[str]:
    """Return the limits of the report of a video, one sentence each.

    Args:
        video: the analysis.
        tracks: the tracks that were found.
        fusion: the fusion of the model; None if it has none.
    """
    where, unseen = "", "the time between them"
    if video.segment:
        where, unseen = (
            f", all from {video.segment.start_s:.2f} s to {video.segment.end_s:.2f} s",
            "the rest of the video",
        )
    lines = [
        f"{len(video.frames)} of {video.facts.frame_count:,} frames were analyzed{where}; {unseen} was not.",
        "The interval of a track's score covers the choice of its frames and not the errors of the model; "
        "the error rates and the bounds of the likelihood ratio are those of single faces.",
    ]
    if fusion and fusion.adds_up:
        lines.append(
            f"Up to {fusion.frames} independent looks at a face add up, so that the score of a track can lie above "
            "those of its frames. Looks that speak against a manipulation do not: videos are rarely called authentic."
        )
        lines.append(
            "Filmed faces score too high: where the mean score of its frames lies between 0.50 and "
            f"{1.0 / (1.0 + math.exp(-fusion.bias)):.2f}, a track has the score 0.50."
        )
    if any(len(person.tracks) > 1 for person in video.people):
        lines.append(
            "Tracks were linked to one person by similar appearance (layout and colors of face and shoulders); this "
            "does not identify anyone. An outcome depends on it only where the shots, each for itself, agree."
        )
    scored = sum(track.score is not None for track in tracks)
    if scored > 1:
        lines.append(
            f"The outcome is that of the most suspicious of {scored} tracks: the more tracks a video has, the likelier "
            "one authentic face is called manipulated."
        )
    return lines
