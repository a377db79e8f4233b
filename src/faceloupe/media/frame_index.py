"""Timestamps of a video's frames, which ``packet_scan`` collects."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_SLACK = Fraction(1, 1000)  # of a tick: a time given as a float may lie just below the timestamp that it was read from


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """The timestamps of all frames in display order: about 8 bytes per frame.

    Attributes:
        ticks: (N,) int64, strictly ascending, N >= 1.
        keys: (K,) int64, indices of the frames at which decoding can start, ascending.
        time_base: seconds per tick.
        counted: whether a decoded frame is identified by its position instead of its timestamp.
    """

    ticks: np.ndarray
    keys: np.ndarray
    time_base: Fraction
    counted: bool = False

    def time(self, index: int) -> Fraction:
        """Return the exact time from the first frame to the frame at ``index``, in seconds."""
        return int(self.ticks[index] - self.ticks[0]) * self.time_base

    def at(self, seconds: float | Fraction) -> int:
        """Return the index of the frame that is on screen ``seconds`` after the first frame.

        Times before the first frame or after the last frame return the first or last index.
        """
        tick = math.floor(Fraction(seconds) / self.time_base + _SLACK) + int(self.ticks[0])
        return max(bisect_right(self.ticks, tick) - 1, 0)

    def find(self, tick: int | None) -> int | None:
        """Return the index of the frame with the timestamp ``tick``; None if there is no such frame."""
        if tick is None:
            return None
        index = bisect_left(self.ticks, tick)
        return index if index < len(self.ticks) and self.ticks[index] == tick else None

    def key_before(self, index: int) -> int:
        """Return the index of the last frame up to ``index`` at which decoding can start; 0 if none is known."""
        position = bisect_right(self.keys, index)
        return int(self.keys[position - 1]) if position else 0
