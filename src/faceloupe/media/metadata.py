"""Readers of a file's statements about itself, from the container structures that hold them.

No other part of the file is searched: a string behind the picture, or inside its pixels, is not a statement. These
readers run in the decoder process; every loop and every size is bounded.
"""

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import islice
from typing import BinaryIO

import av
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from faceloupe.media import jpeg_structure, video_structure
from faceloupe.media.boxes import file_boxes
from faceloupe.media.formats import VIDEO_FORMATS
from faceloupe.media.metadata_blocks import exif, iptc, photoshop, xmp
from faceloupe.media.statements import LARGEST_BLOCK, MOST_BLOCKS, Collector, Metadata, decoded
from faceloupe.media.video import DEMUXERS
from faceloupe.media.video_structure import CodedFrame

_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")  # XMP specification, part 3: MPEG-4
_X264_SEI = bytes.fromhex("DC45E9BDE6D948B7962CD820D923EEEF")  # x264, encoder/set.c: its version string follows


def read(file: BinaryIO, file_format: str, *, with_position: bool = False) -> Metadata:
    """Read the statements of a file about itself.

    Args:
        file: the open file.
        file_format: format detected from its first bytes.
        with_position: whether the position in EXIF (GPS) is listed.
    """
    collector = Collector(with_position=with_position)
    if file_format in VIDEO_FORMATS:
        collector.run_reader("container", lambda: _video(file, file_format, collector))
    else:
        reader = _READERS.get(file_format)
        if reader is not None:
            content = file.read()
            collector.run_reader(file_format, lambda: reader(content, collector))
    return collector.metadata()


# Pictures


def _jpeg(content: bytes, collector: Collector) -> None:
    collector.jpeg = jpeg_structure.read(content)
    extended, profile = dict[int, bytes](), dict[int, bytes]()
    for marker, body in jpeg_structure.segments(content):
        if marker == 0xFE:
            collector.add("JPEG comment", "comment", decoded(body))
        elif marker == 0xE1 and body.startswith(b"Exif\0"):
            exif(body[6:], collector)
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp(body[29:], collector)
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xmp/extension/\0") and len(body) > 75:
            extended[int.from_bytes(body[71:75])] = body[75:]
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile[body[12]] = body[14:]
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            photoshop(body[14:], collector)
    collector.profile = b"".join(part for _, part in sorted(profile.items()))
    if extended:
        xmp(b"".join(part for _, part in sorted(extended.items())), collector)


def _png(content: bytes, collector: Collector) -> None:
    offset = 8
    for _ in range(MOST_BLOCKS):
        if offset + 12 > len(content):
            break
        length, kind = struct.unpack_from(">I4s", content, offset)
        body = content[offset + 8 : offset + 8 + length]
        if len(body) < length:
            collector.problem("A PNG chunk announces more data than the file holds and was not read.")
            break
        offset += 12 + length
        if kind == b"IEND":
            break
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            collector.run_reader("PNG text", partial(_png_text, kind, body, collector))
        elif kind == b"eXIf":
            exif(body, collector)
        elif kind == b"iCCP":
            collector.run_reader("color profile", partial(_png_profile, body, collector))


def _png_text(kind: bytes, body: bytes, collector: Collector) -> None:
    key, _, rest = body.partition(b"\0")
    if kind == b"tEXt":
        value = rest
    elif kind == b"zTXt":
        value = _inflated(rest[1:])
    else:
        packed, rest = rest[0], rest[2:]
        rest = rest.split(b"\0", 2)[2]
        value = _inflated(rest) if packed else rest
    name = key.decode("latin-1")
    if name == "XML:com.adobe.xmp":
        xmp(value, collector)
    elif name in ("Raw profile type exif", "Raw profile type APP1"):
        exif(_raw_profile(value).removeprefix(b"Exif\0\0"), collector)
    elif name == "Raw profile type xmp":
        xmp(_raw_profile(value), collector)
    else:
        collector.add("PNG text", name, decoded(value))


def _png_profile(body: bytes, collector: Collector) -> None:
    collector.profile = _inflated(body.partition(b"\0")[2][1:])


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data, LARGEST_BLOCK)
    if stream.unconsumed_tail:
        raise ValueError("larger than any text should be")
    return content


def _raw_profile(text: bytes) -> bytes:
    """Return a block that ImageMagick wrote as hexadecimal text: lines with its name and size, then the digits."""
    return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))


def _webp(content: bytes, collector: Collector) -> None:
    offset = 12
    for _ in range(MOST_BLOCKS):
        if offset + 8 > len(content):
            break
        kind, size = struct.unpack_from("<4sI", content, offset)
        body = content[offset + 8 : offset + 8 + size]
        offset += 8 + size + size % 2
        if kind == b"EXIF":
            exif(body.removeprefix(b"Exif\0\0"), collector)
        elif kind == b"XMP ":
            xmp(body, collector)
        elif kind == b"ICCP":
            collector.profile = body


def _gif(content: bytes, collector: Collector) -> None:
    offset = 13 + (3 << ((content[10] & 7) + 1) if content[10] & 0x80 else 0)
    for _ in range(MOST_BLOCKS):
        if content[offset : offset + 1] == b"\x2c":
            offset += 10 + (3 << ((content[offset + 9] & 7) + 1) if content[offset + 9] & 0x80 else 0) + 1
            _, offset = _gif_blocks(content, offset)
        elif content[offset : offset + 2] == b"\x21\xfe":
            body, offset = _gif_blocks(content, offset + 2)
            collector.add("GIF comment", "comment", decoded(body))
        elif content[offset : offset + 14] == b"\x21\xff\x0bXMP DataXMP":
            # XMP specification, part 3: not split into blocks, and ended by a trailer of 257 descending bytes
            end = content.find(b"\x01\xff\xfe", offset)
            xmp(content[offset + 14 : end], collector)
            _, offset = _gif_blocks(content, offset + 14)
        elif content[offset : offset + 1] == b"\x21":
            _, offset = _gif_blocks(content, offset + 2)
        else:
            break


def _gif_blocks(content: bytes, offset: int) -> tuple[bytes, int]:
    data = bytearray()
    while size := content[offset]:
        data += content[offset + 1 : offset + 1 + size]
        offset += 1 + size
    return bytes(data), offset + 1


def _tiff(content: bytes, collector: Collector) -> None:
    exif(content, collector)
    with Image.open(io.BytesIO(content), formats=["TIFF"]) as image:
        for tag, reader in ((700, xmp), (33723, iptc), (34377, photoshop)):
            if isinstance(image, TiffImageFile) and isinstance(block := image.tag_v2.get(tag), bytes):
                reader(block, collector)


def _heif(content: bytes, collector: Collector) -> None:
    with Image.open(io.BytesIO(content), formats=["HEIF", "AVIF"]) as image:
        if block := image.info.get("exif"):
            exif(block.removeprefix(b"Exif\0\0"), collector)
        if block := image.info.get("xmp"):
            xmp(block, collector)
        collector.profile = image.info.get("icc_profile") or b""


_READERS: dict[str, Callable[[bytes, Collector], None]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "GIF": _gif,
    "TIFF": _tiff,
    "HEIC": _heif,
    "AVIF": _heif,
}


# Videos


def _video(file: BinaryIO, file_format: str, collector: Collector) -> None:
    if file_format in ("MP4", "QuickTime"):
        collector.run_reader("XMP", lambda: _mp4_xmp(file, collector))
        collector.run_reader("box", lambda: _mp4_structure(file, collector))
    file.seek(0)
    with av.open(
        file,
        "r",
        format=DEMUXERS[file_format],
        container_options={"protocol_whitelist": "none"},  # files that the video refers to are not opened
        metadata_errors="replace",
    ) as container:
        for key, value in container.metadata.items():
            collector.add("container", key, value)
        for number, stream in enumerate(container.streams):
            codec = getattr(stream.codec_context, "name", "unknown")
            collector.add("stream", f"{number} codec", f"{stream.type}: {codec}")
            for key, value in stream.metadata.items():
                collector.add("stream", f"{number} {key}", value)
        if container.streams.video:
            track, data, frames = container.streams.video[0], b"", list[CodedFrame]()
            for packet in islice(container.demux(track), video_structure.MOST_PACKETS):
                data = data or bytes(packet)
                if packet.size:
                    frames.append(CodedFrame(packet.is_keyframe, packet.pts))
            for key, value in video_structure.rhythm(frames, track.time_base or Fraction(1)):
                collector.add("structure", key, value)
            if (at := data.find(_X264_SEI)) >= 0:
                text = data[at + 16 : at + 1200].partition(b"\0")[0]
                collector.add("bitstream", "encoder", decoded(text.rstrip(b"\x80")))


def _mp4_structure(file: BinaryIO, collector: Collector) -> None:
    if tree := video_structure.box_tree(file):
        collector.add("structure", "boxes", tree)
    for edits in video_structure.edit_lists(file):
        collector.add("structure", "edit list", edits)


def _mp4_xmp(file: BinaryIO, collector: Collector) -> None:
    end = file.seek(0, io.SEEK_END)
    for kind, start, size in file_boxes(file, 0, end):
        if kind == b"uuid" and size < LARGEST_BLOCK:
            file.seek(start)
            if (body := file.read(size)).startswith(_XMP_BOX):
                xmp(body[16:], collector)
        elif kind == b"moov":
            for inner, at, length in file_boxes(file, start, start + size):
                if inner == b"udta":
                    for leaf, offset, extent in file_boxes(file, at, at + length):
                        if leaf == b"XMP_" and extent < LARGEST_BLOCK:
                            file.seek(offset)
                            xmp(file.read(extent), collector)
