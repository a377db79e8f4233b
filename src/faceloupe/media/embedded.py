"""Content of a picture file besides its picture that viewers do not show: in its boxes, or behind the picture."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from faceloupe.errors import EvidenceError
from faceloupe.media.evidence import EmbeddedContent, Origin
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes
from faceloupe.media.formats import IMAGE_FORMATS, VIDEO_FORMATS, jpeg_extent, sniff
from faceloupe.media.heif_items import as_main_picture, embedded_pictures

_HEAD_SEARCHED = 1 << 17  # first bytes of a picture that are searched for metadata
_PROBED = 1 << 12  # bytes that are read to detect the format of a piece
_MOST = 100  # pieces that are listed
_MEDIA_STARTS = (b"\xff\xd8\xff", b"ftyp", b"\x89PNG\r\n\x1a\n")
_FTYP_BEFORE = 4  # bytes of a box before its kind
_PLAIN_PADDING = b"\x00\xff\n\r "


@dataclass(frozen=True, slots=True)
class EmbeddedItem:
    """Content of a picture file besides its picture, and how to extract it as a separate file.

    Attributes:
        content: kind and position of the content.
        is_file: whether the extracted file can be examined as a picture or a video.
        edits: for a picture in HEIC or AVIF, which is not a complete file: offsets in a copy of the file, and the bytes
            to write there, to make it the main picture; empty if the content is copied unchanged.
    """

    content: EmbeddedContent
    is_file: bool
    edits: tuple[tuple[int, bytes], ...] = ()


def find(content: bytes, file_format: str) -> tuple[EmbeddedContent, ...]:
    """List the content of a file besides its picture: first the pictures listed by HEIC and AVIF, then data behind it.

    Args:
        content: bytes of the file.
        file_format: format detected from its first bytes.
    """
    return tuple(item.content for item in items(content, file_format))


def items(content: bytes, file_format: str) -> tuple[EmbeddedItem, ...]:
    """List the same content as ``find``, with the data needed to extract each piece as a separate file."""
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


def extract_as_file(evidence_file: EvidenceFile, item: EmbeddedItem, *, max_bytes: int) -> EvidenceFile:
    """Extract content of a file as a separate file. Its bytes are only copied, not decoded.

    Args:
        evidence_file: the file that holds the content.
        item: item that ``items`` lists for this file.
        max_bytes: largest picture; see ``evidence_from_bytes``.

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
    """Return the kind and the end of the content at ``offset``; the kind is None if it is not known."""
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
        except IndexError:  # the file ends before the picture does
            end = None
        return f"a further picture ({file_format})", len(content) if end is None else offset + end
    return (None, offset) if file_format is None else (f"a file of the format {file_format}", len(content))


def _boxes_end(content: bytes, offset: int) -> int:
    """Return the end of a sequence of boxes (ISO/IEC 14496-12)."""
    while offset + 8 <= len(content):
        size = int.from_bytes(content[offset : offset + 4])
        if size == 1 and offset + 16 <= len(content):
            size = int.from_bytes(content[offset + 8 : offset + 16])
        if size < 8 or not content[offset + 4 : offset + 8].isalnum():
            return offset if size else len(content)
        offset += size
    return min(offset, len(content)) if offset < len(content) + 8 else len(content)


def _picture_end(content: bytes, file_format: str) -> int | None:
    """Return the offset behind the picture; None if it is not known."""
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
        offset += 12 + int.from_bytes(content[offset : offset + 4])  # 12 bytes: the length, the kind and the checksum
        if kind == b"IEND":
            return offset
    return None


def _heif_end(content: bytes) -> int | None:
    """Return the start of another file of boxes, such as the video of a motion photo; None if there is none."""
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
