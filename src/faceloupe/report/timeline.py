"""Data for the timeline of a video, independent of how it is drawn: the scores of each track, and the gaps."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from faceloupe.report.schema import Frame, Report

_SHORTEST_S = 1e-3  # shortest time axis: a single frame has no duration


@dataclass(frozen=True, slots=True)
class Point:
    """A track in one of the frames that were analyzed.

    Attributes:
        index: index of the frame in the video.
        time_s: time of the frame, seconds.
        score: score in this frame, 0..1; None if the face was not found or not scored.
    """

    index: int
    time_s: float
    score: float | None


class GapKind(StrEnum):
    """Reason why there is no score."""

    UNSCORED = "unscored"  # faces were found, but none could be scored
    UNREAD = "unread"  # the frame could not be decoded
    OUTSIDE = "outside"  # outside the requested segment


@dataclass(frozen=True, slots=True)
class Gap:
    """A time span without a score, seconds."""

    kind: GapKind
    start_s: float
    end_s: float


def length_s(report: Report) -> float:
    """Return the length of the video, seconds; if it is unknown, the time of the last analyzed frame."""
    last_s = report.frames[-1].time_s if report.frames else 0.0
    return max(report.evidence.duration_s or 0.0, last_s, _SHORTEST_S)


def analyzed_span(report: Report) -> tuple[float, float]:
    """Return the start and end of the analyzed part of the video, seconds; the end is later than the start."""
    if report.segment is None:
        return 0.0, length_s(report)
    return report.segment.start_s, max(report.segment.end_s, report.segment.start_s + _SHORTEST_S)


def series(report: Report, track_id: int) -> tuple[Point, ...]:
    """Return a point for every analyzed frame, from the first to the last frame in which the track was found."""
    faces = [frame.face(track_id) for frame in report.frames]
    seen = [index for index, face in enumerate(faces) if face is not None]
    if not seen:
        return ()
    return tuple(
        Point(frame.index, frame.time_s, None if face is None else face.score)
        for frame, face in list(zip(report.frames, faces, strict=True))[seen[0] : seen[-1] + 1]
    )


def lines(points: tuple[Point, ...]) -> Iterator[tuple[Point, ...]]:
    """Yield the runs of consecutive scored points, so that no line crosses a frame without a score."""
    line: list[Point] = []
    for point in points:
        if point.score is not None:
            line.append(point)
        elif line:
            yield tuple(line)
            line = []
    if line:
        yield tuple(line)


def gaps(report: Report, track_ids: Collection[int]) -> tuple[Gap, ...]:
    """Return the time spans without a score for the tracks of one person, in order; adjacent gaps of a kind are merged.

    A frame covers the time halfway to the frames before and after it, which include frames that could not be decoded.
    """
    begin, end = analyzed_span(report)
    kinds: list[tuple[float, GapKind | None]] = [(frame.time_s, _kind(frame, track_ids)) for frame in report.frames]
    kinds += [(frame.time_s, GapKind.UNREAD) for frame in report.unread_frames]
    kinds.sort(key=lambda entry: entry[0])
    bounds = [begin, *((before + after) / 2 for (before, _), (after, _) in pairwise(kinds)), end]
    joined: list[Gap] = [Gap(GapKind.OUTSIDE, 0.0, begin)] if begin > 0.0 else []
    for (_, kind), (start_s, end_s) in zip(kinds, pairwise(bounds), strict=True):
        if kind is None:
            continue
        if joined and joined[-1].kind is kind and joined[-1].end_s == start_s:
            start_s = joined.pop().start_s
        joined.append(Gap(kind, start_s, end_s))
    if end < length_s(report):
        joined.append(Gap(GapKind.OUTSIDE, end, length_s(report)))
    return tuple(joined)


def _kind(frame: Frame, track_ids: Collection[int]) -> GapKind | None:
    scores = [face.score for face in frame.faces if face.id in track_ids]
    return GapKind.UNSCORED if scores and all(score is None for score in scores) else None
