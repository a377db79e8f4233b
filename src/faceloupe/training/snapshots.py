"""Pictures of public repositories, read by their Git blob from a folder of snapshots.

The snapshot of ``owner/name`` is the folder ``owner+name``, or ``repo`` or ``repo.git`` in it: a clone, bare or with a
work tree, or the plain files of an archive. Nothing is fetched, and no content of a snapshot is run.
"""

import csv
import hashlib
import os
import subprocess
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Self

import numpy as np

from faceloupe.config import Settings
from faceloupe.errors import DatasetError, EvidenceError, UsageError
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, open_evidence
from faceloupe.media.image import decode
from faceloupe.system.files import replacing
from faceloupe.training.material import Entry

_OPEN = 8  # repositories whose reader is kept open, a process each
_CHUNK = 1 << 20
_GIT = ("git", "--no-replace-objects", "-c", "protocol.allow=never")


class Why(StrEnum):
    """Reason why a picture of the index is not available."""

    NO_SNAPSHOT = "no snapshot of its repository"
    ABSENT = "absent from the snapshot"
    CHANGED = "other bytes than the index names"
    NO_PICTURE = "no picture that can be read"
    OUTSIDE = "its tile reaches beyond the picture"


def blob_of(content: bytes) -> str:
    """Return the SHA-1 of the Git blob with these bytes, 40 hexadecimal digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _environment() -> dict[str, str]:
    """Return an environment without this machine's Git settings, and without network access for missing blobs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return environment | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [*_GIT, "--git-dir", str(folder), *arguments]
    try:
        return subprocess.Popen(
            command,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise DatasetError("The snapshots are read with git, which is not installed; install it.") from None


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return the input and the output of a process from ``_start``."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    return process.stdin, process.stdout


def _is_git(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


class Snapshots:
    """Reader of blobs, a context manager because it keeps processes open. Not thread-safe."""

    def __init__(self, folder: Path | None) -> None:
        """Use a folder of snapshots.

        Args:
            folder: folder of the snapshots, see the module; None or a missing folder means no snapshots.
        """
        self._folder = folder
        self._readers: OrderedDict[str, subprocess.Popen[bytes]] = OrderedDict()
        self.last_sheet: tuple[str, np.ndarray] | None = None  # blob and pixels; its tiles are read one after the other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        while self._readers:
            self._close(next(iter(self._readers)))

    def find(self, repository: str) -> tuple[Path, bool] | None:
        """Return the folder of the snapshot of ``owner/name`` and whether it is a Git folder; None if it is missing."""
        if self._folder is None:
            return None
        around = self._folder / repository.replace("/", "+")
        places = [around / "repo", around / "repo.git", around]
        for folder in places:
            for git in (folder / ".git", folder):
                if _is_git(git):
                    return git, True
        return next(((folder, False) for folder in places if folder.is_dir()), None)

    def head(self, repository: str) -> str:
        """Return the commit of the snapshot; ``files`` for plain files; empty if there is no snapshot."""
        snapshot = self.find(repository)
        if snapshot is None:
            return ""
        if not snapshot[1]:
            return "files"
        answer, _ = _start(snapshot[0], "rev-parse", "--verify", "--quiet", "HEAD").communicate()
        return answer.decode("ascii", "replace").strip() or "no commit"

    def read(self, repository: str, blob: str, path: str) -> bytes | Why:
        """Return the bytes of a blob, checked by their SHA-1, or the reason why they are not available.

        Args:
            repository: ``owner/name``.
            blob: SHA-1 of the Git blob.
            path: path of the file in the repository, used to find plain files.
        """
        snapshot = self.find(repository)
        if snapshot is None:
            return Why.NO_SNAPSHOT
        folder, is_git = snapshot
        content = self._from_git(repository, folder, blob) if is_git else _from_files(folder, path)
        if isinstance(content, bytes) and blob_of(content) != blob:
            return Why.CHANGED
        return content

    def _from_git(self, repository: str, folder: Path, blob: str) -> bytes | Why:
        reader = self._readers.pop(repository, None) or _start(folder, "cat-file", "--batch")
        self._readers[repository] = reader
        if len(self._readers) > _OPEN:
            self._close(next(iter(self._readers)))
        requests, answers = _pipes(reader)
        try:
            requests.write(f"{blob}\n".encode())
            requests.flush()
        except OSError:  # the reader ended: the repository itself is unreadable
            self._close(repository)
            return Why.CHANGED
        header = answers.readline().split()
        if header[1:2] == [b"missing"]:
            return Why.ABSENT
        if len(header) != 3:  # git ends at a damaged object
            self._close(repository)
            return Why.CHANGED
        size, fits = int(header[2]), int(header[2]) <= Settings().max_bytes
        content = _read(answers, size + 1, keep=fits)[:-1]
        if not fits or header[1] != b"blob":
            return Why.NO_PICTURE
        if len(content) < size:
            self._close(repository)
            return Why.CHANGED
        return content

    def _close(self, repository: str) -> None:
        reader = self._readers.pop(repository)
        requests, answers = _pipes(reader)
        answers.close()
        with suppress(BrokenPipeError):
            requests.close()
        reader.wait()


def _read(stream: IO[bytes], size: int, *, keep: bool) -> bytes:
    if keep:
        return stream.read(size)
    while size and (chunk := stream.read(min(size, _CHUNK))):
        size -= len(chunk)
    return b""


def _from_files(folder: Path, path: str) -> bytes | Why:
    named = PurePosixPath(path)
    file = folder / named
    if named.is_absolute() or ".." in named.parts or not file.is_file():
        return Why.ABSENT
    if not file.resolve().is_relative_to(folder.resolve()):  # a link leads out of the folder
        return Why.ABSENT
    return file.read_bytes() if file.stat().st_size <= Settings().max_bytes else Why.NO_PICTURE


@dataclass(frozen=True, slots=True)
class Read:
    """A decoded picture of the material.

    Attributes:
        entry: entry with its blob.
        rgb: (H, W, 3) uint8 RGB, only the tile if the entry has one.
    """

    entry: Entry
    rgb: np.ndarray


def read_picture(entry: Entry, folder: Path, snapshots: Snapshots) -> Read | Why:
    """Read and decode a picture as the app does.

    Args:
        entry: entry of a list of the material.
        folder: folder of ``stills.csv``.
        snapshots: snapshots of the repositories that the index names.

    Raises:
        DatasetError: a file listed in ``stills.csv`` is missing or unreadable, which is a fault of the project's list.
    """
    max_bytes = Settings().max_bytes
    if entry.tile and snapshots.last_sheet and snapshots.last_sheet[0] == entry.blob:
        rgb = snapshots.last_sheet[1]
    elif entry.repository:
        content = snapshots.read(entry.repository, entry.blob, entry.path)
        if isinstance(content, Why):
            return content
        try:
            rgb = _decoded(evidence_from_bytes(content, Path(entry.path).name, max_bytes=max_bytes))
        except EvidenceError:
            return Why.NO_PICTURE
        if entry.tile:
            snapshots.last_sheet = entry.blob, rgb
    else:
        try:
            evidence_file = open_evidence(folder / entry.path, max_bytes=max_bytes)
            rgb = _decoded(evidence_file)
        except (UsageError, EvidenceError) as problem:
            raise DatasetError(f"{folder / entry.path} is listed, but cannot be used: {problem}") from problem
        with evidence_file.open() as stream:
            entry = replace(entry, blob=blob_of(stream.read()))
    if entry.tile:
        x0, y0, x1, y1 = entry.tile
        if x1 > rgb.shape[1] or y1 > rgb.shape[0]:
            return Why.OUTSIDE
        rgb = np.ascontiguousarray(rgb[y0:y1, x0:x1])
    return Read(entry, rgb)


def _decoded(evidence_file: EvidenceFile) -> np.ndarray:
    return decode(evidence_file, max_bytes=Settings().max_bytes, max_pixels=Settings().max_pixels).rgb


def survey(repositories: Iterable[str], folder: Path | None) -> dict[str, str]:
    """Return the result of ``Snapshots.head`` for each repository, in alphabetical order."""
    with Snapshots(folder) as snapshots:
        return {repository: snapshots.head(repository) for repository in sorted(set(repositories))}


def write_survey(heads: Mapping[str, str], path: Path) -> None:
    """Write the result of ``survey`` as CSV; if it changes, the stages that depend on the snapshots run again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["repository", "head"])
        writer.writerows(heads.items())
