"""What a decoder's process does: one file, decoded for the process at the other end of its session."""

import mmap
import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import cv2
import msgspec
import numpy as np

from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.media import credentials, embedded, luma, metadata
from faceloupe.media.animation import Animation
from faceloupe.media.formats import VIDEO_FORMATS
from faceloupe.media.frame_source import DecodedFrame, FrameSource, VideoFacts
from faceloupe.media.image import decode_content
from faceloupe.media.sandbox import confinement, protocol
from faceloupe.media.video import Video
from faceloupe.system.logging import trace

LOOK_AHEAD = 8  # decoded frames that are held until the other side has done with them
SLOTS = 3  # pictures in the shared memory: two of wanted frames, and the last for one that is asked for
_ROOM, _LEAST_ROOM = 4, 1920 * 1080  # a slot has room for so many times the first frame's pixels, as sizes may change


def slot_pixels(width: int, height: int, max_pixels: int) -> int:
    """Pixels that a slot of the shared memory has room for.

    Args:
        width: of the first frame.
        height: of the first frame.
        max_pixels: largest width times height of any.
    """
    return max(width * height, min(max(_ROOM * width * height, _LEAST_ROOM), max_pixels))


def run(session: socket.socket, bounds: confinement.Bounds) -> None:
    """Carry out the one request that comes, then end.

    Every sentence for the user is sent, with a trace that quotes nothing of the file, not even an error's own words.
    """
    confinement.confine(bounds)
    request = protocol.receive(session)
    if request is None:
        return
    confinement.limit_memory(bounds.mapped + request.facts["memory"])
    try:
        WORK[request.facts["kind"]](session, request)
    except FaceLoupeError as problem:
        protocol.send(session, {"failed": str(problem), "trace": trace(problem)})
    except MemoryError as problem:
        protocol.send(session, {"failed": "", "cause": "memory", "trace": trace(problem)})
    except OSError:  # the other side has gone
        return
    except Exception as problem:  # noqa: BLE001 - a trace is worth more than a silent end
        protocol.send(session, {"failed": "", "cause": "unforeseen", "trace": trace(problem)})


def _still(session: socket.socket, request: protocol.Message) -> None:
    facts = request.facts
    with open(request.descriptors[0], "rb") as file:
        content = file.read()
    picture = decode_content(content, facts["format"], max_pixels=facts["max_pixels"])
    height, width = picture.rgb.shape[:2]
    described = {
        "notes": picture.notes,
        "unshown": picture.unshown,
        "damage": picture.damage,
        "coarse": picture.coarse,
        "embedded": [[piece.kind, piece.offset, piece.size] for piece in picture.embedded],
        "shown": asdict(picture.shown),
    }
    protocol.send(session, {"width": width, "height": height} | described)
    _send_pixels(session, picture.rgb)


def _send_pixels(session: socket.socket, pixels: np.ndarray) -> None:
    answer = protocol.receive(session)
    if answer is not None:
        with mmap.mmap(answer.descriptors[0], pixels.nbytes, protocol.SHARED) as memory:
            memory.write(np.ascontiguousarray(pixels).data)
        os.close(answer.descriptors[0])
        protocol.send(session, {"done": True})


def _luma(session: socket.socket, request: protocol.Message) -> None:
    with open(request.descriptors[0], "rb") as file:
        pixels = luma.read(file.read(), max_pixels=request.facts["max_pixels"])
    protocol.send(session, {"width": pixels.shape[1], "height": pixels.shape[0]})
    _send_pixels(session, pixels)


def _video(session: socket.socket, request: protocol.Message) -> None:
    facts = request.facts
    decoder = Video if facts["format"] in (*VIDEO_FORMATS, "HEIC") else Animation
    with (
        open(request.descriptors[0], "rb") as file,
        decoder(file, facts["format"], max_pixels=facts["max_pixels"]) as video,
    ):
        index = video.index
        time_base = {"time_base": index.time_base.numerator, "ticks_per": index.time_base.denominator}
        protocol.send(session, _described(video.facts) | time_base, index.ticks.astype("<i8").tobytes())
        slots: list[np.ndarray] = []
        while (message := protocol.receive(session, most_raw=8 * len(index.ticks))) is not None:
            if message.descriptors:
                # Not mapped at once: most of the room is never used.
                shared = mmap.mmap(message.descriptors[0], 0, mmap.MAP_SHARED)
                slots = list(np.frombuffer(shared, np.uint8).reshape(SLOTS, -1))
            if "every" in message.facts:  # anything else comes late from a walk that has ended
                wanted = np.frombuffer(message.raw, "<i8").tolist()
                _Walk(session, video, slots).go(wanted, message.facts["every"], message.facts["keys"])


def _described(facts: VideoFacts) -> dict[str, Any]:
    rate = facts.frame_rate
    described = {name: getattr(facts, name) for name in VideoFacts.__slots__}
    return described | {
        "frame_rate": [rate.numerator, rate.denominator] if rate else [],
        "shown": asdict(facts.shown),
    }


class _Stopped(Exception):
    """The other side wants no more of this walk."""


class _Walk:
    """One walk over a video, a few frames ahead of the other side."""

    def __init__(self, session: socket.socket, video: FrameSource, slots: list[np.ndarray]) -> None:
        self._session, self._video, self._slots = session, video, slots
        self._free = list(range(SLOTS - 1))
        self._held: dict[int, tuple[DecodedFrame, int | None]] = {}
        self._lost = 0

    def go(self, wanted: list[int], every: bool, keys_only: bool) -> None:
        """Send a message for each frame, and one at the end."""
        end: dict[str, Any] = {"end": True}
        try:
            for number, decoded_frame in enumerate(self._video.walk(wanted, every=every, keys_only=keys_only)):
                slot = None
                if decoded_frame.wanted:
                    self._attend(while_=lambda: not self._free)
                    slot = self._free.pop()
                    self._fill(slot, decoded_frame)
                self._held[number] = decoded_frame, slot
                width, height = self._delivered_size(decoded_frame)
                self._tell(
                    {
                        "frame": decoded_frame.index,
                        "wanted": decoded_frame.wanted,
                        "slot": slot,
                        "width": width,
                        "height": height,
                    },
                    decoded_frame.luma.tobytes(),
                )
                self._attend(while_=lambda: len(self._held) >= LOOK_AHEAD)
            self._attend(while_=lambda: bool(self._held))  # their pixels may still be asked for
        except _Stopped:
            pass
        except EvidenceError as problem:
            end["broken"] = str(problem)
        finally:
            self._video.close()
        self._tell(end)

    def _delivered_size(self, decoded_frame: DecodedFrame) -> tuple[int, int]:
        """Return the size of the frame, or a smaller one of the same shape that a slot has room for."""
        width, height = decoded_frame.size
        share = self._slots[0].size / (3 * width * height)
        if share >= 1.0:
            return width, height
        return max(int(width * share**0.5), 1), max(int(height * share**0.5), 1)

    def _fill(self, slot: int, decoded_frame: DecodedFrame) -> None:
        rgb = decoded_frame.rgb()
        width, height = self._delivered_size(decoded_frame)
        if (width, height) != decoded_frame.size:
            rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        self._slots[slot][: rgb.size] = rgb.reshape(-1)

    def _tell(self, facts: dict[str, Any], luma: bytes = b"") -> None:
        """Send a message, and with it what could not be decoded since the last one."""
        lost = self._video.unreadable[self._lost :]
        self._lost += len(lost)
        facts["damaged"] = self._video.damaged_packets
        protocol.send(self._session, facts, luma + np.array(lost, "<i8").tobytes())

    def _attend(self, while_: Callable[[], bool]) -> None:
        """Answer what the other side has sent, and wait for more as long as the condition holds."""
        while while_() or protocol.waits(self._session, 0):
            message = protocol.receive(self._session)
            if message is None or "stop" in message.facts:
                raise _Stopped
            if "release" in message.facts:
                for number in [held for held in self._held if held <= message.facts["release"]]:
                    _, slot = self._held.pop(number)
                    if slot is not None:
                        self._free.append(slot)
            else:
                self._fill(SLOTS - 1, self._held[message.facts["rgb"]][0])
                protocol.send(self._session, {"rgb": True})


def _metadata(session: socket.socket, request: protocol.Message) -> None:
    facts = request.facts
    with open(request.descriptors[0], "rb") as file:
        answer = metadata.read(file, facts["format"], with_position=facts["with_position"])
    protocol.send(session, {}, msgspec.json.encode(answer))


def _credentials(session: socket.socket, request: protocol.Message) -> None:
    facts, sidecar = request.facts, b""
    if request.descriptors[1:]:
        with open(request.descriptors[1], "rb") as file:
            sidecar = file.read()
    with open(request.descriptors[0], "rb") as file:
        answer = credentials.read(file, facts["format"], anchors=facts["anchors"], sidecar=sidecar)
    protocol.send(session, {}, msgspec.json.encode(answer))


def _embedded(session: socket.socket, request: protocol.Message) -> None:
    with open(request.descriptors[0], "rb") as file:
        answer = embedded.items(file.read(), request.facts["format"])
    protocol.send(session, {}, msgspec.json.encode(answer))


WORK = {
    "still": _still,
    "luma": _luma,
    "video": _video,
    "metadata": _metadata,
    "credentials": _credentials,
    "embedded": _embedded,
}  # kind of the request -> what is done
