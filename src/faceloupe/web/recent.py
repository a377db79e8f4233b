"""Recent results, within bounds on memory. Any thread may call these."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from faceloupe.report.build import ReportedAnalysis

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The most recently used values, as many as fit."""

    def __init__(self, size: Callable[[Value], int], capacity_bytes: int) -> None:
        """Create an empty cache.

        Args:
            size: bytes that a value holds.
            capacity_bytes: of all values; the newest is kept even where it is larger.
        """
        self._size, self._capacity, self._lock = size, capacity_bytes, threading.Lock()
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the value, or None where it is not kept any more."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def held(self) -> tuple[Key, ...]:
        """Return the keys of all values that are kept."""
        with self._lock:
            return tuple(self._kept)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, and let go of those that were used longest ago."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._capacity:
                self._kept.popitem(last=False)


def analysis_bytes(reported: ReportedAnalysis) -> int:
    """Bytes of the pixels that an analysis holds."""
    arrays = [array for face in reported.faces for array in (face.crop, face.heatmap)]
    arrays += [array for track in reported.tracks for array in (track.crop, track.heatmap)]
    if reported.canvas is not None:
        arrays.append(reported.canvas.rgb)
    pixels = sum(array.nbytes for array in arrays if array is not None)
    return pixels + sum(len(observation.thumb) for track in reported.tracks for observation in track.observations)
