"""Uploads: streamed to a temporary file with a random name, limited in size and time, and always removed."""

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
_MULTIPART_OVERHEAD_BYTES = 64 * 1024  # allowance for the parts of a body around its file
_BOUNDARY_BYTES = 70  # RFC 2046
_FORM = f"Send the file as the field `{FIELD}` of a multipart/form-data body, for example `curl -F {FIELD}=@photo.jpg`."


class PendingBytes:
    """The number of bytes of all uploads in transfer or not yet analyzed. All threads may use it."""

    def __init__(self, most: int) -> None:
        """Start at zero.

        Args:
            most: maximum number of bytes.
        """
        self._most, self._bytes, self._lock = most, 0, threading.Lock()

    def add(self, count: int) -> None:
        """Count received bytes.

        Raises:
            HTTPException: the maximum would be exceeded; the bytes are not counted.
        """
        with self._lock:
            if self._bytes + count > self._most:
                detail = "Too many bytes of other uploads wait to be analyzed; try again later."
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": RETRY_S})
            self._bytes += count

    def release(self, count: int) -> None:
        """Subtract bytes that were counted before."""
        with self._lock:
            self._bytes -= count


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was received completely.

    Attributes:
        path: path of the file, in a folder of this process.
        name: printable form of the name that the client gave; it is never used as a path.
        size_bytes: size of the body of the request, bytes.
        pending: counts these bytes until the file is removed.
    """

    path: Path
    name: str
    size_bytes: int
    pending: PendingBytes
    _release_once: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def open(self, max_bytes: int) -> EvidenceFile:
        """Hash the file, see ``open_evidence``; the report will show the name that the client gave."""
        evidence_file = open_evidence(self.path, max_bytes=max_bytes)
        return replace(evidence_file, evidence=replace(evidence_file.evidence, name=self.name))

    def remove(self) -> None:
        """Remove the file; further calls have no effect."""
        try:
            self.path.unlink(missing_ok=True)  # a cleaner of temporary files may have removed it
        finally:  # even if removal fails, or its bytes would count against other uploads forever
            if self._release_once.acquire(blocking=False):
                self.pending.release(self.size_bytes)


async def receive(request: Request, folder: Path, pending: PendingBytes, *, max_bytes: int, max_s: float) -> Upload:
    """Receive the one file of a multipart request.

    A refused request does not close its connection: bytes still in transit would make the operating system reset it,
    and the client would lose the answer. The server discards such bytes while it waits for the next request.

    Args:
        request: request whose body has not been read.
        folder: folder for the file.
        pending: counter for the bytes of the body.
        max_bytes: maximum size of the file, bytes.
        max_s: maximum time to receive the body, seconds.

    Returns:
        The file; the caller must remove it.

    Raises:
        HTTPException: the request does not contain exactly one file, is too large or too slow, or too many bytes are
            pending.
        ClientDisconnect: the client closed the connection.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "multipart/form-data":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _FORM)
    if len(parameters) > 4 * _BOUNDARY_BYTES:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The boundary of the multipart body is too long.")
    most = max_bytes + _MULTIPART_OVERHEAD_BYTES
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
    except (MultiPartException, ValueError, AssertionError):  # errors of the parser on a hostile body
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"The body cannot be read. {_FORM}") from None
    finally:
        for file in parser._files_to_close_on_error:  # includes an incomplete file, which is in no form
            file.close()
        if received is None:
            pending.release(body.size_bytes)


class _Body:
    """The body of a request, whose bytes are counted as they are received."""

    def __init__(self, request: Request, most: int, max_bytes: int, pending: PendingBytes) -> None:
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
