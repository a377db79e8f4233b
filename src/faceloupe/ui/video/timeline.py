"""The timeline of a video: one lane per person with the scores of all analyzed frames, taken from the report."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from faceloupe.report.drawing.overlays import COLORS, SHAPES
from faceloupe.report.numerals import decimal
from faceloupe.report.schema import CutInfo, Report, Track
from faceloupe.report.timeline import Gap, GapKind, analyzed_span, gaps, series
from faceloupe.ui.language import current, tr

_LANE, _BETWEEN, _ABOVE, _BELOW = 96, 24, 24, 44  # pixels: lane, gap between lanes, top margin, bottom margin
_LEFT, _RIGHT, _THUMB = 104, 116, 56  # pixels
_GRAY = "#808080"  # readable on white and on black
_FRAME = {"showline": True, "mirror": True, "linewidth": 1, "linecolor": "rgba(128,128,128,0.45)"}  # of a lane
_NAME, _NUMBER = 0.12, 0.04  # room for a full and for a short label of a track, as a share of the width
_MARK, _SMALLEST_MARK = 14, 8  # size of the marks of frames, pixels
_ROOMY = 60  # number of frames up to which the marks have their full size
_CLOCK_S = 180.0  # from this length on, times are shown in minutes and seconds
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)  # seconds between two labels
_LABELS = 8


def clock(seconds: float) -> str:
    """Return a time in minutes and seconds, with hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def height(report: Report) -> int:
    """Return the height of the timeline in pixels."""
    lanes = max(1, len(report.people))
    return lanes * _LANE + (lanes - 1) * _BETWEEN + _ABOVE + _BELOW


def timeline(report: Report, thumbs: Mapping[int, bytes], *, chosen: tuple[int, int] | None = None) -> go.Figure:
    """Draw the timeline.

    Args:
        report: report on a video with at least one track.
        thumbs: id of a person -> JPEG of the face.
        chosen: index of the shown frame, and id of the track it is shown for.

    Returns:
        The figure. The ``customdata`` of each point is the index of its frame and the id of its track.
    """
    lanes, total = len(report.people), height(report)
    figure = make_subplots(
        rows=lanes,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=_BETWEEN / (total - _ABOVE - _BELOW) if lanes > 1 else 0.0,
    )
    tracks = {track.id: track for track in report.tracks}
    begin, end = analyzed_span(report)
    for row, person in enumerate(report.people, 1):
        _thresholds(figure, report, row)
        mine = [tracks[number] for number in person.tracks]
        for track in mine:
            _track(figure, report, track, row)
        _names(figure, report, mine, row)
        _hatched(figure, gaps(report, person.tracks), row)
        _lane_head(figure, person.id, thumbs.get(person.id), row)
    _cuts(figure, report.cuts)
    if chosen is not None:
        _chosen(figure, report, *chosen)
    figure.update_xaxes(range=[begin, end], fixedrange=True, showgrid=False, zeroline=False, ticks="", **_FRAME)
    figure.update_xaxes(title=tr("time, seconds"), title_standoff=6, ticks="outside", row=lanes, col=1)
    if end - begin >= _CLOCK_S:
        figure.update_xaxes(**_clock_labels(begin, end))
        figure.update_xaxes(title=tr("time, minutes and seconds"), row=lanes, col=1)
    figure.update_yaxes(
        range=[-0.05, 1.05],
        tickvals=[0, 0.5, 1],
        tickformat=".1f",
        fixedrange=True,
        showgrid=False,
        zeroline=False,
        **_FRAME,
    )
    figure.update_layout(
        height=total,
        margin={"l": _LEFT, "r": _RIGHT, "t": _ABOVE, "b": _BELOW, "pad": 0},
        showlegend=False,
        hovermode="closest",
    )
    return figure


def _clock_labels(begin: float, end: float) -> dict[str, list[Any]]:
    step = next((step for step in _STEPS if (end - begin) / step <= _LABELS), _STEPS[-1])
    places = [number * step for number in range(int(begin // step), int(end // step) + 1) if number * step >= begin]
    return {"tickvals": places, "ticktext": [clock(time_s) for time_s in places]}


def _axis(row: int) -> str:
    return "" if row == 1 else str(row)


def _lane_head(figure: go.Figure, person: int, thumb: bytes | None, row: int) -> None:
    """Draw the person's picture and number in the left margin."""
    domain = f"y{_axis(row)} domain"
    if thumb is not None:
        figure.add_layout_image(
            source=f"data:image/jpeg;base64,{base64.b64encode(thumb).decode()}",
            xref="paper",
            yref=domain,
            x=-0.042,
            y=1.0,
            sizex=0.2,
            sizey=_THUMB / _LANE,
            xanchor="right",
            yanchor="top",
        )
    figure.add_annotation(
        text=tr("person {person}", person=person),
        xref="paper",
        yref=domain,
        x=-0.042,
        y=0.0,
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font_size=12,
    )


def _thresholds(figure: go.Figure, report: Report, row: int) -> None:
    bounds = report.model.thresholds
    for value, label in (
        (bounds.upper, tr("≥ {upper:.2f} manipulated", upper=bounds.upper)),
        (bounds.lower, tr("≤ {lower:.2f} authentic", lower=bounds.lower)),
    ):
        across = {"x0": 0.0, "x1": 1.0, "xref": "paper", "yref": f"y{_axis(row)}"}
        dashed = {"color": _GRAY, "width": 1, "dash": "dash"}
        figure.add_shape(type="line", y0=value, y1=value, line=dashed, layer="below", name="threshold", **across)
        figure.add_annotation(
            text=label,
            xref="paper",
            yref=f"y{_axis(row)}",
            x=1.005,
            y=value,
            xanchor="left",
            yanchor="middle",
            showarrow=False,
            font={"size": 11, "color": _GRAY},
        )


def _track(figure: go.Figure, report: Report, track: Track, row: int) -> None:
    """Draw the interval, the strongest segment, and the line and points of one track."""
    color, whole, segment = COLORS[track.outcome], track.whole, track.segment
    if whole:
        low, high = whole.score_interval_95
        sides = {"x0": whole.first_s, "x1": whole.last_s, "line_width": 0, "fillcolor": color, "layer": "below"}
        figure.add_shape(type="rect", y0=low, y1=high, opacity=0.18, row=row, col=1, **sides)
        middle = {"y0": whole.score, "y1": whole.score, "line": {"color": color, "width": 1}}
        figure.add_shape(type="line", x0=whole.first_s, x1=whole.last_s, row=row, col=1, **middle)
    if segment and segment.score >= report.model.thresholds.upper:
        bar = {"y0": segment.score, "y1": segment.score, "line": {"color": color, "width": 7}, "opacity": 0.45}
        figure.add_shape(type="line", x0=segment.first_s, x1=segment.last_s, row=row, col=1, **bar)
    _points(figure, report, track, row)


def _names(figure: go.Figure, report: Report, tracks: Sequence[Track], row: int) -> None:
    """Draw the shape, number and score above each track of a lane, except where labels would overlap."""
    begin, end = analyzed_span(report)
    free_from = begin
    for track in sorted(tracks, key=lambda track: track.first_s):
        if track.first_s < free_from:
            continue
        roomy = (track.last_s - track.first_s) / (end - begin) >= _NAME
        free_from = track.first_s + (_NAME if roomy else _NUMBER) * (end - begin)
        score = "" if track.score is None else f"  {decimal(track.score, 2, current())}"
        label = tr("track {id}{score}", id=track.id, score=score) if roomy else f"{track.id}"
        figure.add_annotation(
            text=f'<span style="color:{COLORS[track.outcome]}">{SHAPES[track.outcome]}</span> {label}',
            x=track.first_s,
            y=1.0,
            xref=f"x{_axis(row)}",
            yref=f"y{_axis(row)} domain",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font_size=12,
        )


def _points(figure: go.Figure, report: Report, track: Track, row: int) -> None:
    color, points = COLORS[track.outcome], series(report, track.id)
    figure.add_trace(
        go.Scatter(
            x=[point.time_s for point in points],
            y=[point.score for point in points],  # the line is broken where a frame in between was not scored
            mode="lines",
            line={"color": color, "width": 1.5},
            hoverinfo="skip",
        ),
        row=row,
        col=1,
    )
    scored = [point for point in points if point.score is not None]
    figure.add_trace(
        go.Scatter(
            x=[point.time_s for point in scored],
            y=[point.score for point in scored],
            customdata=[(point.index, track.id) for point in scored],
            name=tr("track {id}", id=track.id),
            mode="markers+text",  # the shapes are text, because Plotly has no half-circle marker
            marker={"size": 11, "opacity": 0.0},
            text=SHAPES[track.outcome],
            textfont={"size": min(_MARK, max(_SMALLEST_MARK, _MARK * _ROOMY // len(report.frames))), "color": color},
            unselected={"textfont": {"color": color}},
            hovertemplate=tr(
                "track {id}, frame %{{customdata[0]}}<br>%{{x:.2f}} s, score %{{y:.2f}}<extra></extra>", id=track.id
            ),
        ),
        row=row,
        col=1,
    )


def _hatched(figure: go.Figure, times: Sequence[Gap], row: int) -> None:
    for gap in times:
        if gap.kind is GapKind.OUTSIDE:  # not on the time axis, which covers only the analyzed time
            continue
        figure.add_trace(
            go.Scatter(
                x=[gap.start_s, gap.start_s, gap.end_s, gap.end_s],
                y=[-0.05, 1.05, 1.05, -0.05],
                fill="toself",
                mode="lines",
                line_width=0,
                fillpattern={"shape": "/", "fgcolor": _GRAY, "fgopacity": 0.55, "size": 7, "solidity": 0.15},
                fillcolor="rgba(0,0,0,0)",
                name="not scored",
                hoveron="fills",
                hoverinfo="text",
                text=tr("not scored"),
            ),
            row=row,
            col=1,
        )


def _cuts(figure: go.Figure, cuts: Sequence[CutInfo]) -> None:
    line = {"color": _GRAY, "width": 1.5, "dash": "dot"}
    for cut in cuts:
        figure.add_shape(type="line", line=line, name="cut", **_upright(cut.time_s))


def _upright(time_s: float) -> dict[str, Any]:
    """Return the coordinates of a vertical line through all lanes."""
    return {"x0": time_s, "x1": time_s, "y0": 0.0, "y1": 1.0, "xref": "x", "yref": "paper"}


def _chosen(figure: go.Figure, report: Report, index: int, track_id: int) -> None:
    """Draw a line through all lanes at the shown frame, and a ring around its point."""
    frame = next(frame for frame in report.frames if frame.index == index)
    line = {"color": _GRAY, "width": 1}
    figure.add_shape(type="line", line=line, name="on show", **_upright(frame.time_s))
    for row, person in enumerate(report.people, 1):
        face = frame.face(track_id)
        if track_id in person.tracks and face is not None and face.score is not None:
            marker = {"symbol": "circle-open", "size": 17, "color": _GRAY, "line": {"width": 2.5}}
            ring = go.Scatter(x=[frame.time_s], y=[face.score], mode="markers", marker=marker, hoverinfo="skip")
            figure.add_trace(ring, row=row, col=1)
