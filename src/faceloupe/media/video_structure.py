"""Structure of a video file, read without decoding: boxes and edit lists of an MP4, and the timing of the frames."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import BinaryIO

from faceloupe.media.boxes import FULL, file_boxes

MOST_PACKETS = 1000  # read from the first video track
_MOST_BOXES = 300
_MOST_EDITS = 20  # listed for a track
_DEEPEST = 8
_HOLDERS = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"dinf", b"udta", b"mvex", b"moof", b"traf"}


def box_tree(file: BinaryIO) -> str:
    """Return the names of the boxes of an MP4 (ISO/IEC 14496-12) in file order, with nested boxes in brackets.

    Args:
        file: the open file.
    """
    names = list[str]()

    def add(start: int, end: int, depth: int) -> str:
        parts = []
        for kind, body, size in file_boxes(file, start, end):
            if len(names) >= _MOST_BOXES:
                parts.append("...")
                break
            names.append(_name(kind))
            inner = add(body, body + size, depth + 1) if kind in _HOLDERS and depth < _DEEPEST else ""
            parts.append(_name(kind) + (f" ({inner})" if inner else ""))
        return ", ".join(parts)

    return add(0, file.seek(0, 2), 0)


def edit_lists(file: BinaryIO) -> Iterator[str]:
    """Yield the edit list of each track of an MP4 as text (8.6.6), with times in the units of the file.

    Args:
        file: the open file.
    """
    for _, movie, movie_size in _bodies_of_kind(file, b"moov", 0, file.seek(0, 2)):
        for number, track, track_size in _bodies_of_kind(file, b"trak", movie, movie_size):
            for _, edits, edits_size in _bodies_of_kind(file, b"edts", track, track_size):
                for _, start, size in _bodies_of_kind(file, b"elst", edits, edits_size):
                    file.seek(start)
                    entries = _edits(file.read(min(size, FULL + 4 + 20 * _MOST_EDITS)))
                    yield f"track {number + 1}: {'; '.join(entries) or 'empty'}"


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A frame as it is stored.

    Attributes:
        key: whether decoding can start at it.
        time: display time in ticks; None if the file does not state it.
    """

    key: bool
    time: int | None


def rhythm(frames: Sequence[CodedFrame], time_base: Fraction) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each fact that the frames of a track reveal about their coding.

    Args:
        frames: frames in file order.
        time_base: seconds per tick.
    """
    if not frames:
        return
    keys = [number for number, frame in enumerate(frames) if frame.key]
    yield "frames read", f"{len(frames):,}" + (" (the first ones)" if len(frames) == MOST_PACKETS else "")
    yield "key frames", f"{len(keys):,}"
    if gaps := [after - before for before, after in pairwise(keys)]:
        yield "frames from one key frame to the next", _spread(gaps)
    times = [frame.time for frame in frames if frame.time is not None]
    latest, late = -(2**63), 0
    for time in times:
        late += time < latest
        latest = max(latest, time)
    yield "frames shown before one that is stored earlier", f"{late:,}"
    times.sort()
    if steps := [float((after - before) * time_base) for before, after in pairwise(times)]:
        yield "seconds from one frame to the next", _spread([round(step, 6) for step in steps])


def _spread(values: Sequence[float]) -> str:
    least, most = min(values), max(values)
    return f"{least:g} each" if least == most else f"{least:g} to {most:g}, median {median(values):g}"


def _bodies_of_kind(file: BinaryIO, kind: bytes, start: int, size: int) -> list[tuple[int, int, int]]:
    """List the number, start and size of the body of each box of a kind."""
    bodies = [(body, length) for name, body, length in file_boxes(file, start, start + size) if name == kind]
    return [(number, *body) for number, body in enumerate(bodies)]


def _edits(body: bytes) -> Iterator[str]:
    wide = bool(body) and body[0] == 1
    form = ">QqI" if wide else ">IiI"
    for offset in range(FULL + 4, len(body) - struct.calcsize(form) + 1, struct.calcsize(form)):
        duration, start, rate = struct.unpack_from(form, body, offset)
        yield f"nothing for {duration}" if start == -1 else f"from {start} for {duration} at rate {rate / 65536:g}"


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalnum() or kind.isascii() else f"0x{kind.hex().upper()}"
