"""Formats are recognized by the first bytes of a file, not by its name."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceloupe.errors import EvidenceError
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.formats import media_type, sniff
from faceloupe.media.image import decode
from tests.clips import numbered, write_clip


def evidence_of(content: bytes):
    return evidence_from_bytes(content, "evidence.bin", max_bytes=10**9)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.3gp", {}, "MP4"),
        ("a.flv", {}, "FLV"),
        ("a.asf", {"codec": "wmv2"}, "ASF"),
        ("a.ogv", {"codec": "libvpx"}, "Ogg"),
        ("a.ivf", {"codec": "libvpx"}, "IVF"),
        ("a.mxf", {"codec": "mpeg2video"}, "MXF"),
        ("a.h264", {}, "H.264"),
        ("a.hevc", {"codec": "libx265"}, "H.265"),
        ("a.m4v", {"codec": "mpeg4", "container_format": "m4v"}, "MPEG-4"),
        ("a.mjpeg", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, "MJPEG"),
        ("a.dv", {"codec": "dvvideo", "size": (720, 576), "pix_fmt": "yuv420p"}, "DV"),
    ],
)
def test_every_container_is_known_by_its_content(tmp_path, name, options, expected):
    options = dict(options)
    size = options.pop("size", (160, 120))
    clip = write_clip(tmp_path / name, numbered(5, size), **options)
    evidence = evidence_of(clip.read_bytes()).evidence
    assert (evidence.format, evidence.media_type) == (expected, "video")


def transport_stream(tmp_path: Path, size: int) -> bytes:
    """A transport stream with packets of 188, 192 or 204 bytes."""
    content = write_clip(tmp_path / "a.ts", numbered(5)).read_bytes()
    packets = [content[position : position + 188] for position in range(0, len(content), 188)]
    before, after = {188: (0, 0), 192: (4, 0), 204: (0, 16)}[size]
    return b"".join(bytes(before) + packet + bytes(after) for packet in packets)


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("cut", [0, 1, 50, 187])
def test_a_transport_stream_is_known_wherever_it_was_cut(tmp_path, size, cut):
    assert sniff(transport_stream(tmp_path, size)[cut:]) == "MPEG-TS"


@pytest.mark.parametrize("brand", [b"iso8", b"iso9", b"mp71", b"CAEP", b"heyo"])
def test_any_brand_that_names_no_other_format_is_an_mp4(brand):
    assert sniff(b"\x00\x00\x00\x14ftyp" + brand + bytes(4) + brand) == "MP4"


def tiff(entries: list[tuple[int, int, int, int]], after: bytes = b"") -> bytes:
    rows = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + rows + bytes(4) + after


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "CR3"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "CR2"),
        (tiff([(50706, 1, 4, 0x0401)]), "DNG"),
        (tiff([(262, 3, 1, 32803), (271, 2, 18, 38)], b"NIKON CORPORATION\x00"), "NEF"),
        (tiff([(262, 3, 1, 32803), (271, 2, 5, 38)], b"SONY\x00"), "ARW"),
        (b"FUJIFILMCCD-RAW 0201", "RAF"),
        (b"IIU\x00\x18\x00\x00\x00", "RW2"),
        (b"IIRO\x08\x00\x00\x00", "ORF"),
    ],
)
def test_camera_raw_is_refused_by_its_name_with_what_to_do(content, name):
    with pytest.raises(EvidenceError, match=rf"camera RAW file \({name}\): develop it, or extract its JPEG"):
        decode(evidence_of(content), max_bytes=10**6, max_pixels=10**6)


def test_an_ordinary_tiff_of_a_camera_maker_is_not_a_raw_file():
    assert sniff(tiff([(262, 3, 1, 2), (271, 2, 5, 38)], b"SONY\x00")) == "TIFF"


def frames(count: int) -> list[Image.Image]:
    return [Image.fromarray(rgb) for rgb in numbered(count)]


@pytest.mark.parametrize(
    ("suffix", "format_name"), [("gif", "GIF"), ("png", "PNG"), ("webp", "WebP"), ("avif", "AVIF")]
)
def test_a_picture_that_moves_is_a_video_and_one_that_does_not_is_an_image(tmp_path, suffix, format_name):
    still, moving = tmp_path / f"still.{suffix}", tmp_path / f"moving.{suffix}"
    first, *others = frames(4)
    first.save(still)
    first.save(moving, save_all=True, append_images=others, duration=100)
    for path, expected in ((still, "image"), (moving, "video")):
        evidence = evidence_of(path.read_bytes()).evidence
        assert (evidence.format, evidence.media_type) == (format_name, expected)


def test_two_jpegs_are_a_picture_with_something_behind_it_and_three_of_one_size_a_stream(tmp_path):
    frames(1)[0].save(tmp_path / "a.jpg")
    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(tmp_path / "b.jpg")
    first, other = (tmp_path / "a.jpg").read_bytes(), (tmp_path / "b.jpg").read_bytes()
    assert [sniff(content) for content in (first * 2, first * 3, first + other + first)] == ["JPEG", "MJPEG", "JPEG"]
    assert media_type(first * 3, "MJPEG") == "video"
