"""Getting weights that are missing: from the project's releases, a mirror, or a file that someone carried here.

Whatever happens on the way, only a file whose full SHA-256 is the record's gets the final name, in one step.
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
    """Return the parts of a model that have weights, with where each is published.

    Raises:
        WeightsError: the registry does not hold one, or holds it with another hash than its record.
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
    """Whether a weights file of the model is not there at all; one that was altered is not missing."""
    return any(not os.path.lexists(weights_path(part, folder)) for part in components_of(record, folder))


def fetch(
    record: ModelRecord,
    folder: Path,
    *,
    retry_policy: RetryPolicy | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[Path]:
    """Have every weights file of a model in its place, verified; what is verified already is left alone.

    Args:
        record: of the model.
        folder: of the records.
        retry_policy: with the server.
        progress: called with the stage and the share done, 0..1.
        cancel: asked between the steps.

    Returns:
        The files, in the order of the model's parts.

    Raises:
        UsageError: ``FACELOUPE_RELEASES`` is not set, or names no release.
        WeightsError: a file could not be had, or is not the verified one; nothing has its name then.
        Cancelled: ``cancel`` said so.
    """
    paths = []
    for part, entry in entries_of(record, folder):
        path = weights_path(part, folder)
        paths.append(path)
        if weights_status(part, folder) == "verified":
            continue
        address = entry.address()
        with _alone(path, entry, cancel, progress):
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
            if resumed and _sha256(partial) != entry.sha256:  # the older bytes may be the wrong ones
                partial.unlink()
                bring()
            _publish(partial, path, entry, address)
    return paths


def take_file(source: Path, folder: Path) -> ModelRecord:
    """Put a weights file that was carried here in its place. Its content says which model's it is, not its name.

    Returns:
        The record of that model.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        WeightsError: it is the weights of no model of the registry, or cannot be written.
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
    with _alone(target, entry, None, None):
        partial = _partial(target, entry)
        if not (partial.exists() and partial.samefile(source)):  # else it is what a killed process left, and whole
            with writing(partial, "wb", entry.size_bytes) as write, source.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    write(block)
        _publish(partial, target, entry, shown)
    return records[entry.id]


def _partial(path: Path, entry: ReleaseEntry) -> Path:
    """Return the partial file, named by the expected hash so that a download of another version is never continued."""
    return path.with_name(f"{path.name}.{entry.sha256[:8]}.part")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _publish(partial: Path, path: Path, entry: ReleaseEntry, origin: str) -> None:
    """Give a whole file its final name, if it is the verified one; else it goes."""
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
def _alone(path: Path, entry: ReleaseEntry, cancel: Cancel | None, progress: Progress | None) -> Iterator[None]:
    """Hold the lock of a weights file: of several processes, one fetches, the others wait. It ends with its holder."""
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
