"""Whether JPEG data is whole: its decoder fills what is missing or damaged in silence."""

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
_lock = threading.Lock()  # the stream of errors is one for the whole process
_SCAN, _TABLES, _SEQUENTIAL = 0xDA, 0xC4, (0xC0, 0xC1)
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x00, 0x01, *range(0xD0, 0xDA)}
_EACH_BYTE = np.uint64(0x0101010101010101)
_RUN = 16  # equal bytes in a row: 128 bits of a picture that all say the same


def ended(content: bytes) -> bytes:
    """Return the data with the end marker that it lacks."""
    return content + _END


def lacks_end(content: bytes) -> bool:
    """Whether nothing marks the end of the picture. A preview inside of its metadata has an end of its own."""
    return content.find(_END, _first_scan(content).start) < 0


def is_cut(content: bytes, pixels: np.ndarray) -> bool:
    """Whether the data ends before the picture does, behind an end marker that hides it.

    Bytes put in before the end marker change nothing where the picture is complete, as the decoder has seen its last
    block by then; where it is not, they are taken for picture.

    Args:
        content: of the whole file.
        pixels: as they were decoded.
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
    """Return the warning of libjpeg about the data: empty where there is none; None where it cannot read this kind.

    Only OpenCV's copy of libjpeg says anything, and says it on the stream of errors, which is read here.
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
    """Length of the longest run of one byte in a sequential picture's data, where no picture makes such a run; else 0.

    Damage within one restart interval often passes the decoder without a word. What storage puts in place of lost data
    is mostly one byte, again and again. A picture has as many equal bits where block follows block without any change,
    and the codes for that happen to make them.
    """
    scan = _first_scan(content)
    if not scan.start or not scan.sequential:
        return 0
    end = content.find(_END, scan.start)
    data = np.frombuffer(content, np.uint8)[scan.start : None if end < 0 else end]
    chunks = data[: len(data) // 8 * 8].copy().view(np.uint64)  # a run of 16 holds one whole, wherever it begins
    if not (chunks == (chunks & 0xFF) * _EACH_BYTE).any():
        return 0
    starts = np.flatnonzero(np.diff(data, prepend=~data[:1], append=~data[-1:]))  # of runs, and the end of the last
    lengths = np.diff(starts)
    natural = {0xFF, *_natural_runs(scan)}  # 0xff fills the room between markers
    return max(
        (int(lengths[at]) for at in np.flatnonzero(lengths >= _RUN) if data[starts[at]] not in natural), default=0
    )


@dataclass(frozen=True, slots=True)
class _Scan:
    """The first scan of a picture.

    Attributes:
        start: where its data begins; 0 where there is none.
        sequential: whether its blocks are whole, and coded as Huffman did.
        blocks: for each component of the picture, by its number, how many blocks of it lie side by side.
        parts: number of each component of the scan, and of its tables for means and for the rest.
        unchanged: code for "no change", by class and number of the table.
    """

    start: int = 0
    sequential: bool = False
    blocks: dict[int, int] = field(default_factory=dict)
    parts: tuple[tuple[int, int, int], ...] = ()
    unchanged: dict[tuple[int, int], str] = field(default_factory=dict)


def _natural_runs(scan: _Scan) -> set[int]:
    """Bytes that blocks without any change make again and again."""
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
        if content[offset] != 0xFF or marker == 0xFF:  # anything may stand between, and filler in front of a marker
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
    """Class and number of Huffman tables (ITU-T T.81, B.2.4.2), and their codes for the symbol 0."""
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
