"""Writing of the results of an analysis to a folder."""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from faceloupe.analysis.results import Analysis
from faceloupe.errors import UsageError
from faceloupe.findings import FaceFinding, TrackFinding
from faceloupe.report.drawing import overlays
from faceloupe.report.drawing.filmstrip import filmstrip
from faceloupe.report.schema import Report
from faceloupe.report.spreadsheet import ENCODING
from faceloupe.report.tables import frames_csv
from faceloupe.system.files import creating

OPACITY = 0.7  # opacity of the heatmaps in the written pictures
_REPORT = "report.json"


def _png(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()


def publish_file(fill: Callable[[Path], object], path: Path) -> None:
    """Write a file that is too large for memory, completely or not at all; nothing is overwritten.

    Args:
        fill: function that writes the content to the given path, a temporary file in the same folder.
        path: path of the new file.

    Raises:
        UsageError: the folder cannot be written, is full, or already contains a file of that name.
    """
    refuse_taken([path.name], path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with creating(path) as temporary:
            fill(temporary)
    except OSError as problem:
        raise UsageError(
            f"{path.name} cannot be written to {path.parent} ({problem.strerror or problem}); "
            "free some space there or choose another folder."
        ) from problem


def pictures_of(analysis: Analysis) -> dict[str, bytes]:
    """Return the pictures of an analysis as PNGs by file name; none if no face was found."""
    maximum, decisive = analysis.record.explanation_max, analysis.decisive
    pictures: dict[str, np.ndarray] = {}
    if analysis.canvas is not None and analysis.faces:
        pictures["boxes.png"] = overlays.boxes(analysis.canvas, analysis.faces)
        if any(face.heatmap is not None for face in analysis.faces):
            overlay = overlays.source_overlay(analysis.canvas, analysis.faces, maximum, OPACITY)
            pictures["heatmap.png"] = overlays.with_scale(overlay, maximum, OPACITY)
    faces: list[FaceFinding | TrackFinding] = [*analysis.faces, *analysis.tracks]
    for face in sorted(faces, key=lambda face: decisive is None or face.id != decisive.id):  # the decisive face first
        if face.heatmap is not None and face.crop is not None:
            stem = f"{'face' if isinstance(face, FaceFinding) else 'track'}-{face.id}"
            if isinstance(face, FaceFinding) and analysis.canvas is not None:
                pictures[f"{stem}-face.png"] = overlays.surroundings(analysis.canvas, face, maximum, 0.0)
            pictures[f"{stem}-crop.png"] = face.crop
            overlay = overlays.face_overlay(face, maximum, OPACITY)
            pictures[f"{stem}-heatmap.png"] = overlays.with_scale(overlay, maximum, OPACITY)
    for track in analysis.tracks:
        pictures[f"track-{track.id}-filmstrip.png"] = filmstrip(track, analysis.record.thresholds)
    return {name: _png(picture) for name, picture in pictures.items()}


def refuse_taken(names: Iterable[str], folder: Path) -> None:
    """Refuse a folder in which files would be overwritten.

    Raises:
        UsageError: the folder contains a file with one of these names.
    """
    taken = [name for name in names if os.path.lexists(folder / name)]
    if taken:
        raise UsageError(f"{folder} already contains {taken[0]}, which is not overwritten; choose another folder.")


def publish(contents: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder, all or none; existing files, which could be evidence or results, are not overwritten.

    Args:
        contents: file name -> bytes, written in this order.
        folder: created if it does not exist.

    Raises:
        UsageError: the folder cannot be written, or already contains a file with one of these names.
    """
    refuse_taken(contents, folder)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with creating(folder / name) as temporary:
                temporary.write_bytes(content)
            written.append(folder / name)
    except BaseException as problem:
        for path in written:
            path.unlink(missing_ok=True)
        if not isinstance(problem, OSError):
            raise
        raise UsageError(
            f"The results cannot be written to {folder} ({problem.strerror or problem}); choose another folder."
        ) from problem
    return written


def refuse_report(folder: Path) -> None:
    """Refuse a folder that already contains a report; called before the analysis, not after it.

    Raises:
        UsageError: the folder contains a report.
    """
    refuse_taken([_REPORT], folder)


def write(analysis: Analysis, report: Report, folder: Path) -> list[Path]:
    """Write the pictures of an analysis, ``frames.csv`` for a video, and ``report.json``.

    The report is written last: if it exists, the pictures exist too.

    Raises:
        UsageError: see ``publish``.
    """
    contents = pictures_of(analysis)
    if report.is_video:
        contents["frames.csv"] = frames_csv(report).encode(ENCODING)
    contents[_REPORT] = f"{report.to_json()}\n".encode()
    return publish(contents, folder)
