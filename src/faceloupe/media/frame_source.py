"""What videos and animations have in common: their facts, and their frames, decoded one at a time."""

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
    """What is known of a video before a face is looked for.

    Attributes:
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the video codec.
        pixel_format: FFmpeg's name of how the decoded pixels are stored.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        rotation: clockwise turn that was applied to show the picture upright, degrees: 0, 90, 180 or 270.
        duration_s: from the first frame to the end of the last, seconds, by the timestamps; the last frame is taken to
            last as long as one does on average. None where a single frame leaves it open.
        frame_rate: average, frames per second: what the container states where its timestamps agree, else what they
            give. None where neither tells.
        frame_count: frames that the container holds, each with a timestamp.
        variable_frame_rate: whether the time between frames varies by more than rounding.
        audio: FFmpeg's names of the codecs of the audio streams.
        start_s: timestamp of the first frame in the container, seconds.
        notes: what was done or left undone, one sentence each.
        shown: what was done to show its frames as a player would.
        unshown: the color treatment that a player may apply and that could not be applied here; empty where none is.
            No verdict can rest on such frames.
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
    """One decoded frame. It holds the frame's memory: keep few, and none longer than its walk goes on.

    Attributes:
        index: place in the order of display, from 0.
        time: seconds since the first frame, exact.
        luma: ``LUMA_SHAPE`` uint8, a coarse gray copy as stored (not turned upright), 0..255.
        wanted: whether it was asked for; else it was decoded on the way.
        size: width and height in pixels, upright and with square pixels; it may change within a video.
    """

    index: int
    time: Fraction
    luma: np.ndarray
    wanted: bool
    size: tuple[int, int]
    _pixels: Callable[[], np.ndarray] = field(repr=False)

    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright, converted now.

        Raises:
            EvidenceError: its colors cannot be converted.
        """
        return self._pixels()


class FrameTimes:
    """When the frames of an open file are shown. A subclass sets ``_index`` when it opens the file."""

    _index: FrameIndex

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self._index.ticks)

    def time(self, index: int) -> Fraction:
        """Seconds from the first frame to that one, exact."""
        return self._index.time(index)

    def index_at(self, seconds: float | Fraction) -> int:
        """Index of the frame on screen so many seconds after the first; the first or last one beyond the ends."""
        return self._index.at(seconds)


class FrameSource(FrameTimes, ABC):
    """The frames of an open file. A subclass sets ``facts`` and ``_index`` when it opens the file.

    Attributes:
        facts: what is known of the file.
        unreadable: of the last walk so far, the indices of wanted frames that could not be decoded.
        damaged_packets: of the last walk so far, how often decoding failed.
    """

    facts: VideoFacts

    def __init__(self, format_name: str, check: Callable[[], None]) -> None:
        """Start without a walk.

        Args:
            format_name: of the file, for messages.
            check: called between the steps of decoding; what it raises ends the work.
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
        """Decode the wanted frames, in order of display. A new walk ends the one before.

        Args:
            wanted: indices of frames.
            every: yield also what is decoded on the way, which then is every frame from the key frame before the first
                wanted one to the last wanted one; else what can be skipped is skipped, and only wanted ones are given.
            keys_only: yield only frames that decoding can start at, from the first wanted one to the last, spaced by
                ``video.KEYS_APART_S`` or more, for a quick pass over a long video; an animation yields every frame.

        Raises:
            IndexError: there is no such frame.
            EvidenceError: while it is walked: the file can no longer be read.
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
        """Decode frames for ``walk``; ``targets`` are sorted, each once."""


@contextmanager
def guarded(format_name: str) -> Iterator[None]:
    """Turn what a decoder raises into one error.

    On a hostile file that can be anything, and each means that the file cannot be read.

    Args:
        format_name: of the file.

    Raises:
        EvidenceError: the steps within raised something else than our own errors.
    """
    try:
        yield
    except (FaceLoupeError, MemoryError):
        raise
    except Exception as problem:
        raise EvidenceError(DAMAGED.format(format_name)) from problem
