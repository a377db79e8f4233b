"""ASGI 3 middleware for the whole server: pages, uploads, downloads and WebSocket connections.

A server with a password uses ``AuthMiddleware``. A server without one uses ``HostCheck``, unless it is a public demo.
"""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceloupe.errors import UsageError
from faceloupe.ui.auth.password import LONGEST, PasswordHash, RateLimiter, SessionTokens
from faceloupe.ui.language import accepted, mark_for_translation, translator
from faceloupe.web.hosts import is_address_or_localhost

_LOG = logging.getLogger(__name__)
_HEALTH = "/_stcore/health"  # reports only that the server runs
_COOKIE = "faceloupe-door"
_LONGEST_FORM = 4096  # bytes; the longest password as a form takes 3,081
_FORM_S = 10.0  # seconds in which a whole form must arrive
_FORM_TYPE = "application/x-www-form-urlencoded"
_FOREIGN = (
    "Without a password, FaceLoupe answers only to localhost and to IP addresses; to use another host name, "
    "set FACELOUPE_PASSWORD_HASH.\n"
)
_TEXTS = (
    mark_for_translation("This workstation is shared. Enter its password to open the workbench."),
    mark_for_translation("Password"),
    mark_for_translation("Open"),
)
_REFUSAL = {"type": "websocket.close", "code": 1008}
_GUARDS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Authenticator:
    """The password check, and the tokens of sessions that passed it; browsers send the token in a cookie.

    Attributes:
        is_installed: whether an ``AuthMiddleware`` uses this authenticator, so that no request can bypass it.
    """

    def __init__(self, expected: PasswordHash) -> None:
        """Start with no admitted sessions.

        Args:
            expected: hash of the password.
        """
        self._gate, self._admissions = RateLimiter(expected), SessionTokens()
        self.is_installed = False

    def admit(self, password: str) -> str | None:
        """Return a new token for the cookie, or None if the password is wrong.

        Raises:
            UsageError: there were too many wrong guesses; the message states how long to wait.
        """
        return self._admissions.admit() if self._gate.admits(password) else None

    def is_admitted(self, cookies: Mapping[str, str]) -> bool:
        """Return whether one of the cookies holds a valid token."""
        return any(self._admissions.holds(token) for token in _tokens(cookies))

    def lock(self, cookies: Mapping[str, str]) -> None:
        """Revoke the tokens in these cookies, so that their browser must enter the password again."""
        for token in _tokens(cookies):
            self._admissions.revoke(token)


class AuthMiddleware:
    """Middleware that passes requests of admitted sessions to the server, and asks all others for the password."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        """Wrap the server.

        Args:
            app: the server.
            authenticator: checks passwords and tokens.
        """
        self._app, self._authenticator = app, authenticator
        authenticator.is_installed = True
        loader = PackageLoader("faceloupe", "ui/auth")
        templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
        self._page = templates.get_template("login.html.j2")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the server, or answer it here."""
        if _needs_no_password(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            request = Request(scope, receive)
            inside = self._authenticator.is_admitted(request.cookies)
            if inside and not _is_form(request):
                await self._app(scope, receive, send)
                return
            # Another tab may have logged in while this one still showed the form: redirect it to its page.
            answer = _redirect_to_page(request) if inside else await self._answer(request)
            await answer(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket connection to the server; close it at the first message after the session was locked."""
        cookies, ended = HTTPConnection(scope).cookies, False

        async def guarded_receive() -> Message:
            nonlocal ended
            message = await receive()
            if message["type"] != "websocket.receive" or self._authenticator.is_admitted(cookies):
                return message
            ended = True
            await send(_REFUSAL)
            return {"type": "websocket.disconnect", "code": _REFUSAL["code"]}

        async def guarded_send(message: Message) -> None:
            if not ended:  # the server may still send after the connection was closed
                await send(message)

        if self._authenticator.is_admitted(cookies):
            await self._app(scope, guarded_receive, guarded_send)
        else:
            await send(_REFUSAL)

    async def _answer(self, request: Request) -> Response:
        if request.method == "GET":
            return self._ask(request, "")
        if not _is_form(request):
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers=_GUARDS)
        try:
            async with asyncio.timeout(_FORM_S):
                password = await _password(request)
            token = await run_in_threadpool(self._authenticator.admit, password)
        except (TimeoutError, ClientDisconnect):
            return Response(status_code=HTTPStatus.REQUEST_TIMEOUT, headers=_GUARDS)
        except UsageError as problem:
            return self._ask(request, str(problem))
        if token is None:
            _LOG.warning("Wrong password from %s", request.client.host if request.client else "somewhere")
            return self._ask(request, mark_for_translation("The password is wrong."))
        answer = _redirect_to_page(request)
        encrypted = request.url.scheme == "https"
        answer.set_cookie(_name(request), token, httponly=True, samesite="lax", secure=encrypted)
        return answer

    def _ask(self, request: Request, problem: str) -> Response:
        language = accepted(request.headers.get("accept-language", ""))
        intro, label, button, problem = map(translator(language), (*_TEXTS, problem))
        page = self._page.render(language=language, intro=intro, label=label, button=button, problem=problem)
        return HTMLResponse(page, HTTPStatus.UNAUTHORIZED, headers=_GUARDS)


class HostCheck:
    """Middleware that refuses requests whose host is neither localhost nor an IP address.

    It prevents DNS rebinding: a foreign web page can point its own host name at this server, and the browser then
    treats both as the same origin. A server with a password needs no such check, because the browser does not send the
    cookie to the foreign host name.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the server.

        Args:
            app: the server.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the server, or refuse it."""
        if scope["type"] not in ("http", "websocket") or is_address_or_localhost(
            HTTPConnection(scope).headers.get("host", "")
        ):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send(_REFUSAL)
        else:
            answer = PlainTextResponse(_FOREIGN, HTTPStatus.MISDIRECTED_REQUEST, headers=_GUARDS)
            await answer(scope, receive, send)


def _needs_no_password(scope: Scope) -> bool:
    return scope["type"] not in ("http", "websocket") or scope["path"] == _HEALTH  # other types: start and stop


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method == "POST" and kind == _FORM_TYPE


async def _password(request: Request) -> str:
    """Return the password field of the form, or an empty string if it is missing.

    Raises:
        UsageError: the form is too long.
    """
    form = b""
    async for piece in request.stream():
        form += piece
        if len(form) > _LONGEST_FORM:
            raise UsageError(f"A password has at most {LONGEST} characters.")
    return parse_qs(form.decode(errors="replace"), keep_blank_values=True).get("password", [""])[0]


def _redirect_to_page(request: Request) -> Response:
    """Return a redirect to the requested page.

    The path starts with exactly one slash, because a path that starts with two would name another server.
    """
    query = request.scope["query_string"].decode("latin-1")
    path = quote("/" + request.scope["path"].lstrip("/\\")) + (f"?{query}" if query else "")
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, headers=_GUARDS)


def _name(request: Request) -> str:
    """Return the name of the cookie, with the port, because browsers share cookies between all ports of a host."""
    return f"{_COOKIE}-{request.url.port or ''}"


def _tokens(cookies: Mapping[str, str]) -> list[str]:
    return [value for name, value in cookies.items() if name.startswith(_COOKIE)]
