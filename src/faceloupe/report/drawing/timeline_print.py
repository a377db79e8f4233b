"""The timeline of a video for print: drawn from its report alone, and readable without color."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from faceloupe.report.drawing.overlays import COLORS, SHAPES
from faceloupe.types import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LANE, _AROUND, _DPI = 6.85, 0.95, 0.95, 200  # inches, inches, inches, dots per inch
_MOST_LANES = 7  # that go on one page
_INK, _FAINT = "#222222", "#666666"
_HATCHES = {"unscored": "////", "unread": "xxxx", "outside": "...."}
_ROOM = 0.04  # numbers of tracks closer than this share of the width would run into each other

Report = Mapping[str, Any]
Texts = Mapping[str, str]
Span = tuple[float, float]


def timelines(report: Report, texts: Texts) -> Iterator[bytes]:
    """PNGs of the timeline, as many as its lanes need.

    Args:
        report: of a video.
        texts: the fixed texts, see ``texts``.
    """
    people = report["people"]
    for first in range(0, max(1, len(people)), _MOST_LANES):
        yield _drawn(report, people[first : first + _MOST_LANES], texts)


def _drawn(report: Report, people: Sequence[Mapping[str, Any]], texts: Texts) -> bytes:
    # Not pyplot: its figures are shared by all threads.
    from matplotlib.figure import Figure

    lanes = max(1, len(people))
    figure = Figure(figsize=(_WIDTH, lanes * _LANE + _AROUND), dpi=_DPI, layout="constrained")
    rows = figure.subplots(lanes, 1, sharex=True, squeeze=False)[:, 0]
    for number, axes in enumerate(rows):
        person = people[number] if people else None
        _frame(axes, report, texts["no_person"] if person is None else texts["person"].format(number=person["id"]))
        if person is not None:
            _lane(axes, report, set(person["tracks"]))
    rows[-1].set_xlabel(texts["time_axis"], fontsize=8)
    _legend(figure, report, people, texts)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _length(report: Report) -> float:
    last = max((frame["time_s"] for frame in report["frames"]), default=0.0)
    return max(report["evidence"]["duration_s"] or 0.0, last, 1e-3)


def _frame(axes: "Axes", report: Report, name: str) -> None:
    """What all lanes share: scale, thresholds, cuts, and what was not looked at or could not be read."""
    length = _length(report)
    axes.set(xlim=(0.0, length), ylim=(-0.05, 1.05), yticks=(0.0, 0.5, 1.0))
    axes.tick_params(labelsize=7)
    axes.set_ylabel(name, fontsize=8)
    for end, words, style in (("upper", "≥ {:.2f} manipulated", "--"), ("lower", "≤ {:.2f} authentic", "-.")):
        value = report["model"]["thresholds"][end]
        axes.axhline(value, color=_FAINT, linewidth=0.8, linestyle=style)
        axes.text(1.005, value, words.format(value), transform=axes.get_yaxis_transform(), va="center", fontsize=6.5)
    for cut in report["cuts"]:
        axes.axvline(cut["time_s"], color=_INK, linewidth=0.7, linestyle=":")
        axes.plot([cut["time_s"]], [1.05], marker="v", color=_INK, markersize=4, clip_on=False)
    for kind, spans in (("unread", _unread(report)), ("outside", _outside(report, length))):
        for begin, end in spans:
            _hatch(axes, begin, end, kind)


def _hatch(axes: "Axes", begin: float, end: float, kind: str) -> None:
    axes.axvspan(begin, end, facecolor="none", edgecolor="#9a9a9a", hatch=_HATCHES[kind], linewidth=0.0)


def _lane(axes: "Axes", report: Report, tracks: set[int]) -> None:
    """The tracks of one person."""
    last_label = -1.0
    for track in (one for one in report["faces"] if one["id"] in tracks):
        outcome = Outcome(track["outcome"])
        color, whole, segment = COLORS[outcome], track["whole"], track["stretch"]
        if whole:
            ends = [whole["first_s"], whole["last_s"]]
            axes.fill_between(ends, *whole["score_interval_95"], color=color, alpha=0.22, linewidth=0)
            axes.hlines(whole["score_interval_95"], *ends, color=_FAINT, linewidth=0.6, linestyle=":")
            axes.plot(ends, [whole["score"]] * 2, color=_INK, linewidth=1.0)
        if segment:
            ends = [segment["first_s"], segment["last_s"]]
            axes.plot(ends, [segment["score"]] * 2, color=_INK, linewidth=2.4, solid_capstyle="butt")
        for times, scores in _segments_scored(report, track["id"]):
            axes.plot(times, scores, color=color, linewidth=0.9, marker="o", markersize=2.6, markeredgewidth=0.0)
        for begin, end in _unscored(report, track["id"]):
            _hatch(axes, begin, end, "unscored")
        place = track["first_s"] / _length(report)
        if place - last_label >= _ROOM or last_label < 0:
            _label(axes, f"{track['id']} {SHAPES[outcome]}", track["first_s"])
            last_label = place


def _label(axes: "Axes", words: str, time_s: float) -> None:
    axes.annotate(
        words, (time_s, 1.05), xytext=(5, 2), textcoords="offset points", fontsize=7, color=_INK, annotation_clip=False
    )


def _observations(report: Report, track: int) -> list[tuple[int, float | None]]:
    """Place among the frames looked at, and score, of every frame in which the track was found."""
    return [
        (place, face["score"])
        for place, frame in enumerate(report["frames"])
        for face in frame["faces"]
        if face["id"] == track
    ]


def _segments_scored(report: Report, track: int) -> Iterator[tuple[list[float], list[float]]]:
    """Times and scores of frames that were scored one after the other: no line leads over what was not."""
    times: list[float] = []
    scores: list[float] = []
    before = None
    for place, score in _observations(report, track):
        if times and (score is None or place - before > 1):
            yield times, scores
            times, scores = [], []
        if score is not None:
            times.append(report["frames"][place]["time_s"])
            scores.append(score)
        before = place
    if times:
        yield times, scores


def _unscored(report: Report, track: int) -> Iterator[Span]:
    """Stretches for which frames stand in which the face was found, but not scored."""
    for place, score in _observations(report, track):
        if score is None:
            yield _around(report, place)


def _around(report: Report, place: int) -> Span:
    """The time for which a frame stands: half way to those looked at before and after it."""
    times = [frame["time_s"] for frame in report["frames"]]
    here = times[place]
    begin = (times[place - 1] + here) / 2 if place else here
    end = (times[place + 1] + here) / 2 if place + 1 < len(times) else _length(report)
    return begin, end


def _unread(report: Report) -> Iterator[Span]:
    """Stretches for which frames stand that could not be decoded."""
    read = {frame["time_s"] for frame in report["frames"]}
    lost = {frame["time_s"] for frame in report["unread_frames"]}
    times = [0.0, *sorted(read | lost), _length(report)]
    for (before, here), (_, after) in pairwise(pairwise(times)):
        if here in lost:
            yield (before + here) / 2, (here + after) / 2


def _outside(report: Report, length: float) -> Iterator[Span]:
    """What lies outside the stretch that was asked for."""
    begin, end = report["settings"]["from_s"], report["settings"]["to_s"]
    if begin > 0:
        yield 0.0, begin
    if 0 < end < length:
        yield end, length


def _legend(figure: "Figure", report: Report, people: Sequence[Mapping[str, Any]], texts: Texts) -> None:
    """Words for the marks that are used."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    mine = {track for person in people for track in person["tracks"]}
    shown = [track for track in report["faces"] if track["id"] in mine]
    hatched = {
        "unscored": any(True for track in shown for _ in _unscored(report, track["id"])),
        "unread": bool(report["unread_frames"]),
        "outside": any(True for _ in _outside(report, _length(report))),
    }
    entries = []
    if any(track["frames_scored"] for track in shown):
        line = Line2D([], [], color=_FAINT, linewidth=0.9, marker="o", markersize=2.6, label=texts["legend_score"])
        entries += [line, Line2D([], [], color=_INK, linewidth=1.0, label=texts["legend_pooled"])]
    if any(track["stretch"] for track in shown):
        entries.append(Line2D([], [], color=_INK, linewidth=2.4, label=texts["legend_stretch"]))
    if report["cuts"]:
        entries.append(
            Line2D(
                [], [], color=_INK, linewidth=0.7, linestyle=":", marker="v", markersize=4, label=texts["legend_cut"]
            )
        )
    for kind, used in hatched.items():
        if used:
            words = texts[f"legend_{kind}"]
            entries.append(Patch(facecolor="none", edgecolor="#9a9a9a", hatch=_HATCHES[kind], label=words))
    if entries:
        figure.legend(handles=entries, loc="outside lower left", ncols=4, fontsize=7, frameon=False)
