"""A worker process of the local engine, started by ``local``.

``python -m faceloupe.batch.executors.local_worker DESCRIPTOR``

Messages on the socket are pickles between two processes of one user: in, the name of the work and its equipment, then
tasks; out, None once the work can begin or the sentence that says why it cannot, then results. End of file means that
the driver is gone, and ends this process at once, whatever it is doing.
"""

import importlib
import os
import queue
import signal
import sys
import threading
import warnings
from multiprocessing.connection import Connection

from faceloupe.batch.tasks import Task
from faceloupe.errors import FaceLoupeError


def main(descriptor: int) -> None:
    """Work until the driver hangs up."""
    os.set_inheritable(descriptor, False)  # no process that is started from here may keep the line open
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when the work ends
    warnings.simplefilter("ignore")
    line = Connection(descriptor)
    name, worker_config = line.recv()
    module, _, attribute = name.partition(":")
    try:
        work = getattr(importlib.import_module(module), attribute)(worker_config)
    except FaceLoupeError as problem:
        line.send(str(problem))
        return
    line.send(None)
    tasks: queue.Queue[Task] = queue.Queue()
    threading.Thread(target=_receive, args=(line, tasks), daemon=True).start()
    try:
        for task, result in work(iter(tasks.get, None)):
            line.send((task.index, result))
    except OSError:  # the driver has gone in this very moment
        os._exit(0)


def _receive(line: Connection, tasks: "queue.Queue[Task]") -> None:
    try:
        while True:
            tasks.put(line.recv())
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
