"""The tracks of a video's report as tables, and what the surfaces ask of it."""

from collections.abc import Mapping
from typing import Any

from faceloupe.models.record import Thresholds
from faceloupe.report.drawing.overlays import SHAPES, outcome_words
from faceloupe.report.spreadsheet import to_csv
from faceloupe.scoring.decision import of_score
from faceloupe.types import Outcome

Report = Mapping[str, Any]


def called(score: float | None, report: Report) -> Outcome:
    """What the score of a single frame alone would be called; a frame that was not scored is not applicable."""
    if score is None:
        return Outcome.NOT_APPLICABLE
    return of_score(score, Thresholds(**report["model"]["thresholds"]))[0]


def deciding(report: Report) -> Mapping[str, Any] | None:
    """The track whose score is the file's; None where nothing was scored."""
    if report["score"] is None:
        return None
    equal = [track for track in report["faces"] if track["score"] == report["score"]]
    return max(equal, key=lambda track: track["outcome"] == report["outcome"])


def track_columns(report: Report) -> dict[str, list[Any]]:
    """The tracks as a table: name of a column -> its cells."""
    columns: dict[str, list[Any]] = {}
    for track in report["faces"]:
        outcome, whole = Outcome(track["outcome"]), track["whole"]
        low, high = whole["score_interval_95"] if whole else (None, None)
        row = {
            "track": track["id"],
            "person": track["person"],
            "outcome": f"{SHAPES[outcome]} {outcome_words(outcome)}",
            "score": track["score"],
            "95 % interval": "" if low is None else f"{low:.2f} .. {high:.2f}",
            "log10 LR": track["log10_lr"],
            "effective frames": whole and whole["effective_frames"],
            "first seen, s": track["first_s"],
            "last seen, s": track["last_s"],
            "scored / found": f"{track['frames_scored']} / {track['frames_found']}",
            "reason": track["reason"],
        }
        for name, cell in row.items():
            columns.setdefault(name, []).append(cell)
    return columns


_FRAME_COLUMNS = ("frame", "time_s", "shot", "track", "person", "x0", "y0", "x1", "y1", "score", "raw_logit")
_FRAME_COLUMNS += ("size_px", "sharpness", "detection_confidence", "problem")


def frames_csv(report: Report) -> str:
    """Every face in every frame that was looked at, one row each; a frame without a face has one row, too."""
    people = {track["id"]: track["person"] for track in report["faces"]}
    rows = []
    for frame in report["frames"]:
        start = (frame["index"], frame["time_s"], frame["shot"])
        for face in frame["faces"]:
            rows.append(
                (*start, face["id"], people[face["id"]], *face["box"], *(face[name] for name in _FRAME_COLUMNS[9:]))
            )
        if not frame["faces"]:
            rows.append((*start, *[None] * (len(_FRAME_COLUMNS) - len(start))))
    return to_csv(_FRAME_COLUMNS, rows)
