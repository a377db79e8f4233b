"""The process that the workers of the local engine are forked from, started by ``local``.

``python -m faceloupe.batch.executors.local_worker DESCRIPTOR``

    engine ── control ──> this process: imports what the work needs, loads the networks once, has one thread
      │                     └─ fork: one worker, which shares the memory of the networks
      └──── line ──────────────^

Messages are pickles between processes of one user. On the control socket: in, the name of the work and its
configuration; then ``None``, followed by the descriptor of a line, for each worker to fork; or the id of a worker to
end, which is answered with its exit status. On a line: out, the id of the worker and the sentence that says why it
cannot work, or None; then in tasks, out results. End of file means that the other side is gone, and ends a process at
once, whatever it is doing.
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
    """Fork workers until the engine hangs up."""
    os.set_inheritable(descriptor, False)  # no process that is started from here may keep the socket open
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when the work ends
    warnings.simplefilter("ignore")
    control = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):
        name, worker_config = control.recv()
        module, _, attribute = name.partition(":")
        make: Callable[[], Work] = lambda: getattr(importlib.import_module(module), attribute)(worker_config)  # noqa: E731
        work, problem = None, None
        try:
            # A GPU cannot be used by a process that was forked from one that used it.
            work = make() if worker_config.settings.device == "cpu" else None
        except FaceLoupeError as error:
            problem = str(error)
        gc.collect()
        gc.freeze()  # what is there now is never looked at again, and so stays shared with the workers
        while True:
            process = control.recv()
            if process is None:
                _fork(control, recv_handle(control), (lambda: work) if work else make, problem)
            else:
                os.kill(process, signal.SIGKILL)  # it is not reaped before this: the id is its own
                control.send(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def _fork(control: Connection, descriptor: int, make: Callable[[], Work], problem: str | None) -> None:
    """Fork a worker that serves the line ``descriptor``; it tells a problem of its making, or ``problem``, at once."""
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
    """Work until the engine hangs up."""
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
    except OSError:  # the driver has gone in this very moment
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
