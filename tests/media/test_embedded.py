"""Content behind the picture of a file is named with its place and size."""

import io

import pytest
from PIL import Image

from faceloupe.config import Settings
from faceloupe.media.embedded import find
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.formats import sniff
from faceloupe.media.sandbox.image import decode
from faceloupe.types import EmbeddedContent
from tests.clips import numbered, write_clip

PICTURE = Image.fromarray(numbered(1)[0])
PILLOW_NAMES = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "WebP": "WEBP", "BMP": "BMP"}


def picture(found: str) -> bytes:
    stream = io.BytesIO()
    PICTURE.save(stream, PILLOW_NAMES[found])
    return stream.getvalue()


every_format = pytest.mark.parametrize("found", PILLOW_NAMES)


@every_format
def test_a_plain_picture_holds_nothing_behind_it(found):
    assert find(picture(found), found) == ()
    assert find(picture(found) + bytes(100), found) == ()  # room that a camera left


@every_format
def test_a_picture_a_video_and_unknown_data_behind_a_picture_are_named_where_they_lie(tmp_path, found):
    first, second = picture(found), picture("JPEG")
    clip = write_clip(tmp_path / "a.mp4", numbered(3)).read_bytes()
    unknown = b"hidden words"
    expected = []
    content = first
    for kind, piece in (
        ("a further picture (JPEG)", second),
        ("data of an unknown kind", unknown),
        ("a video (MP4)", clip),
    ):
        if kind == "a further picture (JPEG)" and found == "JPEG":
            assert sniff(first + second) == "JPEG"
        expected.append(EmbeddedContent(kind, len(content), len(piece)))
        content += piece
    assert list(find(content, found)) == expected


def test_the_sandbox_hands_it_over_with_the_picture():
    first, second = picture("JPEG"), picture("PNG")
    evidence_file = evidence_from_bytes(first + second, "a.jpg", max_bytes=10**7)
    decoded = decode(evidence_file, settings=Settings())
    assert decoded.embedded == (EmbeddedContent("a further picture (PNG)", len(first), len(second)),)


def test_data_that_ends_anywhere_is_no_trouble():
    for found in PILLOW_NAMES:
        content = picture(found) + picture("GIF")
        for end in range(0, len(content), 97):
            find(content[:end], found)
