"""The parts of a case report that only a video has: container, timeline and tracks."""

from collections.abc import Iterator

from faceloupe.report.document.blocks import Block, Cell, Figure, Heading, Style, Table, Text
from faceloupe.report.document.exhibits import Exhibit
from faceloupe.report.document.format import (
    NONE,
    Texts,
    number,
    number_cell,
    pose_rows,
    proposition_rows,
    record_cell,
    runs_of,
    shown,
    verdict,
)
from faceloupe.report.document.image import finding, score_text
from faceloupe.report.document.images import ImageSet, drawing
from faceloupe.report.drawing import timeline_print
from faceloupe.report.schema import PersonShots, PooledScore, Report, ScoreThresholds, Track


def identity(report: Report, texts: Texts) -> list[tuple[str, Cell]]:
    """Return the rows with the facts of the container."""
    evidence, video = report.evidence, report.video
    if video is None:
        return []
    rate = texts["per_second"].format(value=shown(video.frame_rate or "-"))
    if video.variable_frame_rate:
        rate += f", {texts['variable_rate']}"
    return [
        (texts["duration"], Text(texts["seconds"].format(value=number(texts, evidence.duration_s, 3)))),
        (texts["frames"], Text(number(texts, evidence.frame_count, 0))),
        (texts["frame_rate"], Text(rate)),
        (texts["codec"], Text(shown(f"{video.container}, {video.codec} ({video.pixel_format})"))),
    ]


def blocks(exhibit: Exhibit, report: Report, images: ImageSet, texts: Texts) -> Iterator[Block]:
    """Yield the timeline, the people, the table of tracks, and each track with filmstrip and strongest frame."""
    people, thresholds = report.people_with_shots, report.model.thresholds
    tracks = [track for person in people for track in person.tracks]
    yield Heading(3, texts["timeline"], f"{exhibit.anchor}-timeline")
    for content in timeline_print.timelines(report, texts):
        yield Figure(drawing(content, texts["alt_timeline"].format(count=len(tracks))), texts["caption_timeline"])
    if not tracks:
        return
    if any(person.outcome for person in people):
        yield Heading(3, texts["people"], f"{exhibit.anchor}-people")
        columns = ("person_column", "outcome", "score", "interval", "shots", "agreeing_shots", "reason")
        yield Table(
            texts["people"],
            tuple(texts[key] for key in columns),
            tuple(_person_row(person, thresholds, texts) for person in people),
            (15, 29, 12, 21, 15, 22, 60),
        )
    yield Heading(3, texts["tracks"], f"{exhibit.anchor}-tracks")
    head = ("track", "person_column", "outcome", "score", "interval", "log10_lr", "seen", "scored_found", "reason")
    yield Table(
        texts["tracks"],
        tuple(texts[key] for key in head),
        tuple(_row(track, thresholds, texts) for track in tracks),
        (13, 15, 29, 12, 21, 13, 21, 19, 31),
    )
    for track in tracks:
        title = texts["track_title"].format(number=track.id, person=track.person)
        rows = _facts(track, thresholds, texts)
        yield from finding(title, f"track-{track.id}", track, rows, images=images, texts=texts)


def _person_row(person: PersonShots, thresholds: ScoreThresholds, texts: Texts) -> tuple[Cell, ...]:
    pooled, agreeing = person.pooled, runs_of([track.shot for track in person.agreeing])
    return (
        Text(str(person.person.id), Style.NUMBER),
        verdict(person.outcome, texts) if person.outcome else Text(NONE),
        Text(score_text(texts, pooled.score if pooled else None, thresholds), Style.NUMBER),
        Text(_interval(pooled, texts), Style.NUMBER),
        Text(str(len(person.tracks)), Style.NUMBER),
        Text(agreeing or NONE, Style.NUMBER),
        record_cell(texts, person.reason),
    )


def _interval(pooled: PooledScore | None, texts: Texts) -> str:
    if pooled is None or not pooled.has_interval:
        return NONE
    low, high = pooled.score_interval_95
    return f"{number(texts, low)} .. {number(texts, high)}"


def _row(track: Track, thresholds: ScoreThresholds, texts: Texts) -> tuple[Cell, ...]:
    return (
        Text(str(track.id), Style.NUMBER),
        Text(str(track.person), Style.NUMBER),
        verdict(track.outcome, texts),
        Text(score_text(texts, track.score, thresholds), Style.NUMBER),
        Text(_interval(track.whole, texts), Style.NUMBER),
        number_cell(texts, track.log10_lr, signed=True),
        Text(f"{number(texts, track.first_s)} .. {number(texts, track.last_s)}", Style.NUMBER),
        Text(f"{track.frames_scored} / {track.frames_found}", Style.NUMBER),
        record_cell(texts, track.reason),
    )


def _facts(track: Track, thresholds: ScoreThresholds, texts: Texts) -> tuple[tuple[str, Cell], ...]:
    frame, whole, segment = track.shown_frame, track.whole, track.segment
    text = texts["shown_frame_value"].format(
        index=frame.index, time=number(texts, frame.time_s), score=number(texts, frame.score)
    )
    rows: list[tuple[str, Cell]] = [
        (texts["outcome"], verdict(track.outcome, texts)),
        (texts["score"], Text(score_text(texts, track.score, thresholds))),
        (texts["shown_frame"], Text(text)),
        (texts["size_px"], Text(number(texts, track.size_px, 1))),
        *proposition_rows(texts, track),
        (texts["raw_logit"], Text(number(texts, track.raw_logit, 3, signed=True))),
        *pose_rows(texts, track),
    ]
    if whole:
        rows.append((texts["effective_frames"], Text(number(texts, whole.effective_frames))))
    if segment:
        text = texts["stretch_value"].format(
            score=number(texts, segment.score), first=number(texts, segment.first_s), last=number(texts, segment.last_s)
        )
        rows.append((texts["stretch"], Text(text)))
    return tuple(rows)
