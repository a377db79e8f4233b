"""The interface of the engines that carry out the tasks of a batch."""

from typing import Protocol

from faceloupe.batch.tasks import Result, Task


class Engine(Protocol):
    """Carries out tasks with a number of workers. Not thread-safe: only the driver of one batch calls it.

    Every submitted task comes back exactly once, in any order, with a result. If a task ends its worker again and
    again, the result says so.

    Attributes:
        capacity: most tasks that may be submitted at a time: enough to keep every worker busy, and no more.
    """

    capacity: int

    def submit(self, task: Task) -> None:
        """Submit a task; the caller must not exceed the capacity."""

    def results(self, timeout_s: float) -> list[tuple[int, Result]]:
        """Return index and result of the tasks that came back; wait at most ``timeout_s`` for the first one.

        Raises:
            FaceLoupeError: no worker can be started.
        """

    def close(self) -> None:
        """End all workers at once, without waiting for their tasks."""
