"""A cache of recent results with a limit on memory; all threads may use it."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from faceloupe.report.build import ReportedAnalysis

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A cache of the most recently used values that fit into a number of bytes."""

    def __init__(self, size: Callable[[Value], int], capacity_bytes: int) -> None:
        """Create an empty cache.

        Args:
            size: returns the size of a value, bytes.
            capacity_bytes: largest total size; the newest value is kept even if it is larger.
        """
        self._size, self._capacity, self._lock = size, capacity_bytes, threading.Lock()
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the value; None if it is not in the cache."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def held(self) -> tuple[Key, ...]:
        """Return the keys of all cached values."""
        with self._lock:
            return tuple(self._kept)

    def put(self, key: Key, value: Value) -> None:
        """Cache a value, and remove the least recently used values that no longer fit."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._capacity:
                self._kept.popitem(last=False)


def analysis_bytes(reported: ReportedAnalysis) -> int:
    """Return the size of the pictures that an analysis holds, bytes."""
    arrays = [array for face in reported.faces for array in (face.crop, face.heatmap)]
    arrays += [array for track in reported.tracks for array in (track.crop, track.heatmap)]
    if reported.canvas is not None:
        arrays.append(reported.canvas.rgb)
    pixels = sum(array.nbytes for array in arrays if array is not None)
    return pixels + sum(len(observation.thumb) for track in reported.tracks for observation in track.observations)
