"""The process that the workers of the local engine are forked from; ``local`` starts it.

``python -m faceloupe.batch.executors.local_worker DESCRIPTOR``

    engine ── control ──> this process: imports the modules for the work, loads the networks once, has one thread
      │                     └─ fork: one worker, which shares the memory of the networks
      └──── line ──────────────^

Messages are pickles between processes of one user.

The control socket first carries the name of the work and its configuration to this process. After that, each message is
either ``None``, followed by the descriptor of a line, to fork a worker; or the process id of a worker to kill, to which
this process replies with the exit status of the worker.

On its line, a worker first sends its process id and either None or a sentence that says why it cannot work. Then it
receives tasks and sends results.

End of file means that the other side has exited. A process that reads it exits at once, even in the middle of a task.
"""

import contextlib
import gc
import importlib
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import NoReturn

from faceloupe.batch.executors.worker import Work
from faceloupe.batch.tasks import Task
from faceloupe.errors import FaceLoupeError
from faceloupe.media.sandbox.confinement import die_with


def main(descriptor: int) -> None:
    """Fork workers until the engine closes the control socket."""
    os.set_inheritable(descriptor, False)  # processes that are started from here must not keep the socket open
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when the work ends
    warnings.simplefilter("ignore")
    control = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):
        name, worker_config = control.recv()
        module, _, attribute = name.partition(":")
        make: Callable[[], Work] = lambda: getattr(importlib.import_module(module), attribute)(worker_config)  # noqa: E731
        work, problem = None, None
        try:
            # A process cannot use a GPU if it was forked from a process that has used it.
            work = make() if worker_config.settings.device == "cpu" else None
        except FaceLoupeError as error:
            problem = str(error)
        gc.collect()
        gc.freeze()  # the collector never touches the current objects again, so their memory stays shared
        while True:
            process = control.recv()
            if process is None:
                _fork(control, recv_handle(control), (lambda: work) if work else make, problem)
            else:
                os.kill(process, signal.SIGKILL)  # not reaped yet, so the id cannot be reused
                control.send(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def _fork(control: Connection, descriptor: int, make: Callable[[], Work], problem: str | None) -> None:
    """Fork a worker that serves the line ``descriptor``; it first reports ``problem``, or an error of ``make``."""
    parent = os.getpid()
    if os.fork():
        os.close(descriptor)
        return
    try:
        die_with(parent)
        control.close()
        os.set_inheritable(descriptor, False)
        _serve(Connection(descriptor), make, problem)
    finally:
        os._exit(1)


def _serve(line: Connection, make: Callable[[], Work], problem: str | None) -> NoReturn:
    """Carry out the tasks from a line until the engine closes it."""
    try:
        if problem is None:
            try:
                work = make()
            except FaceLoupeError as error:
                problem = str(error)
        line.send((os.getpid(), problem))
        if problem is not None:
            os._exit(0)
        tasks: queue.Queue[Task] = queue.Queue()
        threading.Thread(target=_receive, args=(line, tasks), daemon=True).start()
        for task, result in work(iter(tasks.get, None)):
            line.send((task.index, result))
    except OSError:  # the driver has just exited
        pass
    except SystemExit as leaving:
        os._exit(leaving.code if isinstance(leaving.code, int) else 1)
    os._exit(0)


def _receive(line: Connection, tasks: "queue.Queue[Task]") -> None:
    try:
        while True:
            tasks.put(line.recv())
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
