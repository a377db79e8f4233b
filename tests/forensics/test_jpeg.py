import io

import pytest
from PIL import Image

from faceloupe.errors import EvidenceError
from faceloupe.forensics import jpeg
from faceloupe.media.jpeg_structure import JpegStructure, read
from tests.conftest import GENERATED
from tests.forensics import files
from tests.forensics.conftest import source


def facts(content: bytes) -> dict[str, str]:
    return {fact.name: fact.value for fact in jpeg.examine(source(content)).facts}


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_quality_that_libjpeg_was_given_is_found(subsampling):
    for quality in range(1, 101):
        content = files.saved("JPEG", quality=quality, subsampling=subsampling)
        assert jpeg.quality(read(content)) == (quality, True)


def test_the_tables_are_those_that_pillow_reads():
    with Image.open(GENERATED) as image:
        zigzag = jpeg._zigzag()
        expected = {number: tuple(table[at] for at in zigzag) for number, table in image.quantization.items()}
    assert read(GENERATED.read_bytes()).tables == expected


def test_tables_of_another_program_are_nearest_to_a_quality_and_said_to_differ():
    stream = io.BytesIO()
    own = [min(step + 1, 255) for step in range(10, 74)]
    files.picture().save(stream, "JPEG", qtables=[own, own])
    estimate = jpeg.quality(read(stream.getvalue()))
    assert estimate is not None
    assert not estimate[1]
    assert "own tables differ" in facts(stream.getvalue())["Quality"]


@pytest.mark.parametrize(("subsampling", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_sampling_coding_and_segments_are_named(subsampling, name):
    content = files.saved("JPEG", subsampling=subsampling, progressive=True, comment=b"x")
    named = facts(content)
    assert named["Color sampling"] == name
    assert named["Coding"] == "progressive, 8 bits"
    assert named["Segments"].startswith("APP0 (JFIF), COM, DQT")


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_of_one_pixel_have_a_quality(mode):
    stream = io.BytesIO()
    Image.new(mode, (1, 1)).save(stream, "JPEG", quality=80)
    estimate = jpeg.quality(read(stream.getvalue()))
    assert estimate == (80, True)


def test_missing_tables_are_named():
    content = files.saved("JPEG")
    at = content.index(b"\xff\xdb")
    assert facts(content[:at] + b"\xff\xda\x00\x02")["Quality"] == "unknown (no quantization tables)"
    assert jpeg.quality(JpegStructure()) is None


def test_another_format_is_refused_in_one_sentence():
    with pytest.raises(EvidenceError, match="not a JPEG picture"):
        jpeg.examine(source(files.saved("PNG")))
