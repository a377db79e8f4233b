"""Start the HTTP API: the weights are verified first, and other machines need a key."""

import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from faceloupe.analysis.pipeline import Networks
from faceloupe.analysis.prefetch import use_one_network_thread
from faceloupe.config import Settings, data_folder
from faceloupe.errors import UsageError
from faceloupe.server.access import Access, RateLimit
from faceloupe.server.app import Api
from faceloupe.server.connection import IDLE_S, Connection
from faceloupe.server.keys import ApiKeys
from faceloupe.server.limits import Limits
from faceloupe.server.service import Service
from faceloupe.system import memory, temp
from faceloupe.web.hosts import is_loopback

_WAITING = 128  # connections that are not yet accepted
_SHUTDOWN_WAIT_S = 5  # that running requests may take at the end, seconds


def listen(host: str, port: int) -> socket.socket:
    """Open the port.

    Raises:
        UsageError: the address is not one of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as problem:
        listener.close()
        cause = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(f"The API cannot listen on {host}, port {port} ({cause}); choose another.") from problem
    return listener


def server(service: Service, keys: ApiKeys, *, needs_key: bool) -> uvicorn.Server:
    """Return the server around a service; ``run(sockets=[...])`` starts it.

    Args:
        service: does the work; it is closed with the server.
        keys: keys that are accepted.
        needs_key: whether a key is needed even if none was ever created.
    """
    access = Access(keys, RateLimit(service.limits.requests_per_minute), needs_key=needs_key)
    config = uvicorn.Config(
        Api(service, access).application(),
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=_SHUTDOWN_WAIT_S,
    )
    return uvicorn.Server(config)


def serve(host: str, port: int, settings: Settings, limits: Limits, *, ready: Callable[[str], None]) -> None:
    """Serve the API until the process receives SIGINT or SIGTERM.

    Args:
        host: address to listen on.
        port: port to listen on; 0 chooses a free port.
        settings: settings of every analysis; a request may only override the effort.
        limits: limits of the server.
        ready: called with the address of the API once requests are accepted.

    Raises:
        UsageError: other machines could reach the address and there is no valid key, or the port is taken.
        WeightsError: the weights are missing, or do not match their verified hashes.
    """
    keys = ApiKeys(data_folder())
    open_to_others = not is_loopback(host)
    if open_to_others and not keys.valid():
        raise UsageError(
            f"The API is not served on {host} without a key, as others can reach that address; "
            "make one with `faceloupe api key create NAME`."
        )
    memory.limit_allocator()
    use_one_network_thread()  # several requests at once share the cores
    temp.remove_leftovers()
    for number in (signal.SIGINT, signal.SIGTERM):  # the server stops first, then calls these handlers
        signal.signal(number, _end)
    with listen(host, port) as listener:
        service = Service(Networks.load(settings), limits)
        listener.listen(_WAITING)  # clients that connect from here on are answered
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}")
        server(service, keys, needs_key=open_to_others).run(sockets=[listener])


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
