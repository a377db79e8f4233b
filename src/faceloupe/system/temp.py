"""Temporary folders, and letting go of those that a killed process left."""

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from faceloupe.system.files import process_runs


def prefix(purpose: str) -> str:
    """Return what the name of a temporary folder of this process begins with.

    Args:
        purpose: one word, for whoever finds it.
    """
    return f"faceloupe-{purpose}-{os.getpid()}-"


def folder(purpose: str) -> Path:
    """Return a new temporary folder, which goes when this process ends."""
    path = Path(tempfile.mkdtemp(prefix=prefix(purpose)))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def remove_leftovers() -> list[str]:
    """Delete what processes of this user left that are gone; the names."""
    removed = []
    for path in Path(tempfile.gettempdir()).glob("faceloupe-*"):
        parts = path.name.split("-")
        with contextlib.suppress(OSError):
            ours = len(parts) == 4 and parts[2].isdecimal() and path.lstat().st_uid == os.getuid()
            if ours and path.is_dir() and not path.is_symlink() and not process_runs(int(parts[2])):
                shutil.rmtree(path)
                removed.append(path.name)
    return removed
