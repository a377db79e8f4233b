"""What carries out the tasks of a batch: one interface, whatever stands behind it."""

from typing import Protocol

from faceloupe.batch.tasks import Result, Task


class Engine(Protocol):
    """Workers somewhere. Not thread-safe: the driver of one batch calls it.

    Every task that was submitted comes back exactly once, in any order, with a result: where it ends its worker again
    and again, with one that says so.

    Attributes:
        capacity: tasks that may be under way together: enough to keep every worker busy, and no more.
    """

    capacity: int

    def submit(self, task: Task) -> None:
        """Take on a task; the caller keeps to the capacity."""

    def results(self, timeout_s: float) -> list[tuple[int, Result]]:
        """Index and result of tasks that came back; nothing within the time where none did.

        Raises:
            FaceLoupeError: no worker can be started.
        """

    def close(self) -> None:
        """End all workers at once, whatever they do."""
