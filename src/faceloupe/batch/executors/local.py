"""The local engine: worker processes on this machine's cores, each with networks of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from multiprocessing.connection import Connection, wait

from faceloupe.batch.executors.pool import PER_WORKER, Worker, WorkerPool
from faceloupe.batch.tasks import Result, Task, WorkerConfig
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.system import memory

WORK = "faceloupe.batch.executors.worker:AnalysisWorker"
_ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | memory.ENVIRONMENT
_MOST_WORKERS = 1024
_LEAVING_S = 10.0


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_number(workers: int) -> None:
    """
    Raises:
        UsageError: there cannot be that many workers.
    """
    if not 1 <= workers <= _MOST_WORKERS:
        raise UsageError(f"The number of workers must be from 1 to {_MOST_WORKERS}, not {workers}.")


class _Process(Worker):
    """One process and the line to it."""

    def __init__(self, work: str, worker_config: WorkerConfig) -> None:
        super().__init__()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "faceloupe.batch.executors.local_worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )
            self.line = Connection(ours.detach())
        self._say((work, worker_config))

    def send(self, task: Task) -> None:
        """See ``Worker``."""
        self._say(task)

    def _say(self, message: object) -> None:
        with contextlib.suppress(OSError):  # where it is gone, the end of the line says so
            self.line.send(message)

    def end(self) -> int:
        """Kill the process; its exit status."""
        self.line.close()
        self.process.kill()
        return self.process.wait(_LEAVING_S)


class LocalEngine:
    """See ``Engine``."""

    def __init__(self, worker_config: WorkerConfig, *, workers: int | None = None, work: str = WORK) -> None:
        """
        Args:
            workers: processes, from 1; as many as there are cores where None.
            work: what the workers do, ``module:class``, see ``examiner.Work``.

        Raises:
            UsageError: there cannot be that many workers.
        """
        count = cores() if workers is None else workers
        refuse_number(count)
        self.capacity = PER_WORKER * count
        self._pool = WorkerPool(partial(_Process, work, worker_config), count, attempts=1)

    def submit(self, task: Task) -> None:
        """See ``Engine``."""
        self._pool.submit(task)

    def results(self, timeout_s: float) -> list[tuple[int, Result]]:
        """See ``Engine``."""
        lines = {worker.line: worker for worker in self._pool.workers}
        found = [self._heard(lines[line]) for line in wait(list(lines), timeout_s)]
        self._pool.hand_out()
        return [one for one in found if one is not None]

    def close(self) -> None:
        """See ``Engine``."""
        for worker in self._pool.workers:
            worker.end()
        self._pool.workers = []

    def _heard(self, worker: _Process) -> tuple[int, Result] | None:
        try:
            message = worker.line.recv()
        except (EOFError, OSError):
            return self._pool.lost(worker, _death(worker.end()))
        if worker.ready:
            self._pool.answered(worker, message[0])
            return message
        if message is not None:
            raise FaceLoupeError(message)
        self._pool.ready(worker)
        return None


def _death(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
