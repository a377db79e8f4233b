"""The server of decoders with one that is taken over by its file: it does what the bytes behind the picture tell it."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

from faceloupe.media.isolation import child, server, wire

MARK = b"<do>"


def _connect() -> None:
    with socket.socket() as outgoing:
        outgoing.settimeout(1)
        outgoing.connect(("127.0.0.1", 9))


def _spread(session: socket.socket) -> None:
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    time.sleep(600)


TRICKS = {
    "crash": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": lambda _: os.abort(),
    "leave": lambda _: os._exit(0),
    "raise": lambda _: 1 / 0,
    "hang": lambda _: time.sleep(600),
    "spin": lambda _: any(iter(int, 1)),
    "greed": lambda _: bytearray(2**40),
    "hoard": lambda _: [bytearray(2**26) for _ in range(2**16)],
    "read": lambda _: Path("/etc/hostname").read_text(),
    "list": lambda _: os.listdir("/"),
    "write": lambda _: Path("/tmp/faceloupe-was-here").write_text("x"),
    "connect": lambda _: _connect(),
    "execute": lambda _: os.execv("/bin/true", ["true"]),
    "signal": lambda _: os.kill(os.getppid(), 0),
    "noise": lambda session: session.sendall(os.urandom(4096)),
    "flood": lambda session: session.sendall(b"\x7f\xff\xff\xff" * 2),
    "nesting": lambda session: wire.send(session, {}, b"") or session.sendall(b"\0\1\0\0\0\0\0\0" + b"[" * 65536),
    "infinity": lambda session: wire.send(session, {"width": float("inf"), "height": 1, "notes": []}),
    "bool": lambda session: wire.send(session, {"width": True, "height": 1, "notes": []}),
    "vast": lambda session: wire.send(session, {"width": 10**8, "height": 10**8, "notes": []}),
    "control": lambda session: wire.send(session, {"width": 1, "height": 1, "notes": ["\x1b[2J"]}),
    "novel": lambda session: wire.send(session, {"failed": "x" * 10_000}),
}


def _still(session: socket.socket, request: wire.Message) -> None:
    content = os.pread(request.descriptors[0], 2**20, 0)
    if MARK not in content:
        child._still(session, request)
        return
    trick = TRICKS[content.rpartition(MARK)[2].decode()]
    try:
        trick(session)
    except OSError as problem:
        wire.send(session, {"failed": f"refused: {problem.errno}", "trace": ""})
    else:
        wire.send(session, {"failed": "done", "trace": ""})


if __name__ == "__main__":
    child.WORK["still"] = _still
    sys.exit(server.main(int(sys.argv[1])))
