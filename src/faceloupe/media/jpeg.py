"""Checks whether JPEG data is complete, because the decoder silently fills in missing or damaged data."""

import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

_END = b"\xff\xd9"
_FILLER = b"\x55" * 4096
_LONGEST_WARNING = 200
_STDERR = 2
_lock = threading.Lock()  # stderr is shared by the whole process
_SCAN, _TABLES, _SEQUENTIAL = 0xDA, 0xC4, (0xC0, 0xC1)
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x00, 0x01, *range(0xD0, 0xDA)}
_EACH_BYTE = np.uint64(0x0101010101010101)
_RUN = 16  # equal bytes in a row that count as overwritten: 128 bits


def with_end_marker(content: bytes) -> bytes:
    """Return the data with an end marker appended."""
    return content + _END


def lacks_end(content: bytes) -> bool:
    """Return whether the picture has no end marker.

    The search starts behind the metadata, because a preview in the metadata has its own end marker.
    """
    return content.find(_END, _first_scan(content).start) < 0


def is_cut(content: bytes, pixels: np.ndarray) -> bool:
    """Return whether the data ends before the picture does, although an end marker hides this.

    Filler bytes are inserted before the end marker. If the picture is complete, the decoder has read its last block by
    then, and the pixels do not change. Otherwise, the filler is decoded as part of the picture.

    Args:
        content: bytes of the whole file.
        pixels: the pixels decoded from ``content``.
    """
    end = content.rfind(_END)
    if end < 0:
        return True
    try:
        with Image.open(io.BytesIO(content[:end] + _FILLER + content[end:]), formats=["JPEG"]) as probe:
            return not np.array_equal(np.asarray(probe), pixels)
    except Exception:  # noqa: BLE001 - filler that is taken for picture can break the decoder
        return True


def warning(content: bytes) -> str | None:
    """Return the warning of libjpeg about the data: empty if there is none; None if it cannot read this kind of JPEG.

    Only OpenCV's copy of libjpeg reports warnings. It writes them to stderr, which is captured here.
    """
    with _lock:
        reading, writing = os.pipe()
        saved_stderr = os.dup(_STDERR)
        try:
            os.set_blocking(writing, False)
            os.dup2(writing, _STDERR)
            decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        except cv2.error:
            decoded = None
        finally:
            os.dup2(saved_stderr, _STDERR)
            os.close(saved_stderr)
            os.close(writing)
        with open(reading, "rb") as stream:
            output = stream.read().decode("ascii", "replace")
    if decoded is None:
        return None
    text = "".join(letter if letter.isprintable() else " " for letter in output)
    return " ".join(text.split())[:_LONGEST_WARNING]


def overwritten(content: bytes) -> int:
    """Return the length of the longest run of one byte that no picture produces; 0 if there is no such run.

    Only sequential pictures are checked. The decoder often passes damage within one restart interval without a warning.
    Storage mostly replaces lost data with one repeated byte. A picture contains as many equal bits only if consecutive
    blocks do not change at all, and if their codes happen to produce that byte.
    """
    scan = _first_scan(content)
    if not scan.start or not scan.sequential:
        return 0
    end = content.find(_END, scan.start)
    data = np.frombuffer(content, np.uint8)[scan.start : None if end < 0 else end]
    chunks = data[: len(data) // 8 * 8].copy().view(np.uint64)  # a run of 16 bytes contains a whole chunk at any offset
    if not (chunks == (chunks & 0xFF) * _EACH_BYTE).any():
        return 0
    starts = np.flatnonzero(np.diff(data, prepend=~data[:1], append=~data[-1:]))  # of runs, and the end of the last run
    lengths = np.diff(starts)
    natural = {0xFF, *_natural_runs(scan)}  # 0xff pads the space between markers
    return max(
        (int(lengths[at]) for at in np.flatnonzero(lengths >= _RUN) if data[starts[at]] not in natural), default=0
    )


@dataclass(frozen=True, slots=True)
class _Scan:
    """The first scan of a picture.

    Attributes:
        start: offset of its data; 0 if there is no scan.
        sequential: whether the picture is coded sequentially with Huffman codes (SOF0, SOF1).
        blocks: number of blocks per coded unit (MCU), by the id of the component.
        parts: for each component of the scan: its id, and the numbers of its DC and AC tables.
        unchanged: code for "no change" as bits, by class and number of the Huffman table.
    """

    start: int = 0
    sequential: bool = False
    blocks: dict[int, int] = field(default_factory=dict)
    parts: tuple[tuple[int, int, int], ...] = ()
    unchanged: dict[tuple[int, int], str] = field(default_factory=dict)


def _natural_runs(scan: _Scan) -> set[int]:
    """Return the byte values that unchanged blocks repeat."""
    unit = ""
    for component, mean, rest in scan.parts:
        block = scan.unchanged.get((0, mean), "") + scan.unchanged.get((1, rest), "")
        unit += block * (scan.blocks.get(component, 1) if len(scan.parts) > 1 else 1)
    bits = unit * 16
    return {int(bits[turn : turn + 8], 2) for turn in range(8)} if unit and bits[8:] == bits[:-8] else set()


def _first_scan(content: bytes) -> _Scan:
    offset, sequential = 2, False
    blocks: dict[int, int] = {}
    unchanged: dict[tuple[int, int], str] = {}
    while offset + 4 <= len(content):
        marker = content[offset + 1]
        if content[offset] != 0xFF or marker == 0xFF:  # stray bytes, or filler before a marker
            offset += 1
            continue
        if marker in _STANDALONE:
            offset += 2
            continue
        body = content[offset + 4 : offset + 2 + int.from_bytes(content[offset + 2 : offset + 4])]
        offset += 4 + len(body)
        if marker in _FRAMES:
            sequential = marker in _SEQUENTIAL
            blocks = {body[at]: (body[at + 1] >> 4) * (body[at + 1] & 15) for at in range(6, len(body) - 2, 3)}
        elif marker == _TABLES:
            unchanged |= dict(_unchanged(body))
        elif marker == _SCAN:
            parts = tuple((body[at], body[at + 1] >> 4, body[at + 1] & 15) for at in range(1, len(body) - 4, 2))
            return _Scan(offset, sequential, blocks, parts, unchanged)
    return _Scan()


def _unchanged(tables: bytes) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield class and number of each Huffman table (ITU-T T.81, B.2.4.2), and its code for the symbol 0 as bits."""
    offset = 0
    while offset + 17 <= len(tables):
        counts = tables[offset + 1 : offset + 17]
        symbols = tables[offset + 17 : offset + 17 + sum(counts)]
        code = number = 0
        for length, count in enumerate(counts, 1):
            code <<= 1
            if (at := symbols.find(0, number, number + count)) >= 0:
                yield (tables[offset] >> 4, tables[offset] & 15), f"{code + at - number:0{length}b}"
            code, number = code + count, number + count
        offset += 17 + sum(counts)
