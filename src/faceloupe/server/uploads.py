"""Uploads: streamed to a file without a name that anyone chose, within limits of size and time, and always removed."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path, PurePosixPath, PureWindowsPath

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name

FIELD = "file"
_FRAME_BYTES = 64 * 1024  # of a body besides its file: the lines around it
_BOUNDARY_BYTES = 70  # RFC 2046
_FORM = f"Send the file as the field `{FIELD}` of a multipart/form-data body, for example `curl -F {FIELD}=@photo.jpg`."


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was received whole.

    Attributes:
        path: where it lies, in a folder of this process.
        name: that the client gave it, fit to be shown; nothing on this machine is named so.
    """

    path: Path
    name: str

    def open(self, max_bytes: int) -> EvidenceFile:
        """Hash the file, see ``open_evidence``; its name in the report is the client's."""
        evidence_file = open_evidence(self.path, max_bytes=max_bytes)
        return replace(evidence_file, evidence=replace(evidence_file.evidence, name=self.name))

    def remove(self) -> None:
        """Remove the file; twice is once."""
        self.path.unlink(missing_ok=True)


async def receive(request: Request, folder: Path, *, max_bytes: int, max_s: float) -> Upload:
    """Receive the one file of a multipart request.

    Args:
        request: whose body was not read yet.
        folder: to put it into.
        max_bytes: of the file.
        max_s: seconds until its last byte.

    Returns:
        The file; whoever asked for it removes it.

    Raises:
        HTTPException: the request is not one file, or too large or too slow.
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
    parser = MultiPartParser(request.headers, _counted(request, most, max_bytes), max_files=1, max_fields=0)
    try:
        async with asyncio.timeout(max_s):
            form = await parser.parse()
        upload = form.get(FIELD)
        if not isinstance(upload, UploadFile):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, _FORM)
        return await run_in_threadpool(_kept, upload, folder)
    except TimeoutError:
        detail = f"The upload was not complete after {max_s:g} s."
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, detail, {"Connection": "close"}) from None
    except (MultiPartException, ValueError, AssertionError):  # whatever the parser makes of a hostile body
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"The body cannot be read. {_FORM}") from None
    finally:
        for file in parser._files_to_close_on_error:  # all that it made: one whose end never came is in no form
            file.close()


async def _counted(request: Request, most: int, max_bytes: int) -> AsyncGenerator[bytes]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise _too_large(max_bytes)
        yield chunk


def _too_large(max_bytes: int) -> HTTPException:
    detail = f"The file is larger than the limit of {max_bytes:,} bytes for uploads."
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, {"Connection": "close"})


def _kept(upload: UploadFile, folder: Path) -> Upload:
    name = PurePosixPath(PureWindowsPath(upload.filename or "").name).name
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
        try:
            shutil.copyfileobj(upload.file, stream, 1024 * 1024)
        except BaseException:
            Path(stream.name).unlink()
            raise
    return Upload(Path(stream.name), printable_name(name) or "unnamed")
