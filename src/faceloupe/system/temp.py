"""Temporary folders, and removal of those left by killed processes."""

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from faceloupe.system.files import process_runs


def prefix(purpose: str) -> str:
    """Return the start of the names of this process's temporary folders.

    Args:
        purpose: one word that explains the folder to whoever finds it.
    """
    return f"faceloupe-{purpose}-{os.getpid()}-"


def folder(purpose: str) -> Path:
    """Create a temporary folder, which is removed when this process ends, and return its path."""
    path = Path(tempfile.mkdtemp(prefix=prefix(purpose)))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def remove_leftovers() -> list[str]:
    """Delete the temporary folders of this user's ended processes, and return the names of the folders."""
    removed = []
    for path in Path(tempfile.gettempdir()).glob("faceloupe-*"):
        parts = path.name.split("-")
        with contextlib.suppress(OSError):
            ours = len(parts) == 4 and parts[2].isdecimal() and path.lstat().st_uid == os.getuid()
            if ours and path.is_dir() and not path.is_symlink() and not process_runs(int(parts[2])):
                shutil.rmtree(path)
                removed.append(path.name)
    return removed
