"""What a picture file holds besides its picture, and viewers do not show: in its boxes, or behind it."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from faceloupe.errors import EvidenceError
from faceloupe.media.evidence import EmbeddedContent, Origin
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes
from faceloupe.media.formats import IMAGE_FORMATS, VIDEO_FORMATS, jpeg_extent, sniff
from faceloupe.media.heif_items import as_main_picture, embedded_pictures

_HEAD_SEARCHED = 1 << 17  # bytes of a picture in which its metadata is looked for
_PROBED = 1 << 12  # bytes that tell the format of what lies there
_MOST = 100  # pieces that are listed
_MEDIA_STARTS = (b"\xff\xd8\xff", b"ftyp", b"\x89PNG\r\n\x1a\n")
_FTYP_BEFORE = 4  # bytes of a box in front of its kind
_PLAIN_PADDING = b"\x00\xff\n\r "


@dataclass(frozen=True, slots=True)
class EmbeddedItem:
    """Content of a picture file besides its picture, and how it becomes a file of its own.

    Attributes:
        content: what it is, and where.
        is_file: whether it can be examined as a picture or a video of its own.
        edits: of a picture in HEIC or AVIF, which is no file by itself: where bytes of a copy of the file are written
            over, and with what, to make it the main picture; none where the content is copied as it is.
    """

    content: EmbeddedContent
    is_file: bool
    edits: tuple[tuple[int, bytes], ...] = ()


def find(content: bytes, file_format: str) -> tuple[EmbeddedContent, ...]:
    """List what lies in the file besides its picture: what HEIC and AVIF list of it, then what lies behind the picture.

    Args:
        content: of the file.
        file_format: the format that its first bytes show.
    """
    return tuple(item.content for item in items(content, file_format))


def items(content: bytes, file_format: str) -> tuple[EmbeddedItem, ...]:
    """List the same as ``find``, with how each becomes a file of its own."""
    listed = []
    for item_id, piece in (embedded_pictures(content) if file_format in ("HEIC", "AVIF") else {}).items():
        edits = as_main_picture(content, item_id)
        listed.append(EmbeddedItem(piece, bool(edits), edits))
    try:
        end = _picture_end(content, file_format)
    except (struct.error, IndexError):
        end = None
    behind = iter(()) if end is None else _pieces(content, end, content[:_HEAD_SEARCHED])
    for piece in islice(behind, _MOST):
        shown = sniff(content[piece.offset : piece.offset + min(piece.size, _PROBED)])
        listed.append(EmbeddedItem(piece, shown in IMAGE_FORMATS | VIDEO_FORMATS))
    return tuple(listed[:_MOST])


def taken_out(evidence_file: EvidenceFile, item: EmbeddedItem, *, max_bytes: int) -> EvidenceFile:
    """Make a file of its own of what lies in another one, whose bytes are only copied.

    Args:
        evidence_file: the file that it lies in.
        item: listed by ``items`` for that very file.
        max_bytes: of a picture; see ``evidence_from_bytes``.

    Raises:
        EvidenceError: the bytes of the file are not in memory, or the content does not lie within them.
    """
    whole, content, evidence = evidence_file.content, item.content, evidence_file.evidence
    spans = [(at, len(edit)) for at, edit in item.edits] or [(content.offset, content.size)]
    if whole is None or not all(0 <= at <= at + size <= len(whole) for at, size in spans):
        raise EvidenceError(f"The content at byte {content.offset:,} of {evidence.name} cannot be taken out.")
    own, method = whole[content.offset : content.offset + content.size], "exactly these bytes"
    if item.edits:
        copy, method = bytearray(whole), "the whole file, with this as its main picture"
        for at, edit in item.edits:
            copy[at : at + len(edit)] = edit
        own = bytes(copy)
    own_file = evidence_from_bytes(own, f"{evidence.name}!{content.offset}", max_bytes=max_bytes)
    origin = Origin(evidence.name, evidence.sha256, content.kind, content.offset, content.size, method)
    return replace(own_file, evidence=replace(own_file.evidence, origin=origin))


def _pieces(content: bytes, offset: int, metadata: bytes) -> Iterator[EmbeddedContent]:
    while offset < len(content):
        kind, end = _piece(content, offset, metadata)
        if kind is None:
            starts = (content.find(start, offset + 1) for start in _MEDIA_STARTS)
            following = min(
                (at - _FTYP_BEFORE * (content[at : at + 4] == b"ftyp") for at in starts if at >= 0),
                default=len(content),
            )
            end = max(following, offset + 1)
            kind = "data of an unknown kind" if content[offset:end].strip(_PLAIN_PADDING) else None
        if kind is not None:
            yield EmbeddedContent(kind, offset, end - offset)
        offset = end


def _piece(content: bytes, offset: int, metadata: bytes) -> tuple[str | None, int]:
    """Kind and end of what starts there; None where that is not known."""
    file_format = sniff(content[offset : offset + _PROBED])
    if file_format in ("JPEG", "MJPEG"):
        end, _ = jpeg_extent(content, offset)
        end = len(content) if end is None else end
        own = content[offset : min(end, offset + _HEAD_SEARCHED)]
        if b"hdrgm:" in own or b"HDRGainMap" in own or b"urn:iso:std:iso:ts:21496" in own:
            return "a gain map (JPEG)", end
        if b'Semantic="Depth"' in metadata or b"GDepth:" in metadata:
            return "a picture or depth map (JPEG)", end
        return "a further picture (JPEG)", end
    if file_format in ("MP4", "QuickTime"):
        motion = any(name in metadata for name in (b"MotionPhoto", b"MicroVideo", b"MotionPhoto_Data"))
        return f"a video ({file_format}{'; motion photo' if motion else ''})", _boxes_end(content, offset)
    if file_format in ("PNG", "GIF", "WebP", "BMP"):
        try:
            end = _picture_end(content[offset:], file_format)
        except IndexError:  # it ends before its data does
            end = None
        return f"a further picture ({file_format})", len(content) if end is None else offset + end
    return (None, offset) if file_format is None else (f"a file of the format {file_format}", len(content))


def _boxes_end(content: bytes, offset: int) -> int:
    """Return the end of boxes that follow each other (ISO/IEC 14496-12)."""
    while offset + 8 <= len(content):
        size = int.from_bytes(content[offset : offset + 4])
        if size == 1 and offset + 16 <= len(content):
            size = int.from_bytes(content[offset + 8 : offset + 16])
        if size < 8 or not content[offset + 4 : offset + 8].isalnum():
            return offset if size else len(content)
        offset += size
    return min(offset, len(content)) if offset < len(content) + 8 else len(content)


def _picture_end(content: bytes, file_format: str) -> int | None:
    """Return the place behind the picture; None where it is not known."""
    ends: dict[str, Callable[[bytes], int | None]] = {
        "JPEG": lambda data: jpeg_extent(data)[0],
        "PNG": _png_end,
        "WebP": lambda data: 8 + (int.from_bytes(data[4:8], "little") + 1) // 2 * 2,
        "BMP": lambda data: max(int.from_bytes(data[2:6], "little"), 54),
        "GIF": _gif_end,
        "HEIC": _heif_end,
        "AVIF": _heif_end,
    }
    return ends[file_format](content) if file_format in ends else None


def _png_end(content: bytes) -> int | None:
    offset = 8
    while offset + 8 <= len(content):
        kind = content[offset + 4 : offset + 8]
        offset += 12 + int.from_bytes(content[offset : offset + 4])  # with the length, the kind and the checksum
        if kind == b"IEND":
            return offset
    return None


def _heif_end(content: bytes) -> int | None:
    """Where another file of boxes begins, as the video of a motion photo does."""
    at = content.find(b"ftyp", 8)
    return at - _FTYP_BEFORE if at >= 0 else None


def _gif_end(content: bytes) -> int | None:
    offset = 13 + (3 << ((content[10] & 7) + 1) if content[10] & 0x80 else 0)
    while offset < len(content):
        if content[offset] == 0x3B:
            return offset + 1
        if content[offset] == 0x2C:
            offset += 10 + (3 << ((content[offset + 9] & 7) + 1) if content[offset + 9] & 0x80 else 0) + 1
        else:
            offset += 2
        while content[offset]:
            offset += 1 + content[offset]
        offset += 1
    return None
