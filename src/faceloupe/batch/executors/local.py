"""The local engine: worker processes on this machine, forked from a process that has loaded the networks."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import send_handle

from faceloupe.batch.executors.pool import PER_WORKER, Worker, WorkerPool
from faceloupe.batch.tasks import Result, Task, WorkerConfig
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.system import memory

WORK = "faceloupe.batch.executors.worker:AnalysisWorker"
_ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | memory.ENVIRONMENT
_MOST_WORKERS = 1024
_LEAVING_S, _DYING_S = 10.0, 1.0
_ATTEMPTS = 2  # workers that one file may end: the first may have been killed from outside, and a fork is cheap


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_number(workers: int) -> None:
    """Refuse a number of workers that is out of range.

    Raises:
        UsageError: the number is out of range.
    """
    if not 1 <= workers <= _MOST_WORKERS:
        raise UsageError(f"The number of workers must be from 1 to {_MOST_WORKERS}, not {workers}.")


class _Template:
    """The process that workers are forked from; it loads the networks once for all of them."""

    def __init__(self, work: str, worker_config: WorkerConfig) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "faceloupe.batch.executors.local_worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )
            self._control = Connection(ours.detach())
        self._control.send((work, worker_config))

    @property
    def lives(self) -> bool:
        """Whether the process is still running, so that it can fork workers."""
        return self._process.poll() is None

    def fork(self) -> Connection:
        """Request a worker, and return the connection to it, which is closed at once if no worker starts."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            with contextlib.suppress(OSError):  # if the template has died, the connection reports end of file
                self._control.send(None)
                send_handle(self._control, theirs.fileno(), self._process.pid)
            return Connection(ours.detach())

    def end_worker(self, process: int | None) -> int | None:
        """Kill a worker, and return its exit status, or that of the template if the template has died.

        Args:
            process: process id of the worker; None if the worker has not reported it.

        Returns:
            The exit status; None if neither is known.
        """
        with contextlib.suppress(EOFError, OSError):
            if process is not None:
                self._control.send(process)
                if self._control.poll(_LEAVING_S):
                    return int(self._control.recv())
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_DYING_S)
        return None

    def end(self) -> None:
        """Kill the process, and with it all workers that still run."""
        self._process.kill()
        self._process.wait(_LEAVING_S)
        self._control.close()


class _Process(Worker):
    """A worker process.

    Attributes:
        template: the process that it is forked from.
        line: the connection to it.
        process: its process id; None until the worker has reported it.
    """

    def __init__(self, template: _Template) -> None:
        super().__init__()
        self.template, self.line = template, template.fork()
        self.process: int | None = None

    def send(self, task: Task) -> None:
        """See ``Worker``."""
        with contextlib.suppress(OSError):  # if the process has died, the line reports end of file
            self.line.send(task)

    def end(self) -> int | None:
        """Kill the process, and return its exit status; None if it is unknown."""
        self.line.close()
        return self.template.end_worker(self.process)


class LocalEngine:
    """An ``Engine`` with worker processes on this machine."""

    def __init__(self, worker_config: WorkerConfig, *, workers: int | None = None, work: str = WORK) -> None:
        """Start the workers; they become ready later.

        Args:
            worker_config: configuration of the workers.
            workers: number of worker processes, at least 1; None for one per core.
            work: ``worker.Work`` class that the workers run, as ``module:class``.

        Raises:
            UsageError: the number of workers is out of range.
        """
        count = cores() if workers is None else workers
        refuse_number(count)
        self.capacity = PER_WORKER * count
        self._work, self._worker_config = work, worker_config
        self._template = _Template(work, worker_config)
        self._pool = WorkerPool(self._forked, count, attempts=_ATTEMPTS)

    @property
    def ready(self) -> bool:
        """Whether a worker has loaded its networks, as far as ``results`` has been told."""
        return any(worker.ready for worker in self._pool.workers)

    def submit(self, task: Task) -> None:
        """See ``Engine``."""
        self._pool.submit(task)

    def results(self, timeout_s: float) -> list[tuple[int, Result]]:
        """See ``Engine``."""
        ready = wait([worker.line for worker in self._pool.workers], timeout_s)
        answers = [self._receive(worker) for worker in list(self._pool.workers) if worker.line in ready]
        self._pool.hand_out()
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """See ``Engine``."""
        for worker in self._pool.workers:
            worker.line.close()
        self._pool.workers = []
        self._template.end()

    def _forked(self) -> _Process:
        if not self._template.lives:
            self._template.end()
            self._template = _Template(self._work, self._worker_config)
        return _Process(self._template)

    def _receive(self, worker: _Process) -> tuple[int, Result] | None:
        try:
            message = worker.line.recv()
        except (EOFError, OSError):
            return self._pool.lost(worker, _death(worker.end()))
        if worker.ready:
            index, result = message
            self._pool.answered(worker, index)
            return index, result
        worker.process, problem = message
        if problem is not None:
            raise FaceLoupeError(problem)
        self._pool.ready(worker)
        return None


def _death(status: int | None) -> str:
    if status is None:
        return "ended early"
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
