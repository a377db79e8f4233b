"""Server process that forks a decoder for each file: ``python -m faceloupe.media.sandbox.server DESCRIPTOR``.

It is light and single-threaded, so that forking is quick and safe, and it never reads evidence. It runs until the other
end of its control channel closes, which the system ensures however that process ends.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import warnings

import av
import numpy.ma  # noqa: F401 - numpy.unique needs it
from PIL import Image

from faceloupe.media.sandbox import confinement, decoder, protocol


def main(descriptor: int) -> int:
    """Serve until the control channel closes."""
    control = socket.socket(fileno=descriptor)
    warnings.simplefilter("ignore")
    _import_all()
    os.chdir("/")  # the folder of the start may be removed later, and the C2PA library fails without a current folder
    bounds = confinement.prepare()
    gc.collect()
    gc.freeze()  # existing objects are never scanned again, so they stay shared with the children
    _serve(control, bounds)
    return 0


def _import_all() -> None:
    """Import the modules that libraries otherwise import at first use, which would happen again in every child."""
    Image.init()
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith(("__main__", "datasets")):
            importlib.import_module(module.name)


def _serve(control: socket.socket, bounds: confinement.Bounds) -> None:
    woken, waking = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    child_controls: dict[int, socket.socket] = {}  # process id -> control socket of that child
    while True:
        poll = select.poll()
        for descriptor in (control.fileno(), woken, *(channel.fileno() for channel in child_controls.values())):
            poll.register(descriptor, select.POLLIN)
        ready = {number for number, _ in poll.poll()}
        if control.fileno() in ready:
            request = protocol.receive(control)
            if request is None:
                break
            session, child_control = request.descriptors
            others = [control.fileno(), woken, waking, child_control]
            others += [channel.fileno() for channel in child_controls.values()]
            child_controls[_fork(session, others, bounds)] = socket.socket(fileno=child_control)
            os.close(session)
        if woken in ready:
            os.read(woken, 4096)
        for process, channel in child_controls.items():
            if channel.fileno() in ready:  # children are reaped after this loop, so the id is still valid
                os.kill(process, signal.SIGKILL)
        _reap(child_controls)
    for process in child_controls:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _fork(session: int, others: list[int], bounds: confinement.Bounds) -> int:
    server = os.getpid()
    process = os.fork()
    if process:
        return process
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        confinement.die_with(server)
        for descriptor in others:
            os.close(descriptor)
        decoder.run(socket.socket(fileno=session), bounds)
    finally:
        os._exit(0)


def _reap(child_controls: dict[int, socket.socket]) -> None:
    for process in list(child_controls):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            channel = child_controls.pop(process)
            with contextlib.suppress(OSError):  # the other side has ended
                channel.sendall(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
            channel.close()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
