"""Files stored under their SHA-256: written once and completely, read-only, never replaced."""

import errno
import hashlib
import io
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from faceloupe.errors import CaseError, EvidenceError
from faceloupe.system.files import NO_LINKS, process_runs
from faceloupe.types import Step

_CHUNK = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LEFTOVER_AGE_S = 24 * 3600.0  # older temporary files are leftovers, even if their process seems to run
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]


@contextmanager
def as_case_errors(folder: Path) -> Iterator[None]:
    """Convert an ``OSError`` in the data folder to a ``CaseError``."""
    try:
        yield
    except OSError as problem:
        raise CaseError(
            f"The data folder {folder} cannot be used ({problem.strerror or problem}), so nothing was saved; free "
            "some space "
            "there or check its permissions, and try again."
        ) from problem


class BlobStore:
    """A folder of files named by their SHA-256: ``ab/cdef...``. All threads and processes may use it."""

    def __init__(self, folder: Path, incoming: Path) -> None:
        """Use existing folders.

        Args:
            folder: folder of the stored files, one for each SHA-256.
            incoming: folder for temporary files, on the same file system.
        """
        self._folder, self._incoming = folder, incoming

    def path(self, sha256: str) -> Path:
        """Return the path for the bytes with this hash, whether they are stored or not."""
        if not _SHA256.fullmatch(sha256):
            raise CaseError("A SHA-256 has 64 lower-case hexadecimal digits.")
        return self._folder / sha256[:2] / sha256[2:]

    def holds(self, sha256: str) -> bool:
        """Return whether a file with this hash is stored."""
        return self.path(sha256).is_file()

    def keep(self, stream: BinaryIO, sha256: str, size: int, step: Step | None = None) -> None:
        """Store the bytes of a stream and check their hash; bytes that are stored already are only checked.

        Args:
            stream: the bytes, read to the end.
            sha256: SHA-256 that the bytes must have.
            size: expected number of bytes; only for ``step``.
            step: called with the share done, 0..1; an exception that it raises ends the work.

        Raises:
            EvidenceError: the stream cannot be read, or its bytes have another hash.
            CaseError: the folder is full or cannot be written, or the stored file with this hash is damaged.
        """
        path = self.path(sha256)
        if path.is_file():
            self.check(sha256, step)
            return
        with as_case_errors(self._folder.parent):
            temporary = self._incoming / f"{_HOST}-{os.getpid()}-{secrets.token_hex(8)}"
            try:
                with temporary.open("xb") as writing:
                    if _digest(_evidence(stream), size, step, writing) != sha256:
                        raise EvidenceError("The file changed while it was filed; file it again.")
                    writing.flush()
                    os.fchmod(writing.fileno(), 0o444)
                    os.fsync(writing.fileno())
                path.parent.mkdir(exist_ok=True)
                temporary.rename(path)  # if another process was faster, its bytes are the same
                _sync_folder(path.parent)
                _sync_folder(self._folder)
            finally:
                temporary.unlink(missing_ok=True)

    def keep_bytes(self, content: bytes) -> str:
        """Store bytes and return their SHA-256; see ``keep``."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.keep(io.BytesIO(content), sha256, len(content))
        return sha256

    def check(self, sha256: str, step: Step | None = None) -> None:
        """Hash a stored file again and compare the result with its name.

        Raises:
            CaseError: the file is missing, unreadable or damaged.
        """
        path = self.path(sha256)
        try:
            with path.open("rb") as stream:
                actual = _digest(_chunks(stream), path.stat().st_size, step)
        except OSError as problem:
            raise CaseError(f"{_named(sha256)} cannot be read ({problem.strerror}); restore it.") from problem
        if actual != sha256:
            raise CaseError(f"{_named(sha256)} is damaged: its hash is {actual}; restore it.")

    def read(self, sha256: str) -> bytes:
        """Return the bytes of a stored file after checking their hash.

        Raises:
            CaseError: see ``check``.
        """
        try:
            content = self.path(sha256).read_bytes()
        except OSError as problem:
            raise CaseError(f"{_named(sha256)} cannot be read ({problem.strerror}); restore it.") from problem
        if hashlib.sha256(content).hexdigest() != sha256:
            raise CaseError(f"{_named(sha256)} is damaged: its hash differs; restore it.")
        return content


def _named(sha256: str) -> str:
    return f"The stored file {sha256[:12]}"


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _evidence(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of a source file; its read errors are told apart from errors of the data folder."""
    try:
        yield from _chunks(stream)
    except OSError as problem:
        raise EvidenceError(f"The file cannot be read to its end ({problem.strerror}); check its disk.") from problem


def _digest(chunks: Iterable[bytes], size: int, step: Step | None, writing: BinaryIO | None = None) -> str:
    """Return the SHA-256 of all chunks, and write them to ``writing`` if it is given."""
    digest, done = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        if writing is not None:
            writing.write(chunk)
        done += len(chunk)
        if step:
            step(min(done / max(size, 1), 1.0))
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, where the file system supports it, so that they survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, *NO_LINKS):
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(incoming: Path) -> None:
    """Delete temporary files that are old or whose process has ended; other processes may do the same meanwhile."""
    for path in filter(Path.is_file, incoming.iterdir()):
        host, process, *_ = (*path.name.split("-"), "")
        try:
            old = time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S
            if old or (host == _HOST and process.isdecimal() and not process_runs(int(process))):
                path.unlink()
        except FileNotFoundError:
            continue
