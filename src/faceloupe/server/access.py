"""Access control: API keys, scopes and rate limits."""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from faceloupe.errors import UsageError
from faceloupe.server.keys import ApiKeys, Scope
from faceloupe.web.hosts import is_address_or_localhost

_LOG = logging.getLogger(__name__)
_MOST_CLIENTS = 10_000  # clients whose requests are counted
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="FaceLoupe"'}


class RateLimit:
    """A token bucket for each client: the requests of a minute at once, then a steady rate."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets.

        Args:
            per_minute: maximum number of requests of one client per minute; 0 means no limit.
            clock: monotonic clock, seconds.
        """
        self._most, self._clock, self._lock = per_minute, clock, threading.Lock()
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens left, clock time

    def wait_s(self, client: str) -> float:
        """Count a request; return 0 if it may pass, otherwise the seconds until a request may pass."""
        if not self._most:
            return 0.0
        with self._lock:
            now = self._clock()
            left, then = self._clients.pop(client, (float(self._most), now))
            left = min(self._most, left + (now - then) * self._most / 60.0)
            passes = left >= 1.0
            self._clients[client] = left - passes, now
            while len(self._clients) > _MOST_CLIENTS:
                self._clients.popitem(last=False)
            return 0.0 if passes else (1.0 - left) * 60.0 / self._most


class Access:
    """The access check of every request, which runs before its body is read."""

    def __init__(self, keys: ApiKeys, limit: RateLimit, *, needs_key: bool) -> None:
        """Set the rules.

        Args:
            keys: keys that are accepted.
            limit: rate limit of each client.
            needs_key: whether a key is needed even if none was ever created.
        """
        self._keys, self._limit, self._needs_key = keys, limit, needs_key

    def check(self, request: Request, scope: Scope | None) -> str:
        """Check the headers of a request.

        Args:
            request: the request.
            scope: scope that the key must have; None if no key is needed.

        Returns:
            Id of the client; the data of a client on the server is hidden from other clients.

        Raises:
            HTTPException: the request is refused; the detail says why.
        """
        client = f"address {request.client.host if request.client else ''}"
        try:
            locked = self._needs_key or bool(self._keys.all())
        except UsageError as problem:  # the message names a file of the server
            _LOG.error("%s", problem)
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "The API keys cannot be read; see the log of the server."
            ) from None
        if not locked:
            self._refuse_foreign_pages(request)
        key = None
        if locked and scope is not None:
            kind, _, secret = request.headers.get("authorization", "").partition(" ")
            key = self._keys.find(secret.strip()) if kind.lower() == "bearer" else None
            client = client if key is None else f"key {key.id}"
        if wait_s := self._limit.wait_s(client):
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many requests; try again in {math.ceil(wait_s)} s.",
                {"Retry-After": str(math.ceil(wait_s))},
            )
        if locked and scope is not None:
            if key is None:
                detail = "A valid API key is needed: send the header `Authorization: Bearer KEY`."
                raise HTTPException(HTTPStatus.UNAUTHORIZED, detail, _CHALLENGE)
            if scope not in key.scopes:
                raise HTTPException(HTTPStatus.FORBIDDEN, f"This API key does not have the scope {scope!s}.")
        return client

    @staticmethod
    def _refuse_foreign_pages(request: Request) -> None:
        """Refuse requests from web pages: without keys, a page open on this machine must not reach the server."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not is_address_or_localhost(host) or (origin is not None and urlsplit(origin).netloc != host):
            raise HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST,
                "Without API keys, only programs that call localhost or an IP address are answered, not web pages; "
                "`faceloupe api key create NAME` makes a key.",
            )
