"""HTTP connections with limits on their number, on silence before a request, and on unread answers."""

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from faceloupe.server import problems

CONNECTIONS = 256  # at once; more are answered with 503, and those beyond twice this number not at all
IDLE_S = 15  # that a connection may be idle after an answer, seconds
_HEAD_S = 20.0  # from the start or the last answer until the headers of a request are complete
_STUCK_S = 30.0  # that a client may leave an answer unread
_NOT_HTTP = "This is not a valid HTTP/1.1 request, or its headers are too large."
_CROWDED = problems.problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Too many connections are open; try again later.",
    {"Retry-After": problems.RETRY_S, "Connection": "close"},
)


class Connection(H11Protocol):
    """A connection of a client; uvicorn creates it, and calls it in the thread of the event loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See ``H11Protocol``."""
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the timer for the first request; refuse the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > 2 * CONNECTIONS:
            transport.abort()
        elif len(self.connections) > CONNECTIONS:
            self.app = _CROWDED
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers."""
        for timer in (self._head, self._stuck):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Start the timer for the next request; unread bytes of a request body do not extend it."""
        super().on_response_complete()
        self._await_request()

    def pause_writing(self) -> None:
        """Start the timer for a client that does not read the answer."""
        super().pause_writing()
        self._stuck = self.loop.call_later(_STUCK_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer for unread answers, and continue with the answer."""
        if self._stuck is not None:
            self._stuck.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP with a problem document, like any other error."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # the request has already been answered
            self.transport.abort()
            return
        answer = problems.problem(HTTPStatus.BAD_REQUEST, _NOT_HTTP, {"Connection": "close"})
        head = h11.Response(status_code=answer.status_code, headers=answer.raw_headers)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _await_request(self) -> None:
        if self._head is not None:
            self._head.cancel()
        self._head = self.loop.call_later(_HEAD_S, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
