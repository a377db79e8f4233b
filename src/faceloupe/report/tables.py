"""Tables of the tracks and the frames in the report of a video."""

from faceloupe.report.drawing.overlays import SHAPES, outcome_words
from faceloupe.report.schema import Report
from faceloupe.report.spreadsheet import to_csv

Cell = str | int | float | None


def track_columns(report: Report) -> dict[str, list[Cell]]:
    """Return the tracks as a table: column name -> cells."""
    columns: dict[str, list[Cell]] = {}
    for track in report.tracks:
        whole = track.whole
        low, high = whole.score_interval_95 if whole and whole.has_interval else (None, None)
        row: dict[str, Cell] = {
            "track": track.id,
            "person": track.person,
            "outcome": f"{SHAPES[track.outcome]} {outcome_words(track.outcome)}",
            "score": track.score,
            "95 % interval": "" if low is None else f"{low:.2f} .. {high:.2f}",
            "log10 LR": track.log10_lr,
            "effective frames": whole.effective_frames if whole else None,
            "first seen, s": track.first_s,
            "last seen, s": track.last_s,
            "scored / found": f"{track.frames_scored} / {track.frames_found}",
            "reason": track.reason,
        }
        for name, cell in row.items():
            columns.setdefault(name, []).append(cell)
    return columns


_FRAME_COLUMNS = (
    *("frame", "time_s", "shot", "track", "person", "x0", "y0", "x1", "y1", "score", "raw_logit"),
    *("size_px", "sharpness", "detection_confidence", "problem"),
)


def frames_csv(report: Report) -> str:
    """Return a CSV with one row for each face in each analyzed frame, and one row for each frame without a face."""
    people = {track.id: track.person for track in report.tracks}
    rows: list[tuple[Cell, ...]] = []
    for frame in report.frames:
        start = (frame.index, frame.time_s, frame.shot)
        for face in frame.faces:
            numbers = (face.score, face.raw_logit, face.size_px, face.sharpness, face.detection_confidence)
            rows.append((*start, face.id, people[face.id], *face.box, *numbers, face.problem))
        if not frame.faces:
            rows.append((*start, *[None] * (len(_FRAME_COLUMNS) - len(start))))
    return to_csv(_FRAME_COLUMNS, rows)
