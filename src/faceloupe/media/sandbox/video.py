"""A video that is decoded in a separate process."""

import mmap
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import count
from typing import BinaryIO, Self

import numpy as np

from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.frame_index import FrameIndex
from faceloupe.media.frame_source import LUMA_SHAPE, DecodedFrame, FrameTimes, VideoFacts
from faceloupe.media.sandbox import protocol
from faceloupe.media.sandbox.client import Worker
from faceloupe.media.sandbox.decoder import LOOK_AHEAD, SLOTS, slot_pixels

_LUMA_BYTES = LUMA_SHAPE[0] * LUMA_SHAPE[1]
_S_PER_FRAME, _S_PER_PIXEL = 0.1, 1e-7  # time that is granted for each delivered frame
_MOST_UNREAD = 2 * LOOK_AHEAD  # messages
_MOST_INDEX, _MOST_TICKS = 2**28, 2**62
_MOST_S = 1e10  # largest duration and start time


class IsolatedVideo(FrameTimes):
    """Counterpart of ``media.video.Video`` that decodes in another process. Only one thread at a time may use it.

    Attributes:
        facts: facts about the video.
        unreadable: indices of the wanted frames that could not be decoded in the last walk so far.
        damaged_packets: number of packets that the decoder refused in the last walk so far.
    """

    def __init__(
        self,
        evidence_file: EvidenceFile,
        stream: BinaryIO,
        *,
        settings: Settings,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Open a video.

        Args:
            evidence_file: the file.
            stream: stream from ``evidence_file.open()``; it belongs to the caller, who must not move it.
            settings: settings with the limits.
            check: called while waiting for the decoder; an exception that it raises ends the work.

        Raises:
            EvidenceError: see ``Video``; or the decoder crashed, hung, or needed too much memory.
        """
        self.unreadable: list[int] = []
        self.damaged_packets = 0
        self._walking: Generator[DecodedFrame] | None = None
        self._slots: np.ndarray | None = None
        self._max_pixels = settings.max_pixels
        self._under_way, self._current = False, -1  # whether a walk is running, and the number of its current frame
        self._backlog: deque[tuple[protocol.WalkAnswer, bytes]] = deque()  # received while waiting for pixels
        evidence = _descriptor(evidence_file, stream)
        try:
            request = protocol.Request("video", evidence_file.evidence.format or "")
            size = os.fstat(evidence).st_size
            self._worker = Worker(
                request, evidence, settings=settings, sha256=evidence_file.evidence.sha256, check=check
            )
        finally:
            os.close(evidence)
        try:
            self.facts, self._index = self._described(size)
            self._slot_pixels = slot_pixels(self.facts.width, self.facts.height, self._max_pixels)
        except protocol.ProtocolError as problem:
            raise self._worker.protocol_error(problem) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoder; the stream stays open."""
        self._worker.close()

    def walk(self, wanted: Iterable[int], *, every: bool, keys_only: bool = False) -> Iterator[DecodedFrame]:
        """Decode the wanted frames in display order; see ``Video.walk``. A new walk ends the previous one.

        The pixels of a frame must be requested before the next frame.

        Raises:
            IndexError: a wanted frame does not exist.
            EvidenceError: the file can no longer be read, or its decoder was lost; raised during the walk.
        """
        targets = sorted(set(wanted))
        if targets and not 0 <= targets[0] <= targets[-1] < self.count:
            raise IndexError(f"frames 0 to {self.count - 1} exist; {targets[0]} to {targets[-1]} were asked for")
        if self._walking is not None:
            self._walking.close()
        self.unreadable, self.damaged_packets = [], 0
        self._walking = self._walk(targets, every, keys_only)
        return self._walking

    def _walk(self, targets: list[int], every: bool, keys_only: bool) -> Generator[DecodedFrame]:
        self._end_last()
        if not targets:
            return
        self._under_way, last, slot_held, sought = True, -1, False, frozenset(targets)
        self._backlog.clear()
        try:
            self._ask(targets, protocol.Walk(every, keys_only))
            for number in count():
                if number and (slot_held or (not self._backlog and self._worker.has_no_buffered_answer)):
                    self._worker.send(protocol.Release(number - 1))
                answer, raw = self._backlog.popleft() if self._backlog else self._receive()
                if not isinstance(answer, protocol.Frame | protocol.End):
                    raise protocol.ProtocolError("pixels that were not requested")
                lost = _integers(raw[_LUMA_BYTES if isinstance(answer, protocol.Frame) else 0 :])
                if len(lost) and not 0 <= lost.min() <= lost.max() < self.count:
                    raise protocol.ProtocolError("lost frames that do not exist")
                self.unreadable += lost.tolist()
                self.damaged_packets = answer.damaged
                if isinstance(answer, protocol.End):
                    break
                self._current = number
                decoded_frame = self._decoded_frame(answer, raw, number, last, sought)
                last, slot_held = decoded_frame.index, decoded_frame.wanted
                yield decoded_frame
                self._current = -1
        except protocol.ProtocolError as problem:
            raise self._worker.protocol_error(problem) from None
        self._under_way = False
        _raise_broken(answer)

    def _ask(self, targets: list[int], request: protocol.Walk) -> None:
        wanted = np.array(targets, "<i8").tobytes()
        if self._slots is not None:
            self._worker.send(request, wanted)
            return
        shared = protocol.memory(3 * SLOTS * self._slot_pixels)
        try:
            self._slots = np.frombuffer(mmap.mmap(shared, 0, prot=mmap.PROT_READ), np.uint8).reshape(SLOTS, -1)
            self._worker.send(request, wanted, descriptors=[shared])
        finally:
            os.close(shared)

    def _decoded_frame(
        self, frame: protocol.Frame, raw: bytes, number: int, last: int, sought: frozenset[int]
    ) -> DecodedFrame:
        index, wanted, size = frame.index, frame.slot is not None, (frame.width, frame.height)
        if not last < index < self.count or (wanted and index not in sought):
            raise protocol.ProtocolError("a frame that was not requested")
        if frame.slot is not None and frame.slot > SLOTS - 2:
            raise protocol.ProtocolError("a slot that does not exist")
        if len(raw) < _LUMA_BYTES:
            raise protocol.ProtocolError("an incomplete frame")
        if frame.width * frame.height > self._slot_pixels:
            raise protocol.ProtocolError("a frame that its slot has no room for")
        luma = np.frombuffer(raw[:_LUMA_BYTES], np.uint8).reshape(LUMA_SHAPE)
        self._worker.extend_time_limit(_S_PER_FRAME + _S_PER_PIXEL * frame.width * frame.height)
        return DecodedFrame(
            index, self.time(index), luma, wanted, size, partial(self._pixels, number, frame.slot, size)
        )

    def _pixels(self, number: int, slot: int | None, size: tuple[int, int]) -> np.ndarray:
        slots = self._slots
        if number != self._current or slots is None:
            raise RuntimeError("the pixels of a frame must be asked for before the next frame is")
        if slot is None:
            self._worker.send(protocol.RequestPixels(number))
            while not isinstance((received := self._receive())[0], protocol.PixelsReady):
                self._backlog.append(received)
                _raise_broken(received[0])
                if len(self._backlog) > _MOST_UNREAD:
                    raise self._worker.protocol_error(protocol.ProtocolError("other frames than the requested one"))
        width, height = size
        stored: np.ndarray = slots[SLOTS - 1 if slot is None else slot][: 3 * width * height]
        return stored.reshape(height, width, 3).copy()  # the decoder could write to it at any time

    def _receive(self) -> tuple[protocol.WalkAnswer, bytes]:
        return self._worker.receive(protocol.WalkAnswer, _LUMA_BYTES + 8 * self.count)

    def _end_last(self) -> None:
        """Have the decoder end a walk that was left unfinished."""
        if self._under_way:
            self._worker.send(protocol.Stop())
            if not any(isinstance(self._receive()[0], protocol.End) for _ in range(_MOST_UNREAD)):
                raise self._worker.protocol_error(protocol.ProtocolError("no end"))
            self._under_way = False

    def _described(self, size: int) -> tuple[VideoFacts, FrameIndex]:
        """Return the facts and frame times that the decoder states, after checking that they are possible.

        Raises:
            ProtocolError: they are not possible.
        """
        described, raw = self._worker.receive(protocol.Described, min(8 * (size + 1024), _MOST_INDEX))
        facts, ticks = described.facts, _integers(raw)
        if not len(ticks) or not np.all(ticks[1:] > ticks[:-1]) or int(ticks[-1]) - int(ticks[0]) > _MOST_TICKS:
            raise protocol.ProtocolError("times are not ascending")
        if facts.frame_count != len(ticks):
            raise protocol.ProtocolError("the numbers of times and frames differ")
        if min(facts.width, facts.height) < 1 or facts.width * facts.height > self._max_pixels:
            raise protocol.ProtocolError("no pixels or too many")
        if not 0 <= facts.rotation <= 270 or max(abs(facts.start_s), abs(facts.duration_s or 0.0)) > _MOST_S:
            raise protocol.ProtocolError("a rotation or times that no video has")
        return facts, FrameIndex(ticks, np.empty(0, np.int64), Fraction(*described.time_base))


def _integers(raw: bytes) -> np.ndarray:
    if len(raw) % 8:
        raise protocol.ProtocolError("expected whole numbers")
    return np.frombuffer(raw, "<i8").astype(np.int64)


def _descriptor(evidence_file: EvidenceFile, stream: BinaryIO) -> int:
    """Return a new descriptor of the file: a decoder never gets a path."""
    return (
        os.dup(stream.fileno()) if evidence_file.content is None else protocol.shared_memory_with(evidence_file.content)
    )


def _raise_broken(answer: protocol.WalkAnswer) -> None:
    if isinstance(answer, protocol.End) and answer.broken:
        raise EvidenceError(answer.broken)
