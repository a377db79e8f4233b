"""What a file states about itself, read from the structures of its container that hold such statements.

Nothing is looked for anywhere else: a string behind the picture, or inside of its pixels, is not a statement. These
readers run in the decoder's process; every loop and every size is bounded.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO
from xml.etree import ElementTree

import av
import defusedxml.ElementTree
import msgspec
from defusedxml import DefusedXmlException
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from faceloupe.media import jpeg_structure
from faceloupe.media.boxes import file_boxes
from faceloupe.media.formats import VIDEO_FORMATS
from faceloupe.media.jpeg_structure import JpegStructure
from faceloupe.media.video import DEMUXERS

LARGEST_BLOCK = 8 << 20  # bytes of one XMP packet or of one decompressed text
LONGEST_VALUE = 1 << 20  # characters of one value that are kept; of a longer one, half from each end
MOST_CHARACTERS = 4 << 20  # of all values of a file
MOST_STATEMENTS = 4000
_MOST_BLOCKS = 20_000  # segments or chunks that are walked
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PREFIXES = {  # namespace -> the prefix that its specification uses
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#": "stEvt",
    "http://ns.adobe.com/xap/1.0/sType/ResourceRef#": "stRef",
    "http://ns.adobe.com/xmp/note/": "xmpNote",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://www.tc260.org.cn/ns/AIGC/1.0/": "TC260",
}
_DATASETS = {  # of the IPTC Information Interchange Model, record 2
    5: "ObjectName",
    25: "Keywords",
    40: "SpecialInstructions",
    55: "DateCreated",
    60: "TimeCreated",
    62: "DigitalCreationDate",
    65: "OriginatingProgram",
    80: "By-line",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "CopyrightNotice",
    120: "Caption-Abstract",
}
_MAKER_NOTE, _USER_COMMENT, _GPS, _EXIF_FOLDER, _INTEROP = 0x927C, 0x9286, 0x8825, 0x8769, 0xA005
_PRIVATE_TAGS = {0x02BC, 0x83BB, 0x8649, 0x8773}  # XMP, IPTC, Photoshop's resources and the color profile in a TIFF
_CODINGS = {b"ASCII\0\0\0": "ascii", b"UNICODE\0": "utf-16", b"JIS\0\0\0\0\0": "iso2022_jp"}
_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")  # XMP specification, part 3: MPEG-4
_X264_SEI = bytes.fromhex("DC45E9BDE6D948B7962CD820D923EEEF")  # x264, encoder/set.c: its version string follows


class Statement(msgspec.Struct, frozen=True):
    """One thing that a file says about itself.

    Attributes:
        structure: the structure that holds it: ``EXIF``, ``XMP``, ``IPTC``, ``PNG text``, ``JPEG comment``,
            ``GIF comment``, ``container``, ``stream`` or ``bitstream``.
        key: its name there.
        value: as text; of one longer than ``LONGEST_VALUE``, its start and its end.
        size: characters of the whole value.
    """

    structure: str
    key: str
    value: str
    size: int


class Metadata(msgspec.Struct, frozen=True):
    """What a file states about itself.

    Attributes:
        statements: in the order of the file.
        problems: what could not be read, one sentence each.
        has_position: whether EXIF holds a position (GPS).
        thumbnail: the JPEG preview in EXIF; empty where there is none.
        profile: the ICC color profile; empty likewise.
        jpeg: how the file is built; None where it is not a JPEG.
    """

    statements: tuple[Statement, ...] = ()
    problems: tuple[str, ...] = ()
    has_position: bool = False
    thumbnail: bytes = b""
    profile: bytes = b""
    jpeg: JpegStructure | None = None


class _Collector:
    """Statements as they are found, within the bounds."""

    def __init__(self, *, with_position: bool) -> None:
        self.statements: list[Statement] = []
        self.problems: list[str] = []
        self.with_position, self.has_position = with_position, False
        self.thumbnail = self.profile = b""
        self.jpeg: JpegStructure | None = None
        self._left = MOST_CHARACTERS

    def add(self, structure: str, key: str, value: str) -> None:
        size = len(value)
        if size > LONGEST_VALUE:
            value = f"{value[: LONGEST_VALUE // 2]} … {value[-LONGEST_VALUE // 2 :]}"
        if len(self.statements) >= MOST_STATEMENTS or len(value) > self._left:
            self.problem("The file states more about itself than is read; the rest was left out.")
            return
        self._left -= len(value)
        self.statements.append(Statement(structure, _clean(key)[:200], _clean(value), size))

    def problem(self, sentence: str) -> None:
        if sentence not in self.problems:
            self.problems.append(sentence)

    def guarded(self, what: str, read: Callable[[], None]) -> None:
        """Run a reader: on a hostile file a library raises anything, and each means that this block is damaged."""
        try:
            read()
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - see above
            self.problem(f"The {what} data is damaged and was not read completely.")


def read(file: BinaryIO, file_format: str, *, with_position: bool = False) -> Metadata:
    """Read what a file states about itself.

    Args:
        file: its bytes.
        file_format: the format that its first bytes show.
        with_position: whether the position in EXIF (GPS) is listed.
    """
    collector = _Collector(with_position=with_position)
    if file_format in VIDEO_FORMATS:
        collector.guarded("container", lambda: _video(file, file_format, collector))
    else:
        reader = _READERS.get(file_format)
        if reader is not None:
            content = file.read()
            collector.guarded(file_format, lambda: reader(content, collector))
    return Metadata(
        tuple(collector.statements),
        tuple(collector.problems),
        collector.has_position,
        collector.thumbnail,
        collector.profile,
        collector.jpeg,
    )


def _clean(text: str) -> str:
    """Text that can be shown: controls, format marks and halves of characters are replaced, line ends kept."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def _decoded(data: bytes) -> str:
    """Bytes as text in whichever encoding fits first."""
    data = data.rstrip(b"\0")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


# Pictures


def _jpeg(content: bytes, collector: _Collector) -> None:
    collector.jpeg = jpeg_structure.read(content)
    extended, profile = dict[int, bytes](), dict[int, bytes]()
    for marker, body in jpeg_structure.segments(content):
        if marker == 0xFE:
            collector.add("JPEG comment", "comment", _decoded(body))
        elif marker == 0xE1 and body.startswith(b"Exif\0"):
            _exif(body[6:], collector)
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            _xmp(body[29:], collector)
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xmp/extension/\0") and len(body) > 75:
            extended[int.from_bytes(body[71:75])] = body[75:]
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile[body[12]] = body[14:]
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            _photoshop(body[14:], collector)
    collector.profile = b"".join(part for _, part in sorted(profile.items()))
    if extended:
        _xmp(b"".join(part for _, part in sorted(extended.items())), collector)


def _png(content: bytes, collector: _Collector) -> None:
    offset = 8
    for _ in range(_MOST_BLOCKS):
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
            collector.guarded("PNG text", partial(_png_text, kind, body, collector))
        elif kind == b"eXIf":
            _exif(body, collector)
        elif kind == b"iCCP":
            collector.guarded("color profile", partial(_png_profile, body, collector))


def _png_text(kind: bytes, body: bytes, collector: _Collector) -> None:
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
        _xmp(value, collector)
    elif name in ("Raw profile type exif", "Raw profile type APP1"):
        _exif(_raw_profile(value).removeprefix(b"Exif\0\0"), collector)
    elif name == "Raw profile type xmp":
        _xmp(_raw_profile(value), collector)
    else:
        collector.add("PNG text", name, _decoded(value))


def _png_profile(body: bytes, collector: _Collector) -> None:
    collector.profile = _inflated(body.partition(b"\0")[2][1:])


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data, LARGEST_BLOCK)
    if stream.unconsumed_tail:
        raise ValueError("larger than any text should be")
    return content


def _raw_profile(text: bytes) -> bytes:
    """Return a block that ImageMagick wrote as hexadecimal text: lines for its name and its size, then the digits."""
    return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))


def _webp(content: bytes, collector: _Collector) -> None:
    offset = 12
    for _ in range(_MOST_BLOCKS):
        if offset + 8 > len(content):
            break
        kind, size = struct.unpack_from("<4sI", content, offset)
        body = content[offset + 8 : offset + 8 + size]
        offset += 8 + size + size % 2
        if kind == b"EXIF":
            _exif(body.removeprefix(b"Exif\0\0"), collector)
        elif kind == b"XMP ":
            _xmp(body, collector)
        elif kind == b"ICCP":
            collector.profile = body


def _gif(content: bytes, collector: _Collector) -> None:
    offset = 13 + (3 << ((content[10] & 7) + 1) if content[10] & 0x80 else 0)
    for _ in range(_MOST_BLOCKS):
        if content[offset : offset + 1] == b"\x2c":
            offset += 10 + (3 << ((content[offset + 9] & 7) + 1) if content[offset + 9] & 0x80 else 0) + 1
            _, offset = _gif_blocks(content, offset)
        elif content[offset : offset + 2] == b"\x21\xfe":
            body, offset = _gif_blocks(content, offset + 2)
            collector.add("GIF comment", "comment", _decoded(body))
        elif content[offset : offset + 14] == b"\x21\xff\x0bXMP DataXMP":
            # XMP specification, part 3: not cut into blocks, and ended by a trailer of 257 falling bytes
            end = content.find(b"\x01\xff\xfe", offset)
            _xmp(content[offset + 14 : end], collector)
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


def _tiff(content: bytes, collector: _Collector) -> None:
    _exif(content, collector)
    with Image.open(io.BytesIO(content), formats=["TIFF"]) as image:
        for tag, reader in ((700, _xmp), (33723, _iptc), (34377, _photoshop)):
            if isinstance(image, TiffImageFile) and isinstance(block := image.tag_v2.get(tag), bytes):
                reader(block, collector)


def _heif(content: bytes, collector: _Collector) -> None:
    with Image.open(io.BytesIO(content), formats=["HEIF", "AVIF"]) as image:
        if block := image.info.get("exif"):
            _exif(block.removeprefix(b"Exif\0\0"), collector)
        if block := image.info.get("xmp"):
            _xmp(block, collector)
        collector.profile = image.info.get("icc_profile") or b""


_READERS: dict[str, Callable[[bytes, _Collector], None]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "GIF": _gif,
    "TIFF": _tiff,
    "HEIC": _heif,
    "AVIF": _heif,
}


# Blocks that several containers carry


def _exif(data: bytes, collector: _Collector) -> None:
    collector.guarded("EXIF", lambda: _exif_folders(data, collector))


def _exif_folders(data: bytes, collector: _Collector) -> None:
    exif = Image.Exif()
    exif.load(data)
    collector.has_position = collector.has_position or _GPS in exif
    folders = [(dict(exif), ExifTags.TAGS)]
    for folder in (_EXIF_FOLDER, _INTEROP):
        folders.append((exif.get_ifd(folder), ExifTags.TAGS))
    if collector.with_position:
        folders.append((exif.get_ifd(_GPS), ExifTags.GPSTAGS))
    for values, names in folders:
        for tag, value in values.items():
            if tag not in (_EXIF_FOLDER, _GPS, _INTEROP, *_PRIVATE_TAGS):
                collector.add("EXIF", names.get(tag, f"0x{tag:04X}"), _exif_value(tag, value))
    preview = exif.get_ifd(ExifTags.IFD.IFD1)
    start, size = preview.get(0x0201), preview.get(0x0202)
    if isinstance(start, int) and isinstance(size, int) and 0 < size < LARGEST_BLOCK:
        collector.thumbnail = data[start : start + size]


def _exif_value(tag: int, value: object) -> str:
    if isinstance(value, bytes):
        if tag == _USER_COMMENT:
            return _user_comment(value)
        if 0x9C9B <= tag <= 0x9C9F:  # what Windows writes
            return value.decode("utf-16-le", "replace").rstrip("\0")
        text = _decoded(value)
        if tag == _MAKER_NOTE or not text.isprintable():
            return text if text.isascii() and text.isprintable() and len(text) < 200 else f"{len(value):,} bytes"
        return text
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value[:64]) + (", ..." if len(value) > 64 else "")
    return str(value).rstrip("\0")


def _user_comment(value: bytes) -> str:
    """Return the comment of a user (EXIF 2.32, 4.6.5): eight bytes name its encoding; UTF-16 has either byte order."""
    coding, text = _CODINGS.get(value[:8]), value[8:]
    if coding == "utf-16" and not text.startswith((b"\xff\xfe", b"\xfe\xff")):
        coding = "utf-16-be" if text[::2].count(0) >= text[1::2].count(0) else "utf-16-le"
    if coding:
        return text.decode(coding, "replace").rstrip("\0")
    return _decoded(text if value[:8] == bytes(8) else value)


def _xmp(data: bytes, collector: _Collector) -> None:
    if len(data) > LARGEST_BLOCK:
        collector.problem(f"The XMP data is larger than {LARGEST_BLOCK >> 20} MiB and was not read.")
        return
    try:
        tree = defusedxml.ElementTree.fromstring(data.strip(b"\0 \r\n\t"), forbid_dtd=True)
    except (DefusedXmlException, ElementTree.ParseError, ValueError, LookupError):
        collector.problem("The XMP data is damaged or contains forbidden markup and was not read.")
        return
    for key, value in _properties(tree):
        collector.add("XMP", key, value)


def _properties(tree: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Name and value of each property, in the order of the packet; a list gives one of each of its members."""
    waiting = [(tree, "")]
    while waiting:
        element, owner = waiting.pop()
        name = owner if element.tag.startswith(_RDF) else _name(element.tag)
        for attribute, value in element.attrib.items():
            if not attribute.startswith((_RDF, "{http://www.w3.org/XML/1998/namespace}")):
                yield _name(attribute), value
            elif attribute == f"{_RDF}resource":
                yield name, value
        if name and element.text and (text := element.text.strip()):
            yield name, text
        waiting += [(child, name) for child in reversed(element)]


def _name(tag: str) -> str:
    namespace, _, local = tag.removeprefix("{").rpartition("}")
    return f"{_PREFIXES.get(namespace, namespace)}:{local}" if namespace else local


def _photoshop(data: bytes, collector: _Collector) -> None:
    """Image resources of Photoshop, one of which holds IPTC."""
    offset = 0
    for _ in range(_MOST_BLOCKS):
        if data[offset : offset + 4] != b"8BIM" or offset + 12 > len(data):
            return
        kind = int.from_bytes(data[offset + 4 : offset + 6])
        offset += 6 + (data[offset + 6] + 2) // 2 * 2  # its name
        size = int.from_bytes(data[offset : offset + 4])
        body = data[offset + 4 : offset + 4 + size]
        offset += 4 + (size + 1) // 2 * 2
        if kind == 0x0404:
            _iptc(body, collector)


def _iptc(data: bytes, collector: _Collector) -> None:
    offset = 0
    for _ in range(_MOST_BLOCKS):
        if data[offset : offset + 1] != b"\x1c" or offset + 5 > len(data):
            return
        record, dataset, size = data[offset + 1], data[offset + 2], int.from_bytes(data[offset + 3 : offset + 5])
        if size & 0x8000:  # extended, of which no file needs any
            return
        if record == 2 and dataset in _DATASETS:
            collector.add("IPTC", _DATASETS[dataset], _decoded(data[offset + 5 : offset + 5 + size]))
        offset += 5 + size


# Videos


def _video(file: BinaryIO, file_format: str, collector: _Collector) -> None:
    if file_format in ("MP4", "QuickTime"):
        collector.guarded("XMP", lambda: _mp4_xmp(file, collector))
    file.seek(0)
    with av.open(
        file,
        "r",
        format=DEMUXERS[file_format],
        container_options={"protocol_whitelist": "none"},  # nothing that the file refers to is opened
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
            packet = next(container.demux(container.streams.video[0]), None)
            data = b"" if packet is None else bytes(packet)
            if (at := data.find(_X264_SEI)) >= 0:
                text = data[at + 16 : at + 1200].partition(b"\0")[0]
                collector.add("bitstream", "encoder", _decoded(text.rstrip(b"\x80")))


def _mp4_xmp(file: BinaryIO, collector: _Collector) -> None:
    end = file.seek(0, io.SEEK_END)
    for kind, start, size in file_boxes(file, 0, end):
        if kind == b"uuid" and size < LARGEST_BLOCK:
            file.seek(start)
            if (body := file.read(size)).startswith(_XMP_BOX):
                _xmp(body[16:], collector)
        elif kind == b"moov":
            for inner, at, length in file_boxes(file, start, start + size):
                if inner == b"udta":
                    for leaf, offset, extent in file_boxes(file, at, at + length):
                        if leaf == b"XMP_" and extent < LARGEST_BLOCK:
                            file.seek(offset)
                            _xmp(file.read(extent), collector)
