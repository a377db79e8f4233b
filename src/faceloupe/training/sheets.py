"""Contact sheets of the large material, to see what a source really holds: name cards, drawings and the like."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from faceloupe.training.data import LABELS
from faceloupe.training.material import Still
from faceloupe.training.snapshots import Read, Snapshots, read_picture

COLUMNS, ROWS, SIDE = 12, 8, 112  # thumbnails across and down, and their side in pixels
_BACKGROUND, _QUALITY = 128, 80
_NAMES = {number: name for name, number in LABELS.items()}


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pictures of one source, split and label on one sheet, in reading order."""

    name: str
    stills: tuple[Still, ...]


def plan(stills: Iterable[Still]) -> list[Sheet]:
    """Choose up to one sheet of pictures for each source, split and label; the choice depends only on their ids."""
    kinds: dict[str, list[Still]] = defaultdict(list)
    for still in stills:
        entry = still.entry
        kinds[f"{entry.source}-{entry.split}-{_NAMES[entry.label]}"].append(still)
    order = lambda still: hashlib.sha256(still.id.encode()).digest()  # noqa: E731
    return [Sheet(name, tuple(sorted(kinds[name], key=order)[: COLUMNS * ROWS])) for name in sorted(kinds)]


def _thumbnail(rgb: np.ndarray) -> Image.Image:
    image = Image.fromarray(rgb)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return image


def write(sheet: Sheet, folder: Path, snapshots: Snapshots, target: Path) -> Path:
    """Draw a sheet as JPEG, and list its pictures in a text file beside it; missing pictures stay blank.

    Args:
        sheet: the pictures to draw.
        folder: folder of ``stills.csv``.
        snapshots: snapshots of the repositories.
        target: folder of the sheets.

    Returns:
        Path of the JPEG.
    """
    target.mkdir(parents=True, exist_ok=True)
    rows = -(-len(sheet.stills) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), (_BACKGROUND,) * 3)
    lines = []
    for number, still in enumerate(sheet.stills):
        row, column = divmod(number, COLUMNS)
        picture = read_picture(still.entry, folder, snapshots)
        if isinstance(picture, Read):
            canvas.paste(_thumbnail(picture.rgb), (column * SIDE, row * SIDE))
        lines.append(f"{row + 1}.{column + 1} {still.id} {still.entry.location}")
    path = target / f"{sheet.name}.jpg"
    canvas.save(path, quality=_QUALITY)
    path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
