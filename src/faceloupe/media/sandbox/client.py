"""Client of a decoder: it requests a child from the server, waits for it within a time limit, and ends it."""

import atexit
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from msgspec import Struct, structs

from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.sandbox import protocol

_LOG = logging.getLogger(__name__)
_MODULE = "faceloupe.media.sandbox.server"
_MOST_LEFT = 2**28  # raw bytes that are accepted with a message that is discarded
_LOOK_S = 0.1  # between two checks whether the caller still wants the work
_END_S = 5.0  # for a decoder to accept an order, or to send its last message if it does not
_S_PER_MIB = 2.0  # for each MiB of the file, in addition to the limit of the settings
_CRASHED = "The file crashed its decoder ({}) and cannot be analyzed; treat it with care and get another copy."
_BUSY = "Decoding the file was stopped at the limit of {:.0f} s; get another copy or raise max_decoder_s."
_GREEDY = "The file needs more memory than a decoder may use ({} MiB); get another copy or raise max_decoder_bytes."
_LOST = "The decoding process ended unexpectedly, not because of this file; analyze it again."
T = TypeVar("T", bound=protocol.Answer)
_NONSENSE = "The decoder returned invalid data for this file; treat it with care and get another copy."


class _Server:
    """The process that forks decoders. Any thread may use it."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", _MODULE, str(far.fileno())],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt at the terminal reaches us first, and we end it
                env={
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "OPENBLAS_NUM_THREADS": "1",  # a process with threads cannot be forked safely
                    "MALLOC_ARENA_MAX": "2",  # each arena reserves address space, which is limited
                    "MALLOC_MMAP_THRESHOLD_": str(2**30),  # reuse memory that was touched before: in a new process,
                    "MALLOC_TRIM_THRESHOLD_": str(2**30),  # touching new memory costs more than decoding
                    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
                },
            )
        self._control, self._lock = near, threading.Lock()
        self._spare = self._forked()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def take(self) -> tuple[socket.socket, socket.socket]:
        """Return the session and the control socket of a child that waits for its request, and fork the next child."""
        with self._lock:
            taken, self._spare = self._spare, self._forked()
            return self._forked() if protocol.is_readable(taken[1], 0) else taken  # the spare has ended meanwhile

    def _forked(self) -> tuple[socket.socket, socket.socket]:
        (session, far), (child_control, far_control) = socket.socketpair(), socket.socketpair()
        with far, far_control:
            protocol.send(self._control, protocol.Done(), descriptors=[far.fileno(), far_control.fileno()])
        return session, child_control

    def forget(self) -> None:
        """Forget the server in a forked process, because the parent owns it."""
        self._close_channels()
        self._process.returncode = 0  # only the parent can wait for it

    def close(self) -> None:
        """End the server and all its children."""
        self._close_channels()
        self._process.wait()

    def _close_channels(self) -> None:
        for end in (self._control, *self._spare):
            end.close()


_server: _Server | None = None
_starting = threading.Lock()


def start() -> None:
    """Start the server of this process if there is none, without waiting for it."""
    _running()


def _running() -> _Server:
    global _server
    with _starting:
        if _server is None or not _server.is_running:
            if _server is not None:
                _server.close()
            _server = _Server()
        return _server


@atexit.register
def stop() -> None:
    """End the server of this process; the next decoder starts another."""
    global _server
    with _starting:
        if _server is not None:
            _server.close()
            _server = None


def _after_fork() -> None:
    global _server, _starting
    _starting = threading.Lock()
    if _server is not None:
        _server.forget()
        _server = None


os.register_at_fork(after_in_child=_after_fork)


class Worker:
    """A decoder at work on one file.

    The total waiting time is limited to ``max_decoder_s`` of the settings, plus two seconds per MiB of the file, plus
    the time that ``extend_time_limit`` adds. Time in which nobody waits for the decoder does not count.
    """

    def __init__(
        self,
        request: protocol.Request,
        evidence: int,
        *,
        settings: Settings,
        sha256: str,
        check: Callable[[], None] = lambda: None,
        more: Sequence[int] = (),
        raw: bytes = b"",
    ) -> None:
        """Start a decoder and send it its request.

        Args:
            request: the request; the limits are filled in here.
            evidence: descriptor of the file; it belongs to the caller.
            settings: settings with the limits.
            sha256: SHA-256 of the file, for the log.
            check: called while waiting for the decoder; an exception that it raises ends the work.
            more: descriptors of additional files, such as a manifest beside the file; they belong to the caller.
            raw: bytes that are sent with the request.

        Raises:
            EvidenceError: the decoder could not be started, or see ``send``.
        """
        self._check, self._sha256, self._memory = check, sha256, settings.max_decoder_bytes
        self._allowed = settings.max_decoder_s + _S_PER_MIB * os.fstat(evidence).st_size / 2**20
        self._waited = 0.0
        try:
            self._session, self._child_control = _running().take()
        except OSError as problem:
            raise EvidenceError(_LOST) from problem
        self._reader = protocol.Reader(self._session)
        request = structs.replace(request, memory=self._memory, max_pixels=settings.max_pixels)
        self.send(request, raw, descriptors=[evidence, *more])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoder, whatever it is doing; calling this again has no effect."""
        with contextlib.suppress(OSError):
            self._child_control.send(b"x")  # closing is not enough if a process forked meanwhile holds this socket
        self._session.close()
        self._child_control.close()

    def extend_time_limit(self, seconds: float) -> None:
        """Add to the time limit, because the decoder has delivered something."""
        self._allowed += seconds

    def send(self, order: Struct, raw: bytes = b"", descriptors: list[int] | None = None) -> None:
        """Send a message.

        Raises:
            EvidenceError: the decoder has ended or does not read its messages.
        """
        try:
            self._session.settimeout(_END_S)
            protocol.send(self._session, order, raw, descriptors)
        except OSError:
            end = time.monotonic() + _END_S
            while time.monotonic() < end:  # until its last message or its end
                self.receive(protocol.Answer, _MOST_LEFT)
            raise self._given_up(_NONSENSE, "reads no orders and does not end") from None

    def receive(self, kind: type[T], most_raw: int = 0) -> tuple[T, bytes]:
        """Return the next answer and the raw bytes behind it, waiting within the time limit.

        Args:
            kind: expected type of the answer.
            most_raw: largest number of raw bytes that is accepted.

        Raises:
            EvidenceError: no valid answer came, or the decoder reports a problem with the file.
            Exception: whatever ``check`` raises.
        """
        self._check()
        began = time.monotonic()
        try:
            message = self._awaited(began, most_raw)
            self._waited += time.monotonic() - began
            if message is None:
                raise self._ended()
            answer: protocol.Answer = message.as_a(protocol.AnyAnswer)
            if isinstance(answer, protocol.Failed):
                self._log(answer.trace)
                raise EvidenceError(self._sentence(answer))
            if not isinstance(answer, kind):
                raise protocol.ProtocolError(f"{type(answer).__name__} instead of {kind.__name__}")
        except protocol.ProtocolError as problem:
            raise self.protocol_error(problem) from None
        except OSError:
            raise self._ended() from None
        return answer, message.raw

    def _awaited(self, began: float, most_raw: int) -> protocol.Message | None:
        while True:
            try:
                return self._reader.receive(_LOOK_S, most_raw=most_raw)
            except TimeoutError:
                self._check()
            if self._waited + time.monotonic() - began > self._allowed:
                raise self._given_up(_BUSY.format(self._allowed), "out of time")

    @property
    def has_no_buffered_answer(self) -> bool:
        """Whether no message is buffered, so that the next one must be waited for."""
        return self._reader.empty

    def protocol_error(self, problem: protocol.ProtocolError) -> EvidenceError:
        """End a decoder that sent an invalid answer, and return the error to raise."""
        return self._given_up(_NONSENSE, f"invalid data: {problem}")

    def _sentence(self, failed: protocol.Failed) -> str:
        if failed.cause == "memory":
            return _GREEDY.format(self._memory >> 20)
        return _CRASHED.format("an unexpected error") if failed.cause == "unforeseen" else failed.sentence

    def _given_up(self, sentence: str, cause: str) -> EvidenceError:
        self._log(cause)
        self.close()
        return EvidenceError(sentence)

    def _ended(self) -> EvidenceError:
        """Return the error to raise for a decoder that ended unexpectedly."""
        status = None
        with contextlib.suppress(OSError, ValueError):
            self._child_control.settimeout(_END_S)
            status = json.loads(self._child_control.recv(64) or b"{}").get("status")
        if status is None:
            return self._given_up(_LOST, "the server was lost")
        name = signal.Signals(-status).name if status and -status in list(signal.Signals) else "it ended early"
        return self._given_up(_CRASHED.format(name), f"crash: {name}")

    def _log(self, cause: str) -> None:
        _LOG.warning("The decoder of %s: %s", self._sha256, cause)
