import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from faceloupe.forensics import compression
from faceloupe.forensics.jpeg import in_rows, standard_tables
from faceloupe.media import jpeg_structure, luma
from tests.conftest import PORTRAIT
from tests.forensics import files
from tests.forensics.conftest import source


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A portrait without a grid of blocks: made smaller, which removes that of its file."""
    with Image.open(PORTRAIT) as image:
        return np.asarray(image.convert("RGB").resize((500, 500), Image.Resampling.LANCZOS))


def saved(rgb: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def again(rgb: np.ndarray, quality: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(saved(rgb, quality))))


def rules(content: bytes) -> set[str]:
    return {finding.id for finding in compression.examine(source(content)).findings}


def test_a_picture_saved_once_has_no_finding(picture):
    assert rules(saved(picture, 90)) == set()


def test_an_earlier_compression_on_the_same_grid_is_found_with_its_quality(picture):
    content = saved(again(picture, 60), 90)
    (finding,) = compression.examine(source(content)).findings
    assert finding.id == compression.ALIGNED
    assert "about 60 of 100" in finding.text


def test_an_earlier_compression_on_another_grid_is_found_with_its_place(picture):
    content = saved(again(picture, 60)[3:, 6:], 90)
    assert rules(content) == {compression.SHIFTED}
    grid = compression.shifted(luma.read(content, max_pixels=10**6))
    assert (grid.x, grid.y) == (2, 5)  # the next block begins behind what is left of the first


def test_the_ghost_of_a_pasted_part_is_bright_where_it_lies(picture):
    edited = picture.copy()
    edited[160:320, 160:320] = again(picture, 66)[160:320, 160:320]
    content = saved(edited, 95)
    steps = np.array(jpeg_structure.read(content).tables[0])
    ghost = compression.ghost_map(luma.read(content, max_pixels=10**6), steps).astype(float)
    inside = np.zeros(picture.shape[:2], bool)
    inside[160:320, 160:320] = True
    assert ghost[inside].mean() > 3 * ghost[~inside].mean()


def test_the_ghost_is_turned_as_the_picture_is(picture):
    edited = picture.copy()
    edited[32:160, 32:160] = again(picture, 66)[32:160, 32:160]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    stream = io.BytesIO()
    Image.fromarray(edited[:400]).save(stream, "JPEG", quality=95, exif=exif.tobytes())
    (shown,) = compression.examine(source(stream.getvalue())).pictures
    assert shown.levels.shape == (500, 400)
    assert shown.levels[32:160, 240:368].mean() > 3 * shown.levels[:, :200].mean()


def test_coefficients_are_those_of_the_cosine_transform_of_scipy():
    values = np.random.default_rng(1).integers(0, 255, (32, 40), np.uint8)  # no block is flat
    block = dctn(values[8:16, 16:24].astype(float) - 128, norm="ortho")
    assert np.allclose(compression._all_coefficients(values)[1][:, 16:24], block, atol=1e-3)
    blocks = compression._blocks(values)
    for position in range(15):
        row, column = np.argwhere(in_rows(np.arange(64)) == position)[0]
        assert compression._coefficient(blocks, position)[5 + 2] == pytest.approx(block[row, column], abs=1e-3)


def test_the_brightness_of_a_file_is_that_of_its_blocks_whatever_its_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = files.saved("JPEG", quality=90, exif=exif.tobytes())
    with Image.open(io.BytesIO(content)) as image:
        image.draft("YCbCr", None)
        expected = np.asarray(image.convert("YCbCr"))[:, :, 0].astype(int)
    assert np.abs(source(content).luma - expected).max() <= 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (files.saved("JPEG")[:-200], "damaged or incomplete"),
        (files.saved("JPEG").replace(b"\xff\xdb", b"\xff\xec"), "no quantization tables"),
        (files.saved("PNG"), "no quantization tables"),
    ],
    ids=["cut", "no tables", "PNG"],
)
def test_a_file_without_whole_blocks_is_refused_in_one_sentence(content, sentence):
    with pytest.raises(compression.EvidenceError, match=sentence):
        compression.examine(source(content))


def test_cmyk_and_gray_of_one_pixel_have_an_unknown_history():
    stream = io.BytesIO()
    Image.new("CMYK", (64, 64)).save(stream, "JPEG")
    assert compression.examine(source(stream.getvalue())).facts[0].value == "unknown (4 components)"
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "JPEG")
    assert compression.examine(source(stream.getvalue())).facts[1].value.startswith("unknown")


def test_a_flat_picture_has_no_history():
    flat = np.full((256, 256), 90, np.uint8)
    assert compression.aligned(flat, standard_tables(False)[89]).score == 0.0
    assert compression.shifted(flat).score == 0.0
    assert compression.ghost_map(flat, standard_tables(False)[89]).max() == 0
