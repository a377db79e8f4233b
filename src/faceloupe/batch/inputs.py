"""The files of a batch, listed lazily and in a stable order: as given, and folders by name."""

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

from faceloupe.batch.archives import Archive, is_archive
from faceloupe.batch.readers import Reader
from faceloupe.batch.tasks import Task
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError, UsageError
from faceloupe.media.sandbox.statements import list_embedded

STANDARD_INPUT = "-"
_LOOK = 64 * 1024  # bytes of a list in which a NUL must turn up if NULs separate: paths are far shorter
_CHUNK = 64 * 1024

Skip = Callable[[os.stat_result], bool]


def shown(path: str) -> str:
    r"""Return a path as text: bytes that are no UTF-8 as ``\xff``; everything else as it is, line breaks too."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def refuse_missing(paths: Iterable[str]) -> None:
    """Refuse paths that do not exist.

    Raises:
        UsageError: one of the paths named on the command line does not exist: a typing error, most likely.
    """
    for path in paths:
        if path != STANDARD_INPUT and not os.path.lexists(path):
            raise UsageError(f"There is no file or folder {shown(path)}; check the path.")


def listed(paths: Iterable[str], *, stdin: BinaryIO | None = None, skip: Skip = lambda _: False) -> Iterator[Task]:
    """Every file below the paths, one by one; what cannot be looked into is listed with its problem.

    Only the names of one folder at each level, or of one ZIP, are held in memory.

    Args:
        paths: files, folders (searched wholly, links to folders aside), ZIPs; ``-`` reads more of them from ``stdin``.
        stdin: a list of paths, one a line, or separated by NULs.
        skip: whether a file or folder is not an input, such as the output.
    """
    for path in paths:
        if path == STANDARD_INPUT:
            for entry in entries(stdin or sys.stdin.buffer):
                yield from _below(entry, skip)
        else:
            yield from _below(path, skip)


def with_embedded(files: Iterable[Task], settings: Settings) -> Iterator[Task]:
    """Yield files, and behind each what it holds besides its picture, as files of their own.

    Args:
        files: as they are listed.
        settings: with the limits.
    """
    reader = Reader(settings.max_bytes)
    try:
        for task in files:
            yield task
            try:
                items = list_embedded(reader.holder(task), settings=settings)
            except (EvidenceError, UsageError):  # whoever examines the file says what is wrong
                continue
            for piece in items:
                if piece.is_file:
                    yield replace(task, shown=f"{task.shown}!{piece.content.offset}", embedded=piece)
    finally:
        reader.close()


def entries(stream: BinaryIO) -> Iterator[str]:
    """Yield the paths of a list, separated by NULs if there is any, else by line ends; empty ones aside."""
    pending = b""
    while len(pending) < _LOOK and (chunk := stream.read(_CHUNK)):
        pending += chunk
    separator = b"\0" if b"\0" in pending else b"\n"
    while pending:
        *whole, pending = pending.split(separator)
        chunk = stream.read(_CHUNK)
        if not chunk:
            whole, pending = [*whole, pending], b""
        for entry in whole:
            entry = entry.removesuffix(b"\r") if separator == b"\n" else entry
            if entry:
                yield os.fsdecode(entry)
        pending += chunk


def _below(top: str, skip: Skip) -> Iterator[Task]:
    levels = [iter([top])]  # not recursive: folders may be nested deeper than calls
    while levels:
        path = next(levels[-1], None)
        if path is None:
            levels.pop()
            continue
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            yield Task(shown(path), path)  # whoever takes it in says why it cannot be read
            continue
        if skip(state):
            continue
        if stat.S_ISDIR(state.st_mode):
            if path is not top and os.path.islink(path):
                problem = "This is a link to a folder and was not followed; give the folder itself."
                yield Task(shown(path), path, problem=problem)
                continue
            try:
                names = sorted(os.listdir(path))
            except OSError as problem:
                cause = f"The folder cannot be read ({problem.strerror}); check its permissions."
                yield Task(shown(path), path, problem=cause)
                continue
            levels.append(map(_joined(path), names))
        elif not stat.S_ISREG(state.st_mode) or not is_archive(path):
            yield Task(shown(path), path)
        else:
            yield from _members(path)


def _joined(folder: str) -> Callable[[str], str]:
    return lambda name: os.path.join(folder, name)


def _members(path: str) -> Iterator[Task]:
    try:
        archive = Archive(path)
    except EvidenceError as problem:
        yield Task(shown(path), path, problem=str(problem))
        return
    try:
        if not archive.members:
            yield Task(shown(path), path, problem="The ZIP contains no files.")
        for number, name in archive.members.items():
            yield Task(f"{shown(path)}!{name}", path, number, name)
    finally:
        archive.close()
