"""The pool of workers: which worker has which task, and what happens to the tasks of a worker that died.

The module is independent of processes and clusters. A worker may die because a file crashes a decoder, the system is
short of memory, or its machine is lost. This must not cost the results of other files. The unanswered tasks of the
worker are therefore given to other workers one at a time, and only a task that then ends several workers is given up.
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from faceloupe.batch.tasks import Result, Task, failed
from faceloupe.errors import FaceLoupeError

PER_WORKER = 2  # tasks: one is analyzed, the next is read ahead
_STARTS = 3  # failed starts of a worker in a row before the batch is given up
GIVEN_UP = (
    "Every process that analyzed this file crashed or was killed: the file may be made to cause this, or may need "
    "more memory than there is."
)


class Worker(ABC):
    """One worker of a pool.

    Attributes:
        ready: whether it has loaded its networks.
        tasks: its unanswered tasks, in the order in which they were sent.
        alone: whether it has a single task that an earlier worker died with.
    """

    def __init__(self) -> None:
        self.ready = self.alone = False
        self.tasks: deque[Task] = deque()

    @abstractmethod
    def send(self, task: Task) -> None:
        """Send a task to the worker."""


W = TypeVar("W", bound=Worker)


class WorkerPool(Generic[W]):
    """The workers of an engine, and their tasks.

    Attributes:
        workers: the living workers; a dead worker is replaced at the same index.
    """

    def __init__(self, make: Callable[[], W], count: int, *, attempts: int) -> None:
        """Start the workers.

        Args:
            make: makes a worker, which becomes ready later.
            count: number of workers.
            attempts: number of workers that a single task may end before it is given up.
        """
        self._make, self._attempts = make, attempts
        self._waiting: deque[Task] = deque()
        self._suspects: deque[Task] = deque()  # unanswered tasks of workers that died
        self._deaths: Counter[int] = Counter()  # task index -> workers that died with only this task
        self._failed_starts = 0
        self.workers = [make() for _ in range(count)]

    def submit(self, task: Task) -> None:
        """Queue a task, and send it as soon as a worker has room."""
        self._waiting.append(task)
        self.hand_out()

    def ready(self, worker: W) -> None:
        """Mark a worker as ready for tasks."""
        worker.ready, self._failed_starts = True, 0

    def answered(self, worker: W, index: int) -> None:
        """Record that a worker has answered a task."""
        worker.tasks = deque(task for task in worker.tasks if task.index != index)
        worker.alone = False
        self._deaths.pop(index, None)

    def lost(self, worker: W, how: str) -> tuple[int, Result] | None:
        """Replace a dead worker.

        Args:
            worker: the dead worker.
            how: how it died, for the error message, such as "was killed by SIGKILL".

        Returns:
            Index and result of the task that is given up after this death; None if no task is.

        Raises:
            FaceLoupeError: workers repeatedly failed to start.
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
        """Send tasks to the workers that have room, the least busy first; tasks that a worker died with go first."""
        while self._waiting or self._suspects:
            able = [candidate for candidate in self.workers if candidate.ready]
            worker = min(able, key=lambda candidate: len(candidate.tasks) + candidate.alone, default=None)
            if worker is None or len(worker.tasks) >= (1 if self._suspects or worker.alone else PER_WORKER):
                return
            worker.alone = bool(self._suspects)
            task = (self._suspects or self._waiting).popleft()
            worker.tasks.append(task)
            worker.send(task)
