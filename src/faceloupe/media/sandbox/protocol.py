"""What passes between this process and a decoder: JSON and raw bytes with their lengths in front, and descriptors.

Nothing here trusts the other side: a decoder that was taken over by its file may send anything.
"""

import fcntl
import json
import mmap
import os
import select
import socket
import struct
import tempfile
import time
from dataclasses import dataclass, field, fields
from typing import Any

from faceloupe.types import EmbeddedContent, Shown

_HEAD = struct.Struct("!II")  # lengths of the JSON and of the raw bytes
_MOST_JSON, _MOST_DESCRIPTORS = 1 << 20, 2
_CHUNK = 1 << 18
SHARED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)  # mapping page by page, at first touch, is slow
_LONGEST_TEXT, _LARGEST_FILE = 2000, 2**40


class ProtocolError(Exception):
    """The other side sent what it never should."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        facts: what the JSON holds.
        raw: the bytes behind it.
        descriptors: of files; they belong to the receiver.
    """

    facts: dict[str, Any]
    raw: bytes = b""
    descriptors: list[int] = field(default_factory=list)

    def number(self, name: str, *, most: int, least: int = 0) -> int:
        """Return a whole number from ``least`` to ``most``.

        Raises:
            ProtocolError: there is none.
        """
        return _number(self.facts.get(name), least, most)

    def numbers(self, name: str, *, most: int) -> list[int]:
        """Whole numbers from 0 to ``most``.

        Raises:
            ProtocolError: there are none.
        """
        values = self.facts.get(name)
        if type(values) is not list:
            raise ProtocolError(f"{name} is not a list")
        return [_number(value, 0, most) for value in values]

    def seconds(self, name: str, *, most: float) -> float:
        """Return a number from ``-most`` to ``most``.

        Raises:
            ProtocolError: there is none.
        """
        value = self.facts.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= most:  # nor is NaN
            raise ProtocolError(f"expected a number within {most}")
        return float(value)

    def text(self, name: str) -> str:
        """Return a printable text within the length limit.

        Raises:
            ProtocolError: there is none.
        """
        return _text(self.facts.get(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """Printable texts within the length limit.

        Raises:
            ProtocolError: there are none.
        """
        values = self.facts.get(name)
        if type(values) is not list:
            raise ProtocolError(f"{name} is not a list")
        return tuple(_text(value) for value in values)

    def embedded(self) -> tuple[EmbeddedContent, ...]:
        """Return what else a file holds besides its picture.

        Raises:
            ProtocolError: it is not stated.
        """
        rows = self.facts.get("embedded")
        if type(rows) is not list or not all(type(row) is list and len(row) == 3 for row in rows):
            raise ProtocolError("not the content behind a picture")
        return tuple(
            EmbeddedContent(_text(kind), _number(offset, 0, _LARGEST_FILE), _number(size, 1, _LARGEST_FILE))
            for kind, offset, size in rows
        )

    def shown(self) -> Shown:
        """Return what was done to show the file as a viewer would.

        Raises:
            ProtocolError: it is not stated.
        """
        values = self.facts.get("shown")
        names = {field.name for field in fields(Shown)}
        if type(values) is not dict or values.keys() != names:
            raise ProtocolError("expected the fields of shown")
        return Shown(**{name: None if value is None else _text(value) for name, value in values.items()})


def _number(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ProtocolError(f"expected a whole number from {least} to {most}")
    return value


def _text(value: object) -> str:
    if type(value) is not str or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise ProtocolError("expected printable text")
    return value


def send(channel: socket.socket, facts: dict[str, Any], raw: bytes = b"", descriptors: list[int] | None = None) -> None:
    """Send a message.

    Raises:
        OSError: nobody takes it.
    """
    text = json.dumps(facts).encode()
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
        return Message(_facts(_exactly(channel, of_text)), _exactly(channel, of_raw), descriptors)
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
            ProtocolError: see ``wire.receive``.
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
        message = Message(_facts(self._buffer[_HEAD.size : text]), bytes(self._buffer[text:end]))
        del self._buffer[:end]
        return message


def _lengths(head: bytes | bytearray, most_raw: int) -> tuple[int, int]:
    of_text, of_raw = _HEAD.unpack(head)
    if of_text > _MOST_JSON or of_raw > most_raw:
        raise ProtocolError("the message is too large")
    return of_text, of_raw


def _facts(text: bytes | bytearray) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ProtocolError("not valid JSON") from problem
    if type(facts) is not dict:
        raise ProtocolError("not a JSON object")
    return facts


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
