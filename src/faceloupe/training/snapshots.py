"""Pictures of public repositories, read by their blob from snapshots that lie in one folder.

The snapshot of ``owner/name`` is the folder ``owner+name``, or ``repo`` or ``repo.git`` in it: a clone, bare or with a
work tree, or the plain files of an archive. Nothing is fetched, and nothing that a snapshot holds is run.
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

_OPEN = 8  # readers of repositories that are kept at once, a process each
_CHUNK = 1 << 20
_GIT = ("git", "--no-replace-objects", "-c", "protocol.allow=never")


class Why(StrEnum):
    """Why a picture of the index cannot be had."""

    NO_SNAPSHOT = "no snapshot of its repository"
    ABSENT = "absent from the snapshot"
    CHANGED = "other bytes than the index names"
    NO_PICTURE = "no picture that can be read"
    OUTSIDE = "its tile reaches beyond the picture"


def blob_of(content: bytes) -> str:
    """Return the SHA-1 that Git gives these bytes, 40 hexadecimal digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _environment() -> dict[str, str]:
    """No settings of this machine, and no network where a clone lacks a blob that it promised."""
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
    """Return the input and the output of a process of ``_start``."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    return process.stdin, process.stdout


def _is_git(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


class Snapshots:
    """Reads blobs; a context manager, as it keeps processes. Not thread-safe."""

    def __init__(self, folder: Path | None) -> None:
        """Use a folder of snapshots.

        Args:
            folder: see the module; None, or one that is not there, holds no snapshot.
        """
        self._folder = folder
        self._readers: OrderedDict[str, subprocess.Popen[bytes]] = OrderedDict()
        self.last_sheet: tuple[str, np.ndarray] | None = None  # blob and pixels: its tiles come one after the other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        while self._readers:
            self._close(next(iter(self._readers)))

    def find(self, repository: str) -> tuple[Path, bool] | None:
        """Where the snapshot of ``owner/name`` lies, and whether that is a Git folder; None where there is none."""
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
        """Return the commit of the snapshot; ``files`` for plain files; empty where there is no snapshot."""
        snapshot = self.find(repository)
        if snapshot is None:
            return ""
        if not snapshot[1]:
            return "files"
        answer, _ = _start(snapshot[0], "rev-parse", "--verify", "--quiet", "HEAD").communicate()
        return answer.decode("ascii", "replace").strip() or "no commit"

    def read(self, repository: str, blob: str, path: str) -> bytes | Why:
        """Return the bytes of a blob, held against its SHA-1.

        Args:
            repository: ``owner/name``.
            blob: SHA-1 that Git gives the bytes.
            path: of the file, by which plain files are found.
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
        except OSError:  # it ended: the repository itself is unreadable
            self._close(repository)
            return Why.CHANGED
        header = answers.readline().split()
        if header[1:2] == [b"missing"]:
            return Why.ABSENT
        if len(header) != 3:  # git gives up on a damaged object, and ends
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
    if not file.resolve().is_relative_to(folder.resolve()):  # by a link
        return Why.ABSENT
    return file.read_bytes() if file.stat().st_size <= Settings().max_bytes else Why.NO_PICTURE


@dataclass(frozen=True, slots=True)
class Read:
    """A picture of the material.

    Attributes:
        entry: with its blob.
        rgb: (H, W, 3) uint8 RGB; the tile, where the entry is one.
    """

    entry: Entry
    rgb: np.ndarray


def read_picture(entry: Entry, folder: Path, snapshots: Snapshots) -> Read | Why:
    """Read and decode a picture as the app would.

    Args:
        entry: of the list of the material.
        folder: of ``stills.csv``.
        snapshots: of the repositories that the index names.

    Raises:
        DatasetError: a file that ``stills.csv`` lists is missing or unreadable: that list is the project's own.
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
    """Which snapshots there are: repository -> what ``Snapshots.head`` says, in alphabetical order."""
    with Snapshots(folder) as snapshots:
        return {repository: snapshots.head(repository) for repository in sorted(set(repositories))}


def write_survey(heads: Mapping[str, str], path: Path) -> None:
    """Write what ``survey`` found as CSV: what depends on the snapshots runs again where it changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["repository", "head"])
        writer.writerows(heads.items())
