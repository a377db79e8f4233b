"""The local engine: worker processes on this machine's cores, each with networks of its own.

A worker that is ended from outside (a decoder that crashes, the system short of memory) takes no other file with it:
what it had not answered is given, one task at a time, to a fresh worker, and only a task that ends that one, too, is
given up.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from multiprocessing.connection import Connection, wait

from faceloupe.batch.tasks import Equipment, Result, Task, failed
from faceloupe.errors import FaceLoupeError, UsageError

WORK = "faceloupe.batch.examiner:Examiner"
_PER_WORKER = 2  # tasks: one is examined, one read ahead
_MOST_WORKERS = 1024
_STARTS = 3  # attempts to bring a worker up before the batch is given up
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_LEAVING_S = 10.0


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """One process and the line to it.

    Attributes:
        ready: whether it has its networks.
        tasks: unanswered, in the order in which they were sent.
        alone: whether its task is one that ended a worker before, given with no other.
    """

    def __init__(self, work: str, equipment: Equipment) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "faceloupe.batch.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
            )
            self.line = Connection(ours.detach())
        self.ready = self.alone = False
        self.tasks: deque[Task] = deque()
        self._send((work, equipment))

    def give(self, task: Task, *, alone: bool) -> None:
        self.tasks.append(task)
        self.alone = alone
        self._send(task)

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # where it is gone, the end of the line says so
            self.line.send(message)

    def end(self) -> int:
        """Kill the process; its exit status."""
        self.line.close()
        self.process.kill()
        return self.process.wait(_LEAVING_S)


class LocalEngine:
    """See ``Engine``."""

    def __init__(self, equipment: Equipment, *, workers: int | None = None, work: str = WORK) -> None:
        """
        Args:
            workers: processes, from 1; as many as there are cores where None.
            work: what the workers do, ``module:class``, see ``examiner.Work``.

        Raises:
            UsageError: there cannot be that many workers.
        """
        count = cores() if workers is None else workers
        if not 1 <= count <= _MOST_WORKERS:
            raise UsageError(f"A number of workers from 1 to {_MOST_WORKERS} was expected, not {count}.")
        self.capacity = _PER_WORKER * count
        self._work, self._equipment = work, equipment
        self._waiting: deque[Task] = deque()
        self._suspects: deque[Task] = deque()  # were with a worker that died
        self._failed_starts = 0
        self._workers = [_Worker(work, equipment) for _ in range(count)]

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the worker processes."""
        return tuple(worker.process.pid for worker in self._workers)

    def submit(self, task: Task) -> None:
        """See ``Engine``."""
        self._waiting.append(task)
        self._hand_out()

    def results(self, timeout_s: float) -> list[tuple[int, Result]]:
        """See ``Engine``."""
        lines = {worker.line: worker for worker in self._workers}
        found = [self._heard(lines[line]) for line in wait(list(lines), timeout_s)]
        self._hand_out()
        return [one for one in found if one is not None]

    def close(self) -> None:
        """See ``Engine``."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _heard(self, worker: _Worker) -> tuple[int, Result] | None:
        try:
            message = worker.line.recv()
        except (EOFError, OSError):
            return self._lost(worker)
        if worker.ready:
            worker.tasks.popleft()
            worker.alone = False
            return message
        if message is not None:
            raise FaceLoupeError(message)
        worker.ready, self._failed_starts = True, 0
        return None

    def _lost(self, worker: _Worker) -> tuple[int, Result] | None:
        how = _death(worker.end())
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise FaceLoupeError(f"A worker could not be started {_STARTS} times: it {how}.")
        self._workers[self._workers.index(worker)] = _Worker(self._work, self._equipment)
        if worker.alone and worker.tasks:
            task = worker.tasks.popleft()
            reason = f"The process that examined it {how}, and so did the one before; it was given up."
            return task.index, failed(task.media_type, reason)
        self._suspects += worker.tasks
        return None

    def _hand_out(self) -> None:
        while self._waiting or self._suspects:
            worker = min(
                (one for one in self._workers if one.ready), key=lambda one: len(one.tasks) + one.alone, default=None
            )
            if worker is None or len(worker.tasks) >= (1 if self._suspects or worker.alone else _PER_WORKER):
                return
            alone = bool(self._suspects)
            worker.give((self._suspects or self._waiting).popleft(), alone=alone)


def _death(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name
    hint = " (the system does so where memory runs out)" if -status == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"
