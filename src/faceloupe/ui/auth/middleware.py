"""Layers around the whole server (ASGI 3): pages, uploads, downloads and the pages' connections alike.

With a password, ``AuthMiddleware``; without one, ``HostCheck``.
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
from faceloupe.ui.language import accepted, later, translator
from faceloupe.web.hosts import is_address_or_localhost

_LOG = logging.getLogger(__name__)
_HEALTH = "/_stcore/health"  # says that the server runs, and nothing else
_COOKIE = "faceloupe-door"
_LONGEST_FORM = 4096  # bytes; the longest password as a form takes 3,081
_FORM_S = 10.0  # that its end is waited for
_FORM_TYPE = "application/x-www-form-urlencoded"
_FOREIGN = (
    "Without a password, FaceLoupe answers only to localhost and to IP addresses; to use another host name, "
    "set FACELOUPE_PASSWORD_HASH.\n"
)
_TEXTS = (
    later("This workstation is shared. Enter its password to open the workbench."),
    later("Password"),
    later("Open"),
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
    """Who may pass: whoever shows the cookie that the right password was answered with.

    Attributes:
        stands: whether a server is behind it, so that nobody comes in around it.
    """

    def __init__(self, expected: PasswordHash) -> None:
        """Admit nobody yet.

        Args:
            expected: hash of the password.
        """
        self._gate, self._admissions = RateLimiter(expected), SessionTokens()
        self.stands = False

    def admit(self, password: str) -> str | None:
        """Return a token for the cookie; None where that is not the password.

        Raises:
            UsageError: too many wrong guesses; it says for how long no further one is heard.
        """
        return self._admissions.admit() if self._gate.admits(password) else None

    def lets_in(self, cookies: Mapping[str, str]) -> bool:
        """Whether one of the cookies is that of a session that is let in."""
        return any(self._admissions.holds(token) for token in _tokens(cookies))

    def lock(self, cookies: Mapping[str, str]) -> None:
        """Have the password asked for again in the browser that shows these cookies."""
        for token in _tokens(cookies):
            self._admissions.revoke(token)


class AuthMiddleware:
    """Answers, in the server's place, everyone who has not given the password."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        """Wrap the server.

        Args:
            app: the server.
            authenticator: who may pass.
        """
        self._app, self._authenticator = app, authenticator
        authenticator.stands = True
        loader = PackageLoader("faceloupe", "ui/auth")
        templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
        self._page = templates.get_template("login.html.j2")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if _needs_no_password(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            request = Request(scope, receive)
            inside = self._authenticator.lets_in(request.cookies)
            if inside and not _is_form(request):
                await self._app(scope, receive, send)
                return
            # The form of a tab that was open before another one gave the password leads on.
            answer = _onward(request) if inside else await self._answer(request)
            await answer(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a page's connection on; it ends at the first message after the session was locked."""
        cookies, ended = HTTPConnection(scope).cookies, False

        async def hear() -> Message:
            nonlocal ended
            message = await receive()
            if message["type"] != "websocket.receive" or self._authenticator.lets_in(cookies):
                return message
            ended = True
            await send(_REFUSAL)
            return {"type": "websocket.disconnect", "code": _REFUSAL["code"]}

        async def tell(message: Message) -> None:
            if not ended:  # what is under way may not know yet
                await send(message)

        if self._authenticator.lets_in(cookies):
            await self._app(scope, hear, tell)
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
            return self._ask(request, later("The password is wrong."))
        answer = _onward(request)
        encrypted = request.url.scheme == "https"
        answer.set_cookie(_name(request), token, httponly=True, samesite="lax", secure=encrypted)
        return answer

    def _ask(self, request: Request, problem: str) -> Response:
        language = accepted(request.headers.get("accept-language", ""))
        intro, label, button, problem = map(translator(language), (*_TEXTS, problem))
        page = self._page.render(language=language, intro=intro, label=label, button=button, problem=problem)
        return HTMLResponse(page, HTTPStatus.UNAUTHORIZED, headers=_GUARDS)


class HostCheck:
    """Answers only where it is called by an address or localhost.

    A stranger's web page can have its own name lead here (DNS rebinding), and would then be taken for one of the
    server's; with a password it would lack the cookie, which belongs to the other name.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the server.

        Args:
            app: the server.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
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
    return scope["type"] not in ("http", "websocket") or scope["path"] == _HEALTH  # the former: start and end


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method == "POST" and kind == _FORM_TYPE


async def _password(request: Request) -> str:
    """Return the field of the form; empty where it is missing.

    Raises:
        UsageError: it is longer than any form.
    """
    form = b""
    async for piece in request.stream():
        form += piece
        if len(form) > _LONGEST_FORM:
            raise UsageError(f"A password has at most {LONGEST} characters.")
    return parse_qs(form.decode(errors="replace"), keep_blank_values=True).get("password", [""])[0]


def _onward(request: Request) -> Response:
    """To the page that was asked for, and never to another server: a path of two slashes would name one."""
    query = request.scope["query_string"].decode("latin-1")
    path = quote("/" + request.scope["path"].lstrip("/\\")) + (f"?{query}" if query else "")
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, headers=_GUARDS)


def _name(request: Request) -> str:
    """Name of the cookie: browsers keep one set of cookies for all ports of a machine."""
    return f"{_COOKIE}-{request.url.port or ''}"


def _tokens(cookies: Mapping[str, str]) -> list[str]:
    return [value for name, value in cookies.items() if name.startswith(_COOKIE)]
