"""Layers around the whole server (ASGI 3): pages, uploads, downloads and the pages' connections alike.

With a password, ``Doorkeeper``; without one, ``OwnNames``.
"""

import ipaddress
import logging
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from faceloupe.errors import UsageError
from faceloupe.password import Admissions, Gate, PasswordHash

_LOG = logging.getLogger(__name__)
_HEALTH = "/_stcore/health"  # says that the server runs, and nothing else
_COOKIE = "faceloupe-door"
_LONGEST_FORM = 4096  # bytes
_FORM_TYPE = "application/x-www-form-urlencoded"
_FOREIGN = (
    "Without a password, FaceLoupe answers to localhost and to addresses alone; to reach it by another name, "
    "set FACELOUPE_PASSWORD_HASH.\n"
)
_REFUSAL = {"type": "websocket.close", "code": 1008}
_GUARDS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Door:
    """Who may pass: whoever shows the cookie that the right password was answered with.

    Attributes:
        stands: whether a server is behind it, so that nobody comes in around it.
    """

    def __init__(self, expected: PasswordHash) -> None:
        """
        Args:
            expected: hash of the password.
        """
        self._gate, self._admissions = Gate(expected), Admissions()
        self.stands = False

    def admit(self, password: str) -> str | None:
        """A token for the cookie; None where that is not the password.

        Raises:
            UsageError: too many wrong guesses; it says for how long no further one is heard.
        """
        return self._admissions.admit() if self._gate.admits(password) else None

    def lets_in(self, cookies: Mapping[str, str]) -> bool:
        """Whether one of the cookies opens the door."""
        return any(self._admissions.holds(token) for token in _tokens(cookies))

    def lock(self, cookies: Mapping[str, str]) -> None:
        """Have the password asked for again in the browser that shows these cookies."""
        for token in _tokens(cookies):
            self._admissions.revoke(token)


class Doorkeeper:
    """Answers, in the server's place, everyone who has not given the password."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        """
        Args:
            app: the server.
            door: who may pass.
        """
        self._app, self._door = app, door
        door.stands = True
        templates = Environment(loader=PackageLoader("faceloupe", "ui"), autoescape=True, undefined=StrictUndefined)
        self._page = templates.get_template("door.html.j2")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if self._passes(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send(_REFUSAL)
        else:
            answer = await self._answer(Request(scope, receive))
            await answer(scope, receive, send)

    def _passes(self, scope: Scope) -> bool:
        if scope["type"] not in ("http", "websocket"):
            return True  # the start and the end of the server
        return scope["path"] == _HEALTH or self._door.lets_in(HTTPConnection(scope).cookies)

    async def _answer(self, request: Request) -> Response:
        if request.method == "GET":
            return self._ask("")
        if request.method != "POST" or request.headers.get("content-type", "").partition(";")[0] != _FORM_TYPE:
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers=_GUARDS)
        form = b""
        async for piece in request.stream():
            form += piece
            if len(form) > _LONGEST_FORM:
                return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers=_GUARDS)
        password = parse_qs(form.decode(errors="replace"), keep_blank_values=True).get("password", [""])[0]
        try:
            token = await run_in_threadpool(self._door.admit, password)
        except UsageError as problem:
            return self._ask(str(problem))
        if token is None:
            _LOG.warning("A wrong password from %s", request.client.host if request.client else "somewhere")
            return self._ask("That is not the password.")
        # To the page that was asked for, and never to another server: a path of two slashes would name one.
        path = quote("/" + request.scope["path"].lstrip("/\\"))
        answer = RedirectResponse(path, HTTPStatus.SEE_OTHER, headers=_GUARDS)
        encrypted = request.url.scheme == "https"
        answer.set_cookie(_name(request), token, httponly=True, samesite="lax", secure=encrypted)
        return answer

    def _ask(self, problem: str) -> Response:
        return HTMLResponse(self._page.render(problem=problem), HTTPStatus.UNAUTHORIZED, headers=_GUARDS)


class OwnNames:
    """Answers only where it is called by an address or localhost.

    A stranger's web page can have its own name lead here (DNS rebinding), and would then be taken for one of the
    server's; with a password it would lack the cookie, which belongs to the other name.
    """

    def __init__(self, app: ASGIApp) -> None:
        """
        Args:
            app: the server.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or _own(HTTPConnection(scope).url.hostname or ""):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send(_REFUSAL)
        else:
            answer = PlainTextResponse(_FOREIGN, HTTPStatus.MISDIRECTED_REQUEST, headers=_GUARDS)
            await answer(scope, receive, send)


def _own(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _name(request: Request) -> str:
    """Name of the cookie: browsers keep one set of cookies for all ports of a machine."""
    return f"{_COOKIE}-{request.url.port or ''}"


def _tokens(cookies: Mapping[str, str]) -> list[str]:
    return [value for name, value in cookies.items() if name.startswith(_COOKIE)]
