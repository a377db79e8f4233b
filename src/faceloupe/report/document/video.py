"""What only a video has in a case report: its container, the timeline, and the tracks."""

from collections.abc import Iterator

from faceloupe.report.document.blocks import Block, Cell, Figure, Heading, Style, Table, Text
from faceloupe.report.document.exhibits import Exhibit
from faceloupe.report.document.format import number, number_cell, quoted, shown, verdict
from faceloupe.report.document.image import Texts, finding, score_text
from faceloupe.report.document.images import ImageSet, drawing
from faceloupe.report.drawing import timeline_print
from faceloupe.report.schema import Report, ScoreThresholds, Track


def identity(report: Report, texts: Texts) -> list[tuple[str, Cell]]:
    """Facts of the container."""
    evidence, video = report.evidence, report.video
    if video is None:
        return []
    rate = texts["per_second"].format(value=shown(video.frame_rate or "-"))
    if video.variable_frame_rate:
        rate += f", {texts['variable_rate']}"
    return [
        (texts["duration"], Text(texts["seconds"].format(value=number(evidence.duration_s, 3)))),
        (texts["frames"], Text(number(evidence.frame_count, 0))),
        (texts["frame_rate"], Text(rate)),
        (texts["codec"], Text(shown(f"{video.container}, {video.codec} ({video.pixel_format})"))),
    ]


def blocks(exhibit: Exhibit, report: Report, images: ImageSet, texts: Texts) -> Iterator[Block]:
    """Timeline, table of tracks, and each track with its filmstrip and its strongest frame."""
    tracks, thresholds = report.tracks, report.model.thresholds
    yield Heading(3, texts["timeline"], f"{exhibit.anchor}-timeline")
    for content in timeline_print.timelines(report, texts):
        yield Figure(drawing(content, texts["alt_timeline"].format(count=len(tracks))), texts["caption_timeline"])
    if not tracks:
        return
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


def _interval(track: Track) -> str:
    if track.whole is None:
        return number(None)
    low, high = track.whole.score_interval_95
    return f"{low:.2f} .. {high:.2f}"


def _row(track: Track, thresholds: ScoreThresholds, texts: Texts) -> tuple[Cell, ...]:
    return (
        Text(str(track.id), Style.NUMBER),
        Text(str(track.person), Style.NUMBER),
        verdict(track.outcome, texts),
        Text(score_text(track.score, thresholds), Style.NUMBER),
        Text(_interval(track), Style.NUMBER),
        number_cell(track.log10_lr, signed=True),
        Text(f"{track.first_s:.2f} .. {track.last_s:.2f}", Style.NUMBER),
        Text(f"{track.frames_scored} / {track.frames_found}", Style.NUMBER),
        quoted(track.reason),
    )


def _facts(track: Track, thresholds: ScoreThresholds, texts: Texts) -> tuple[tuple[str, Cell], ...]:
    frame, whole, segment = track.shown_frame, track.whole, track.segment
    words = texts["shown_frame_value"].format(index=frame.index, time=number(frame.time_s), score=number(frame.score))
    rows: list[tuple[str, Cell]] = [
        (texts["outcome"], verdict(track.outcome, texts)),
        (texts["score"], Text(score_text(track.score, thresholds))),
        (texts["shown_frame"], Text(words)),
        (texts["size_px"], Text(number(track.size_px, 1))),
        (texts["raw_logit"], Text(number(track.raw_logit, 3, signed=True))),
    ]
    if whole:
        rows.append((texts["effective_frames"], Text(number(whole.effective_frames))))
    if segment:
        words = texts["stretch_value"].format(
            score=number(segment.score), first=number(segment.first_s), last=number(segment.last_s)
        )
        rows.append((texts["stretch"], Text(words)))
    return tuple(rows)
