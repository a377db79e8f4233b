"""Structure of a JPEG file: its segments, quantization tables and color sampling (ITU-T T.81)."""

from collections.abc import Iterator

import msgspec

_MOST_SEGMENTS = 20_000
_MARKERS = {
    0xC0: "SOF0 (baseline)",
    0xC1: "SOF1 (extended)",
    0xC2: "SOF2 (progressive)",
    0xC4: "DHT",
    0xDA: "SOS",
    0xDB: "DQT",
    0xDD: "DRI",
    0xFE: "COM",
}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NAMES = (
    *("JFIF", "JFXX", "Exif", "http://ns.adobe.com/xap/1.0/", "http://ns.adobe.com/xmp/extension/", "ICC_PROFILE"),
    *("MPF", "Photoshop 3.0", "Adobe", "Ducky"),
)


class JpegStructure(msgspec.Struct, frozen=True):
    """Structure of a JPEG file.

    Attributes:
        segments: names of the segments in file order, up to the first scan.
        tables: quantization tables by their number, 64 steps each in zigzag order.
        sampling: horizontal and vertical sampling factors of each component, such as ``2x2``.
        table_of: number of the quantization table of each component.
        progressive: whether the picture is coded progressively.
        bits: bits per sample.
    """

    segments: tuple[str, ...] = ()
    tables: dict[int, tuple[int, ...]] = {}
    sampling: tuple[str, ...] = ()
    table_of: tuple[int, ...] = ()
    progressive: bool = False
    bits: int = 8


def segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the body of each segment up to the first scan, including its header.

    Args:
        content: bytes of the file.
    """
    offset = 2
    for _ in range(_MOST_SEGMENTS):
        if content[offset : offset + 1] != b"\xff" or offset + 4 > len(content):
            return
        marker = content[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        body = content[offset + 4 : offset + 2 + int.from_bytes(content[offset + 2 : offset + 4])]
        offset += 4 + len(body)
        yield marker, body
        if marker in (0xD9, 0xDA):
            return


def read(content: bytes) -> JpegStructure:
    """Read the structure of a JPEG file up to its first scan, or as far as a truncated file goes.

    Args:
        content: bytes of the file.
    """
    names, tables, frame, progressive = list[str](), dict[int, tuple[int, ...]](), b"", False
    for marker, body in segments(content):
        names.append(_name(marker, body))
        if marker == 0xDB:
            tables |= _tables(body)
        elif marker in _FRAMES:
            frame, progressive = body, marker in (0xC2, 0xC6, 0xCA, 0xCE)
    parts = [frame[at : at + 3] for at in range(6, len(frame) - 2, 3)]
    return JpegStructure(
        tuple(names),
        tables,
        tuple(f"{part[1] >> 4}x{part[1] & 15}" for part in parts),
        tuple(part[2] for part in parts),
        progressive,
        frame[0] if frame else 8,
    )


def _name(marker: int, body: bytes) -> str:
    if 0xE0 <= marker <= 0xEF:
        name = next((name for name in _NAMES if body.startswith(name.encode())), "")
        return f"APP{marker - 0xE0}" + (f" ({name})" if name else "")
    return _MARKERS.get(marker, f"0xFF{marker:02X}")


def _tables(body: bytes) -> dict[int, tuple[int, ...]]:
    """Return the quantization tables of a segment (B.2.4.1), with steps of 8 or 16 bits."""
    tables, offset = {}, 0
    while offset < len(body):
        size = 2 if body[offset] >> 4 else 1
        values = body[offset + 1 : offset + 1 + 64 * size]
        if len(values) < 64 * size:
            break
        tables[body[offset] & 15] = tuple(int.from_bytes(values[at : at + size]) for at in range(0, 64 * size, size))
        offset += 1 + 64 * size
    return tables
