"""Boxes of AVIF and HEIC files (ISO/IEC 14496-12, 23008-12), read for data that the decoders do not expose."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MOST_BOXES = 20_000
FULL = 4  # bytes of the version and the flags of a full box


class Malformed(Exception):
    """The boxes violate their format."""


@dataclass(frozen=True, slots=True)
class MainPicture:
    """Properties of the main picture, and whether the data of all items is complete.

    Attributes:
        cicp: color primaries and transfer characteristics (H.273); None if the file states none.
        quarters: clockwise turns of 90 degrees that show the picture upright (irot).
        mirror: axis of the mirroring after the turns (imir): 0 exchanges top and bottom, 1 left and right; None without
            mirroring.
        whole: whether the data of every item lies within the file.
    """

    cicp: tuple[int, int] | None = None
    quarters: int = 0
    mirror: int | None = None
    whole: bool = True


def read(content: bytes) -> MainPicture:
    """Read the properties of the main picture from the boxes of a file.

    Raises:
        Malformed: the boxes cannot be read.
    """
    try:
        return _read(memoryview(content))
    except (struct.error, IndexError, StopIteration) as problem:
        raise Malformed(str(problem)) from problem


def _read(content: memoryview) -> MainPicture:
    meta = next((body[FULL:] for kind, body in walk(content) if kind == b"meta"), None)
    if meta is None:
        return MainPicture()
    parts = dict(reversed(list(walk(meta))))  # the first box of each kind counts
    located = extents(parts[b"iloc"]) if b"iloc" in parts else ()
    whole = all(extent.offset + extent.length <= len(content) for extent in located if extent.in_file)
    if b"pitm" not in parts or b"iprp" not in parts:
        return MainPicture(whole=whole)
    primary = uint(parts[b"pitm"], FULL, 4 if parts[b"pitm"][0] else 2)
    inner = list(walk(parts[b"iprp"]))
    properties = [box for kind, body in inner if kind == b"ipco" for box in walk(body)]
    cicp, quarters, mirror = None, 0, None
    stated = (entry for kind, body in inner if kind == b"ipma" for entry in associations(body))
    for item, number in stated:
        if item != primary or not 1 <= number <= len(properties):
            continue
        kind, body = properties[number - 1]
        if kind == b"colr" and bytes(body[:4]) == b"nclx":
            cicp = uint(body, 4, 2), uint(body, 6, 2)
        elif kind == b"irot":
            quarters = -(body[0] & 3) % 4
        elif kind == b"imir":
            mirror = body[0] & 1
    return MainPicture(cicp, quarters, mirror, whole)


def walk(within: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the kind and the body of each box; the body of the last box may be cut short."""
    offset = 0
    for _ in range(_MOST_BOXES):
        if offset + 8 > len(within):
            return
        size, kind = struct.unpack_from(">I4s", within, offset)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", within, offset + 8)
            head = 16
        elif size == 0:
            size = len(within) - offset
        if size < head:
            return
        yield kind, within[offset + head : offset + size]
        offset += size


def file_boxes(file: BinaryIO, offset: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the body offset and the body size of each box of a file that is too large to read as a whole."""
    for _ in range(_MOST_BOXES):
        if offset + 8 > end:
            return
        file.seek(offset)
        head = file.read(16)
        size, start = int.from_bytes(head[:4]), 8
        if size == 1:
            size, start = int.from_bytes(head[8:16]), 16
        elif size == 0:
            size = end - offset
        if size < start or offset + size > end:
            return
        yield head[4:8], offset + start, size - start
        offset += size


def uint(data: memoryview, offset: int, size: int) -> int:
    """Return the big-endian number of ``size`` bytes at ``offset``.

    Raises:
        IndexError: the data ends before the number does.
    """
    part = data[offset : offset + size]
    if len(part) < size:
        raise IndexError("a number that is cut short")
    return int.from_bytes(part)


def associations(body: memoryview) -> Iterator[tuple[int, int]]:
    """Yield each item id with the number (from 1) of one of its properties, from the body of ``ipma``.

    Raises:
        IndexError: the body is cut short.
    """
    version, wide = body[0], body[3] & 1
    of_id, step = 2 if version < 1 else 4, 2 if wide else 1
    offset = FULL + 4
    for _ in range(uint(body, FULL, 4)):
        item, count = uint(body, offset, of_id), uint(body, offset + of_id, 1)
        offset += of_id + 1
        for number in range(count):
            yield item, uint(body, offset + step * number, step) & (0x7FFF if wide else 0x7F)
        offset += step * count


@dataclass(frozen=True, slots=True)
class Extent:
    """A contiguous part of the data of an item.

    Attributes:
        item: id of the item.
        in_file: whether ``offset`` counts from the start of the file; otherwise it counts from another position in the
            boxes.
        offset, length: bytes.
    """

    item: int
    in_file: bool
    offset: int
    length: int


def extents(body: memoryview) -> Iterator[Extent]:
    """Yield the extents of all items, from the body of ``iloc``.

    Raises:
        IndexError: the body is cut short.
    """
    version = body[0]
    of_offset, of_length = body[FULL] >> 4, body[FULL] & 15
    of_base, of_index = body[FULL + 1] >> 4, (body[FULL + 1] & 15 if version in (1, 2) else 0)
    of_id = 4 if version == 2 else 2
    position = FULL + 2 + of_id
    for _ in range(uint(body, FULL + 2, of_id)):
        item, method = uint(body, position, of_id), 0
        position += of_id
        if version in (1, 2):
            method = uint(body, position, 2) & 15
            position += 2
        base = uint(body, position + 2, of_base)
        count = uint(body, position + 2 + of_base, 2)
        position += 4 + of_base
        for _ in range(count if of_index + of_offset + of_length else min(count, 1)):  # empty entries are all equal
            offset = uint(body, position + of_index, of_offset)
            length = uint(body, position + of_index + of_offset, of_length)
            position += of_index + of_offset + of_length
            yield Extent(item, method == 0, base + offset, length)
