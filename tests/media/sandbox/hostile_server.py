"""A decoder server with a compromised decoder, which executes the commands after the picture's bytes."""

import json
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

from faceloupe.media.frame_source import LUMA_SHAPE
from faceloupe.media.sandbox import decoder, protocol, server

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


def packed(message: dict[str, object], raw: bytes = b"") -> bytes:
    """A message, put together here from the description of the format."""
    text = json.dumps(message).encode()
    return struct.pack("!II", len(text), len(raw)) + text + raw


STILL = {
    "type": "Still",
    "width": 1,
    "height": 1,
    "notes": [],
    "shown": {},
    "unshown": "",
    "damage": "",
    "coarse": "",
    "embedded": [],
}
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
    "nesting": lambda session: session.sendall(b"\0\1\0\0\0\0\0\0" + b"[" * 65536),
    "infinity": lambda session: session.sendall(packed(STILL | {"width": float("inf")})),
    "bool": lambda session: session.sendall(packed(STILL | {"width": True})),
    "vast": lambda session: session.sendall(packed(STILL | {"width": 10**8, "height": 10**8})),
    "control": lambda session: session.sendall(packed(STILL | {"notes": ["\x1b[2J"]})),
    "embedded": lambda session: session.sendall(packed(STILL | {"embedded": [{"kind": "", "offset": 0, "size": 0}]})),
    "unknown": lambda session: session.sendall(packed(STILL | {"more": 1})),
    "other": lambda session: session.sendall(packed({"type": "End", "damaged": 0})),
    "novel": lambda session: session.sendall(packed({"type": "Failed", "sentence": "x" * 10_000, "trace": ""})),
}


def _still(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    content = os.pread(message.descriptors[0], 2**20, 0)
    if MARK not in content:
        decoder._still(session, request, message)
        return
    trick = TRICKS[content.rpartition(MARK)[2].decode()]
    try:
        trick(session)
    except OSError as problem:
        protocol.send(session, protocol.Failed(f"refused: {problem.errno}", ""))
    else:
        protocol.send(session, protocol.Failed("done", ""))


LUMA = bytes(LUMA_SHAPE[0] * LUMA_SHAPE[1])
TIMES = b"".join(tick.to_bytes(8, "little", signed=True) for tick in range(4))
FACTS = {
    "container": "MP4",
    "codec": "h264",
    "pixel_format": "yuv420p",
    "width": 64,
    "height": 48,
    "rotation": 0,
    "duration_s": 4.0,
    "frame_rate": [1, 1],
    "frame_count": 4,
    "variable_frame_rate": False,
    "audio": [],
    "start_s": 0.0,
    "notes": [],
    "shown": {"orientation": None, "color": None, "transfer": None, "pixel_aspect": None},
    "unshown": "",
}
DESCRIBED = {  # what is wrong with the description of a video -> facts that differ, and the times
    "turned": ({"rotation": 271}, TIMES),
    "no width": ({"width": 0}, TIMES),
    "odd times": ({}, TIMES[:-1]),
    "no times": ({"frame_count": 0}, b""),
    "times that fall": ({}, TIMES[::-1]),
    "times that overflow": ({"frame_count": 2}, (-(2**63)).to_bytes(8, "little", signed=True) + b"\xff" * 7 + b"\x7f"),
    "more frames": ({"frame_count": 5}, TIMES),
    "endless": ({"duration_s": float("inf")}, TIMES),
    "long ago": ({"start_s": -1e300}, TIMES),
    "no number": ({"start_s": float("nan")}, TIMES),
    "vast video": ({"width": 2**16, "height": 2**16}, TIMES),
    "no time base": ({}, TIMES),
    "no rate": ({"frame_rate": [1, 0]}, TIMES),
    "markup": ({"codec": "\x1b[2J"}, TIMES),
    "list": ({"audio": {"0": "aac"}}, TIMES),
}
FRAME = {"type": "Frame", "index": 1, "slot": None, "width": 64, "height": 48, "damaged": 0}
WALKED = {  # what is wrong with the first message about frame 1 -> its message
    "short luma": (FRAME, LUMA[:-1]),
    "odd losses": (FRAME, LUMA + b"x"),
    "lost beyond": (FRAME, LUMA + (9).to_bytes(8, "little")),
    "beyond": (FRAME | {"index": 4}, LUMA),
    "before": (FRAME | {"index": -1}, LUMA),
    "not wanted": (FRAME | {"index": 2, "slot": 0}, LUMA),
    "no slot": (FRAME | {"slot": 2}, LUMA),
    "bool slot": (FRAME | {"slot": True}, LUMA),
    "no damage": (FRAME | {"damaged": None}, LUMA),
    "again": (FRAME, LUMA),
    "vast frame": (FRAME | {"slot": 0, "width": 2**16, "height": 2**16}, LUMA),
    "no size": (FRAME | {"width": 0}, LUMA),
    "no end": ({"type": "PixelsReady"}, b""),
    "untyped": ({}, b""),
}


def _video(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    content = os.pread(message.descriptors[0], 2**20, 0)
    if MARK not in content:
        decoder._video(session, request, message)
        return
    trick = content.rpartition(MARK)[2].decode()
    if trick == "deaf":
        session.shutdown(socket.SHUT_RD)
        session.sendall(packed({"type": "Described", "facts": FACTS, "time_base": [1, 1]}, TIMES))
        while True:
            session.sendall(packed({"type": "End", "damaged": 0}))
    facts, times = DESCRIBED.get(trick, ({}, TIMES))
    time_base = [1, 0] if trick == "no time base" else [1, 1]
    session.sendall(packed({"type": "Described", "facts": FACTS | facts, "time_base": time_base}, times))
    protocol.receive(session, most_raw=2**10)
    for _ in range(2):
        session.sendall(packed(*WALKED[trick]))
    time.sleep(600)


if __name__ == "__main__":
    decoder.WORK["still"] = _still
    decoder.WORK["video"] = _video
    sys.exit(server.main(int(sys.argv[1])))
