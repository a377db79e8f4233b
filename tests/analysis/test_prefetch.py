"""Claims about drawing from a generator in another thread."""

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from faceloupe.analysis.prefetch import ahead


def test_items_come_in_order_and_the_generator_never_leaves_its_thread():
    threads = set()

    def source() -> Generator[int]:
        for number in range(50):
            threads.add(threading.current_thread())
            yield number

    assert [item for item in ahead(source(), 3) if item is not None] == list(range(50))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_no_more_than_the_depth_is_drawn_ahead():
    drawn = []

    def source() -> Generator[int]:
        for number in range(20):
            drawn.append(number)
            yield number

    with closing(ahead(source(), 2)) as items:
        for item in items:
            if item is not None:
                assert len(drawn) <= item + 1 + 2 + 1  # those in the queue, and one that waits to be put there


def test_what_the_generator_raises_is_raised_here():
    def source() -> Generator[int]:
        yield 1
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        list(ahead(source(), 2))


def test_leaving_early_closes_the_generator_in_its_thread_and_ends_the_thread():
    closed = threading.Event()

    def source() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = threading.active_count()
    with closing(ahead(source(), 2)) as items:
        next(items)
    assert closed.is_set()
    assert threading.active_count() == before


def test_while_the_next_item_is_waited_for_the_caller_gets_to_do_other_things():
    release = threading.Event()

    def source() -> Generator[int]:
        release.wait(10)
        yield 1

    items = ahead(source(), 1)
    assert next(items) is None
    release.set()
    assert [item for item in items if item is not None] == [1]
