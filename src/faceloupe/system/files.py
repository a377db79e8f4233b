"""Write files whole or not at all, and tell whether a process still runs."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of file systems without hard links, such as those of memory sticks."""


@contextmanager
def _temporary(path: Path, mode: int) -> Iterator[Path]:
    """Make an empty temporary file beside ``path``, and remove it at the end if it is still there."""
    temporary = path.with_name(f".faceloupe-{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Have a file written whole or not at all; it replaces what has the name.

    Yields:
        An empty temporary file in the same folder, to be filled. When the block ends well, it takes the name ``path``.

    Raises:
        OSError: the folder cannot be written, or is full.
    """
    with _temporary(path, 0o666) as temporary:
        yield temporary
        temporary.replace(path)


@contextmanager
def creating(path: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Have a file written whole or not at all, where there is none; nothing is ever replaced.

    Args:
        path: of the file.
        mode: its permissions, of which the umask takes some away.

    Yields:
        An empty temporary file in the same folder, to be filled. When the block ends well, it takes the name ``path``.

    Raises:
        FileExistsError: something has the name by then.
        OSError: the folder cannot be written, or is full.
    """
    with _temporary(path, mode) as temporary:
        yield temporary
        try:
            os.link(temporary, path)  # unlike a rename, a link never replaces anything
        except OSError as problem:
            if problem.errno not in NO_LINKS:
                raise
            path.open("xb").close()  # the name is ours from here on
            try:
                temporary.replace(path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise


def process_runs(process: int) -> bool:
    """Whether a process of this machine runs; True where that is not known."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
