"""Decoding ahead: a video is decoded in a thread of its own while the frames before are examined."""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

import torch

T = TypeVar("T")
_WAIT_S = 0.1  # between two looks whether the other side is still there
_DEFAULT_THREADS = torch.get_num_threads()


class _End:
    """The last thing in the queue, with what ended the work if it did not end well."""

    def __init__(self, problem: BaseException | None = None) -> None:
        self.problem = problem


def ahead(source: Generator[T], depth: int) -> Generator[T | None]:
    """Draw from a generator in another thread, at most ``depth`` items ahead.

    The generator is only ever touched by that thread; closing this one closes it there, too, and waits for that.

    Yields:
        Its items in order; None now and then while the next one is waited for, so that the caller can do other things.

    Raises:
        Whatever the generator raises.
    """
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | _End) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=_WAIT_S)
                return

    def work() -> None:
        try:
            for item in source:
                put(item)
                if stop.is_set():
                    break
        except BaseException as problem:  # noqa: BLE001 - it is raised again in the other thread
            put(_End(problem))
        else:
            put(_End())
        finally:
            source.close()

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = ready.get(timeout=_WAIT_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, _End):
                if item.problem is not None:
                    raise item.problem
                return
            yield item
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def one_network_thread() -> Iterator[None]:
    """Run networks in the calling thread alone, as the other cores decode: several would wait for each other."""
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(_DEFAULT_THREADS)
