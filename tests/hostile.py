"""Hostile files: decompression bombs, polyglots, and false sizes and types."""

import io
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.clips import numbered, write_clip

PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, data: bytes, *chunks: bytes) -> bytes:
    """A PNG of 8-bit RGB with this image data, compressed, and these chunks before it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", head), *chunks, _chunk(b"IDAT", zlib.compress(data, 9)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _zeros(size: int) -> bytes:
    """Compressed zeros, themselves a small thousandth."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.flush()


def _saved(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _small() -> Image.Image:
    return Image.fromarray(numbered(1, (64, 48))[0])


def _archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("run.sh", "echo hello")
    return stream.getvalue()


def _tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A little-endian TIFF of one directory, whose next one is at ``following``."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", following) + bytes(64)


def _bombs() -> dict[str, bytes]:
    jpeg = bytearray(_saved(_small(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    gif = bytearray(_saved(_small().convert("P"), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    bmp = bytearray(_saved(_small(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff" * 6
    heic, avif = (bytearray(_saved(_small(), kind)) for kind in ("HEIF", "AVIF"))
    for content in (heic, avif):
        offset = content.index(b"ispe") + 8
        content[offset : offset + 8] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    size, strips = (256, 4, 1, 100_000), (257, 4, 1, 100_000)
    rows = [
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (278, 4, 1, 100_000),
        (279, 4, 1, 2**32 - 1),
    ]
    profile = b"x\x00\x00" + _zeros(2**28)
    text = b"x\x00\x00" + _zeros(2**28)
    pixels = np.zeros((4000, 4000 * 3 + 1), np.uint8).tobytes()
    frames = [Image.new("P", (8, 8), number % 256) for number in range(2000)]
    return {
        "PNG that promises 100,000 x 100,000": png(100_000, 100_000, b""),
        "PNG of 16 megapixels in 50 kB": png(4000, 4000, pixels),
        "PNG with too much data": png(8, 8, bytes(2**26)),
        "PNG with a color profile that unpacks to 256 MB": png(8, 8, bytes(200), _chunk(b"iCCP", profile)),
        "PNG with a text that unpacks to 256 MB": png(8, 8, bytes(200), _chunk(b"zTXt", text)),
        "PNG with 100,000 empty chunks": png(8, 8, bytes(200), *[_chunk(b"tEXt", b"a\x00b")] * 100_000),
        "JPEG of 65,535 x 65,535": bytes(jpeg),
        "GIF of 65,535 x 65,535": bytes(gif),
        "GIF of 2,000 frames": _saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "BMP of 2^31 x 2^31": bytes(bmp),
        "WebP of 2^24 x 2^24": webp,
        "HEIC of 2^31 x 2^31": bytes(heic),
        "AVIF of 2^31 x 2^31": bytes(avif),
        "TIFF of 10^10 pixels": _tiff([size, strips, *rows]),
        "TIFF whose directory follows itself": _tiff([(256, 4, 1, 8), (257, 4, 1, 8), *rows], following=8),
        "TIFF with 2^32 values in a tag": _tiff([(256, 4, 2**32 - 1, 8), (257, 4, 1, 8), *rows]),
    }


def _two_things() -> dict[str, bytes]:
    jpeg, image = _saved(_small(), "JPEG"), _saved(_small(), "PNG")
    script = b"<?php system($_GET['x']); ?><script>alert(1)</script>"
    return {
        "JPEG with a ZIP behind it": jpeg + _archive(),
        "ZIP with a JPEG behind it": _archive() + jpeg,
        "PNG with a page in it": png(8, 8, bytes(200), _chunk(b"tEXt", b"Comment\x00" + script)),
        "GIF that is a script": b"GIF89a/*" + b"\x00" * 20 + b"*/=1;alert(1)",
        "PDF with a JPEG in it": b"%PDF-1.7\n1 0 obj<<>>stream\n" + jpeg + b"\nendstream",
        "BMP that is a program": b"BM" + b"\x7fELF" + image,
        "JPEG and PNG": jpeg + image,
        "an ELF program": b"\x7fELF\x02\x01\x01" + bytes(200),
        "an SVG that loads a file": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "a PostScript program": b"%!PS\n(/etc/passwd) (r) file",
        "nothing": b"",
        "one byte": b"\xff",
    }


def _clips() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        whole = {
            ending: write_clip(Path(folder, f"a{ending}"), numbered(12, (96, 64)), **options).read_bytes()
            for ending, options in {
                ".mp4": {},
                ".mkv": {},
                ".avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
                ".ts": {},
            }.items()
        }

    def with_number(kind: bytes, offset: int, value: int) -> bytes:
        content = bytearray(whole[".mp4"])
        position = content.index(kind) + offset
        content[position : position + 4] = struct.pack(">I", value)
        return bytes(content)

    def many_samples() -> bytes:
        content = bytearray(with_number(b"stsz", 12, 2**31 - 1))
        position = content.index(b"stsz") + 8
        content[position : position + 4] = struct.pack(">I", 1)
        return bytes(content)

    box = b"\x00\x00\x00\x08"
    head = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom"
    return {
        "MP4 of 2^31 samples of one byte": many_samples(),
        "MP4 with 2^32 entries of sizes": with_number(b"stsz", 12, 2**32 - 1),
        "MP4 with 2^32 entries of times": with_number(b"stts", 8, 2**32 - 1),
        "MP4 with 2^32 frames of one duration": with_number(b"stts", 12, 2**32 - 1),
        "MP4 with a time scale of 0": with_number(b"mdhd", 16, 0),
        "MP4 with a time scale of 2^32": with_number(b"mdhd", 16, 2**32 - 1),
        "MP4 with boxes within boxes": head
        + b"".join(struct.pack(">I", 8 * (4000 - depth)) + b"moov" for depth in range(4000)),
        "MP4 of 100,000 empty boxes": head + (box + b"free") * 100_000 + whole[".mp4"][32:],
        "MP4 that is a playlist": head + PLAYLIST,
        "transport stream of a playlist": b"G" + bytes(187) + b"G" + PLAYLIST,
        "Matroska of unknown sizes": b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + whole[".mkv"][12:],
        "Matroska of nested masters": b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\x01\xff\xff\xff\xff\xff\xff\xff" * 5000,
        "AVI with an index of itself": whole[".avi"].replace(b"idx1", b"LIST") + whole[".avi"],
        "AVI of 2^32 frames": whole[".avi"][:48] + b"\xff" * 4 + whole[".avi"][52:],
        "MP4 with a ZIP behind it": whole[".mp4"] + _archive(),
        "MP4 with a JPEG for its head": _saved(_small(), "JPEG") + whole[".mp4"],
        "JPEG with the head of an MP4": head + _saved(_small(), "JPEG"),
        "Matroska named as a transport stream": b"G" + whole[".mkv"][1:188] + b"G" + whole[".mkv"][189:],
    }


def handmade() -> dict[str, bytes]:
    """Return the bytes of each file, by its description."""
    return _bombs() | _two_things() | _clips()
