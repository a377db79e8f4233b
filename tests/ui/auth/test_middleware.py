"""The layers around the server: who is answered."""

import asyncio
import logging
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.installation import APP
from faceloupe.ui.auth import session as gate
from faceloupe.ui.auth.middleware import Authenticator, AuthMiddleware, HostCheck
from faceloupe.ui.auth.password import PasswordHash

PASSWORD = "correct horse"  # pragma: allowlist secret
RIGHT, WRONG = b"password=correct+horse", b"password=wrong"
FORM = {"content-type": "Application/x-www-form-urlencoded; charset=utf-8"}


@dataclass
class Answer:
    """A response: status, headers and text; 101 and 403 mean that a connection was accepted or refused."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def cookie(self) -> str:
        return self.headers.get("set-cookie", "").partition(";")[0]


async def server(scope, receive, send):
    """The server behind the middleware."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the workbench"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": f"{scope['type']}.startup.complete"})


def ask(layer, path="/", *, kind="http", method="GET", body=b"", query=b"", receive=None, **headers) -> Answer:
    """Send one request through a layer."""
    sent = []
    named = {"host": "127.0.0.1:8501"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query,
        "scheme": "http",
        "server": ("127.0.0.1", 8501),
        "client": ("127.0.0.1", 40000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items() if value is not None],
    }
    pieces = iter([body[start : start + 1000] for start in range(0, max(1, len(body)), 1000)])

    async def whole():
        piece = next(pieces)
        return {"type": "http.request", "body": piece, "more_body": len(piece) == 1000}

    async def send(message):
        sent.append(message)

    asyncio.run(layer(scope, receive or whole, send))
    first = sent[0]
    result = {name.decode(): value.decode() for name, value in first.get("headers", [])}
    status = {"websocket.accept": 101, "websocket.close": 403, "lifespan.startup.complete": 200}.get(first["type"])
    return Answer(status or first["status"], result, b"".join(message.get("body", b"") for message in sent).decode())


@pytest.fixture(scope="module")
def hashed():
    return PasswordHash.of(PASSWORD)


@pytest.fixture
def authenticator(hashed):
    return Authenticator(hashed)


@pytest.fixture
def keeper(authenticator):
    return AuthMiddleware(server, authenticator)


def give(keeper, body=RIGHT, path="/", **headers) -> Answer:
    return ask(keeper, path, method="POST", body=body, **(FORM | headers))


@pytest.mark.parametrize(
    "path", ["/", "/models", "/_stcore/host-config", "/_stcore/health/", "/media/0.png", "/static/a.js"]
)
def test_without_the_password_every_path_is_answered_by_the_form(keeper, path):
    answer = ask(keeper, path)
    assert answer.status == 401
    assert 'type="password"' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "POST"])
def test_without_the_password_nothing_is_uploaded(keeper, method):
    answer = ask(keeper, "/_stcore/upload_file/a/b", method=method, body=bytes(5000))
    assert (answer.status, answer.text) == (401, "")


def test_without_the_password_no_page_gets_its_connection(keeper):
    assert ask(keeper, "/_stcore/stream", kind="websocket").status == 403


def test_the_health_check_and_the_start_of_the_server_need_none(keeper):
    assert ask(keeper, "/_stcore/health").text == "the workbench"
    assert ask(keeper, kind="lifespan").status == 200


def test_the_password_opens_everything_to_the_browser_that_gave_it(keeper):
    answer = give(keeper, path="/models")
    assert (answer.status, answer.headers["location"], answer.text) == (303, "/models", "")
    assert "; HttpOnly; " in answer.headers["set-cookie"]
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert "Secure" not in answer.headers["set-cookie"]  # it could not be sent back
    assert ask(keeper, "/any", kind="websocket", cookie=f"other=1; {answer.cookie}").status == 101
    assert ask(keeper, cookie=answer.cookie).text == "the workbench"
    name, _, token = answer.cookie.partition("=")
    for wrong in (f"{name}={token}x", f"{name}=", f"x={token}", token):
        assert ask(keeper, cookie=wrong).status == 401


def test_a_wrong_password_is_said_and_logged_and_opens_nothing(keeper, caplog):
    with caplog.at_level(logging.WARNING):
        answer = give(keeper, WRONG)
    assert (answer.status, answer.cookie) == (401, "")
    assert "The password is wrong." in answer.text
    assert [record.getMessage() for record in caplog.records] == ["Wrong password from 127.0.0.1"]


@pytest.mark.parametrize(
    ("languages", "code", "label"),
    [("de-AT,de;q=0.9,en;q=0.8", "de", "Passwort"), ("xx, en-US", "en", "Password"), (None, "en", "Password")],
)
def test_the_form_is_in_the_language_of_the_browser(keeper, languages, code, label):
    answer = ask(keeper, accept_language=languages)
    assert f'<html lang="{code}">' in answer.text
    assert f">{label}</label>" in answer.text


@pytest.mark.parametrize("body", [b"", b"password", b"other=correct+horse", b"\xff\xfe", b"password=" + bytes(200)])
def test_a_form_of_any_other_kind_is_a_wrong_password(keeper, body):
    assert "The password is wrong." in give(keeper, body).text


def test_who_guesses_on_is_not_heard_for_a_while(keeper):
    for _ in range(3):
        give(keeper, WRONG)
    answer = give(keeper)
    assert (answer.status, answer.cookie) == (401, "")
    assert "Too many wrong passwords" in answer.text


def test_a_form_without_end_is_not_read_to_its_end(keeper):
    answer = give(keeper, RIGHT + b"&more=" + bytes(100_000))
    assert (answer.status, answer.cookie) == (401, "")
    assert "at most 256 characters" in answer.text


def test_the_longest_password_fits_the_form():
    password = 256 * "密"
    keeper = AuthMiddleware(server, Authenticator(PasswordHash.of(password)))
    assert give(keeper, urlencode({"password": password}).encode()).status == 303


@pytest.mark.parametrize("late", [TimeoutError, None], ids=["too slow", "hung up"])
def test_a_visitor_who_ends_no_form_is_let_go_without_a_trace(keeper, monkeypatch, late):
    monkeypatch.setattr("faceloupe.ui.auth.middleware._FORM_S", 0.05)

    async def receive():
        if late:
            await asyncio.sleep(10.0)
        return {"type": "http.disconnect"}

    answer = ask(keeper, method="POST", receive=receive, **FORM)
    assert (answer.status, answer.cookie) == (408, "")


def test_a_tab_that_still_shows_the_form_is_led_on(keeper):
    cookie = give(keeper).cookie
    answer = give(keeper, WRONG, path="/models", cookie=cookie)
    assert (answer.status, answer.headers["location"], answer.cookie) == (303, "/models", "")


def test_the_query_of_the_page_that_was_asked_for_is_kept(keeper):
    assert give(keeper, query=b"item=1&x=%0d").headers["location"] == "/?item=1&x=%0d"


def test_a_connection_ends_at_the_first_word_after_the_door_was_locked(authenticator):
    heard, messages = [], []

    async def session(scope, receive, send):
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            heard.append(message.get("text", message["type"]))
            await send({"type": "websocket.send", "text": "answer"})
            if message["type"] == "websocket.disconnect":
                return

    keeper = AuthMiddleware(session, authenticator)
    token = authenticator.admit(PASSWORD)
    texts = iter(["first", "second", "third"])

    async def receive():
        word = next(texts)
        if word == "second":
            authenticator.lock({"faceloupe-door-8501": token})
        return {"type": "websocket.receive", "text": word}

    async def send(message):
        messages.append(message["type"])

    headers = [(b"cookie", f"faceloupe-door-8501={token}".encode())]
    asyncio.run(keeper({"type": "websocket", "path": "/_stcore/stream", "headers": headers}, receive, send))
    assert heard == ["first", "websocket.disconnect"]
    assert messages == ["websocket.accept", "websocket.send", "websocket.close"]


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/evil.example"),
        ("/a\r\nSet-Cookie: x=1", "/a%0D%0ASet-Cookie%3A%20x%3D1"),
        ("/Fälle", "/F%C3%A4lle"),
    ],
)
def test_the_way_in_leads_to_no_other_server(keeper, path, location):
    assert give(keeper, path=path).headers["location"] == location


def test_servers_on_two_ports_of_a_machine_do_not_take_each_others_cookies_away(keeper):
    names = {give(keeper, host=f"127.0.0.1:{port}").cookie.partition("=")[0] for port in (8501, 8502)}
    assert len(names) == 2


def test_a_locked_browser_is_asked_again_and_others_are_not(keeper, authenticator):
    first, other = give(keeper).cookie, give(keeper).cookie
    name, _, token = first.partition("=")
    authenticator.lock({name: token, "x": "y"})
    assert ask(keeper, cookie=first).status == 401
    assert ask(keeper, cookie=other).status == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8501", "localhost:8501", "[::1]:8501", "192.168.1.7", "me.localhost", "LOCALHOST:1"]
)
def test_without_a_password_the_machine_answers_to_its_own_names(host):
    assert ask(HostCheck(server), host=host).text == "the workbench"
    assert ask(HostCheck(server), kind="websocket", host=host).status == 101


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8501",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "a{b.evil.example",
        "a`b.evil.example",
        "evil.example:",
        "evil.example:x",
        "me@evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1, evil.example",
        "ev\xe9l.example",
        "[::1",
        "[evil.example]",
        "",
        None,
    ],
)
def test_a_foreign_host_name_that_resolves_to_this_machine_is_refused(host):
    answer = ask(HostCheck(server), host=host)
    assert answer.status == 421
    assert "answers only to localhost and to IP addresses" in answer.text
    assert ask(HostCheck(server), kind="websocket", host=host).status == 403


def app():
    return AppTest.from_file(str(APP), default_timeout=60).run()


@pytest.fixture
def behind(monkeypatch, hashed):
    """The door of a server that was given a password, as pages see it."""
    monkeypatch.setenv("FACELOUPE_PASSWORD_HASH", str(hashed))
    gate.authenticator.cache_clear()
    yield gate.authenticator()
    gate.authenticator.cache_clear()


def test_pages_that_no_door_stands_before_are_not_drawn(behind):
    at = app()
    assert not at.exception
    assert len(at.file_uploader) == 0
    assert "without its password gate" in at.error[0].value


def test_a_broken_password_gate_admits_nobody(monkeypatch):
    monkeypatch.setenv("FACELOUPE_PASSWORD_HASH", PASSWORD)
    gate.authenticator.cache_clear()
    at = app()
    assert not at.exception
    assert len(at.file_uploader) == 0
    assert "is not a valid hash" in at.error[0].value


def test_a_session_that_was_locked_or_stayed_too_long_sees_nothing_more(behind):
    AuthMiddleware(server, behind)
    at = app()
    assert (len(at.file_uploader), len(at.error)) == (0, 0)
    assert "reload this page" in at.info[0].value


def test_a_session_that_came_through_the_door_works_and_can_lock_it(behind, monkeypatch):
    AuthMiddleware(server, behind)
    cookies = {"faceloupe-door-8501": behind.admit(PASSWORD)}
    monkeypatch.setattr("streamlit.runtime.context.ContextProxy.cookies", cookies)
    at = app()
    assert not at.exception
    assert len(at.file_uploader) == 1
    at.button(key="lock").click().run()
    assert len(at.file_uploader) == 0
    assert not behind.is_admitted(cookies)


def test_without_a_password_there_is_nothing_to_lock():
    at = app()
    assert len(at.file_uploader) == 1
    assert "lock" not in [button.key for button in at.button]
