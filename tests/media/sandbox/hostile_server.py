"""The server of decoders with one that is taken over by its file: it does what the bytes behind the picture tell it."""

import os
import signal
import socket
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
    "nesting": lambda session: protocol.send(session, {}, b"") or session.sendall(b"\0\1\0\0\0\0\0\0" + b"[" * 65536),
    "infinity": lambda session: protocol.send(session, {"width": float("inf"), "height": 1, "notes": []}),
    "bool": lambda session: protocol.send(session, {"width": True, "height": 1, "notes": []}),
    "vast": lambda session: protocol.send(session, {"width": 10**8, "height": 10**8, "notes": []}),
    "control": lambda session: protocol.send(session, {"width": 1, "height": 1, "notes": ["\x1b[2J"]}),
    "novel": lambda session: protocol.send(session, {"failed": "x" * 10_000}),
}


def _still(session: socket.socket, request: protocol.Message) -> None:
    content = os.pread(request.descriptors[0], 2**20, 0)
    if MARK not in content:
        decoder._still(session, request)
        return
    trick = TRICKS[content.rpartition(MARK)[2].decode()]
    try:
        trick(session)
    except OSError as problem:
        protocol.send(session, {"failed": f"refused: {problem.errno}", "trace": ""})
    else:
        protocol.send(session, {"failed": "done", "trace": ""})


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
    "time_base": 1,
    "ticks_per": 1,
}
DESCRIBED = {  # what is wrong with the description of a video -> facts that differ, and the times
    "odd times": ({}, TIMES[:-1]),
    "no times": ({"frame_count": 0}, b""),
    "times that fall": ({}, TIMES[::-1]),
    "times that overflow": ({"frame_count": 2}, (-(2**63)).to_bytes(8, "little", signed=True) + b"\xff" * 7 + b"\x7f"),
    "more frames": ({"frame_count": 5}, TIMES),
    "endless": ({"duration_s": float("inf")}, TIMES),
    "long ago": ({"start_s": -1e300}, TIMES),
    "no number": ({"start_s": float("nan")}, TIMES),
    "vast video": ({"width": 2**16, "height": 2**16}, TIMES),
    "no rate": ({"frame_rate": [1, 0]}, TIMES),
    "no time base": ({"ticks_per": 0}, TIMES),
    "markup": ({"codec": "\x1b[2J"}, TIMES),
    "list": ({"audio": {"0": "aac"}}, TIMES),
}
SIZE = {"width": 64, "height": 48}
WALKED = {  # what is wrong with the first message about frame 1 -> its message
    "short luma": (SIZE | {"frame": 1, "wanted": False, "damaged": 0}, LUMA[:-1]),
    "odd losses": (SIZE | {"frame": 1, "wanted": False, "damaged": 0}, LUMA + b"x"),
    "lost beyond": (SIZE | {"frame": 1, "wanted": False, "damaged": 0}, LUMA + (9).to_bytes(8, "little")),
    "beyond": (SIZE | {"frame": 4, "wanted": False, "damaged": 0}, LUMA),
    "before": (SIZE | {"frame": -1, "wanted": False, "damaged": 0}, LUMA),
    "not wanted": (SIZE | {"frame": 2, "wanted": True, "slot": 0, "damaged": 0}, LUMA),
    "no slot": (SIZE | {"frame": 1, "wanted": True, "slot": 2, "damaged": 0}, LUMA),
    "bool slot": (SIZE | {"frame": 1, "wanted": True, "slot": True, "damaged": 0}, LUMA),
    "no damage": (SIZE | {"frame": 1, "wanted": False}, LUMA),
    "again": (SIZE | {"frame": 1, "wanted": False, "damaged": 0}, LUMA),
    "vast frame": ({"frame": 1, "wanted": True, "slot": 0, "damaged": 0, "width": 2**16, "height": 2**16}, LUMA),
    "no size": ({"frame": 1, "wanted": False, "damaged": 0}, LUMA),
    "no end": ({}, b""),
}


def _video(session: socket.socket, request: protocol.Message) -> None:
    content = os.pread(request.descriptors[0], 2**20, 0)
    if MARK not in content:
        decoder._video(session, request)
        return
    trick = content.rpartition(MARK)[2].decode()
    facts, times = DESCRIBED.get(trick, ({}, TIMES))
    protocol.send(session, FACTS | facts, times)
    protocol.receive(session, most_raw=2**10)
    for _ in range(2):
        protocol.send(session, *WALKED[trick])
    time.sleep(600)


if __name__ == "__main__":
    decoder.WORK["still"] = _still
    decoder.WORK["video"] = _video
    sys.exit(server.main(int(sys.argv[1])))
