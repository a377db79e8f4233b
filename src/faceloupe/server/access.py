"""Whose requests are answered: keys, scopes, and how many requests in which time."""

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
_MOST_CLIENTS = 10_000  # whose requests are counted
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="FaceLoupe"'}


class RateLimit:
    """Requests of each client by a token bucket: a minute's worth at once, then at a steady rate."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets.

        Args:
            per_minute: requests of a client; 0 does not limit them.
            clock: seconds, steady.
        """
        self._most, self._clock, self._lock = per_minute, clock, threading.Lock()
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()  # -> tokens left, and when that was

    def wait_s(self, client: str) -> float:
        """Count a request; return 0 where it may pass, else the seconds until one may."""
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
    """Decides on every request before its body is read."""

    def __init__(self, keys: ApiKeys, limit: RateLimit, *, needs_key: bool) -> None:
        """Set the rules.

        Args:
            keys: that may be shown.
            limit: on the requests of each client.
            needs_key: whether a key is needed even as long as none was ever made.
        """
        self._keys, self._limit, self._needs_key = keys, limit, needs_key

    def check(self, request: Request, scope: Scope | None) -> str:
        """Let a request pass.

        Args:
            request: whose headers are looked at.
            scope: that its key must have; None needs no key.

        Returns:
            Who sent it: what one client leaves on the server is seen by no other.

        Raises:
            HTTPException: it may not pass; says why.
        """
        client = f"address {request.client.host if request.client else ''}"
        try:
            locked = self._needs_key or bool(self._keys.all())
        except UsageError as problem:  # its sentence names a file of the server
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
        """Without keys, a web page that is open on this machine must not reach the server, by whatever name."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not is_address_or_localhost(host) or (origin is not None and urlsplit(origin).netloc != host):
            raise HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST,
                "Without API keys, only programs that call localhost or an IP address are answered, not web pages; "
                "`faceloupe api key create NAME` makes a key.",
            )
