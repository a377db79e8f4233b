"""Messages between this process and a decoder: lengths, JSON, raw bytes, and file descriptors.

Nothing here trusts the other side: a decoder that was compromised by its file may send anything.
"""

import fcntl
import mmap
import os
import select
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import UnionType
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from faceloupe.media.evidence import EmbeddedContent, Shown
from faceloupe.media.frame_source import VideoFacts

_HEAD = struct.Struct("!II")  # lengths of the JSON and of the raw bytes
_MOST_JSON, _MOST_DESCRIPTORS = 1 << 20, 2
_CHUNK = 1 << 18
SHARED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)  # mapping page by page, at first touch, is slow
_LONGEST_TEXT = 2000
T = TypeVar("T")


class ProtocolError(Exception):
    """The other side sent invalid data."""


Whole = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Terms = tuple[Annotated[int, Meta(ge=1, le=2**63 - 1)], Annotated[int, Meta(ge=1, le=2**63 - 1)]]


class Request(Struct, frozen=True):
    """A request to a decoder.

    Attributes:
        kind: key of ``decoder.WORK``.
        format: format of the file.
        with_position: whether the position in EXIF (GPS) is listed with the metadata.
        max_pixels: largest width times height that is decoded.
        memory: bytes that the decoder may use.
    """

    kind: str
    format: str
    with_position: bool = False
    max_pixels: int = 0
    memory: int = 0


class Walk(Struct, frozen=True, tag=True):
    """Begin a walk over the frames whose indices the raw bytes hold; see ``media.video.Video.walk``."""

    every: bool
    keys_only: bool


class Release(Struct, frozen=True, tag=True):
    """Release the delivered frames up to this number."""

    number: int


class RequestPixels(Struct, frozen=True, tag=True):
    """Write the pixels of a delivered frame to the last slot."""

    number: int


class Stop(Struct, frozen=True, tag=True):
    """End the walk."""


class Answer(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """An answer of a decoder; raw bytes may follow it."""


class Done(Answer, frozen=True):
    """The requested data is in the shared memory or in the raw bytes."""


class Failed(Answer, frozen=True):
    """The decoder gives up.

    Attributes:
        sentence: message for the user; empty if ``cause`` is set.
        trace: trace of the error, which quotes nothing of the file.
        cause: reason if it is not a known error of the file.
    """

    sentence: str
    trace: str
    cause: Literal["", "memory", "unforeseen"] = ""


class Size(Answer, frozen=True):
    """The size of a picture whose pixels follow."""

    width: Positive
    height: Positive


class Still(Size, frozen=True):
    """Facts about a picture, see ``media.evidence.Picture``; its pixels follow."""

    notes: tuple[str, ...]
    shown: Shown
    unshown: str
    damage: str
    coarse: str
    embedded: tuple[EmbeddedContent, ...]


class Described(Answer, frozen=True):
    """Facts about a video; the raw bytes hold the ticks of its frames.

    Attributes:
        time_base: numerator and denominator of the seconds per tick.
    """

    facts: VideoFacts
    time_base: tuple[Positive, Positive]


class WalkAnswer(Answer, frozen=True):
    """An answer during a walk."""


class Frame(WalkAnswer, frozen=True):
    """A frame; the raw bytes hold its thumbnail and the indices of lost frames.

    Attributes:
        index: index in the video.
        slot: slot of the shared memory that holds its pixels; None if the frame was not wanted.
        width, height: size of these pixels.
        damaged: number of packets that were refused in this walk.
    """

    index: Whole
    slot: Whole | None
    width: Positive
    height: Positive
    damaged: Whole


class End(WalkAnswer, frozen=True):
    """The end of a walk; the raw bytes hold the indices of lost frames.

    Attributes:
        broken: why the walk ended early; empty if it did not.
    """

    damaged: Whole
    broken: str = ""


class PixelsReady(WalkAnswer, frozen=True):
    """The requested pixels are in the last slot."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        values: content of the JSON.
        raw: bytes behind the JSON.
        descriptors: file descriptors; they belong to the receiver.
    """

    values: object
    raw: bytes = b""
    descriptors: list[int] = field(default_factory=list)

    def as_a(self, kind: type[T] | UnionType) -> T:
        """Return the values as a message of the type ``kind``, whose texts are printable and of limited length.

        Raises:
            ProtocolError: the values do not fit ``kind``, or a text is not printable or too long.
        """
        if not all(len(text) <= _LONGEST_TEXT and text.isprintable() for text in _texts(self.values)):
            raise ProtocolError("expected printable text")
        try:
            message: T = msgspec.convert(self.values, kind, dec_hook=_from_terms)
        except msgspec.ValidationError:  # the error quotes received data, which must not be logged
            raise ProtocolError("not the values of such a message") from None
        return message


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _from_terms(kind: type, terms: object) -> Fraction:
    return Fraction(*msgspec.convert(terms, _Terms))


def _terms(value: object) -> tuple[int, int]:
    if not isinstance(value, Fraction):
        raise NotImplementedError(f"{type(value).__name__} is not a part of a message")
    return value.numerator, value.denominator


Order = Walk | Release | RequestPixels | Stop
AnyAnswer = Done | Failed | Size | Still | Described | Frame | End | PixelsReady


def send(channel: socket.socket, message: Struct, raw: bytes = b"", descriptors: list[int] | None = None) -> None:
    """Send a message.

    Raises:
        OSError: the other side does not accept it.
    """
    text = msgspec.json.encode(message, enc_hook=_terms)
    head = _HEAD.pack(len(text), len(raw)) + text
    sent = socket.send_fds(channel, [head], descriptors) if descriptors else 0
    if rest := head[sent:] + raw:
        channel.sendall(rest)


def receive(channel: socket.socket, *, most_raw: int = 0) -> Message | None:
    """Receive a message, waiting without a time limit; None if the other side has ended.

    Args:
        channel: a stream socket to the other side.
        most_raw: largest number of raw bytes that is accepted.

    Raises:
        ProtocolError: the received data is not a message, or is incomplete or too large.
        OSError: nothing can be received.
    """
    head, descriptors, _, _ = socket.recv_fds(channel, _HEAD.size, _MOST_DESCRIPTORS)
    if not head:
        return None
    try:
        of_text, of_raw = _lengths(head + _exactly(channel, _HEAD.size - len(head)), most_raw)
        return Message(_values(_exactly(channel, of_text)), _exactly(channel, of_raw), descriptors)
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


class Reader:
    """Receiver of messages without descriptors, many per system call, as each call can cost a turn of Python's lock."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel, self._buffer = channel, bytearray()

    @property
    def empty(self) -> bool:
        """Whether no received data is waiting to be returned."""
        return not self._buffer

    def receive(self, seconds: float, *, most_raw: int) -> Message | None:
        """Return the next message; None if the other side has ended.

        Args:
            seconds: longest wait for the message.
            most_raw: largest number of raw bytes that is accepted.

        Raises:
            TimeoutError: the message has not come.
            ProtocolError: see ``receive`` of this module.
            OSError: see ``receive`` of this module.
        """
        until = time.monotonic() + seconds
        while (message := self._next(most_raw)) is None:
            self._channel.settimeout(max(until - time.monotonic(), 1e-4))
            part = self._channel.recv(_CHUNK)
            if not part:
                if self._buffer:
                    raise ProtocolError("the message is incomplete")
                return None
            self._buffer += part
        return message

    def _next(self, most_raw: int) -> Message | None:
        if len(self._buffer) < _HEAD.size:
            return None
        of_text, of_raw = _lengths(self._buffer[: _HEAD.size], most_raw)
        text, end = _HEAD.size + of_text, _HEAD.size + of_text + of_raw
        if len(self._buffer) < end:
            return None
        message = Message(_values(self._buffer[_HEAD.size : text]), bytes(self._buffer[text:end]))
        del self._buffer[:end]
        return message


def _lengths(head: bytes | bytearray, most_raw: int) -> tuple[int, int]:
    of_text, of_raw = _HEAD.unpack(head)
    if of_text > _MOST_JSON or of_raw > most_raw:
        raise ProtocolError("the message is too large")
    return of_text, of_raw


def _values(text: bytes | bytearray) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise ProtocolError("not valid JSON") from problem


def is_readable(channel: socket.socket, seconds: float | None) -> bool:
    """Return whether data, or the end, can be received within ``seconds``; None waits without a limit."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), _CHUNK))
        if not part:
            raise ProtocolError("the message is incomplete")
        parts += part
    return bytes(parts)


def memory(size: int) -> int:
    """Return the descriptor of new memory that processes can share, filled with zeros; it belongs to the caller.

    The memory has no name, and is freed with the last process that holds it. If the system supports it, the size is
    sealed, so that the other side cannot shrink the memory while it is mapped.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("faceloupe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        return descriptor
    with tempfile.TemporaryFile() as unnamed:
        descriptor = os.dup(unnamed.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def shared_memory_with(content: bytes) -> int:
    """Return the descriptor of shared memory that holds ``content``; it belongs to the caller."""
    descriptor = memory(len(content))
    view = memoryview(content)
    done = 0
    while done < len(content):
        done += os.pwrite(descriptor, view[done : done + _CHUNK], done)
    freeze(descriptor)
    return descriptor


def freeze(descriptor: int) -> bool:
    """Make shared memory immutable; return False if the system cannot, or if someone can still write to it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    except (OSError, AttributeError):
        return False
    return True
