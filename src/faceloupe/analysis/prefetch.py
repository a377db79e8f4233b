"""Decoding ahead: a video is decoded in a thread of its own while the frames before are examined."""

import contextlib
import queue
import threading
from collections.abc import Generator
from typing import TypeVar

import torch

T = TypeVar("T")
_WAIT_S = 0.1  # between two looks whether the other side is still there


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


def use_one_network_thread() -> None:
    """Let each network run in one thread, for the life of this process: the other cores decode, or run other networks.

    Call it at the start of a process that analyzes videos, or several files at once, and never later: torch keeps the
    number for each thread that ran a network already, so that a job's number would depend on what ran before it.
    """
    torch.set_num_threads(1)
