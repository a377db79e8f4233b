"""The Ray engine: workers in a cluster, or only on this machine. No other module imports ray.

Files of up to 64 MiB are sent to the workers. Larger files are read in place, so all machines must have access to them.
The weights are sent once, and every machine checks them against their records. If a worker or its machine is lost, its
tasks are given to other workers.
"""

import importlib
import os
import queue
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from faceloupe import __version__
from faceloupe.batch.executors.local import WORK, cores, refuse_number
from faceloupe.batch.executors.pool import PER_WORKER, Worker, WorkerPool
from faceloupe.batch.executors.worker import Work
from faceloupe.batch.readers import Reader
from faceloupe.batch.tasks import Result, Task, WorkerConfig, failed
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.models.record import find_record, members_of
from faceloupe.system import temp

_ATTEMPTS = 3  # workers that one file may end: some may be lost with their machine, which is not due to the file
_LOOPBACK = "127.0.0.1"
_CONNECT_S = 5.0


def _installed() -> ModuleType:
    """Import ray, with its usage statistics switched off.

    Raises:
        UsageError: ray is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent to anyone
    os.environ.setdefault("RAY_worker_niceness", "0")  # applies to workers on this machine; the default is 15
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # here: an optional dependency
    except ImportError:
        raise UsageError("The engine ray is not installed; pip install 'faceloupe[cluster]' installs it.") from None
    module: ModuleType = ray
    return module


class RayActor:
    """A worker in a process that Ray starts; it loads its own networks from the weights that were sent.

    It is given two tasks at a time. Each waits for its result in a thread of Ray, and a single further thread does the
    work.
    """

    def __init__(self, work: str, worker_config: WorkerConfig, version: str) -> None:
        self._work_name, self._worker_config, self._version = work, worker_config, version
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._awaited: dict[int, Future[Result]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix=temp.prefix("worker"))

    def prepare(self, weights: dict[str, bytes]) -> str:
        """Load the networks; return a sentence that says why this is not possible, or an empty string."""
        warnings.simplefilter("ignore")
        temp.remove_leftovers()  # of workers that were killed on this machine
        if self._version != __version__:
            return (
                f"The workers run version {__version__}, but this machine runs {self._version}; install the same "
                "version everywhere."
            )
        folder = Path(self._folder.name)
        for name, content in weights.items():
            (folder / name).write_bytes(content)
        module, _, attribute = self._work_name.partition(":")
        try:
            worker_config = replace(self._worker_config, weights=folder, spool=folder)
            work = getattr(importlib.import_module(module), attribute)(worker_config)
        except FaceLoupeError as problem:
            return str(problem)
        threading.Thread(target=self._work_loop, args=(work,), daemon=True).start()
        return ""

    def examine(self, task: Task) -> Result:
        """Carry out one task, and return its result."""
        awaited = self._awaited[task.index] = Future()
        self._tasks.put(task)
        return awaited.result()

    def _work_loop(self, work: Work) -> None:
        try:
            for task, result in work(iter(self._tasks.get, None)):
                self._awaited.pop(task.index).set_result(result)
        except BaseException:  # noqa: BLE001 - a worker that cannot go on ends, and is replaced
            os._exit(1)


class _Actor(Worker):
    """A Ray actor, and the results that are awaited from it.

    Attributes:
        actor: the handle of the actor.
        preparing: reference to the result of ``prepare``.
        answers: reference to a result -> its task.
    """

    def __init__(self, make: Callable[[], Any], weights: Any, sendable: Callable[[Task], Task]) -> None:
        super().__init__()
        self.actor, self._sendable = make(), sendable
        self.preparing = self.actor.prepare.remote(weights)
        self.answers: dict[Any, Task] = {}

    def send(self, task: Task) -> None:
        """See ``Worker``."""
        self.answers[self.actor.examine.remote(self._sendable(task))] = task

    @property
    def expected(self) -> list[Any]:
        """References to the results that are awaited."""
        return list(self.answers) if self.ready else [self.preparing]


class RayEngine:
    """An ``Engine`` with workers in a Ray cluster."""

    def __init__(
        self, worker_config: WorkerConfig, *, address: str | None = None, workers: int | None = None, work: str = WORK
    ) -> None:
        """Connect to a cluster, or start Ray on this machine.

        Args:
            worker_config: configuration of the workers.
            address: address of the cluster, ``host:port`` or ``auto``; None starts Ray on this machine only.
            workers: number of workers; None for one per core of the cluster, or per GPU if the device is a GPU.
            work: ``worker.Work`` class that the workers run, as ``module:class``.

        Raises:
            UsageError: ray is not installed, the cluster cannot be reached or has no free core or GPU, or the number of
                workers is out of range.
            WeightsError: there are no weights to send.
        """
        if workers is not None:
            refuse_number(workers)
        self._ray = _installed()
        weights = _files_of(worker_config)
        self._connect(address, workers)
        kind = "GPU" if worker_config.settings.device.startswith("cuda") else "CPU"
        count = workers or int(self._ray.cluster_resources().get(kind, 0))
        if not count:
            self._ray.shutdown()
            raise UsageError(f"The cluster has no free {kind} for a worker; add machines or choose another device.")
        needs = {
            "num_cpus": 1,  # Ray gives each process this many threads
            "num_gpus": int(kind == "GPU"),
            "max_restarts": 0,
            "max_concurrency": PER_WORKER,
        }
        actor = self._ray.remote(RayActor).options(**needs)
        make = partial(actor.remote, work, replace(worker_config, spool=None), __version__)
        self.capacity = PER_WORKER * count
        self._reader = Reader(worker_config.settings.max_bytes)
        self._pool = WorkerPool(
            partial(_Actor, make, self._ray.put(weights), self._reader.sendable), count, attempts=_ATTEMPTS
        )

    def submit(self, task: Task) -> None:
        """See ``Engine``."""
        self._pool.submit(task)

    def results(self, timeout_s: float) -> list[tuple[int, Result]]:
        """See ``Engine``."""
        owners = {reference: worker for worker in self._pool.workers for reference in worker.expected}
        came, rest = self._ray.wait(list(owners), num_returns=1, timeout=timeout_s)
        if came and rest:
            came += self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        answers = [
            self._receive(owners[reference], reference) for reference in came if owners[reference] in self._pool.workers
        ]
        self._pool.hand_out()
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """See ``Engine``."""
        for worker in self._pool.workers:
            self._ray.kill(worker.actor)
        self._pool.workers = []
        self._reader.close()
        self._ray.shutdown()

    def _connect(self, address: str | None, workers: int | None) -> None:
        common = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address is not None and ":" in address:
                host, _, port = address.removeprefix("ray://").rpartition(":")
                socket.create_connection((host, int(port)), _CONNECT_S).close()  # Ray itself would try for minutes
            if address is None:
                where = {"num_cpus": workers or cores(), "include_dashboard": False, "_node_ip_address": _LOOPBACK}
                self._ray.init("local", **where, **common)  # never joins a Ray that already runs
            else:
                self._ray.init(address=address, **common)
        except (OSError, RuntimeError, ValueError) as problem:
            raise UsageError(f"The cluster at {address or 'this machine'} cannot be used ({problem}).") from problem

    def _receive(self, worker: _Actor, reference: Any) -> tuple[int, Result] | None:
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except errors.RayTaskError as problem:
            if not worker.ready:
                raise FaceLoupeError(f"A worker cannot be started ({type(problem.cause).__name__}).") from problem
            task = worker.answers[reference]
            answer = failed(task.media_type, "An unexpected error occurred while this file was analyzed.")
        except errors.RayError as problem:
            self._ray.kill(worker.actor)  # also if only the answer was lost
            return self._pool.lost(worker, f"was lost ({type(problem).__name__})")
        if worker.ready:
            task = worker.answers.pop(reference)
            self._pool.answered(worker, task.index)
            return task.index, answer
        if answer:
            raise FaceLoupeError(answer)
        self._pool.ready(worker)
        return None


def _files_of(worker_config: WorkerConfig) -> dict[str, bytes]:
    """Return the records and weights of the model and its members, by file name."""
    record = find_record(worker_config.weights, worker_config.settings.model_id)
    members = members_of(record, worker_config.weights)
    names = [f"{part.id}.json" for part in (record, *members)]
    names += [part.weights_file for part in members or (record,)]
    try:
        return {name: (worker_config.weights / name).read_bytes() for name in names}
    except OSError as problem:
        raise UsageError(f"The weights cannot be read ({problem.strerror}); restore them.") from problem
