"""Plotly figures of the pages; every number in them is one of the report's."""

from typing import Any

import plotly.graph_objects as go

from faceloupe.report.figures import COLORS, outcome_words
from faceloupe.types import Outcome

_LABEL_ROOM = 0.15  # share of the ruler that two numbers beside each other need
_BAND = {"type": "rect", "y0": 0.0, "y1": 1.0, "line_width": 0, "layer": "below"}


def score_ruler(report: dict[str, Any]) -> go.Figure:
    """The score on a ruler from 0 (authentic) to 1 (manipulated), with both thresholds and the band between them."""
    lower, upper = report["model"]["thresholds"]["lower"], report["model"]["thresholds"]["upper"]
    outcome, score = Outcome(report["outcome"]), report["score"]
    figure = go.Figure()
    for start, end, kind in (
        (0.0, lower, Outcome.AUTHENTIC),
        (lower, upper, Outcome.INCONCLUSIVE),
        (upper, 1.0, Outcome.MANIPULATED),
    ):
        figure.add_shape(**_BAND, x0=start, x1=end, fillcolor=COLORS[kind], opacity=0.28)
        if end - start > 0.2:
            figure.add_annotation(
                x=(start + end) / 2, y=0.5, text=outcome_words(kind), showarrow=False, font_size=12, opacity=0.85
            )
    ends = [(0.0, "left")] * (lower > _LABEL_ROOM) + [(1.0, "right")] * (upper < 1.0 - _LABEL_ROOM)
    for place, anchor in (*ends, (lower, "center"), (upper, "center")):
        figure.add_annotation(x=place, y=-0.45, text=f"{place:.2f}", xanchor=anchor, showarrow=False, font_size=12)
    for threshold in (lower, upper):
        figure.add_shape(type="line", x0=threshold, x1=threshold, y0=-0.12, y1=1.12, line_width=2, line_color="#808080")
    figure.add_trace(
        go.Scatter(
            x=[score],
            y=[1.0],
            mode="markers+text",
            marker={"symbol": "triangle-down", "size": 17, "color": COLORS[outcome], "line": {"width": 1}},
            text=[f"<b>{score:.2f}</b>"],
            textposition="top center",
            textfont={"size": 15},
            cliponaxis=False,
            hovertemplate=f"score {score:.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(range=[-0.01, 1.01], visible=False, fixedrange=True)
    figure.update_yaxes(range=[-0.8, 1.9], visible=False, fixedrange=True)
    figure.update_layout(height=112, margin={"l": 8, "r": 8, "t": 2, "b": 2}, showlegend=False, dragmode=False)
    return figure
