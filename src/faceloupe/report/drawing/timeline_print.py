"""The timeline of a video for print, drawn only from its report and readable without color."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from faceloupe.report.drawing.overlays import COLORS, SHAPES
from faceloupe.report.numerals import decimal
from faceloupe.report.schema import PersonInfo, Report
from faceloupe.report.timeline import GapKind, gaps, length_s, lines, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LANE, _AROUND, _DPI = 6.85, 0.95, 0.95, 200  # inches, inches, inches, dots per inch
_MOST_LANES = 7  # lanes that fit on one page
_INK, _FAINT = "#222222", "#666666"
_HATCHES = {GapKind.UNSCORED: "////", GapKind.UNREAD: "xxxx", GapKind.OUTSIDE: "...."}
_MIN_LABEL_SPACING = 0.04  # numbers of tracks closer than this share of the width would overlap

Texts = Mapping[str, str]


def timelines(report: Report, texts: Texts) -> Iterator[bytes]:
    """Yield the timeline as PNGs, as many as its lanes need.

    Args:
        report: the report of a video.
        texts: the fixed texts, see ``document.locales``.
    """
    people = report.people
    for first in range(0, max(1, len(people)), _MOST_LANES):
        yield _drawn(report, people[first : first + _MOST_LANES], texts)


def _drawn(report: Report, people: Sequence[PersonInfo], texts: Texts) -> bytes:
    # Not pyplot: its figures are shared by all threads.
    from matplotlib.figure import Figure

    lanes = max(1, len(people))
    figure = Figure(figsize=(_WIDTH, lanes * _LANE + _AROUND), dpi=_DPI, layout="constrained")
    rows = figure.subplots(lanes, 1, sharex=True, squeeze=False)[:, 0]
    for number, axes in enumerate(rows):
        person = people[number] if people else None
        name = texts["no_person"] if person is None else texts["person"].format(number=person.id)
        _frame(axes, report, name, texts)
        for gap in gaps(report, person.tracks if person else ()):
            _hatch(axes, gap.start_s, gap.end_s, gap.kind)
        if person is not None:
            _lane(axes, report, person)
    rows[-1].set_xlabel(texts["time_axis"], fontsize=8)
    _legend(figure, report, people, texts)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _frame(axes: "Axes", report: Report, name: str, texts: Texts) -> None:
    """Draw the elements that all lanes share: scale, thresholds and cuts."""
    axes.set(xlim=(0.0, length_s(report)), ylim=(-0.05, 1.05), yticks=(0.0, 0.5, 1.0))
    axes.tick_params(labelsize=7)
    axes.set_ylabel(name, fontsize=8)
    thresholds = report.model.thresholds
    for value, sign, outcome, style in (
        (thresholds.upper, "≥", "manipulated", "--"),
        (thresholds.lower, "≤", "authentic", "-."),
    ):
        label = f"{sign} {decimal(value, 2, texts['language'])} {texts[f'outcome_{outcome}']}"
        axes.axhline(value, color=_FAINT, linewidth=0.8, linestyle=style)
        axes.text(1.005, value, label, transform=axes.get_yaxis_transform(), va="center", fontsize=6.5)
    for cut in report.cuts:
        axes.axvline(cut.time_s, color=_INK, linewidth=0.7, linestyle=":")
        axes.plot([cut.time_s], [1.05], marker="v", color=_INK, markersize=4, clip_on=False)


def _hatch(axes: "Axes", begin: float, end: float, kind: GapKind) -> None:
    axes.axvspan(begin, end, facecolor="none", edgecolor="#9a9a9a", hatch=_HATCHES[kind], linewidth=0.0)


def _lane(axes: "Axes", report: Report, person: PersonInfo) -> None:
    """Draw the tracks of one person."""
    last_label = -1.0
    for track in (track for track in report.tracks if track.id in person.tracks):
        color, whole, segment = COLORS[track.outcome], track.whole, track.segment
        if whole:
            ends = [whole.first_s, whole.last_s]
            axes.fill_between(ends, *whole.score_interval_95, color=color, alpha=0.22, linewidth=0)
            axes.hlines(
                whole.score_interval_95, whole.first_s, whole.last_s, color=_FAINT, linewidth=0.6, linestyle=":"
            )
            axes.plot(ends, [whole.score] * 2, color=_INK, linewidth=1.0)
        if segment:
            ends = [segment.first_s, segment.last_s]
            axes.plot(ends, [segment.score] * 2, color=_INK, linewidth=2.4, solid_capstyle="butt")
        for line in lines(series(report, track.id)):
            times, scores = [point.time_s for point in line], [point.score for point in line if point.score is not None]
            axes.plot(times, scores, color=color, linewidth=0.9, marker="o", markersize=2.6, markeredgewidth=0.0)
        label_at = track.first_s / length_s(report)
        if label_at - last_label >= _MIN_LABEL_SPACING or last_label < 0:
            _label(axes, f"{track.id} {SHAPES[track.outcome]}", track.first_s)
            last_label = label_at


def _label(axes: "Axes", label: str, time_s: float) -> None:
    axes.annotate(
        label, (time_s, 1.05), xytext=(5, 2), textcoords="offset points", fontsize=7, color=_INK, annotation_clip=False
    )


def _legend(figure: "Figure", report: Report, people: Sequence[PersonInfo], texts: Texts) -> None:
    """Draw a legend for the marks that are used."""
    from matplotlib.lines import Line2D  # imported here: matplotlib comes with an extra and is slow to import
    from matplotlib.patches import Patch

    track_ids = {track_id for person in people for track_id in person.tracks}
    shown = [track for track in report.tracks if track.id in track_ids]
    hatched = {gap.kind for person in people for gap in gaps(report, person.tracks)}
    hatched |= {gap.kind for gap in gaps(report, ())}
    entries: list[Line2D | Patch] = []
    if any(track.frames_scored for track in shown):
        line = Line2D([], [], color=_FAINT, linewidth=0.9, marker="o", markersize=2.6, label=texts["legend_score"])
        entries += [line, Line2D([], [], color=_INK, linewidth=1.0, label=texts["legend_pooled"])]
    if any(track.segment for track in shown):
        entries.append(Line2D([], [], color=_INK, linewidth=2.4, label=texts["legend_stretch"]))
    if report.cuts:
        entries.append(
            Line2D(
                [], [], color=_INK, linewidth=0.7, linestyle=":", marker="v", markersize=4, label=texts["legend_cut"]
            )
        )
    for kind in GapKind:
        if kind in hatched:
            label = texts[f"legend_{kind}"]
            entries.append(Patch(facecolor="none", edgecolor="#9a9a9a", hatch=_HATCHES[kind], label=label))
    if entries:
        figure.legend(handles=entries, loc="outside lower left", ncols=4, fontsize=7, frameon=False)
