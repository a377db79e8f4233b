"""Plotly figures of a batch; every number in them is counted from the rows of the table."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from faceloupe.batch.results import BatchResults
from faceloupe.models.record import ModelRecord
from faceloupe.report.drawing.overlays import COLORS, SHAPES, outcome_words
from faceloupe.report.numerals import decimal
from faceloupe.types import Outcome
from faceloupe.ui.language import current, tr

_BINS = 40
_SHAPES = {  # patterns, so that outcomes differ without color too; authentic has none
    Outcome.MANIPULATED: "x",
    Outcome.INCONCLUSIVE: "/",
    Outcome.NOT_APPLICABLE: ".",
    Outcome.ERROR: "-",
}
_ROOM = 0.07  # share of the bar that a number needs to fit


def counts_bar(results: BatchResults) -> go.Figure:
    """Return all rows as one stacked bar, one part per outcome.

    The ``customdata`` of a part is its outcome, so that a click can filter the table.
    """
    figure, total = go.Figure(), max(len(results.rows), 1)
    for outcome, count in results.counts.items():
        if not count:
            continue
        label = f"{SHAPES[outcome]} {tr(outcome_words(outcome))}"
        number = decimal(count, 0, current())
        figure.add_trace(
            go.Bar(
                x=[count],
                y=[""],
                orientation="h",
                name=f"{label} {number}",
                customdata=[outcome.value],
                text=[number if count / total >= _ROOM else ""],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                marker=_paint(outcome),
                hovertemplate=tr(
                    "{label}: {count:,} of {total:,} ({count2:.1%})<extra></extra>",
                    label=label,
                    count=count,
                    total=total,
                    count2=count / total,
                ),
            )
        )
    figure.update_xaxes(visible=False, fixedrange=True, range=[0, total])
    figure.update_yaxes(visible=False, fixedrange=True)
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0.0, "itemclick": False, "itemdoubleclick": False}
    figure.update_layout(
        barmode="stack",
        height=110,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        legend=legend | {"traceorder": "normal"},
        showlegend=True,
        dragmode=False,
    )
    return figure


def score_histogram(results: BatchResults, record: ModelRecord | None) -> go.Figure:
    """Return a histogram of the scores, stacked by outcome, with both thresholds if the model's record is known."""
    figure, edges = go.Figure(), np.linspace(0.0, 1.0, _BINS + 1)
    for outcome in (Outcome.AUTHENTIC, Outcome.INCONCLUSIVE, Outcome.MANIPULATED):
        scores = results.scores(outcome)
        if not len(scores):
            continue
        counts, _ = np.histogram(scores, edges)
        figure.add_trace(
            go.Bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=counts,
                width=1.0 / _BINS,
                name=f"{SHAPES[outcome]} {tr(outcome_words(outcome))}",
                marker=_paint(outcome),
                hovertemplate=tr("score %{x:.2f}: %{y} files<extra></extra>"),
            )
        )
    thresholds = record and ((record.thresholds.lower, "left"), (record.thresholds.upper, "right"))
    for threshold, anchor in thresholds or ():
        figure.add_vline(
            x=threshold,
            line={"color": "#808080", "width": 2, "dash": "dot"},
            annotation={"text": decimal(threshold, 2, current()), "font_size": 12, "xanchor": anchor},
        )
    figure.update_xaxes(title=tr("score: 0 authentic .. 1 manipulated"), range=[0, 1], fixedrange=True)
    figure.update_yaxes(title=tr("files"), fixedrange=True, tickformat="d", nticks=4)
    figure.update_layout(
        barmode="stack", height=230, margin={"l": 4, "r": 4, "t": 22, "b": 4}, showlegend=False, dragmode=False
    )
    return figure


def _paint(outcome: Outcome) -> dict[str, Any]:
    pattern = {"shape": _SHAPES.get(outcome, ""), "fillmode": "overlay", "solidity": 0.1, "size": 7}
    return {
        "color": COLORS[outcome],
        "pattern": pattern | {"fgcolor": "#202020", "fgopacity": 0.5},
        "line": {"width": 0},
    }
