"""The engine of the app: its own process has loaded the networks, and analyzes images until a worker is ready."""

from collections import deque

from faceloupe.analysis.pipeline import Networks
from faceloupe.batch.executors.local import LocalEngine
from faceloupe.batch.executors.worker import AnalysisWorker
from faceloupe.batch.tasks import Result, Task, WorkerConfig


class WarmEngine:
    """An ``Engine`` whose first rows need not wait for the workers, which take many seconds to start."""

    def __init__(self, worker_config: WorkerConfig, networks: Networks) -> None:
        """Start the workers.

        Args:
            worker_config: configuration of the workers.
            networks: the networks of this process, loaded with the same settings.

        Raises:
            UsageError: the workers cannot be started.
        """
        self._workers = LocalEngine(worker_config)
        self._here = AnalysisWorker(worker_config, networks)
        self._waiting: deque[Task] = deque()
        self.capacity = self._workers.capacity

    def submit(self, task: Task) -> None:
        """See ``Engine``."""
        if self._workers.ready or task.media_type != "image":  # a video takes longer than the start of the workers
            self._workers.submit(task)
        else:
            self._waiting.append(task)

    def results(self, timeout_s: float) -> list[tuple[int, Result]]:
        """See ``Engine``."""
        if self._waiting and not self._workers.ready:
            task = self._waiting.popleft()
            here = [(task.index, result) for _, result in self._here(iter([task]))]
            return [*here, *self._workers.results(0.0)]
        while self._waiting:
            self._workers.submit(self._waiting.popleft())
        return self._workers.results(timeout_s)

    def close(self) -> None:
        """See ``Engine``."""
        self._workers.close()
