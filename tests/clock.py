"""A clock that tests move."""

from typing import Generic, TypeVar

Time = TypeVar("Time")


class Clock(Generic[Time]):
    """A clock for tests: a callable that returns the time that was set."""

    def __init__(self, now: Time) -> None:
        """Start at a time."""
        self.now = now

    def __call__(self) -> Time:
        """Return the time."""
        return self.now
