"""Work of a decoder process: it decodes one file for the process at the other end of its session."""

import mmap
import os
import socket
from collections.abc import Callable

import cv2
import msgspec
import numpy as np

from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.media import credentials, embedded, luma, metadata
from faceloupe.media.animation import Animation
from faceloupe.media.formats import VIDEO_FORMATS
from faceloupe.media.frame_source import DecodedFrame, FrameSource
from faceloupe.media.image import decode_content
from faceloupe.media.sandbox import confinement, protocol
from faceloupe.media.video import Video
from faceloupe.system.logging import trace

LOOK_AHEAD = 8  # decoded frames that are held until the other side releases them
SLOTS = 3  # pictures in the shared memory: two for wanted frames, and the last for a frame requested later
_MOST_ANCHORS = 1 << 20  # bytes of the certificates that come with a request for Content Credentials
_ROOM, _LEAST_ROOM = 4, 1920 * 1080  # a slot fits this multiple of the first frame, because sizes may change


def slot_pixels(width: int, height: int, max_pixels: int) -> int:
    """Return the number of pixels that fit a slot of the shared memory.

    Args:
        width: width of the first frame.
        height: height of the first frame.
        max_pixels: largest width times height of any frame.
    """
    return max(width * height, min(max(_ROOM * width * height, _LEAST_ROOM), max_pixels))


def run(session: socket.socket, bounds: confinement.Bounds) -> None:
    """Carry out the only request of a session, then end.

    Every error is sent as a sentence for the user, with a trace that quotes nothing of the file and no error message.
    """
    confinement.confine(bounds)
    message = protocol.receive(session, most_raw=_MOST_ANCHORS)
    if message is None:
        return
    request: protocol.Request = message.as_a(protocol.Request)
    confinement.limit_memory(bounds.mapped + request.memory)
    try:
        WORK[request.kind](session, request, message)
    except FaceLoupeError as problem:
        protocol.send(session, protocol.Failed(str(problem), trace(problem)))
    except MemoryError as problem:
        protocol.send(session, protocol.Failed("", trace(problem), "memory"))
    except OSError:  # the other side has ended
        return
    except Exception as problem:  # noqa: BLE001 - a trace is worth more than a silent end
        protocol.send(session, protocol.Failed("", trace(problem), "unforeseen"))


def _still(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    with open(message.descriptors[0], "rb") as file:
        content = file.read()
    picture = decode_content(content, request.format, max_pixels=request.max_pixels)
    height, width = picture.rgb.shape[:2]
    unsure = picture.unshown, picture.damage, picture.coarse
    protocol.send(session, protocol.Still(width, height, picture.notes, picture.shown, *unsure, picture.embedded))
    _send_pixels(session, picture.rgb)


def _send_pixels(session: socket.socket, pixels: np.ndarray) -> None:
    answer = protocol.receive(session)
    if answer is not None:
        with mmap.mmap(answer.descriptors[0], pixels.nbytes, protocol.SHARED) as memory:
            memory.write(np.ascontiguousarray(pixels).data)
        os.close(answer.descriptors[0])
        protocol.send(session, protocol.Done())


def _luma(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    with open(message.descriptors[0], "rb") as file:
        pixels = luma.read(file.read(), max_pixels=request.max_pixels)
    protocol.send(session, protocol.Size(pixels.shape[1], pixels.shape[0]))
    _send_pixels(session, pixels)


def _video(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    decoder = Video if request.format in (*VIDEO_FORMATS, "HEIC") else Animation
    with (
        open(message.descriptors[0], "rb") as file,
        decoder(file, request.format, max_pixels=request.max_pixels) as video,
    ):
        index = video.index
        time_base = index.time_base.numerator, index.time_base.denominator
        protocol.send(session, protocol.Described(video.facts, time_base), index.ticks.astype("<i8").tobytes())
        slots: list[np.ndarray] = []
        while (coming := protocol.receive(session, most_raw=8 * len(index.ticks))) is not None:
            if coming.descriptors:
                # Mapped without MAP_POPULATE, because most of the memory is never used.
                shared = mmap.mmap(coming.descriptors[0], 0, mmap.MAP_SHARED)
                slots = list(np.frombuffer(shared, np.uint8).reshape(SLOTS, -1))
            order: protocol.Order = coming.as_a(protocol.Order)
            if isinstance(order, protocol.Walk):  # other orders belong to a walk that has ended
                wanted = np.frombuffer(coming.raw, "<i8").tolist()
                _Walk(session, video, slots).go(wanted, order.every, order.keys_only)


class _Stopped(Exception):
    """The other side needs no more of this walk."""


class _Walk:
    """One walk over a video, a few frames ahead of the other side."""

    def __init__(self, session: socket.socket, video: FrameSource, slots: list[np.ndarray]) -> None:
        self._session, self._video, self._slots = session, video, slots
        self._free = list(range(SLOTS - 1))
        self._held: dict[int, tuple[DecodedFrame, int | None]] = {}
        self._lost = 0

    def go(self, wanted: list[int], every: bool, keys_only: bool) -> None:
        """Send a message for each frame, and one at the end."""
        broken = ""
        try:
            for number, decoded_frame in enumerate(self._video.walk(wanted, every=every, keys_only=keys_only)):
                slot = None
                if decoded_frame.wanted:
                    self._attend(while_=lambda: not self._free)
                    slot = self._free.pop()
                    self._fill(slot, decoded_frame)
                self._held[number] = decoded_frame, slot
                width, height = self._delivered_size(decoded_frame)
                damaged = self._video.damaged_packets
                self._tell(
                    protocol.Frame(decoded_frame.index, slot, width, height, damaged), decoded_frame.luma.tobytes()
                )
                self._attend(while_=lambda: len(self._held) >= LOOK_AHEAD)
            self._attend(while_=lambda: bool(self._held))  # their pixels may still be requested
        except _Stopped:
            pass
        except EvidenceError as problem:
            broken = str(problem)
        finally:
            self._video.close()
        self._tell(protocol.End(self._video.damaged_packets, broken))

    def _delivered_size(self, decoded_frame: DecodedFrame) -> tuple[int, int]:
        """Return the size of the frame, or a smaller size of the same shape that fits a slot."""
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

    def _tell(self, answer: protocol.WalkAnswer, luma: bytes = b"") -> None:
        """Send an answer, with the indices of the frames that were lost since the last answer."""
        lost = self._video.unreadable[self._lost :]
        self._lost += len(lost)
        protocol.send(self._session, answer, luma + np.array(lost, "<i8").tobytes())

    def _attend(self, while_: Callable[[], bool]) -> None:
        """Handle the orders that have arrived, and wait for more while the condition holds."""
        while while_() or protocol.is_readable(self._session, 0):
            message = protocol.receive(self._session)
            order: protocol.Order | None = message.as_a(protocol.Order) if message else None
            if isinstance(order, protocol.Release):
                for number in [held for held in self._held if held <= order.number]:
                    _, slot = self._held.pop(number)
                    if slot is not None:
                        self._free.append(slot)
            elif isinstance(order, protocol.RequestPixels):
                self._fill(SLOTS - 1, self._held[order.number][0])
                protocol.send(self._session, protocol.PixelsReady())
            else:  # Stop, or the other side has ended
                raise _Stopped


def _metadata(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    with open(message.descriptors[0], "rb") as file:
        answer = metadata.read(file, request.format, with_position=request.with_position)
    protocol.send(session, protocol.Done(), msgspec.json.encode(answer))


def _credentials(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    sidecar = b""
    if message.descriptors[1:]:
        with open(message.descriptors[1], "rb") as file:
            sidecar = file.read()
    with open(message.descriptors[0], "rb") as file:
        answer = credentials.read(file, request.format, anchors=message.raw.decode(), sidecar=sidecar)
    protocol.send(session, protocol.Done(), msgspec.json.encode(answer))


def _embedded(session: socket.socket, request: protocol.Request, message: protocol.Message) -> None:
    with open(message.descriptors[0], "rb") as file:
        answer = embedded.items(file.read(), request.format)
    protocol.send(session, protocol.Done(), msgspec.json.encode(answer))


WORK = {
    "still": _still,
    "luma": _luma,
    "video": _video,
    "metadata": _metadata,
    "credentials": _credentials,
    "embedded": _embedded,
}  # kind of the request -> function
