"""Writing an analysis to a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from faceloupe.errors import UsageError
from faceloupe.report import figures
from faceloupe.report.canonical import to_json

if TYPE_CHECKING:
    from faceloupe.pipeline import Analysis


def _save(picture: np.ndarray, path: Path) -> None:
    with path.with_suffix(".partial").open("wb") as stream:
        Image.fromarray(picture).save(stream, format="PNG")
    path.with_suffix(".partial").replace(path)


def write(analysis: "Analysis", folder: Path) -> list[Path]:
    """Write ``report.json``, ``boxes.png``, ``heatmap.png`` and, per scored face, its crop and heatmap.

    Each file is written whole or not at all, the report last: where it stands, the pictures do too.

    Raises:
        UsageError: the folder cannot be written.
    """
    report = analysis.report
    maximum = report["model"]["explanation_max"]
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures: dict[str, np.ndarray] = {}
        if analysis.picture is not None and analysis.faces:
            rgb = analysis.picture.rgb
            pictures["boxes.png"] = figures.boxes(rgb, analysis.faces)
            explained = tuple(face for face in analysis.faces if face.heat is not None)
            if explained:
                overlay = figures.source_overlay(rgb, analysis.faces, maximum)
                pictures["heatmap.png"] = figures.with_scale(overlay, maximum)
            for face in explained:
                pictures[f"face-{face.id}-crop.png"] = face.crop
                overlay = figures.face_overlay(face, maximum, 0.7)
                pictures[f"face-{face.id}-heatmap.png"] = figures.with_scale(overlay, maximum)
        for name, picture in pictures.items():
            _save(picture, folder / name)
            written.append(folder / name)
        partial = folder / "report.partial"
        partial.write_text(to_json(report) + "\n", encoding="utf-8")
        partial.replace(folder / "report.json")
        written.append(folder / "report.json")
    except OSError as problem:
        raise UsageError(
            f"The results cannot be written to {folder} ({problem.strerror or problem}); choose another folder."
        ) from problem
    return written
