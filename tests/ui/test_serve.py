"""The app as `faceloupe app` starts it, and so `make run`."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import pytest
import requests

from faceloupe.ui import serve
from faceloupe.ui.auth.password import PasswordHash

PASSWORD = "correct horse"  # pragma: allowlist secret
PATIENCE_S = 120
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
}


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """Disable proxies for requests to this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.0.0.2")


def started(folder, *options, **environment) -> subprocess.Popen:
    command = [sys.executable, "-m", "faceloupe", "app", *options]
    named = os.environ | {"FACELOUPE_DATA": str(folder)} | environment
    return subprocess.Popen(command, cwd=folder, env=named, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def served(folder, **environment):
    """The address and the process of an app, which must end promptly and cleanly on request."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = started(folder, "--port", str(port), **environment)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE_S
    try:
        while True:
            try:
                assert requests.get(f"{address}/_stcore/health", timeout=5).text == "ok"
                break
            except requests.ConnectionError:
                assert app.poll() is None, app.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield address
        app.send_signal(signal.SIGTERM)
        output, _ = app.communicate(timeout=PATIENCE_S)
        assert app.returncode == 0
        assert "Traceback" not in output
    finally:
        app.kill()


def connected(address, session=requests, **headers) -> int:
    """Status of an attempt at the connection of a page."""
    with session.get(f"{address}/_stcore/stream", headers=UPGRADE | headers, stream=True, timeout=30) as answer:
        return answer.status_code


@pytest.mark.slow
def test_a_server_with_a_password_is_closed_to_its_last_route_until_it_is_given(tmp_path):
    hashed = str(PasswordHash.of(PASSWORD))
    with closing(socket.socket()) as slow, served(tmp_path, FACELOUPE_PASSWORD_HASH=hashed) as address:
        routes = ["/", "/models", "/_stcore/host-config", "/_stcore/metrics", "/media/x.png", "/static/x.js"]
        assert {requests.get(f"{address}{route}", timeout=30).status_code for route in routes} == {401}
        upload = requests.put(f"{address}/_stcore/upload_file/a/b", files={"f": b"x"}, timeout=30)
        assert upload.status_code == 401
        assert connected(address) == 403
        slow.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n")
        slow.sendall(b"Content-Length: 100\r\n\r\npass")  # and no more: the server has to end nevertheless
        with requests.Session() as visitor:
            assert visitor.post(address, data={"password": PASSWORD[1:]}, timeout=30).status_code == 401
            came = visitor.post(f"{address}/models", data={"password": PASSWORD}, timeout=30)
            assert (came.status_code, came.url) == (200, f"{address}/models")
            assert "streamlit" in came.text.lower()
            assert connected(address, visitor) == 101
            assert connected(address, visitor, Origin="http://evil.example") == 403
        assert connected(address) == 403


@pytest.mark.slow
def test_a_server_without_one_is_open_to_this_machine_alone(tmp_path):
    with served(tmp_path) as address:
        assert requests.get(address, timeout=30).status_code == 200
        assert connected(address) == 101
        assert requests.get(address, headers={"Host": "evil.example"}, timeout=30).status_code == 421
        evil = {"Host": "evil.example", "Origin": "http://evil.example"}
        assert connected(address, **evil) == 403
        with pytest.raises(requests.ConnectionError):  # of all loopback addresses it listens on the one
            requests.get(address.replace("127.0.0.1", "127.0.0.2"), timeout=30)


@pytest.mark.slow
def test_a_password_in_place_of_its_hash_is_refused_before_anybody_is_served(tmp_path):
    app = started(tmp_path, FACELOUPE_PASSWORD_HASH=PASSWORD)
    output, _ = app.communicate(timeout=PATIENCE_S)
    assert app.returncode == 2
    assert output.splitlines()[-1].startswith("faceloupe: FACELOUPE_PASSWORD_HASH is not a valid hash")
    assert PASSWORD not in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("address", "environment", "warned"),
    [
        ("0.0.0.0", {}, True),
        ("127.0.0.1", {}, False),
        (None, {}, False),
        (None, {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, True),
        ("localhost", {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, False),
    ],
)
def test_a_server_that_others_reach_without_a_password_says_so(monkeypatch, address, environment, warned):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("without a password" in serve.exposure_warning(address)) == warned
