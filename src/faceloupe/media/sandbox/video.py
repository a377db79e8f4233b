"""A video whose decoder is a process of its own."""

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
_S_PER_FRAME, _S_PER_PIXEL = 0.1, 1e-7  # allowed for each frame that is delivered
_MOST_UNREAD = 2 * LOOK_AHEAD  # messages
_MOST, _MOST_INDEX, _MOST_TICKS = 2**31 - 1, 2**28, 2**62
_MOST_S = 1e10  # seconds from the first frame to the last, and before it


class IsolatedVideo(FrameTimes):
    """The same as ``media.video.Video``, decoded elsewhere. One thread at a time may use it.

    Attributes:
        facts: what is known of the video.
        unreadable: of the last walk so far, the indices of wanted frames that could not be decoded.
        damaged_packets: of the last walk so far, how often the decoder refused a packet.
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
            stream: of ``evidence_file.open()``; it stays the caller's, who must not move it.
            settings: with the limits.
            check: called while the decoder is waited for; what it raises ends the work.

        Raises:
            EvidenceError: see ``Video``; or its decoder crashed, hung, or needed too much memory.
        """
        self.unreadable: list[int] = []
        self.damaged_packets = 0
        self._walking: Generator[DecodedFrame] | None = None
        self._slots: np.ndarray | None = None
        self._max_pixels = settings.max_pixels
        self._under_way, self._current = False, -1  # whether a walk is, and the number of its frame that is analyzed
        self._backlog: deque[protocol.Message] = deque()  # came while pixels were waited for
        evidence = _descriptor(evidence_file, stream)
        try:
            request = {"kind": "video", "format": evidence_file.evidence.format}
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
        """Decode the wanted frames, in order of display; see ``Video.walk``. A new walk ends the one before.

        The pixels of a frame must be asked for before the next one is.

        Raises:
            IndexError: there is no such frame.
            EvidenceError: while it is walked: the file can no longer be read, or its decoder was lost.
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
            self._ask(targets, {"every": every, "keys": keys_only})
            for number in count():
                if number and (slot_held or (not self._backlog and self._worker.silent)):
                    self._worker.send({"release": number - 1})
                message = self._backlog.popleft() if self._backlog else self._receive()
                lost = _integers(message.raw[0 if "end" in message.facts else _LUMA_BYTES :])
                if len(lost) and not 0 <= lost.min() <= lost.max() < self.count:
                    raise protocol.ProtocolError("lost frames that do not exist")
                self.unreadable += lost.tolist()
                self.damaged_packets = message.number("damaged", most=_MOST)
                if "end" in message.facts:
                    break
                self._current = number
                decoded_frame = self._decoded_frame(message, number, last, sought)
                last, slot_held = decoded_frame.index, decoded_frame.wanted
                yield decoded_frame
                self._current = -1
        except protocol.ProtocolError as problem:
            raise self._worker.protocol_error(problem) from None
        self._under_way = False
        _raise_broken(message)

    def _ask(self, targets: list[int], request: dict[str, bool]) -> None:
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

    def _decoded_frame(self, message: protocol.Message, number: int, last: int, sought: frozenset[int]) -> DecodedFrame:
        index = message.number("frame", least=last + 1, most=self.count - 1)
        wanted = message.facts.get("wanted") is True
        if wanted and index not in sought:
            raise protocol.ProtocolError("a frame that was not requested")
        slot = message.number("slot", most=SLOTS - 2) if wanted else None
        if len(message.raw) < _LUMA_BYTES:
            raise protocol.ProtocolError("an incomplete frame")
        luma = np.frombuffer(message.raw[:_LUMA_BYTES], np.uint8).reshape(LUMA_SHAPE)
        width, height = (message.number(side, least=1, most=self._slot_pixels) for side in ("width", "height"))
        if width * height > self._slot_pixels:
            raise protocol.ProtocolError("a frame that its slot has no room for")
        self._worker.grant(_S_PER_FRAME + _S_PER_PIXEL * width * height)
        pixels = partial(self._pixels, number, slot, (width, height))
        return DecodedFrame(index, self.time(index), luma, wanted, (width, height), pixels)

    def _pixels(self, number: int, slot: int | None, size: tuple[int, int]) -> np.ndarray:
        slots = self._slots
        if number != self._current or slots is None:
            raise RuntimeError("the pixels of a frame must be asked for before the next frame is")
        if slot is None:
            self._worker.send({"rgb": number})
            while "rgb" not in (message := self._receive()).facts:
                self._backlog.append(message)
                _raise_broken(message)
                if len(self._backlog) > _MOST_UNREAD:
                    raise self._worker.protocol_error(protocol.ProtocolError("other frames than the requested one"))
        width, height = size
        stored: np.ndarray = slots[SLOTS - 1 if slot is None else slot][: 3 * width * height]
        return stored.reshape(height, width, 3).copy()  # the decoder could write to it at any time

    def _receive(self) -> protocol.Message:
        return self._worker.receive(_LUMA_BYTES + 8 * self.count)

    def _end_last(self) -> None:
        """Have the decoder end a walk that was left half way."""
        if self._under_way:
            self._worker.send({"stop": True})
            if not any("end" in self._receive().facts for _ in range(_MOST_UNREAD)):
                raise self._worker.protocol_error(protocol.ProtocolError("no end"))
            self._under_way = False

    def _described(self, size: int) -> tuple[VideoFacts, FrameIndex]:
        """Return what the decoder states about the video, checked against what is possible."""
        message = self._worker.receive(min(8 * (size + 1024), _MOST_INDEX))
        ticks = _integers(message.raw)
        if not len(ticks) or not np.all(ticks[1:] > ticks[:-1]) or int(ticks[-1]) - int(ticks[0]) > _MOST_TICKS:
            raise protocol.ProtocolError("times are not ascending")
        facts = _facts(message, self._max_pixels)
        if facts.frame_count != len(ticks):
            raise protocol.ProtocolError("the numbers of times and frames differ")
        time_base = Fraction(*(message.number(part, least=1, most=_MOST) for part in ("time_base", "ticks_per")))
        return facts, FrameIndex(ticks, np.empty(0, np.int64), time_base)


def _integers(raw: bytes) -> np.ndarray:
    if len(raw) % 8:
        raise protocol.ProtocolError("expected whole numbers")
    return np.frombuffer(raw, "<i8").astype(np.int64)


def _descriptor(evidence_file: EvidenceFile, stream: BinaryIO) -> int:
    """Return a new descriptor of the file: a decoder never gets a path."""
    return os.dup(stream.fileno()) if evidence_file.content is None else protocol.filled(evidence_file.content)


def _raise_broken(end: protocol.Message) -> None:
    if "broken" in end.facts:
        raise EvidenceError(end.text("broken"))


def _facts(message: protocol.Message, max_pixels: int) -> VideoFacts:
    width, height = (message.number(side, least=1, most=max_pixels) for side in ("width", "height"))
    if width * height > max_pixels:
        raise protocol.ProtocolError("too many pixels")
    rate = message.numbers("frame_rate", most=2**63)
    if rate and (len(rate) != 2 or not all(rate)):
        raise protocol.ProtocolError("frame rate unknown")
    return VideoFacts(
        container=message.text("container"),
        codec=message.text("codec"),
        pixel_format=message.text("pixel_format"),
        width=width,
        height=height,
        rotation=message.number("rotation", most=270),
        duration_s=None if message.facts.get("duration_s") is None else message.seconds("duration_s", most=_MOST_S),
        frame_rate=Fraction(*rate) if rate else None,
        frame_count=message.number("frame_count", least=1, most=_MOST),
        variable_frame_rate=message.facts.get("variable_frame_rate") is True,
        audio=message.texts("audio"),
        start_s=message.seconds("start_s", most=_MOST_S),
        notes=message.texts("notes"),
        shown=message.shown(),
        unshown=message.text("unshown"),
    )
