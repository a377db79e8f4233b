"""Installation of missing weights from the project's releases, a mirror, or a local file.

A file gets its final name, in one atomic step, only if its full SHA-256 is that of the record.
"""

import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from faceloupe.config import private_folder
from faceloupe.errors import Cancelled, UsageError, WeightsError
from faceloupe.media.evidence_file import printable_name
from faceloupe.models.download import download, writing
from faceloupe.models.http import OFFLINE, RetryPolicy
from faceloupe.models.record import ModelRecord, read_registry
from faceloupe.models.registry import Part, ReleaseEntry, components_of, read_entries, weights_path, weights_status
from faceloupe.types import Cancel, Progress

_LONGEST_WAIT_S = 1800.0
_POLL_S = 0.5
_BLOCK = 1024 * 1024


def entries_of(record: ModelRecord, folder: Path) -> list[tuple[Part, ReleaseEntry]]:
    """Return the parts of a model that have weights, each with its release entry.

    Raises:
        WeightsError: the registry has no entry for a part, or its hash or file name differs from the record.
    """
    entries = read_entries(folder)
    published = []
    for part in components_of(record, folder):
        entry = entries.get(part.id)
        if entry is None or (entry.sha256, entry.file) != (part.weights_sha256, part.weights_file):
            raise WeightsError(
                f"The registry of the weights folder and the record of {part.id} differ, so nothing can be "
                "downloaded; restore both from the repository."
            )
        published.append((part, entry))
    return published


def missing(record: ModelRecord, folder: Path) -> bool:
    """Return whether a weights file of the model does not exist; an altered file is not missing."""
    return any(not os.path.lexists(weights_path(part, folder)) for part in components_of(record, folder))


def fetch(
    record: ModelRecord,
    folder: Path,
    *,
    retry_policy: RetryPolicy | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[Path]:
    """Download and verify all weights files of a model; files that are already verified are left unchanged.

    Args:
        record: record of the model.
        folder: folder of the records.
        retry_policy: how to deal with slow and failing servers.
        progress: called with the stage and the share done, 0..1.
        cancel: called between the steps; the download stops when it returns True.

    Returns:
        The paths of the files, in the order of the model's parts.

    Raises:
        UsageError: ``FACELOUPE_RELEASES`` is not set, or names no release.
        WeightsError: a download failed, or its hash is wrong; the file is then not installed.
        Cancelled: ``cancel`` returned True.
    """
    paths = []
    for part, entry in entries_of(record, folder):
        path = weights_path(part, folder)
        paths.append(path)
        if weights_status(part, folder) == "verified":
            continue
        address = entry.address()
        with _weights_lock(path, entry, cancel, progress):
            if weights_status(part, folder) == "verified":  # another process was faster
                continue
            partial = _partial(path, entry)
            resumed = partial.exists()
            bring = functools.partial(
                download,
                address,
                partial,
                entry.size_bytes,
                retry_policy=retry_policy or RetryPolicy(),
                progress=progress,
                cancel=cancel,
            )
            bring()
            if resumed and _sha256(partial) != entry.sha256:  # the bytes of the older download may be wrong: start anew
                partial.unlink()
                bring()
            _install(partial, path, entry, address)
    return paths


def install_file(source: Path, folder: Path) -> ModelRecord:
    """Install a weights file from a local path. The model is identified by the file's hash, not by its name.

    Returns:
        The record of the model.

    Raises:
        UsageError: the file does not exist or cannot be read.
        WeightsError: the file does not match any model of the registry, or cannot be written.
    """
    shown = printable_name(source.name)
    if not source.is_file():
        raise UsageError(f"{shown} is not a file; expected a weights file.")
    entries = read_entries(folder)
    try:
        size = source.stat().st_size
        digest = _sha256(source) if size in {entry.size_bytes for entry in entries.values()} else ""
    except OSError as problem:
        raise UsageError(f"{shown} cannot be read ({problem.strerror}).") from problem
    matches = [entry for entry in entries.values() if entry.sha256 == digest]
    if not matches:
        why = f"SHA-256 {digest[:8]}..." if digest else f"{size:,} bytes"
        raise WeightsError(
            f"{shown} does not match any model of the registry ({why}), so it was not installed; `faceloupe models "
            "list --json` lists the SHA-256 and size of each model."
        )
    entry, records = matches[0], read_registry(folder)
    if entry.id not in records:
        raise WeightsError(f"The record of {entry.id} is missing from the weights folder; restore it.")
    target = weights_path(records[entry.id], folder)
    with _weights_lock(target, entry, None, None):
        partial = _partial(target, entry)
        # The source can be the partial file itself: a killed process left it complete.
        if not (partial.exists() and partial.samefile(source)):
            with writing(partial, "wb", entry.size_bytes) as write, source.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    write(block)
        _install(partial, target, entry, shown)
    return records[entry.id]


def _partial(path: Path, entry: ReleaseEntry) -> Path:
    """Return the path of the partial file; its name has the expected hash, so that versions are never mixed."""
    return path.with_name(f"{path.name}.{entry.sha256[:8]}.part")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _install(partial: Path, path: Path, entry: ReleaseEntry, origin: str) -> None:
    """Give a complete file its final name if its hash is right; delete it if not.

    Raises:
        WeightsError: the hash is wrong, or the file cannot be renamed.
    """
    actual = _sha256(partial)
    if actual != entry.sha256:
        partial.unlink()
        raise WeightsError(
            f"The file from {printable_name(origin)} is not the verified {entry.file} (SHA-256 {actual[:8]}..., "
            "expected "
            f"{entry.sha256[:8]}...), so it was not installed; check FACELOUPE_RELEASES, {OFFLINE}."
        )
    try:
        partial.replace(path)
    except OSError as problem:
        partial.unlink()
        raise WeightsError(f"{path} cannot be replaced ({problem.strerror}); remove it and try again.") from problem


@contextmanager
def _weights_lock(path: Path, entry: ReleaseEntry, cancel: Cancel | None, progress: Progress | None) -> Iterator[None]:
    """Hold the lock of a weights file, so that only one process fetches it. The lock ends with its process.

    Raises:
        WeightsError: the folder cannot be written, or another process holds the lock for too long.
        Cancelled: ``cancel`` returned True while waiting.
    """
    try:
        private_folder(path.parent)
        lock = FileLock(path.with_name(f"{path.name}.lock"))
        _acquire(lock, entry, cancel, progress)
    except OSError as problem:
        raise WeightsError(
            f"{path.parent} cannot be written ({problem.strerror}), so nothing was downloaded; set "
            "FACELOUPE_WEIGHTS or FACELOUPE_DATA to a writable folder."
        ) from problem
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, entry: ReleaseEntry, cancel: Cancel | None, progress: Progress | None) -> None:
    def waiting() -> bool:
        if progress:
            progress(f"Waiting for another process that downloads {entry.file}", 0.0)
        if cancel and cancel():
            raise Cancelled("The download was cancelled.")
        return False

    try:
        lock.acquire(timeout=_LONGEST_WAIT_S, poll_interval=_POLL_S, cancel_check=waiting)
    except Timeout:
        raise WeightsError(
            f"Another process has been fetching {entry.file} for too long; stop it and try again."
        ) from None
