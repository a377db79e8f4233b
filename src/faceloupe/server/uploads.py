"""Uploads: streamed to a file without a name that anyone chose, within limits of size and time, and always removed."""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path, PurePosixPath, PureWindowsPath

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name
from faceloupe.server.problems import RETRY_S

FIELD = "file"
_FRAME_BYTES = 64 * 1024  # of a body besides its file: the lines around it
_BOUNDARY_BYTES = 70  # RFC 2046
_FORM = f"Send the file as the field `{FIELD}` of a multipart/form-data body, for example `curl -F {FIELD}=@photo.jpg`."


class Pending:
    """Bytes of all uploads that are under way or not analyzed yet; any thread may count them."""

    def __init__(self, most: int) -> None:
        """Start with none.

        Args:
            most: bytes that are accepted.
        """
        self._most, self._bytes, self._lock = most, 0, threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that came.

        Raises:
            HTTPException: they are too many; they are not counted.
        """
        with self._lock:
            if self._bytes + count > self._most:
                detail = "Too many bytes of other uploads wait to be analyzed; try again later."
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": RETRY_S})
            self._bytes += count

    def release(self, count: int) -> None:
        """Bytes that were counted are gone."""
        with self._lock:
            self._bytes -= count


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was received whole.

    Attributes:
        path: where it lies, in a folder of this process.
        name: that the client gave it, fit to be shown; nothing on this machine is named so.
        size_bytes: of the request that brought it.
        pending: counts them as long as the file lies there.
    """

    path: Path
    name: str
    size_bytes: int
    pending: Pending
    _release_once: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def open(self, max_bytes: int) -> EvidenceFile:
        """Hash the file, see ``open_evidence``; its name in the report is the client's."""
        evidence_file = open_evidence(self.path, max_bytes=max_bytes)
        return replace(evidence_file, evidence=replace(evidence_file.evidence, name=self.name))

    def remove(self) -> None:
        """Remove the file; twice is once."""
        try:
            self.path.unlink(missing_ok=True)  # a cleaner of temporary files may have come first
        finally:  # also where it cannot be removed: its bytes would be held against other uploads for ever
            if self._release_once.acquire(blocking=False):
                self.pending.release(self.size_bytes)


async def receive(request: Request, folder: Path, pending: Pending, *, max_bytes: int, max_s: float) -> Upload:
    """Receive the one file of a multipart request.

    A refused request does not close its connection: bytes that are still on their way would make the operating system
    reset it, and the client would lose the answer. The server drops them for as long as it waits for the next request.

    Args:
        request: whose body was not read yet.
        folder: to put it into.
        pending: counts it.
        max_bytes: of the file.
        max_s: seconds until its last byte.

    Returns:
        The file; whoever asked for it removes it.

    Raises:
        HTTPException: the request is not one file, or too large or too slow, or too many bytes are pending.
        ClientDisconnect: it was broken off.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "multipart/form-data":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _FORM)
    if len(parameters) > 4 * _BOUNDARY_BYTES:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The boundary of the multipart body is too long.")
    most = max_bytes + _FRAME_BYTES
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > most:
        raise _too_large(max_bytes)
    body = _Body(request, most, max_bytes, pending)
    parser = MultiPartParser(request.headers, body.chunks(), max_files=1, max_fields=0)
    received = None
    try:
        async with asyncio.timeout(max_s):
            form = await parser.parse()
        upload = form.get(FIELD)
        if not isinstance(upload, UploadFile):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, _FORM)
        received = Upload(await run_in_threadpool(_stored, upload, folder), _name(upload), body.size_bytes, pending)
        return received
    except TimeoutError:
        detail = f"The upload was not complete after {max_s:g} s."
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, detail) from None
    except (MultiPartException, ValueError, AssertionError):  # whatever the parser makes of a hostile body
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"The body cannot be read. {_FORM}") from None
    finally:
        for file in parser._files_to_close_on_error:  # all that it made: one whose end never came is in no form
            file.close()
        if received is None:
            pending.release(body.size_bytes)


class _Body:
    """The body of a request, whose bytes are counted as they come."""

    def __init__(self, request: Request, most: int, max_bytes: int, pending: Pending) -> None:
        self._request, self._most, self._max_bytes, self._pending = request, most, max_bytes, pending
        self.size_bytes = 0

    async def chunks(self) -> AsyncGenerator[bytes]:
        async for chunk in self._request.stream():
            if self.size_bytes + len(chunk) > self._most:
                raise _too_large(self._max_bytes)
            self._pending.add(len(chunk))
            self.size_bytes += len(chunk)
            yield chunk


def _too_large(max_bytes: int) -> HTTPException:
    detail = f"The file is larger than the limit of {max_bytes:,} bytes for uploads."
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _name(upload: UploadFile) -> str:
    name = PurePosixPath(PureWindowsPath(upload.filename or "").name).name
    return printable_name(name) or "unnamed"


def _stored(upload: UploadFile, folder: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
        try:
            shutil.copyfileobj(upload.file, stream, 1024 * 1024)
        except BaseException:
            Path(stream.name).unlink()
            raise
    return Path(stream.name)
