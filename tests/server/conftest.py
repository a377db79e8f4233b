"""The HTTP API on a real socket."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from faceloupe.server.keys import ApiKeys
from faceloupe.server.limits import Limits
from faceloupe.server.serve import listen, server
from faceloupe.server.service import Service

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Served:
    """A running API.

    Attributes:
        address: with the version.
        port: on 127.0.0.1.
        service: behind it.
        keys: that it accepts.
    """

    address: str
    port: int
    service: Service
    keys: ApiKeys

    def post(self, path: str, content: bytes, name: str = "photo.jpg", **options) -> requests.Response:
        return requests.post(self.address + path, files={"file": (name, content)}, timeout=PATIENCE_S, **options)

    def get(self, path: str, **options) -> requests.Response:
        return requests.get(self.address + path, timeout=PATIENCE_S, **options)

    def files(self) -> list[str]:
        """Return the files in the folder of uploads."""
        return sorted(path.name for path in self.service.folder.iterdir())


@contextmanager
def served(analyzer, data: Path, *, needs_key: bool = False, **limits) -> Iterator[Served]:
    """Run the API in a thread; at its end no upload may be left."""
    service, keys = Service(analyzer, Limits(**limits)), ApiKeys(data)
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        running = server(service, keys, needs_key=needs_key)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually(lambda: running.started)
            yield Served(f"http://127.0.0.1:{port}/v1", port, service, keys)
        finally:
            running.should_exit = True
            thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert list(service.folder.iterdir()) == []


def eventually(condition) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """Disable proxies for requests to this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture(scope="module")
def api(analyzer, tmp_path_factory) -> Iterator[Served]:
    with served(analyzer, tmp_path_factory.mktemp("keys"), requests_per_minute=0, upload_bytes=8_000_000) as running:
        yield running
