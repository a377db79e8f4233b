"""The files of a batch, listed lazily and in a stable order: paths as given, and the files of a folder by name."""

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
_LOOK = 64 * 1024  # bytes of a list that are searched for a NUL as separator; paths are far shorter
_CHUNK = 64 * 1024

Skip = Callable[[os.stat_result], bool]


def shown(path: str) -> str:
    r"""Return a path as text: bytes that are not UTF-8 become ``\xff``; all else, including line breaks, is kept."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def refuse_missing(paths: Iterable[str]) -> None:
    """Refuse paths that do not exist.

    Raises:
        UsageError: one of the paths does not exist, most likely because of a typing error.
    """
    for path in paths:
        if path != STANDARD_INPUT and not os.path.lexists(path):
            raise UsageError(f"There is no file or folder {shown(path)}; check the path.")


def listed(paths: Iterable[str], *, stdin: BinaryIO | None = None, skip: Skip = lambda _: False) -> Iterator[Task]:
    """Yield every file below the paths; a folder or ZIP that cannot be read is yielded with its problem.

    Memory holds only the names in one folder at each level, or in one ZIP.

    Args:
        paths: files, folders (searched recursively, without following links to folders in them) and ZIPs; ``-`` reads
            more paths from ``stdin``.
        stdin: a list of paths, one per line or separated by NULs.
        skip: returns whether a file or folder is not an input, for example because it is the output.
    """
    for path in paths:
        if path == STANDARD_INPUT:
            for entry in entries(stdin or sys.stdin.buffer):
                yield from _below(entry, skip)
        else:
            yield from _below(path, skip)


def with_embedded(files: Iterable[Task], settings: Settings) -> Iterator[Task]:
    """Yield the files, each followed by the content that is embedded in it, as inputs of their own.

    Args:
        files: the listed files.
        settings: settings with the limits for reading.
    """
    reader = Reader(settings.max_bytes)
    try:
        for task in files:
            yield task
            try:
                items = list_embedded(reader.open_container(task), settings=settings)
            except (EvidenceError, UsageError):  # the analysis of the file reports the problem
                continue
            for piece in items:
                if piece.is_file:
                    yield replace(task, shown=f"{task.shown}!{piece.content.offset}", embedded=piece)
    finally:
        reader.close()


def entries(stream: BinaryIO) -> Iterator[str]:
    """Yield the paths of a list that is separated by NULs if it has any, otherwise by line ends; skip empty paths."""
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
    levels = [iter([top])]  # a stack: folders may be nested deeper than function calls can be
    while levels:
        path = next(levels[-1], None)
        if path is None:
            levels.pop()
            continue
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            yield Task(shown(path), path)  # the driver reports why it cannot be read
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
