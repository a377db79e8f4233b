"""Atomic writing of files, and a check whether a process is running."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Error numbers that file systems without hard links return, such as the file systems of memory sticks."""


@contextmanager
def _temporary(path: Path, mode: int) -> Iterator[Path]:
    """Create an empty temporary file beside ``path``, and remove it at the end if it still exists."""
    temporary = path.with_name(f".faceloupe-{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file completely or not at all, replacing an existing file of that name.

    Yields:
        An empty temporary file in the same folder, to be filled. If the block succeeds, the file is renamed to
            ``path``.

    Raises:
        OSError: the folder cannot be written, or is full.
    """
    with _temporary(path, 0o666) as temporary:
        yield temporary
        temporary.replace(path)


@contextmanager
def creating(path: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Write a new file completely or not at all; an existing file is never replaced.

    Args:
        path: path of the file.
        mode: permissions of the file, before the umask is applied.

    Yields:
        An empty temporary file in the same folder, to be filled. If the block succeeds, the file is renamed to
            ``path``.

    Raises:
        FileExistsError: ``path`` exists when the block ends.
        OSError: the folder cannot be written, or is full.
    """
    with _temporary(path, mode) as temporary:
        yield temporary
        try:
            os.link(temporary, path)  # unlike a rename, a link never replaces anything
        except OSError as problem:
            if problem.errno not in NO_LINKS:
                raise
            path.open("xb").close()  # reserves the name
            try:
                temporary.replace(path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise


def process_runs(process: int) -> bool:
    """Return whether a process of this machine is running; True if this is not known."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
