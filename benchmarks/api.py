"""The HTTP API against two simple servers: ``python -m benchmarks.api [--clients N] [--pictures N]``.

All figures come from one run, with the same pictures and the same clients: the overhead over the pipeline for one warm
picture, and the pictures per second against a server that loads the model for each request, and against one that loads
it once and answers in a single thread. Both are minimal HTTP servers around the same pipeline.
"""

import argparse
import http.client
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from benchmarks.still import one_megapixel
from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.analysis.prefetch import use_one_network_thread
from faceloupe.config import Settings
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.report.build import build
from faceloupe.server.keys import ApiKeys
from faceloupe.server.limits import Limits
from faceloupe.server.serve import listen, server
from faceloupe.server.service import Service


def score(content: bytes, networks: Networks) -> bytes:
    """Do what the API does for a picture, without the API."""
    evidence_file = evidence_from_bytes(content, "photo.jpg", max_bytes=networks.settings.max_bytes)
    return build(analyze(evidence_file, networks, explain=False)).to_json().encode()


def post(connection: http.client.HTTPConnection, content: bytes) -> None:
    """Let the API analyze a picture, over a connection that stays open."""
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    connection.request("POST", "/v1/analyze", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    answer = connection.getresponse()
    if answer.status != 200 or b'"score": 0.' not in answer.read():
        raise SystemExit("the benchmark's face was not scored")


def overhead_ms(port: int, content: bytes, networks: Networks, rounds: int) -> None:
    """Print how much longer the API takes for one warm picture, measured in pairs."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    pairs = []
    for _ in range(rounds + 2):
        ours, theirs = _spent(lambda: score(content, networks)), _spent(lambda: post(connection, content))
        pairs.append((ours, theirs))
    for clock, name in enumerate(("wall time", "processor time, the client's included")):
        differences = sorted(1e3 * (theirs[clock] - ours[clock]) for ours, theirs in pairs[2:])
        quarter = len(differences) // 4
        quartiles = f"{differences[quarter]:.1f} and {differences[-1 - quarter]:.1f}"
        pipeline_ms = 1e3 * statistics.median(ours[clock] for ours, _ in pairs[2:])
        print(
            f"Overhead of the API for one warm picture, {name}: {statistics.median(differences):.1f} ms at the median "
            f"of {rounds} pairs (quartiles {quartiles}); the pipeline takes {pipeline_ms:.0f} ms"
        )


def _spent(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time and this process's processor time, seconds; other processes do not affect the second."""
    began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began[0], time.process_time() - began[1]


@contextmanager
def simple_server(networks: Callable[[], Networks]) -> Iterator[int]:
    """Serve with one thread, like Flask's own server without threads; yield the port.

    Args:
        networks: returns the networks; called for each request.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = score(body[body.index(b"\r\n\r\n") + 4 : body.rindex(b"\r\n--")], networks())
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        request_queue_size = 64  # no client waits for a connection

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running.server_address[1]
        finally:
            running.shutdown()
            thread.join()


def throughput(port: int, content: bytes, clients: int, pictures: int) -> tuple[float, float]:
    """Let each client send the next picture when the last one is answered.

    Returns:
        Pictures per second, and processor seconds of this process for each picture, including the client's.
    """
    local = threading.local()

    def ask(_: int) -> None:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port)
        post(local.connection, content)

    with ThreadPoolExecutor(clients) as pool:
        wall_s, processor_s = _spent(lambda: list(pool.map(ask, range(pictures))))
        return pictures / wall_s, processor_s / pictures


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the HTTP API.")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=48, help="sent to the API and to the server with one thread")
    parser.add_argument("--loads", type=int, default=3, help="pictures for which the model is loaded anew")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--effort", default="standard")
    options = parser.parse_args()
    use_one_network_thread()
    settings, content = Settings(effort=options.effort), one_megapixel()
    networks = Networks.load(settings)
    score(content, networks)
    service = Service(networks, Limits(requests_per_minute=0))
    with TemporaryDirectory() as data, listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        running = server(service, ApiKeys(Path(data)), needs_key=False)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            overhead_ms(port, content, networks, options.pairs)
            ours, ours_s = throughput(port, content, options.clients, options.pictures)
            with simple_server(lambda: networks) as other:
                once, once_s = throughput(other, content, options.clients, options.pictures)
            with simple_server(lambda: Networks.load(settings)) as other:
                each, each_s = throughput(other, content, options.loads, options.loads)
        finally:
            running.should_exit = True
            thread.join()
    print(
        f"Effort {options.effort}, {options.clients} clients: {ours:.2f} pictures a second through the API, "
        f"{1e3 * ours_s:.0f} ms of processor time each"
    )
    print(
        f"  {ours / each:.1f} times a server that loads the model for each ({each:.2f} a second, {1e3 * each_s:.0f} ms)"
    )
    print(
        f"  {ours / once:.1f} times one of one thread that loads it once ({once:.2f} a second, {1e3 * once_s:.0f} ms)"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
