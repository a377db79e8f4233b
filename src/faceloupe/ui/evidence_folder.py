"""The mounted evidence folder: a list of its files, and a check that no path leads outside it."""

import os
from pathlib import Path

from faceloupe.errors import UsageError

_MOST_OFFERED, _MOST_VISITED = 2_000, 20_000  # files; entries of folders


def offered(folder: Path) -> tuple[list[str], bool]:
    """Return the files below a folder.

    Returns:
        Their sorted paths relative to the folder, and whether the list stops at a limit.

    Raises:
        UsageError: the folder does not exist or cannot be read.
    """
    try:
        root = folder.resolve(strict=True)
        os.listdir(root)
    except OSError as problem:
        raise UsageError(
            f"The evidence folder {folder} cannot be read ({problem.strerror}); set FACELOUPE_EVIDENCE to another one."
        ) from problem
    files: list[str] = []
    visited = 0
    for parent, folders, names in os.walk(root):  # links to folders are not followed
        folders.sort()
        for name in sorted(names):
            visited += 1
            if visited > _MOST_VISITED or len(files) == _MOST_OFFERED:
                return sorted(files), True
            path = Path(parent, name)
            if _is_inside(path, root) and path.is_file():
                files.append(str(path.relative_to(root)))
        visited += len(folders)
    return sorted(files), False


def inside(folder: Path, name: str) -> Path:
    """Return the full path of a path relative to the folder.

    Raises:
        UsageError: the path is outside the folder, directly or through a link.
    """
    path = folder.resolve() / name
    if not _is_inside(path, folder.resolve()):
        raise UsageError("That path is outside the evidence folder; choose a file inside it.")
    return path


def _is_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # circular links
        return False
