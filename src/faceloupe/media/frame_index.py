"""The timestamps of a video's frames. See ``packet_scan`` for where they come from."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_SLACK = Fraction(1, 1000)  # of a tick: a time given as a float may lie just below the frame it was read from


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """The timestamps of all frames, in order of display: some 8 bytes a frame.

    Attributes:
        ticks: (N,) int64, strictly ascending, N >= 1.
        keys: (K,) int64, indices of the frames that decoding can start at, ascending.
        time_base: seconds a tick.
        counted: whether a decoded frame is identified by its position, not by its timestamp.
    """

    ticks: np.ndarray
    keys: np.ndarray
    time_base: Fraction
    counted: bool = False

    def time(self, index: int) -> Fraction:
        """Seconds from the first frame to that one, exact."""
        return int(self.ticks[index] - self.ticks[0]) * self.time_base

    def at(self, seconds: float | Fraction) -> int:
        """Index of the frame on screen so many seconds after the first; the first or last one beyond the ends."""
        tick = math.floor(Fraction(seconds) / self.time_base + _SLACK) + int(self.ticks[0])
        return max(bisect_right(self.ticks, tick) - 1, 0)

    def find(self, tick: int | None) -> int | None:
        """Index of the frame with that timestamp, if there is one."""
        if tick is None:
            return None
        index = bisect_left(self.ticks, tick)
        return index if index < len(self.ticks) and self.ticks[index] == tick else None

    def key_before(self, index: int) -> int:
        """Index of the last frame up to that one that decoding can start at; 0 where none is known."""
        position = bisect_right(self.keys, index)
        return int(self.keys[position - 1]) if position else 0
