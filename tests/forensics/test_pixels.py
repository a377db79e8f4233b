import io

import numpy as np
import pytest
from PIL import Image
from skimage.filters import median

from faceloupe.forensics import pixels
from faceloupe.forensics.registry import examine
from tests.forensics.conftest import source

PIXEL_LENSES = (pixels.examine_error_level, pixels.examine_spectrum, pixels.examine_noise)


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def brightness(lens, values: np.ndarray) -> np.ndarray:
    """Brightness of the drawn picture, which grows with the value in viridis."""
    return lens(source(png(values))).pictures[0].rgb.astype(float).mean(axis=2)


@pytest.mark.parametrize("lens", PIXEL_LENSES)
def test_a_flat_picture_stays_dark_on_a_fixed_scale(lens):
    drawn = brightness(lens, np.full((64, 64, 3), 120, np.uint8))
    assert np.ptp(drawn) == 0
    assert drawn.max() < 80


def test_noise_is_what_the_median_takes_away():
    values = np.random.default_rng(1).normal(128, 6, (64, 64)).clip(0, 255).astype(np.uint8)
    expected = np.abs(values.astype(int) - median(values, np.ones((3, 3)), mode="nearest").astype(int))
    facts = pixels.examine_noise(source(png(np.dstack([values] * 3)))).facts
    assert facts[0].value == f"{expected.mean():.2f} gray levels"


def test_a_wave_is_a_pair_of_points_at_its_frequency():
    wave = 128 + 60 * np.sin(2 * np.pi * 16 * np.arange(128) / 128)
    drawn = brightness(pixels.examine_spectrum, np.dstack([np.tile(wave, (128, 1)).astype(np.uint8)] * 3))
    rows, columns = np.nonzero(drawn >= drawn.max() - 1e-9)
    assert set(rows) == {64}
    assert {64 - 16, 64 + 16} <= set(columns)


def test_a_part_that_was_saved_before_differs_less_when_it_is_saved_again():
    noise = np.random.default_rng(2).integers(0, 255, (128, 128, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise[:, :64]).save(stream, "JPEG", quality=pixels.ERROR_QUALITY, subsampling=0)
    noise[:, :64] = np.asarray(Image.open(stream))
    drawn = brightness(pixels.examine_error_level, noise)
    assert drawn[:, :64].mean() < 0.8 * drawn[:, 64:].mean()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK"])
def test_a_picture_of_one_pixel_passes_every_lens(mode):
    stream = io.BytesIO()
    Image.new(mode, (1, 1)).save(stream, "JPEG" if mode == "CMYK" else "PNG")
    report = examine(source(stream.getvalue())).report
    assert [lens.problem for lens in report.lenses if lens.problem] == []


def test_pixels_that_cannot_be_decoded_leave_the_other_lenses():
    content = png(np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8))
    problems = {lens.id: lens.problem for lens in examine(source(content[:2000])).report.lenses}
    assert problems["traces"] == "" or "PNG" in problems["traces"]
    assert all("damaged" in problems[name] for name in ("error-level", "spectrum", "noise"))


def test_up_sampling_leaves_points_that_the_blocks_of_a_jpeg_do_not():
    gray = np.random.default_rng(5).uniform(80, 180, (128, 128)).astype(np.float32)
    gains = np.array([[0.9, 1.1], [1.1, 1.2]], np.float32)  # of the pixels that a transposed convolution makes of one
    doubled = np.kron(np.kron(gray[:64, :64], gains), gains)
    stream = io.BytesIO()
    smooth = np.kron(gray[:64, :64], np.ones((4, 4), np.float32))
    Image.fromarray(smooth.astype(np.uint8)).save(stream, "JPEG", quality=50)
    assert pixels.up_sampling_score(doubled) > 2
    assert pixels.up_sampling_score(np.asarray(Image.open(stream))) < 0.5
