"""What passes between this process and a decoder: JSON and raw bytes with their lengths in front, and descriptors.

Nothing here trusts the other side: a decoder that was taken over by its file may send anything.
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
    """The other side sent what it never should."""


Whole = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Terms = tuple[Annotated[int, Meta(ge=1, le=2**63 - 1)], Annotated[int, Meta(ge=1, le=2**63 - 1)]]


class Request(Struct, frozen=True):
    """What a decoder is asked to do.

    Attributes:
        kind: see ``decoder.WORK``.
        format: of the file.
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
    """Let go of the delivered frames up to this number."""

    number: int


class Ask(Struct, frozen=True, tag=True):
    """Write the pixels of a delivered frame to the last slot."""

    number: int


class Stop(Struct, frozen=True, tag=True):
    """End the walk."""


class Answer(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """What a decoder answers; there may be raw bytes behind it."""


class Done(Answer, frozen=True):
    """What was asked for lies in the shared memory or in the raw bytes."""


class Failed(Answer, frozen=True):
    """The decoder gives up.

    Attributes:
        sentence: for the user; empty where the cause says more.
        trace: of the error, which quotes nothing of the file.
    """

    sentence: str
    trace: str
    cause: Literal["", "memory", "unforeseen"] = ""


class Size(Answer, frozen=True):
    """The size of the picture, whose pixels follow."""

    width: Positive
    height: Positive


class Still(Size, frozen=True):
    """What is known of a picture, see ``media.evidence.Picture``."""

    notes: tuple[str, ...]
    shown: Shown
    unshown: str
    damage: str
    coarse: str
    embedded: tuple[EmbeddedContent, ...]


class Described(Answer, frozen=True):
    """What is known of a video; the raw bytes hold the ticks of its frames.

    Attributes:
        time_base: numerator and denominator of a tick, seconds.
    """

    facts: VideoFacts
    time_base: tuple[Positive, Positive]


class OfWalk(Answer, frozen=True):
    """An answer during a walk."""


class Frame(OfWalk, frozen=True):
    """A frame; the raw bytes hold its thumbnail and the indices of lost frames.

    Attributes:
        index: in the video.
        slot: of the shared memory that holds its pixels; None where it was not wanted.
        width, height: of these pixels.
        damaged: how often a packet was refused in this walk.
    """

    index: Whole
    slot: Whole | None
    width: Positive
    height: Positive
    damaged: Whole


class End(OfWalk, frozen=True):
    """The end of a walk; the raw bytes hold the indices of lost frames.

    Attributes:
        broken: why it ended early; empty where it did not.
    """

    damaged: Whole
    broken: str = ""


class Asked(OfWalk, frozen=True):
    """The pixels that were asked for lie in the last slot."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        values: what the JSON holds.
        raw: the bytes behind it.
        descriptors: of files; they belong to the receiver.
    """

    values: object
    raw: bytes = b""
    descriptors: list[int] = field(default_factory=list)

    def as_a(self, kind: type[T] | UnionType) -> T:
        """Return the values as one of the messages above, whose texts are printable and of limited length.

        Raises:
            ProtocolError: they are not.
        """
        if not all(len(text) <= _LONGEST_TEXT and text.isprintable() for text in _texts(self.values)):
            raise ProtocolError("expected printable text")
        try:
            message: T = msgspec.convert(self.values, kind, dec_hook=_from_terms)
        except msgspec.ValidationError:  # it quotes what came, and nothing of that is logged
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


Order = Walk | Release | Ask | Stop
AnyAnswer = Done | Failed | Size | Still | Described | Frame | End | Asked


def send(channel: socket.socket, message: Struct, raw: bytes = b"", descriptors: list[int] | None = None) -> None:
    """Send a message.

    Raises:
        OSError: nobody takes it.
    """
    text = msgspec.json.encode(message, enc_hook=_terms)
    head = _HEAD.pack(len(text), len(raw)) + text
    sent = socket.send_fds(channel, [head], descriptors) if descriptors else 0
    if rest := head[sent:] + raw:
        channel.sendall(rest)


def receive(channel: socket.socket, *, most_raw: int = 0) -> Message | None:
    """Receive a message, waiting for however long; None where the other side has gone.

    Args:
        channel: a stream socket to the other side.
        most_raw: raw bytes that are taken.

    Raises:
        ProtocolError: what came is not a message, or is incomplete or too large.
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
    """Receives messages without descriptors, many at a time: each system call can cost a turn of Python's lock."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel, self._buffer = channel, bytearray()

    @property
    def empty(self) -> bool:
        """Whether nothing has come that was not given yet."""
        return not self._buffer

    def receive(self, seconds: float, *, most_raw: int) -> Message | None:
        """Return the next message; None where the other side has gone.

        Args:
            seconds: to wait for it.
            most_raw: raw bytes that are taken.

        Raises:
            TimeoutError: it has not come.
            ProtocolError: see ``receive`` of this module.
            OSError: likewise.
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


def waits(channel: socket.socket, seconds: float | None) -> bool:
    """Whether something, or the end, is there to be received within so many seconds; None for however long."""
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
    """Return a new piece of memory that processes can share, of zeros; its descriptor, which belongs to the caller.

    It has no name anywhere, and goes with the last process that holds it. Where the system can, its size is sealed:
    whoever maps it need not fear that the other side cuts it.
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


def filled(content: bytes) -> int:
    """Return shared memory that holds these bytes; its descriptor belongs to the caller."""
    descriptor = memory(len(content))
    view = memoryview(content)
    done = 0
    while done < len(content):
        done += os.pwrite(descriptor, view[done : done + _CHUNK], done)
    freeze(descriptor)
    return descriptor


def freeze(descriptor: int) -> bool:
    """Have shared memory never change again; False where the system cannot, or someone can still write to it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    except (OSError, AttributeError):
        return False
    return True
