"""Metadata of hostile and unusual files; `tests/forensics` covers ordinary files."""

import io
import struct
import zlib

import pytest
from PIL import Image

from faceloupe.config import Settings
from faceloupe.media import metadata
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.formats import sniff
from faceloupe.media.sandbox.statements import read_metadata
from faceloupe.media.statements import MOST_STATEMENTS, Metadata
from tests.forensics import files

BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&j;</x:xmpmeta>"
)
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>'


def read(content: bytes) -> Metadata:
    """Read as every surface does, in the sandbox."""
    return read_metadata(evidence_from_bytes(content, "file", max_bytes=2**28), settings=Settings())


def values(metadata_read: Metadata) -> dict[str, str]:
    return {statement.key: statement.value for statement in metadata_read.statements}


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    head = struct.pack(">I4s", len(body) if length is None else length, kind)
    return head + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(part: bytes) -> bytes:
    content = files.saved("PNG")
    return content[:33] + part + content[33:]


@pytest.mark.parametrize(
    "packet",
    [BOMB, OUTSIDE, b"<x:xmpmeta", b"\xff\xfe\x00", b"<a>" * 200_000],
    ids=["bomb", "outside entity", "cut", "not text", "deep"],
)
def test_hostile_xmp_is_refused_and_the_rest_is_read(packet):
    xmp, text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet), chunk(b"tEXt", b"Software\0kept")
    metadata_read = read(with_chunk(xmp + text))
    assert values(metadata_read) == {"Software": "kept"}
    assert metadata_read.problems == ("The XMP data is damaged or contains forbidden markup and was not read.",)


def test_xmp_of_fifty_megabytes_is_named_and_not_read():
    packet = files.xmp({"xmp:CreatorTool": "x"}) + b" " * (50 << 20)
    metadata_read = read(with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)))
    assert metadata_read.problems == ("The XMP data is larger than 8 MiB and was not read.",)


def test_a_text_that_inflates_without_end_is_not_read():
    packed = zlib.compress(bytes(200 << 20), 9)
    metadata_read = read(with_chunk(chunk(b"zTXt", b"parameters\0\0" + packed)))
    assert metadata_read.problems == ("The PNG text data is damaged and was not read completely.",)


def test_a_chunk_that_announces_a_gigabyte_is_named():
    metadata_read = read(with_chunk(chunk(b"tEXt", b"parameters\0Steps", length=1 << 30)))
    assert metadata_read.problems == ("A PNG chunk announces more data than the file holds and was not read.",)
    assert metadata_read.statements == ()


@pytest.mark.parametrize("seed", range(0, 200, 8))
def test_exif_cut_or_changed_anywhere_never_stops_the_reader(seed):
    block = bytearray(files.exif({"Software": "a program", "UserComment": "a comment", "Artist": "somebody"}))
    block[seed % len(block)] ^= 0xFF
    for content in (
        files.saved("JPEG", exif=bytes(block)),
        files.saved("JPEG", exif=bytes(block[: 6 + seed % len(block)])),
    ):
        metadata_read = metadata.read(io.BytesIO(content), "JPEG")
        assert all(statement.structure == "EXIF" for statement in metadata_read.statements)


def test_a_thumbnail_in_a_thumbnail_is_not_followed():
    inner = files.saved("JPEG", exif=files.exif({"Software": "the inner one"}))
    block = bytearray(files.exif({"Software": "the outer one"}).removeprefix(b"Exif\0\0"))
    at = len(block)
    first = struct.unpack_from(">I", block, 4)[0]
    entries = struct.unpack_from(">H", block, first)[0]
    struct.pack_into(">I", block, first + 2 + 12 * entries, at)
    block += struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, at + 30, 0x0202, 4, 1, len(inner), 0) + inner
    metadata_read = read(files.segment(0xE1, b"Exif\0\0" + bytes(block)))
    assert metadata_read.thumbnail == inner
    assert values(metadata_read)["Software"] == "the outer one"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"ASCII\0\0\0plain", "plain"),
        (b"UNICODE\0" + "größer 日本".encode("utf-16-be"), "größer 日本"),
        (b"UNICODE\0" + "größer 日本".encode("utf-16-le"), "größer 日本"),
        (b"JIS\0\0\0\0\0" + "日本".encode("iso2022_jp"), "日本"),
        (bytes(8) + "naïve".encode(), "naïve"),
        (bytes(8) + "naïve".encode("latin-1"), "naïve"),
    ],
    ids=["ASCII", "UTF-16 BE", "UTF-16 LE", "JIS", "UTF-8", "Latin-1"],
)
def test_a_user_comment_is_read_in_the_encoding_that_it_names(data, text):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = data
    assert values(read(files.saved("JPEG", exif=exif.tobytes())))["UserComment"] == text


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "iso-8859-1"])
def test_xmp_and_iptc_are_read_in_the_encodings_of_their_writers(coding):
    text = "größer" if coding == "iso-8859-1" else "日本 größer"
    packet = (
        f'<?xml version="1.0" encoding="{coding}"?><x:xmpmeta xmlns:x="adobe:ns:meta/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{text}</dc:title></x:xmpmeta>'
    )
    assert values(read(files.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode(coding)))) == {
        "dc:title": text
    }
    block = struct.pack(">BBBH", 0x1C, 2, 110, len(text.encode(coding))) + text.encode(coding)
    content = files.segment(0xED, b"Photoshop 3.0\0" + files.resources(block))
    assert values(read(content)) == {"Credit": text}


def test_a_position_is_listed_on_request_only():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    content = files.saved("JPEG", exif=exif.tobytes())
    metadata_read = read(content)
    assert metadata_read.has_position
    assert metadata_read.statements == ()
    evidence_file = evidence_from_bytes(content, "file", max_bytes=2**28)
    assert values(read_metadata(evidence_file, settings=Settings(), with_position=True)) == {"GPSLatitudeRef": "N"}


def test_more_statements_than_a_file_needs_are_left_out_and_said_so():
    content = files.saved("PNG")
    many = b"".join(chunk(b"tEXt", b"key%d\0value" % number) for number in range(5000))
    metadata_read = read(content[:33] + many + content[33:])
    assert len(metadata_read.statements) == MOST_STATEMENTS
    assert metadata_read.problems == ("The file states more about itself than is read; the rest was left out.",)


@pytest.mark.parametrize(
    "content",
    [
        files.saved("PNG")[:40],
        files.saved("JPEG")[:30],
        files.saved("WEBP")[:20],
        files.saved("GIF")[:14],
        files.saved("TIFF")[:20],
        files.saved("AVIF")[:60],
        b"\xff\xd8\xff\xe1\x00\x00",
        files.video()[:100],
    ],
    ids=["PNG", "JPEG", "WebP", "GIF", "TIFF", "AVIF", "empty segment", "MP4"],
)
def test_a_cut_file_gives_what_it_holds(content):
    assert sniff(content) is not None
    assert {statement.structure for statement in read(content).statements} <= {"structure"}


@pytest.mark.parametrize("mode", ["L", "CMYK", "1"])
def test_gray_cmyk_and_pictures_of_one_pixel_are_read(mode):
    stream = io.BytesIO()
    Image.new(mode, (1, 1)).save(stream, "PNG" if mode == "1" else "JPEG")
    assert read(stream.getvalue()).problems == ()
