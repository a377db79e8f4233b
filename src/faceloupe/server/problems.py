"""Errors as problem details (RFC 9457): one clear sentence, never a traceback."""

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
    """Problem details of a failed request.

    Attributes:
        type: always ``about:blank``: the status tells the kind of problem.
        title: phrase of the HTTP status.
        status: HTTP status of the answer.
        detail: what was expected, what was received, and what to do.
    """

    type: str
    title: str
    status: int
    detail: str


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that reports a problem."""
    body = Problem("about:blank", HTTPStatus(status).phrase, status, detail)
    return Response(msgspec.json.encode(body), status, headers=headers, media_type=MEDIA_TYPE)


async def handle_http_error(_: Request, error: Exception) -> Response:
    """Report a request that a handler or the router refused."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = _SENTENCES[status] if error.detail == status.phrase and status in _SENTENCES else error.detail
    return problem(status, detail, dict(error.headers or {}))


async def handle_faceloupe_error(_: Request, error: Exception) -> Response:
    """Report an error whose message can be shown to users."""
    if isinstance(error, QueueFull):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": RETRY_S})
    if isinstance(error, WeightsError):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


async def handle_unexpected_error(_: Request, error: Exception) -> Response:
    """Report an unexpected error; its traceback is only logged."""
    _LOG.error("A request failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, _UNFORESEEN)


HANDLERS = {
    HTTPException: handle_http_error,
    FaceLoupeError: handle_faceloupe_error,
    Exception: handle_unexpected_error,
}
