"""Detection of the format of a file, and of pictures and videos, by its first bytes. File names are never used."""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Literal

MediaType = Literal["image", "video"]
HEAD_BYTES = 4 << 20  # read to detect the format of a file, and whether its picture is animated
IMAGE_FORMATS = frozenset({"JPEG", "PNG", "WebP", "TIFF", "BMP", "GIF", "AVIF", "HEIC"})
VIDEO_FORMATS = frozenset(
    {"MP4", "QuickTime", "Matroska", "MPEG", "MPEG-TS", "MPEG-4", "AVI", "ASF", "FLV", "Ogg", "MXF", "DV", "IVF"}
    | {"H.264", "H.265", "MJPEG"}
)
ANIMATED_FORMATS = frozenset({"GIF", "PNG", "WebP", "AVIF", "HEIC"})  # picture formats that can also be animated
RAW_ADVICE = "a camera RAW file ({}): develop it, or extract its JPEG"
_UNREADABLE = {  # formats that are detected but cannot be read -> what the file is, and what to do with it
    **{name: RAW_ADVICE.format(name) for name in ("CR2", "CR3", "NEF", "ARW", "DNG", "PEF", "SRW", "ORF", "RW2")},
    **{name: RAW_ADVICE.format(name) for name in ("RAF", "X3F", "TIFF-based RAW")},
    "JPEG XL": "a JPEG XL picture, which cannot be read here: convert it to PNG",
    "JPEG 2000": "a JPEG 2000 picture, which cannot be read here: convert it to PNG",
    "OpenEXR": "an OpenEXR picture, whose brightness has no fixed range: export it as 8-bit PNG",
    "Photoshop": "a Photoshop document: export its picture as PNG",
    "PDF": "a PDF document: extract its pictures, and give those",
    "RealMedia": "a RealMedia video, which cannot be read here: convert it to MP4",
    "WAVE": "a sound recording (WAVE): give the picture or the video",
    "MP3": "a sound recording (MP3): give the picture or the video",
    "FLAC": "a sound recording (FLAC): give the picture or the video",
    "ZIP": "a ZIP archive: unpack it, or give it to a batch",
    "7-Zip": "a 7-Zip archive: unpack it",
    "RAR": "a RAR archive: unpack it",
    "gzip": "a gzip archive: unpack it",
    "Apple metadata": "metadata that macOS writes beside a file (AppleDouble): give that file itself",
}

_AVIF_BRANDS = {b"avif"}
_AVIF_SEQUENCE, _HEIF_SEQUENCES = b"avis", {b"hevc", b"hevx", b"msf1", b"heis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"mif1", b"mif2", *_HEIF_SEQUENCES}
_QUICKTIME_BRANDS = {b"qt  "}
_OTHER_BRANDS = {b"crx ": "CR3", b"jp2 ": "JPEG 2000", b"jpx ": "JPEG 2000", b"jxl ": "JPEG XL"}
_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_MXF_PARTITION, _MXF_RUN_IN = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01", 1 << 16
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x1aE\xdf\xa3", "Matroska"),
    (b"\x00\x00\x01\xba", "MPEG"),
    (b"\x00\x00\x01\xb3", "MPEG"),
    (b"\x00\x00\x01\xb0", "MPEG-4"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "ASF"),
    (b"FLV\x01", "FLV"),
    (b"OggS", "Ogg"),
    (b"DKIF\x00\x00", "IVF"),
    (b"IIRO", "ORF"),
    (b"IIRS", "ORF"),
    (b"MMOR", "ORF"),
    (b"IIU\x00", "RW2"),
    (b"FUJIFILMCCD-RAW", "RAF"),
    (b"FOVb", "X3F"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"v/1\x01", "OpenEXR"),
    (b"8BPS", "Photoshop"),
    (b"%PDF-", "PDF"),
    (b".RMF", "RealMedia"),
    (b"ID3", "MP3"),
    (b"fLaC", "FLAC"),
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x00\x05\x16\x07\x00\x02\x00\x00", "Apple metadata"),
)
_TIFF_HEADS = {b"II*\x00": "<", b"MM\x00*": ">", b"II+\x00": "<", b"MM\x00+": ">"}
_OLD_QUICKTIME = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}  # first atoms of files older than brands
_TS_SIZES, _TS_SYNC, _TS_RUN = (188, 192, 204), 0x47, 5  # packet sizes, sync byte, packets in a row to check
_STREAM_PICTURES = 3  # pictures of one size in a row, from which a stream of JPEGs counts as a video
_CFA, _PHOTOMETRIC, _MAKE, _SUBFOLDERS, _DNG_VERSION = 32803, 262, 271, 330, 50706  # TIFF: a photometric value, tags
_RAW_MAKES = {"nikon": "NEF", "sony": "ARW", "pentax": "PEF", "ricoh": "PEF", "samsung": "SRW", "canon": "CR2"}
_MOST_ENTRIES = 500


def sniff(head: bytes) -> str | None:
    """Return the name of the format that the first bytes of a file show; None if it is unknown.

    Args:
        head: the first ``HEAD_BYTES``, or all bytes of a shorter file; for most formats, fewer bytes are enough.
    """
    family = _sniff_family(head)
    if family is not None:
        return family or None
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    return _sniff_raw_stream(head) or _sniff_packets(head)


def _sniff_family(head: bytes) -> str | None:
    """Return a format of a family that needs a closer look; empty for an unknown member, None for other files."""
    if head[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "AVI", b"WAVE": "WAVE"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _sniff_iso(head)
    if head[:3] == b"\xff\xd8\xff":
        return "MJPEG" if _is_jpeg_stream(head) else "JPEG"
    if head[:4] in _TIFF_HEADS:
        return _sniff_tiff(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    return "QuickTime" if head[4:8] in _OLD_QUICKTIME else None


def media_type(head: bytes, format_name: str | None) -> MediaType:
    """Return whether a file holds a picture or a video.

    Args:
        head: see ``sniff``.
        format_name: format returned by ``sniff``.
    """
    if format_name in VIDEO_FORMATS or (format_name in ANIMATED_FORMATS and _is_animated(head, format_name)):
        return "video"
    return "image"


def unreadable(format_name: str | None) -> str | None:
    """Return what a file of a known but unreadable format is, and what to do with it; None for other formats."""
    return None if format_name is None else _UNREADABLE.get(format_name)


def _sniff_iso(head: bytes) -> str:
    """Return the format of a file in the ISO base media container, by its brands.

    Unknown brands count as MP4, because anyone can define a brand.
    """
    length = min(int.from_bytes(head[:4], "big"), len(head), 4096)
    major, brands = head[8:12], {head[start : start + 4] for start in range(16, length - 3, 4)}
    for brand in (major, *sorted(brands)):
        if brand in _OTHER_BRANDS:
            return _OTHER_BRANDS[brand]
    brands.add(major)
    if brands & (_AVIF_BRANDS | {_AVIF_SEQUENCE}):
        return "AVIF"
    if brands & _HEIF_BRANDS:
        return "HEIC"
    return "QuickTime" if brands & _QUICKTIME_BRANDS else "MP4"


def _sniff_tiff(head: bytes) -> str:
    """Return TIFF, or the name of a camera RAW format that has the same structure."""
    if head[8:10] == b"CR" and head[:4] in _TIFF_HEADS:
        return "CR2"
    if head[2:3] in (b"+",) or head[3:4] == b"+":  # BigTIFF, which no camera writes
        return "TIFF"
    order = _TIFF_HEADS[head[:4]]
    try:
        (first,) = struct.unpack_from(order + "I", head, 4)
        entries = _tiff_entries(head, first, order)
        if _DNG_VERSION in entries:
            return "DNG"
        folders = [entries]
        for offset in _tiff_values(head, entries.get(_SUBFOLDERS), order)[:8]:
            folders.append(_tiff_entries(head, offset, order))
        if any(_CFA in _tiff_values(head, folder.get(_PHOTOMETRIC), order) for folder in folders):
            _, count, value = entries.get(_MAKE, (0, 0, 0))
            make = head[value : value + min(count, 64)].decode("ascii", "replace").lower()
            return next((name for maker, name in _RAW_MAKES.items() if make.startswith(maker)), "TIFF-based RAW")
    except struct.error:  # the folder lies behind the head, or is missing
        pass
    return "TIFF"


def _tiff_entries(head: bytes, offset: int, order: str) -> dict[int, tuple[int, int, int]]:
    """Return one folder of a TIFF: tag -> type, count, and value or offset of the value."""
    (count,) = struct.unpack_from(order + "H", head, offset)
    rows = (struct.unpack_from(order + "HHII", head, offset + 2 + 12 * n) for n in range(min(count, _MOST_ENTRIES)))
    return {tag: (kind, number, value) for tag, kind, number, value in rows}


def _tiff_values(head: bytes, entry: tuple[int, int, int] | None, order: str) -> list[int]:
    """Return the numbers of an entry of the type SHORT, LONG or IFD; empty for other types."""
    if entry is None or entry[0] not in (3, 4, 13):
        return []
    kind, count, value = entry
    if kind == 3:
        return [value if order == "<" else value >> 16] if count == 1 else []
    return [value] if count == 1 else list(struct.unpack_from(f"{order}{min(count, 8)}I", head, value))


def _sniff_raw_stream(head: bytes) -> str | None:
    """Return the format of an H.264, H.265, DV or MXF stream; None for other files.

    H.264 and H.265 without a container begin with a start code, followed by one of a few types of units.
    """
    start = 4 if head[:4] == b"\x00\x00\x00\x01" else 3 if head[:3] == b"\x00\x00\x01" else 0
    if start and len(head) > start + 1:
        first, second = head[start], head[start + 1]
        if not first & 0x81 and (first >> 1) in (32, 33, 35) and second & 7 == 1:
            return "H.265"
        if not first & 0x80 and first & 0x1F in (7, 9):
            return "H.264"
    if head[:3] == b"\x1f\x07\x00" and len(head) > 3 and head[3] & 0x7F == 0x3F:
        return "DV"
    if head.find(_MXF_PARTITION, 0, _MXF_RUN_IN) >= 0:
        return "MXF"
    return None


def _sniff_packets(head: bytes) -> str | None:
    """Return MPEG-TS if sync bytes follow each other at one of the three packet sizes; None otherwise."""
    for size in _TS_SIZES:
        window = head[: size * (_TS_RUN + 1)]
        for offset in range(min(size, len(window))):
            marks = window[offset::size]
            if len(marks) >= (2 if offset in (0, 4) and len(head) < size * _TS_RUN else _TS_RUN) and (
                marks.count(_TS_SYNC) == len(marks)
            ):
                return "MPEG-TS"
    return None


def _is_animated(head: bytes, format_name: str) -> bool:
    if format_name == "GIF":
        return len(list(islice(_gif_pictures(head), 2))) > 1
    if format_name == "PNG":
        return any(kind == b"acTL" and count > 1 for kind, count in _png_chunks(head))
    if format_name == "WebP":
        return head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 2)
    return head[8:12] == _AVIF_SEQUENCE or (format_name == "HEIC" and head[8:12] in _HEIF_SEQUENCES)


def _png_chunks(head: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and the first number of each chunk before the pixels."""
    offset = 8
    while offset + 12 <= len(head):
        length, kind, number = struct.unpack_from(">I4sI", head, offset)
        if kind == b"IDAT":
            return
        yield kind, number
        offset += 12 + length


def _gif_pictures(head: bytes) -> Iterator[int]:
    """Yield the offset of each picture in a GIF."""
    if len(head) < 13:
        return
    offset = 13 + (3 << ((head[10] & 7) + 1) if head[10] & 0x80 else 0)
    while offset + 10 < len(head):
        if head[offset] == 0x2C:
            yield offset
            offset += 10 + (3 << ((head[offset + 9] & 7) + 1) if head[offset + 9] & 0x80 else 0) + 1
        elif head[offset] == 0x21:
            offset += 2
        else:
            return
        while offset < len(head) and head[offset]:  # data blocks, each preceded by its length
            offset += 1 + head[offset]
        offset += 1


def _is_jpeg_stream(head: bytes) -> bool:
    """Return whether complete JPEG pictures of one size follow each other without a gap, as cameras stream them."""
    if b"MPF\x00" in head[: 1 << 16]:  # a picture that lists its companion pictures
        return False
    offset, sizes = 0, set()
    for _ in range(_STREAM_PICTURES):
        end, size = jpeg_extent(head, offset)
        if end is None or size is None:
            return False
        sizes.add(size)
        offset = end
    return len(sizes) == 1


def jpeg_extent(content: bytes, start: int = 0) -> tuple[int | None, tuple[int, int] | None]:
    """Return the end of a JPEG picture, and its width and height; each is None if it is not found.

    Args:
        content: the bytes.
        start: offset of the picture.

    Returns:
        The offset behind its end marker; its size.
    """
    offset, size = start + 2, None
    if content[start:offset] != b"\xff\xd8":
        return None, None
    while offset + 4 <= len(content):
        if content[offset] != 0xFF:
            return None, size
        marker = content[offset + 1]
        if marker == 0xFF:
            offset += 1
        elif marker == 0xD9:
            return offset + 2, size
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            offset += 2
        else:
            length = int.from_bytes(content[offset + 2 : offset + 4])
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and offset + 9 <= len(content):
                height, width = struct.unpack_from(">HH", content, offset + 5)
                size = (width, height)
            offset += 2 + length
            if marker == 0xDA:
                offset = _behind_scan(content, offset)
    return (offset + 2 if content[offset : offset + 2] == b"\xff\xd9" else None), size


def _behind_scan(content: bytes, offset: int) -> int:
    """Return the offset of the next marker behind the data of a scan, or the end of the bytes."""
    while (offset := content.find(b"\xff", offset)) >= 0:
        following = content[offset + 1 : offset + 2]
        if following and following[0] and not 0xD0 <= following[0] <= 0xD7 and following[0] != 0xFF:
            return offset
        offset += 1
    return len(content)
