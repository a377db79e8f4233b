"""Plotly figures of the pages; every number in them comes from the report or the evaluation."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from faceloupe.evaluation.measures import Curves, MeasuredRow
from faceloupe.findings import FaceFinding
from faceloupe.report.drawing.overlays import COLORS, outcome_words
from faceloupe.report.numerals import localized
from faceloupe.report.schema import Report
from faceloupe.types import Outcome, format_distinct
from faceloupe.ui.language import current, tr

_MOST_SIDE, _PICTURE_WIDTH, _LEAST_TARGET = 1600, 560, 16  # pixels: sent at most, shown width, click target
_LABEL_ROOM = 0.15  # share of the ruler that two adjacent numbers need
_BAND = {"type": "rect", "y0": 0.0, "y1": 1.0, "line_width": 0, "layer": "below"}


def score_ruler(report: Report, *, ink: str) -> go.Figure:
    """Return the score on a ruler from 0 (authentic) to 1 (manipulated), with the band between the thresholds.

    Args:
        report: a report with a score.
        ink: color of the text.
    """
    lower, upper = report.model.thresholds.lower, report.model.thresholds.upper
    outcome, score = report.outcome, report.score
    digits = format_distinct(score or 0.0, lower, upper)  # with the same digits as the sentence beside it
    shown = [localized(text, current()) for text in digits]
    figure = go.Figure()
    for start, end, kind in (
        (0.0, lower, Outcome.AUTHENTIC),
        (lower, upper, Outcome.INCONCLUSIVE),
        (upper, 1.0, Outcome.MANIPULATED),
    ):
        figure.add_shape(**_BAND, x0=start, x1=end, fillcolor=COLORS[kind], opacity=0.28)
        if end - start > 0.2:
            figure.add_annotation(
                x=(start + end) / 2,
                y=0.5,
                text=tr(outcome_words(kind)),
                showarrow=False,
                font={"size": 12, "color": ink},
            )
    ends = [(0.0, "left")] * (lower > _LABEL_ROOM) + [(1.0, "right")] * (upper < 1.0 - _LABEL_ROOM)
    texts = {lower: shown[1], upper: shown[2]}
    for value, anchor in (*ends, (lower, "center"), (upper, "center")):
        label = {"text": texts.get(value, f"{value:.0f}"), "font": {"size": 12, "color": ink}}
        figure.add_annotation(x=value, y=-0.45, xanchor=anchor, showarrow=False, **label)
    for threshold in (lower, upper):
        figure.add_shape(type="line", x0=threshold, x1=threshold, y0=-0.12, y1=1.12, line_width=2, line_color="#808080")
    figure.add_trace(
        go.Scatter(
            x=[score],
            y=[1.0],
            mode="markers+text",
            marker={"symbol": "triangle-down", "size": 17, "color": COLORS[outcome], "line": {"width": 1}},
            text=[f"<b>{shown[0]}</b>"],
            textposition="top center",
            textfont={"size": 15, "color": ink},
            cliponaxis=False,
            hovertemplate=tr("score {score:.4f}<extra></extra>", score=score),
        )
    )
    figure.update_xaxes(range=[-0.01, 1.01], visible=False, fixedrange=True)
    figure.update_yaxes(range=[-0.8, 1.9], visible=False, fixedrange=True)
    figure.update_layout(height=112, margin={"l": 20, "r": 20, "t": 2, "b": 2}, showlegend=False, dragmode=False)
    return figure


_MODEL_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")  # Okabe and Ito
_GUIDE = {"color": "#888888", "width": 1, "dash": "dot"}


def _lines(x: str, y: str, *, height: int = 440) -> go.Figure:
    figure = go.Figure()
    figure.update_xaxes(title=x, fixedrange=True)
    figure.update_yaxes(title=y, fixedrange=True)
    legend = {"orientation": "h", "yanchor": "top", "y": -0.18, "x": 0.0}  # below, where it covers no curve
    figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": 8, "b": 8}, legend=legend, dragmode=False)
    return figure


def _diagonal(figure: go.Figure) -> go.Figure:
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=_GUIDE)
    return figure


def roc_chart(curves: dict[str, Curves]) -> go.Figure:
    """Return the ROC curve of each model."""
    figure = _lines(tr("share of authentic faces called manipulated"), tr("share of manipulated faces found"))
    for (model, curve), color in zip(curves.items(), _MODEL_COLORS, strict=False):
        x, y = zip(*curve.roc, strict=True)
        figure.add_trace(go.Scatter(x=x, y=y, name=model, mode="lines", line={"color": color}))
    return _diagonal(figure)


def reliability_chart(curves: dict[str, Curves]) -> go.Figure:
    """Return the reliability diagram of each model; larger points stand for more faces."""
    figure = _lines(tr("score: predicted share of manipulated faces"), tr("observed share"))
    for (model, curve), color in zip(curves.items(), _MODEL_COLORS, strict=False):
        points = curve.reliability
        sizes = [5 + 40 * point.weight**0.5 for point in points]
        x, y = [point.promised for point in points], [point.observed for point in points]
        marker = {"size": sizes, "color": color, "opacity": 0.75}
        figure.add_trace(go.Scatter(x=x, y=y, name=model, mode="lines+markers", marker=marker, line={"width": 1}))
    return _diagonal(figure)


def tippett_chart(curve: Curves) -> go.Figure:
    """Return the Tippett plot of a model: the share of faces in each class with at least a given likelihood ratio."""
    figure = _lines(tr("log10 LR"), tr("faces with at least this ratio"))
    for label, kind, dash, points in (
        ("manipulated", Outcome.MANIPULATED, "solid", curve.tippett.manipulated),
        ("authentic", Outcome.AUTHENTIC, "dash", curve.tippett.authentic),
    ):
        x, y = zip(*points, strict=True)
        line = {"color": COLORS[kind], "shape": "vh", "dash": dash}
        figure.add_trace(go.Scatter(x=x, y=y, name=tr(f"{label} faces"), mode="lines", line=line))
    figure.add_shape(type="line", x0=0, y0=0, x1=0, y1=1, line=_GUIDE)
    return figure


def conditions_chart(rows: Sequence[MeasuredRow]) -> go.Figure:
    """Return the AUC of each model after each degradation, with intervals."""
    figure = _lines(tr("AUC over all validation faces"), "", height=420)
    models = list(dict.fromkeys(row.model for row in rows))
    for model, color in zip(models, _MODEL_COLORS, strict=False):
        mine = [(row.part, row.auc, row.auc.value) for row in rows if row.model == model and row.auc.value is not None]
        above = [(auc.high or value) - value for _, auc, value in mine]
        below = [value - (auc.low or value) for _, auc, value in mine]
        error = {"type": "data", "array": above, "arrayminus": below, "thickness": 1, "width": 3}
        names, values = [part for part, _, _ in mine], [value for _, _, value in mine]
        marker = {"color": color, "size": 8}
        figure.add_trace(go.Scatter(x=values, y=names, name=model, mode="markers", marker=marker, error_x=error))
    figure.update_yaxes(autorange="reversed")
    return figure


def confusion_chart(curve: Curves) -> go.Figure:
    """Return the confusion matrix: outcomes of authentic and manipulated faces, as counts and shares of the class."""
    counts = curve.confusion
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    text = [
        [f"{count}<br>{share:.0%}" for count, share in zip(*pair, strict=True)]
        for pair in zip(counts, shares, strict=True)
    ]
    calls, truths = (
        [tr("called authentic"), tr("inconclusive"), tr("called manipulated")],
        [tr("authentic"), tr("manipulated")],
    )
    figure = go.Figure(
        go.Heatmap(z=shares, x=calls, y=truths, text=text, texttemplate="%{text}", colorscale="Blues", zmin=0, zmax=1)
    )
    figure.update_yaxes(autorange="reversed", fixedrange=True)
    figure.update_xaxes(fixedrange=True)
    figure.update_layout(height=260, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False)
    return figure


def framed_picture(rgb: np.ndarray, scale: float, faces: Sequence[FaceFinding]) -> go.Figure:
    """Return a picture whose faces can be clicked.

    Args:
        rgb: (H, W, 3) uint8, with the boxes of the faces drawn in.
        scale: pixels of ``rgb`` per pixel of the file.
        faces: the faces that can be clicked; the point of each has the face's id as ``customdata``.
    """
    height, width = rgb.shape[:2]
    image, stream = Image.fromarray(rgb), io.BytesIO()
    image.thumbnail((_MOST_SIDE, _MOST_SIDE))
    image.save(stream, "JPEG", quality=90)
    source = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
    boxes = [[scale * value for value in face.box.corners] for face in faces]
    shown = _PICTURE_WIDTH / width
    marker = {
        "symbol": "square",  # as wide as its face, and invisible
        "size": [max(_LEAST_TARGET, shown * (x1 - x0)) for x0, _, x1, _ in boxes],
        "opacity": 0.0,
    }
    points = go.Scatter(
        x=[(x0 + x1) / 2 for x0, _, x1, _ in boxes],
        y=[(y0 + y1) / 2 for _, y0, _, y1 in boxes],
        customdata=[face.id for face in faces],
        mode="markers",
        marker=marker,
        hovertext=[
            tr("Face {id}", id=face.id) + ("" if face.score is None else tr(": score {score:.2f}", score=face.score))
            for face in faces
        ],
        hoverinfo="text",
    )
    figure = go.Figure(points)
    position = {"x": 0, "y": 0, "sizex": width, "sizey": height, "sizing": "stretch", "layer": "below"}
    figure.add_layout_image(source=source, xref="x", yref="y", **position)
    figure.update_xaxes(visible=False, range=[0, width], fixedrange=True)
    figure.update_yaxes(visible=False, range=[height, 0], fixedrange=True, scaleanchor="x")
    margin = {"l": 0, "r": 0, "t": 0, "b": 0}
    figure.update_layout(height=round(shown * height), margin=margin, showlegend=False, dragmode=False)
    return figure
