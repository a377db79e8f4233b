"""Content behind the picture of a file is named with its place and size."""

import hashlib
import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.embedded import EmbeddedItem, extract_as_file, find
from faceloupe.media.evidence import EmbeddedContent
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.formats import sniff
from faceloupe.media.sandbox.image import decode
from faceloupe.media.sandbox.statements import list_embedded
from tests.clips import numbered, write_clip

PICTURE = Image.fromarray(numbered(1)[0])
PILLOW_NAMES = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "WebP": "WEBP", "BMP": "BMP"}


def picture(format_name: str) -> bytes:
    stream = io.BytesIO()
    PICTURE.save(stream, PILLOW_NAMES[format_name])
    return stream.getvalue()


every_format = pytest.mark.parametrize("format_name", PILLOW_NAMES)


@every_format
def test_a_plain_picture_has_no_embedded_content(format_name):
    assert find(picture(format_name), format_name) == ()
    assert find(picture(format_name) + bytes(100), format_name) == ()  # room that a camera left


@every_format
def test_a_picture_a_video_and_unknown_data_behind_a_picture_are_named_where_they_lie(tmp_path, format_name):
    first, second = picture(format_name), picture("JPEG")
    clip = write_clip(tmp_path / "a.mp4", numbered(3)).read_bytes()
    unknown = b"hidden words"
    expected = []
    content = first
    for kind, piece in (
        ("a further picture (JPEG)", second),
        ("data of an unknown kind", unknown),
        ("a video (MP4)", clip),
    ):
        if kind == "a further picture (JPEG)" and format_name == "JPEG":
            assert sniff(first + second) == "JPEG"
        expected.append(EmbeddedContent(kind, len(content), len(piece)))
        content += piece
    assert list(find(content, format_name)) == expected


def test_the_sandbox_hands_it_over_with_the_picture():
    first, second = picture("JPEG"), picture("PNG")
    evidence_file = evidence_from_bytes(first + second, "a.jpg", max_bytes=10**7)
    decoded = decode(evidence_file, settings=Settings())
    assert decoded.embedded == (EmbeddedContent("a further picture (PNG)", len(first), len(second)),)


def test_data_that_ends_anywhere_is_no_trouble():
    for result in PILLOW_NAMES:
        content = picture(result) + picture("GIF")
        for end in range(0, len(content), 97):
            find(content[:end], result)


def test_what_lies_behind_a_picture_is_taken_out_byte_for_byte_with_its_own_hash_and_its_origin(tmp_path):
    first, clip = picture("JPEG"), write_clip(tmp_path / "a.mp4", numbered(3)).read_bytes()
    holder = evidence_from_bytes(first + clip + b"hidden words", "a.jpg", max_bytes=10**7)
    video, unknown = list_embedded(holder, settings=Settings())
    own = extract_as_file(holder, video, max_bytes=10**7)
    assert (own.content, own.evidence.sha256) == (clip, hashlib.sha256(clip).hexdigest())
    assert (own.evidence.media_type, own.evidence.format) == ("video", "MP4")
    origin = own.evidence.origin
    assert (origin.name, origin.sha256, origin.offset) == ("a.jpg", holder.evidence.sha256, len(first))
    assert (video.is_file, unknown.is_file) == (True, False)


def hidden(content: bytes) -> bytes:
    """The same HEIC file, its second item marked as hidden, as those of gain maps and bursts mostly are."""
    entry = content.index(b"infe", content.index(b"infe") + 4) + 4
    return content[: entry + 3] + b"\x01" + content[entry + 4 :]


def auxiliary(content: bytes) -> bytes:
    """The same HEIC file, its thumbnail declared an auxiliary picture, as gain maps and depth maps are."""
    return content.replace(b"thmb", b"auxl")


@pytest.mark.parametrize(
    ("options", "changed"),
    [({"save_all": True}, bytes), ({"save_all": True}, hidden), ({"thumbnails": [64]}, auxiliary)],
    ids=["further", "hidden", "auxiliary"],
)
def test_a_further_picture_of_a_heic_is_taken_out_as_the_main_picture_of_its_file(options, changed):
    pillow_heif.register_heif_opener()
    red, green = (Image.new("RGB", size, color) for size, color in (((96, 96), "red"), ((64, 64), "lime")))
    appended = {"append_images": [green]} if "save_all" in options else {}
    stream = io.BytesIO()
    red.save(stream, "HEIF", **options, **appended)
    holder = evidence_from_bytes(changed(stream.getvalue()), "a.heic", max_bytes=10**7)
    (item,) = list_embedded(holder, settings=Settings())
    own = extract_as_file(holder, item, max_bytes=10**7)
    assert len(own.content) == len(holder.content)
    assert own.evidence.sha256 != holder.evidence.sha256
    rgb = decode(own, settings=Settings()).rgb
    assert rgb.shape == (64, 64, 3)
    assert np.abs(rgb.astype(int) - ((0, 255, 0) if appended else (255, 0, 0))).max() < 12


@pytest.mark.parametrize(("offset", "size"), [(0, 10**6), (10**6, 1), (-5, 3)])
def test_content_that_is_not_within_the_file_is_not_taken_out(offset, size):
    holder = evidence_from_bytes(picture("JPEG"), "a.jpg", max_bytes=10**7)
    with pytest.raises(EvidenceError, match="cannot be taken out"):
        extract_as_file(holder, EmbeddedItem(EmbeddedContent("a", offset, size), is_file=True), max_bytes=10**7)
