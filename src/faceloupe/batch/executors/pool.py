"""Who has which task, and what becomes of the tasks of a worker that died; it knows neither processes nor clusters.

A worker that is ended (by a file that crashes a decoder, by a system short of memory, with its machine) takes no other
file with it: what it had not answered is given, one task at a time, to a fresh worker, and only a task that ends every
worker that has it alone is given up.
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from faceloupe.batch.tasks import Result, Task, failed
from faceloupe.errors import FaceLoupeError

PER_WORKER = 2  # tasks: one is examined, one read ahead
_STARTS = 3  # failed attempts to bring a worker up, one after another, before the batch is given up
GIVEN_UP = (
    "Every process that analyzed this file crashed or was killed: the file may be made to cause this, or may need "
    "more memory than there is."
)


class Worker(ABC):
    """One worker.

    Attributes:
        ready: whether it has its networks.
        tasks: unanswered, in the order in which they were given.
        alone: whether its task is one that a worker died with, given with no other.
    """

    def __init__(self) -> None:
        self.ready = self.alone = False
        self.tasks: deque[Task] = deque()

    @abstractmethod
    def send(self, task: Task) -> None:
        """Have it carry out a task."""


W = TypeVar("W", bound=Worker)


class WorkerPool(Generic[W]):
    """The workers of an engine, and the tasks.

    Attributes:
        workers: those that live; a dead one is replaced in its place.
    """

    def __init__(self, make: Callable[[], W], count: int, *, attempts: int) -> None:
        """Start the workers.

        Args:
            make: makes a worker, which becomes ready later.
            count: of the workers.
            attempts: workers that a task may end alone before it is given up.
        """
        self._make, self._attempts = make, attempts
        self._waiting: deque[Task] = deque()
        self._suspects: deque[Task] = deque()  # a worker died with them
        self._deaths: Counter[int] = Counter()  # index of a task -> workers that died with it alone
        self._failed_starts = 0
        self.workers = [make() for _ in range(count)]

    def submit(self, task: Task) -> None:
        """Take on a task."""
        self._waiting.append(task)
        self.hand_out()

    def ready(self, worker: W) -> None:
        """Note that a worker can begin."""
        worker.ready, self._failed_starts = True, 0

    def answered(self, worker: W, index: int) -> None:
        """Note that a worker is done with a task."""
        worker.tasks = deque(task for task in worker.tasks if task.index != index)
        worker.alone = False
        self._deaths.pop(index, None)

    def lost(self, worker: W, how: str) -> tuple[int, Result] | None:
        """Replace a dead worker; return the index and result of the task that is given up for it, if there is one.

        Args:
            worker: the dead worker.
            how: it died, for people.

        Raises:
            FaceLoupeError: no worker can be brought up.
        """
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise FaceLoupeError(f"A worker failed to start {_STARTS} times: it {how}.")
        self.workers[self.workers.index(worker)] = self._make()
        if worker.alone and worker.tasks:
            task = worker.tasks[0]
            self._deaths[task.index] += 1
            if self._deaths[task.index] >= self._attempts:
                del self._deaths[task.index]
                return task.index, failed(task.media_type, GIVEN_UP)
        self._suspects += worker.tasks
        return None

    def hand_out(self) -> None:
        """Give tasks to the workers that have room, to the least busy first."""
        while self._waiting or self._suspects:
            able = [candidate for candidate in self.workers if candidate.ready]
            worker = min(able, key=lambda candidate: len(candidate.tasks) + candidate.alone, default=None)
            if worker is None or len(worker.tasks) >= (1 if self._suspects or worker.alone else PER_WORKER):
                return
            worker.alone = bool(self._suspects)
            task = (self._suspects or self._waiting).popleft()
            worker.tasks.append(task)
            worker.send(task)
