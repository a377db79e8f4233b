"""Writing an analysis to a folder."""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from faceloupe.errors import UsageError
from faceloupe.report.build import to_json
from faceloupe.report.drawing import overlays
from faceloupe.report.drawing.filmstrip import filmstrip
from faceloupe.report.spreadsheet import ENCODING
from faceloupe.report.tables import frames_csv
from faceloupe.system.files import creating

if TYPE_CHECKING:
    from faceloupe.analysis.pipeline import Analysis


OPACITY = 0.7  # of the heatmaps in the written pictures


def _png(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()


def publish_file(fill: Callable[[Path], object], path: Path) -> None:
    """Have a file written that is too large to be held in memory, whole or not at all; nothing is overwritten.

    Args:
        fill: writes the content to the path it is given, a temporary one in the same folder.
        path: of the file.

    Raises:
        UsageError: the folder cannot be written, is full, or holds a file of that name already.
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


def pictures_of(analysis: "Analysis") -> dict[str, bytes]:
    """The pictures of an analysis as PNGs, by file name; none where no face was found."""
    maximum = analysis.report["model"]["explanation_max"]
    pictures: dict[str, np.ndarray] = {}
    if analysis.canvas is not None and analysis.faces:
        pictures["boxes.png"] = overlays.boxes(analysis.canvas, analysis.faces)
        if any(face.heatmap is not None for face in analysis.faces):
            overlay = overlays.source_overlay(analysis.canvas, analysis.faces, maximum, OPACITY)
            pictures["heatmap.png"] = overlays.with_scale(overlay, maximum, OPACITY)
    for kind, found in (("face", analysis.faces), ("track", analysis.tracks)):
        for one in sorted(found, key=lambda one: one.score != analysis.report["score"]):  # first what decided
            if one.heatmap is not None:
                pictures[f"{kind}-{one.id}-crop.png"] = one.crop
                overlay = overlays.face_overlay(one, maximum, OPACITY)
                pictures[f"{kind}-{one.id}-heatmap.png"] = overlays.with_scale(overlay, maximum, OPACITY)
    for track in analysis.tracks:
        pictures[f"track-{track.id}-filmstrip.png"] = filmstrip(track, analysis.report)
    return {name: _png(picture) for name, picture in pictures.items()}


def refuse_taken(names: Iterable[str], folder: Path) -> None:
    """
    Raises:
        UsageError: the folder holds a file of one of these names.
    """
    taken = [name for name in names if os.path.lexists(folder / name)]
    if taken:
        raise UsageError(f"{folder} already contains {taken[0]}, which is not overwritten; choose another folder.")


def publish(contents: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder, all or none; what exists is never overwritten: it could be evidence, or a result.

    Args:
        contents: name -> bytes, written in this order.

    Raises:
        UsageError: the folder cannot be written, or holds a file of one of these names already.
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


def write(analysis: "Analysis", folder: Path) -> list[Path]:
    """Write the pictures of an analysis, ``frames.csv`` for a video, and ``report.json``.

    The report comes last: where it stands, the pictures do too.

    Raises:
        UsageError: see ``publish``.
    """
    contents = pictures_of(analysis)
    if "frames" in analysis.report:
        contents["frames.csv"] = frames_csv(analysis.report).encode(ENCODING)
    contents["report.json"] = (to_json(analysis.report) + "\n").encode()
    return publish(contents, folder)
