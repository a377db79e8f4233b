"""Study of pooling rules, which combine the frames of a clip into one number, on validation material."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.evaluation import metrics
from faceloupe.scoring.aggregation import pool, series, strongest_segment
from faceloupe.training.clips import read_videos
from faceloupe.training.data import Item
from faceloupe.training.scoring import score_all

_PEOPLE_SOURCE = "ffpp_faces"  # stills, several frames of each person; their spacing in time is unknown
_ASSUMED_SPACING_S = 1.0

# One face over time: (N,) seconds, calibrated log-odds, weights.
Series = tuple[np.ndarray, np.ndarray, np.ndarray]


def _score(log_odds: np.ndarray) -> np.ndarray:
    scores: np.ndarray = 1.0 / (1.0 + np.exp(-log_odds))
    return scores


def _top_quarter(values: np.ndarray) -> float:
    return float(np.sort(values)[-max(1, len(values) // 4) :].mean())


def _stretch(values: Series) -> float:
    segment = strongest_segment(*values)
    return pool(*values).score if segment is None else segment.score


RULES: dict[str, Callable[[Series], float]] = {
    "plain mean of the scores": lambda series: float(_score(series[1]).mean()),
    "median of the scores": lambda series: float(np.median(_score(series[1]))),
    "highest score": lambda series: float(_score(series[1]).max()),
    "mean of the highest quarter": lambda series: _top_quarter(series[1]),
    "share of frames above .5": lambda series: float((series[1] > 0).mean()),
    "strongest stretch": _stretch,
    "robust weighted mean of the log-odds": lambda series: pool(*series).score,
}


def of_clips(root: Path, networks: Networks) -> tuple[list[Series], list[int]]:
    """Return the most suspicious track of each validation clip, analyzed as in the app, and the labels of the clips."""
    over_time, labels = [], []
    calibrator = networks.scorer.record.calibrator
    for clip in read_videos(root / "videos.csv"):
        if clip.split != "val":
            continue
        analysis = analyze(root / clip.path, networks, explain=False)
        scored = [(track.score, track) for track in analysis.tracks if track.score is not None]
        if scored:
            _, track = max(scored, key=lambda pair: pair[0])
            over_time.append(series(track.scored, calibrator))
            labels.append(clip.label)
    return over_time, labels


def of_people(root: Path, items: list[Item], networks: Networks) -> tuple[list[Series], list[int]]:
    """Return the frames of each person in the validation stills, one series for each label, and these labels."""
    mine = [item for item in items if item.split == "val" and item.has_face and item.source == _PEOPLE_SOURCE]
    faces = score_all({"": networks.scorer}, root, mine)[""]
    people = defaultdict(list)
    for item, logit in zip(faces.items, faces.logits, strict=True):
        people[Path(item.path).stem.partition("_")[0], item.label].append(logit)
    calibrator = networks.scorer.record.calibrator
    over_time = [
        (
            np.arange(len(logits)) * _ASSUMED_SPACING_S,
            np.asarray(calibrator.log_odds(np.array(logits))),
            np.ones(len(logits)),
        )
        for logits in people.values()
    ]
    return over_time, [label for _, label in people]


def compare(sets: dict[str, tuple[list[Series], list[int]]]) -> str:
    """Return a Markdown table of the AUC of each rule on each set."""
    lines = [f"| rule | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|"]
    for name, rule in RULES.items():
        cells = []
        for faces, labels in sets.values():
            values = np.array([rule(face) for face in faces])
            cells.append(f"{metrics.auc(np.array(labels), values, np.ones(len(labels))):.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
