"""Errors as problem details (RFC 9457): one clear sentence, never a trace."""

import logging
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from faceloupe.errors import FaceLoupeError, WeightsError
from faceloupe.web.jobs import QueueFull

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_S = "5"
_UNFORESEEN = "An unexpected error occurred; see the log of the server for details."
_SENTENCES = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address; GET /v1/openapi.json lists the addresses.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not have that method; GET /v1/openapi.json lists them.",
}


class Problem(msgspec.Struct, frozen=True):
    """What went wrong.

    Attributes:
        type: always ``about:blank``: the status says which kind of problem it is.
        title: of the status.
        status: of the answer.
        detail: what was expected, what came, and what to do.
    """

    type: str
    title: str
    status: int
    detail: str


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that reports a problem."""
    body = Problem("about:blank", HTTPStatus(status).phrase, status, detail)
    return Response(msgspec.json.encode(body), status, headers=headers, media_type=MEDIA_TYPE)


async def of_http(_: Request, error: Exception) -> Response:
    """Report what a handler or the router refused."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = _SENTENCES[status] if error.detail == status.phrase and status in _SENTENCES else error.detail
    return problem(status, detail, dict(error.headers or {}))


async def of_faceloupe(_: Request, error: Exception) -> Response:
    """Report an error whose sentence is fit to be shown."""
    if isinstance(error, QueueFull):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": RETRY_S})
    if isinstance(error, WeightsError):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


async def of_anything(_: Request, error: Exception) -> Response:
    """Report an error that nobody foresaw; the log has its trace."""
    _LOG.error("A request failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, _UNFORESEEN)


HANDLERS = {HTTPException: of_http, FaceLoupeError: of_faceloupe, Exception: of_anything}
