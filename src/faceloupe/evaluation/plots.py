"""Figures of an evaluation as PNGs; they show only numbers of the evaluation."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from faceloupe.evaluation.measures import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")  # Okabe and Ito
_SIZE, _DPI = (5.2, 4.0), 110
_GUIDE: Any = {"color": "#888888", "linewidth": 0.8, "linestyle": ":"}  # arguments of matplotlib


def _figure(x: str, y: str, draw: Callable[["Axes"], None]) -> bytes:
    import matplotlib as mpl  # imported here: matplotlib is installed by an extra, and slow to import

    mpl.use("Agg")
    from matplotlib import pyplot  # imported after the choice of the backend

    figure, axes = pyplot.subplots(figsize=_SIZE, layout="constrained")
    draw(axes)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)
    return stream.getvalue()


def roc(curves: dict[str, Curves]) -> bytes:
    """Draw the ROC curve of each model."""

    def draw(axes: "Axes") -> None:
        for (model, curve), color in zip(curves.items(), _COLORS, strict=False):
            axes.plot(*zip(*curve.roc, strict=True), color=color, label=model, linewidth=1.5)
        axes.plot([0, 1], [0, 1], **_GUIDE)

    return _figure("authentic faces above the threshold", "manipulated faces above the threshold", draw)


def reliability(curves: dict[str, Curves]) -> bytes:
    """Draw the reliability diagram of each model; larger points have more weight."""

    def draw(axes: "Axes") -> None:
        for (model, curve), color in zip(curves.items(), _COLORS, strict=False):
            points = curve.reliability
            promised, observed = [point.promised for point in points], [point.observed for point in points]
            axes.plot(promised, observed, color=color, linewidth=0.8)
            sizes = [12 + 500 * point.weight for point in points]
            axes.scatter(promised, observed, sizes, color=color, alpha=0.7, label=model)
        axes.plot([0, 1], [0, 1], **_GUIDE)

    return _figure("score: predicted share of manipulated faces", "observed share, at even prior odds", draw)


def tippett(curves: dict[str, Curves]) -> bytes:
    """Draw a Tippett plot: the share of each class's faces with at least a given likelihood ratio."""

    def draw(axes: "Axes") -> None:
        for (model, curve), color in zip(curves.items(), _COLORS, strict=False):
            both = ("manipulated", "-", curve.tippett.manipulated), ("authentic", "--", curve.tippett.authentic)
            for label, style, points in both:
                values, shares = zip(*points, strict=True)
                axes.step(values, shares, color=color, linestyle=style, where="pre", label=f"{model}, {label}")
        axes.axvline(0.0, **_GUIDE)

    return _figure("log10 LR", "share of faces with at least this ratio", draw)


def history(steps: list[int], curves: dict[str, list[float]]) -> bytes:
    """Draw the curves of a training run over its steps."""

    def draw(axes: "Axes") -> None:
        for (name, values), color in zip(curves.items(), _COLORS * 2, strict=False):
            axes.plot(steps, values, color=color, label=name, linewidth=1.2, linestyle=":" if name == "loss" else "-")

    return _figure("step", "loss, and AUC on validation faces", draw)


def ladder(rows: dict[str, dict[str, float]], x: str) -> bytes:
    """Draw one value per model and condition, given as {model: {condition: value}}; conditions from top to bottom."""

    def draw(axes: "Axes") -> None:
        for (model, values), color in zip(rows.items(), _COLORS, strict=False):
            axes.plot(list(values.values()), range(len(values)), "o-", color=color, label=model, linewidth=1.2)
            axes.set_yticks(range(len(values)), list(values), fontsize=8)
        axes.invert_yaxis()

    return _figure(x, "", draw)
