"""A release server on loopback that can fail in every way a download meets, and a small registry to fetch from it."""

import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from faceloupe.config import QUICK_MODEL, weights_folder
from faceloupe.models.http import RetryPolicy
from faceloupe.models.record import ModelRecord, find_record, write_record
from faceloupe.models.registry import ReleaseEntry, write_entries

SIZE = 600_000
CONTENT = hashlib.shake_256(b"weights").digest(SIZE)
QUICK = RetryPolicy(connect_s=2.0, silence_s=0.4, window_s=0.4, least_bytes_s=50_000.0, attempts=3, pause_s=0.02)

Behavior = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next behavior; the last one stays."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.append((self.path, self.headers.get("Range")))
            behaviors = self.server.behaviors
            behavior = behaviors.pop(0) if len(behaviors) > 1 else behaviors[0]
        self.close_connection = True
        behavior(self)

    def send(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Connection": "close"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behaviors: list[Behavior]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviors, self.asked = behaviors, []
        self.lock, self.ended = threading.Lock(), threading.Event()

    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect early; some tests do so on purpose."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def served(*behaviors: Behavior) -> Iterator[Server]:
    server = Server(list(behaviors))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()


def whole(handler: Handler, content: bytes = CONTENT) -> None:
    """As GitHub answers: with the rest where one is asked for."""
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    length = {"Content-Length": str(len(content) - start), "Content-Type": "application/octet-stream"}
    if asked:
        length["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.send(206 if asked else 200, length)
    handler.wfile.write(content[start:])


def status(code: int, **headers: str) -> Behavior:
    def answer(handler: Handler) -> None:
        handler.send(code, {"Content-Length": "0"} | {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def html(handler: Handler) -> None:
    page = b"<html>Please sign in</html>"
    handler.send(200, {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page))})
    handler.wfile.write(page)


def cut(after: int) -> Behavior:
    """Close the connection half-way, despite the announced length."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        headers = {"Content-Length": str(SIZE - start)}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{SIZE - 1}/{SIZE}"
        handler.send(206 if asked else 200, headers)
        handler.wfile.write(CONTENT[start : start + after])

    return answer


def cut_without_length(handler: Handler) -> None:
    handler.send(200, {})
    handler.wfile.write(CONTENT[: SIZE // 2])


def drip(handler: Handler) -> None:
    """A few bytes at a time, without a silence and without an end."""
    handler.send(200, {"Content-Length": str(SIZE)})
    for position in range(SIZE):
        if handler.server.ended.is_set():
            return
        handler.wfile.write(CONTENT[position : position + 1])
        handler.wfile.flush()
        time.sleep(0.02)


def hang(handler: Handler) -> None:
    handler.server.ended.wait(20)


def hang_half_way(handler: Handler) -> None:
    handler.send(200, {"Content-Length": str(SIZE)})
    handler.wfile.write(CONTENT[: SIZE // 2])
    handler.wfile.flush()
    handler.server.ended.wait(20)


def registry(folder: Path, content: bytes = CONTENT) -> ModelRecord:
    """A weights folder with one record and one entry, of weights that are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    record = dataclasses.replace(
        find_record(weights_folder(), QUICK_MODEL), weights_sha256=hashlib.sha256(content).hexdigest()
    )
    write_record(record, folder / f"{record.id}.json")
    url = "{releases}/" + record.weights_file
    entry = ReleaseEntry(record.id, record.weights_file, len(content), record.weights_sha256, url, "MIT", "card.md")
    write_entries([entry], folder)
    return record
