"""Download of one file over HTTP, which resumes, retries after transient errors, and fails with one clear sentence."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import urllib3

from faceloupe.config import private_folder
from faceloupe.errors import Cancelled, WeightsError
from faceloupe.media.evidence_file import printable_name
from faceloupe.models.http import OFFLINE, RetryPolicy, Session, TransientError, ask, host_of
from faceloupe.types import Cancel, Progress, Step

_CHUNK = 256 * 1024


def download(
    address: str,
    part: Path,
    size: int,
    *,
    retry_policy: RetryPolicy,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Download a file until it has its full size, keeping the bytes that are already on the disk.

    Bytes that a server sends beyond that size are not read. The caller must check the hash of the file.

    Args:
        address: an https address, or an http address of this machine.
        part: the file to write; it is kept if the download fails, so that the next download can resume.
        size: size of the whole file, bytes.
        retry_policy: how to deal with slow and failing servers.
        progress: called with the stage and the share done, 0..1.
        cancel: called between the steps; the download stops when it returns True.

    Raises:
        WeightsError: the download failed; the message says why in one sentence.
        Cancelled: ``cancel`` returned True.
    """
    name = part.name.partition(".safetensors")[0]
    stage = f"Fetching {printable_name(name)} from {host_of(address)}"
    with Session() as session:
        for attempt in range(1, retry_policy.attempts + 1):
            if _size(part) == size:
                break
            try:
                answer = ask(session, address, part, size, retry_policy)
                with answer:
                    _receive(answer, part, size, retry_policy, _step(progress, cancel, stage))
                break
            except TransientError as problem:
                if attempt == retry_policy.attempts:
                    raise WeightsError(
                        f"{printable_name(address)} could not be downloaded in {attempt} attempts ({problem}); "
                        f"try again later (the download resumes where it stopped), {OFFLINE}."
                    ) from problem
                _wait(retry_policy.pause_s * 2 ** (attempt - 1), cancel)
    _step(progress, cancel, stage)(1.0)


def _step(progress: Progress | None, cancel: Cancel | None, stage: str) -> Step:
    def step(share: float) -> None:
        if cancel and cancel():
            raise Cancelled("The download was cancelled; the next one resumes where it stopped.")
        if progress:
            progress(stage, share)

    return step


def _wait(seconds: float, cancel: Cancel | None) -> None:
    step, until = _step(None, cancel, ""), time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        step(0.0)
        time.sleep(min(left, 0.2))


def _receive(answer: requests.Response, part: Path, size: int, retry_policy: RetryPolicy, step: Step) -> None:
    """Write the body of a response to the file.

    Raises:
        TransientError, WeightsError, Cancelled: the file is incomplete; the bytes received so far are kept.
    """
    have = _size(part) if answer.status_code == 206 else 0
    window, before = time.monotonic(), have
    with writing(part, "ab" if have else "wb", size - have) as write:
        while have < size:
            step(have / size)
            chunk = _next(answer, min(_CHUNK, size - have))
            if not chunk:
                break
            write(chunk)
            have += len(chunk)
            if (lasted := time.monotonic() - window) >= retry_policy.window_s and have < size:
                if have - before < retry_policy.least_bytes_s * lasted:
                    raise TransientError(f"it was slower than {retry_policy.least_bytes_s:,.0f} bytes a second")
                window, before = time.monotonic(), have
    if have < size:
        raise TransientError(f"the connection ended after {have:,} of {size:,} bytes")


def _next(answer: requests.Response, most: int) -> bytes:
    """Return the bytes that have arrived; wait only for the first byte, so that a slow download is noticed."""
    try:
        content: bytes = answer.raw.read1(most, decode_content=False)
        return content
    except urllib3.exceptions.ReadTimeoutError as problem:
        raise TransientError("no more data arrived") from problem
    except (urllib3.exceptions.HTTPError, OSError):  # the connection broke; the bytes received so far are kept
        return b""


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


@contextmanager
def writing(part: Path, mode: str, more: int) -> Iterator[Callable[[bytes], object]]:
    """Open a file that will grow by ``more`` bytes, and sync it to the disk on exit.

    Yields:
        The function that writes bytes to the file.

    Raises:
        WeightsError: the disk has too little space, or the file cannot be written.
    """
    try:
        private_folder(part.parent)
        free = shutil.disk_usage(part.parent).free
        if free < more:
            raise WeightsError(
                f"{part.parent} has {free:,} bytes free, but {more:,} are needed, so nothing was downloaded; "
                "free some space and try again."
            )
        with part.open(mode) as stream:
            yield stream.write
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as problem:
        raise WeightsError(
            f"{part} cannot be written ({problem.strerror or problem}), so nothing was downloaded; free some space "
            "there or "
            "set FACELOUPE_WEIGHTS or FACELOUPE_DATA to a writable folder."
        ) from problem
