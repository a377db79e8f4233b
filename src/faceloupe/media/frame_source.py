"""Common base of videos and animations: their facts, and their frames, decoded one at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import numpy as np

from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.media.evidence import AS_STORED, Shown
from faceloupe.media.frame_index import FrameIndex

LUMA_SHAPE = (36, 64)
DAMAGED = "The {} data is damaged, incomplete or of an unsupported variant; get a complete copy."


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Facts about a video, known before faces are detected.

    Attributes:
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the video codec.
        pixel_format: FFmpeg's name of the format of the decoded pixels.
        width: width of the upright picture, pixels.
        height: height of the upright picture, pixels.
        rotation: clockwise turn that was applied to show the picture upright, degrees: 0, 90, 180 or 270.
        duration_s: time from the first frame to the end of the last, seconds, by the timestamps; the last frame is
            assumed to last for the average time of a frame. None for a single frame without a frame rate.
        frame_rate: average frames per second: the value stated by the container if its timestamps agree, otherwise
            computed from the timestamps. None if neither is available.
        frame_count: number of frames in the container, each with a timestamp.
        variable_frame_rate: whether the time between frames varies by more than rounding.
        audio: FFmpeg's names of the codecs of the audio streams.
        start_s: timestamp of the first frame in the container, seconds.
        notes: what was done or left undone, one sentence each.
        shown: conversions that show its frames as a player does.
        unshown: color conversion that a player may apply and that could not be applied here; empty if there is none. No
            verdict can rest on such frames.
    """

    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    duration_s: float | None
    frame_rate: Fraction | None
    frame_count: int
    variable_frame_rate: bool
    audio: tuple[str, ...]
    start_s: float
    notes: tuple[str, ...]
    shown: Shown = AS_STORED
    unshown: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One decoded frame. It holds the memory of the frame: keep only a few, and none after the end of the walk.

    Attributes:
        index: position in display order, from 0.
        time: exact time since the first frame, seconds.
        luma: ``LUMA_SHAPE`` uint8, a coarse gray copy as stored (not turned upright), 0..255.
        wanted: whether the frame was requested; otherwise it was decoded on the way.
        size: width and height in pixels, upright and with square pixels; it may change within a video.
    """

    index: int
    time: Fraction
    luma: np.ndarray
    wanted: bool
    size: tuple[int, int]
    _pixels: Callable[[], np.ndarray] = field(repr=False)

    def rgb(self) -> np.ndarray:
        """Convert the frame to (H, W, 3) uint8 RGB, upright.

        Raises:
            EvidenceError: the colors cannot be converted.
        """
        return self._pixels()


class FrameTimes:
    """Display times of the frames of an open file. A subclass sets ``_index`` when it opens the file."""

    _index: FrameIndex

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self._index.ticks)

    def time(self, index: int) -> Fraction:
        """Return the exact time from the first frame to the frame at ``index``, in seconds."""
        return self._index.time(index)

    def index_at(self, seconds: float | Fraction) -> int:
        """Return the index of the frame on screen ``seconds`` after the first; see ``FrameIndex.at``."""
        return self._index.at(seconds)


class FrameSource(FrameTimes, ABC):
    """The frames of an open file. A subclass sets ``facts`` and ``_index`` when it opens the file.

    Attributes:
        facts: facts about the file.
        unreadable: indices of the wanted frames that could not be decoded in the last walk so far.
        damaged_packets: number of decoding failures in the last walk so far.
    """

    facts: VideoFacts

    def __init__(self, format_name: str, check: Callable[[], None]) -> None:
        """Start without a walk.

        Args:
            format_name: format of the file, for messages.
            check: called between the steps of decoding; an exception that it raises ends the work.
        """
        self._format_name, self._check = format_name, check
        self._walking: Generator[DecodedFrame] | None = None
        self.unreadable: list[int] = []
        self.damaged_packets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End an unfinished walk; the stream stays open."""
        if self._walking is not None:
            self._walking.close()

    @property
    def index(self) -> FrameIndex:
        """The timestamps of all frames."""
        return self._index

    def walk(self, wanted: Iterable[int], *, every: bool, keys_only: bool = False) -> Iterator[DecodedFrame]:
        """Decode the wanted frames in display order. A new walk ends the previous one.

        Args:
            wanted: indices of frames.
            every: whether to yield all frames from the key frame before the first wanted frame to the last wanted
                frame; otherwise, only wanted frames are yielded, and the others are skipped if possible.
            keys_only: whether to yield only frames at which decoding can start, from the first wanted frame to the
                last, at least ``video.KEYS_APART_S`` apart, for a quick pass over a long video; an animation yields
                every frame.

        Raises:
            IndexError: a wanted frame does not exist.
            EvidenceError: the file can no longer be read; raised during the walk.
        """
        targets = sorted(set(wanted))
        if targets and not 0 <= targets[0] <= targets[-1] < self.count:
            raise IndexError(f"frames 0 to {self.count - 1} exist; {targets[0]} to {targets[-1]} were asked for")
        self.close()
        self.unreadable, self.damaged_packets = [], 0
        self._walking = self._decode(targets, every=every, keys_only=keys_only)
        return self._walking

    @abstractmethod
    def _decode(self, targets: list[int], *, every: bool, keys_only: bool) -> Generator[DecodedFrame]:
        """Yield frames for ``walk``; ``targets`` are sorted and unique."""


@contextmanager
def decoder_errors(format_name: str) -> Iterator[None]:
    """Turn any exception of a decoder into an ``EvidenceError``.

    On a hostile file, a decoder can raise anything; each exception means that the file cannot be read.

    Args:
        format_name: format of the file.

    Raises:
        EvidenceError: the block raised an exception other than a ``FaceLoupeError`` or a ``MemoryError``.
    """
    try:
        yield
    except (FaceLoupeError, MemoryError):
        raise
    except Exception as problem:
        raise EvidenceError(DAMAGED.format(format_name)) from problem
