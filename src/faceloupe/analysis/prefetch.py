"""Prefetching: a separate thread decodes a video while earlier frames are analyzed."""

import contextlib
import queue
import threading
from collections.abc import Generator
from typing import TypeVar

import torch

T = TypeVar("T")
_WAIT_S = 0.1  # between checks of whether the other thread has stopped


class _End:
    """The last item in the queue; holds the exception that ended the work, if any."""

    def __init__(self, problem: BaseException | None = None) -> None:
        self.problem = problem


def ahead(source: Generator[T], depth: int) -> Generator[T | None]:
    """Run a generator in another thread, at most ``depth`` items ahead.

    Only this thread uses ``source``. Closing the returned generator closes ``source`` in its thread, and waits until
    the thread has ended.

    Yields:
        The items of ``source`` in order, and None at intervals while waiting for the next item, so that the caller can
        do other work.

    Raises:
        Any exception that ``source`` raises.
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


def use_one_network_thread() -> None:
    """Make each network run in one thread for the life of this process.

    The other cores decode frames or run other networks. Call this function at the start of a process that analyzes
    videos or several files at once, and never later: torch keeps the old number of threads in each thread that has
    already run a network, so the number for a job would depend on the jobs before it.
    """
    torch.set_num_threads(1)
