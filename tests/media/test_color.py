"""Curves and primaries against the numbers of the standards."""

import numpy as np
import pytest

from faceloupe.media import color

PLAIN = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def shown(encoding: color.Encoding, *values: float) -> np.ndarray:
    """Return the converted 8-bit gray values."""
    rgb = np.repeat(np.array(values).round().astype(np.uint8)[None, :, None], 3, 2)
    return encoding.to_srgb(rgb)[0]


@pytest.mark.parametrize(
    ("stored", "light"),
    [(0.0, 0.0), (0.5081, 100.0), (0.5807, 203.0), (0.7518, 1000.0), (1.0, 10000.0)],
)
def test_pq_has_the_light_that_the_reports_of_the_itu_give(stored, light):
    assert color._pq(np.array(stored)) == pytest.approx(light, rel=2e-3, abs=1e-9)


def test_hlg_shows_three_quarters_as_reference_white():
    """BT.2408, table 1: 75 % of HLG is 203 cd/m2 on a screen of 1000."""
    light = color._hlg(np.array([0.0, 0.5, 0.75, 1.0]))
    assert light == pytest.approx([0.0, 1 / 12, 0.26496, 1.0], abs=1e-4)
    assert 1000 * light[2] ** 1.2 == pytest.approx(203, rel=2e-3)


@pytest.mark.parametrize("transfer", [16, 18])
def test_reference_white_and_what_is_brighter_are_light_and_keep_their_order(transfer):
    white = 148 if transfer == 16 else 191
    values = shown(color.from_cicp(9, transfer), *range(256))
    assert (np.ptp(values.astype(int), axis=1) <= 1).all()  # gray stays gray
    assert (np.diff(values[:, 0].astype(int)) >= 0).all()
    assert 244 <= values[white, 0] <= 252
    assert values[255, 0] == 255


def test_what_is_darker_than_the_knee_is_not_changed_by_the_tone_mapping():
    """A picture for ordinary screens, encoded as PQ with its white at 203 cd/m2, comes back."""
    light = color._srgb(np.arange(0, 241) / 255)
    root = (203 * light / 10000) ** (2610 / 16384)
    stored = ((3424 / 4096 + 2413 / 128 * root) / (1 + 2392 / 128 * root)) ** (2523 / 32)
    back = shown(color.from_cicp(1, 16), *(255 * stored))[:, 0].astype(int)
    assert np.abs(back - np.arange(241)).max() <= 5  # PQ has few of 256 steps for these


@pytest.mark.parametrize("pair", [(1, 1), (1, 13), (2, 2), (1, 6), (2, 14)], ids=str)
def test_encodings_for_ordinary_screens_stay_as_they_are(pair):
    assert color.from_cicp(*pair) is None


@pytest.mark.parametrize("pair", [(0, 13), (3, 13), (99, 1), (1, 0), (1, 3), (1, 19)], ids=str)
def test_reserved_code_points_are_no_encoding(pair):
    with pytest.raises(ValueError, match=r"primaries|transfer"):
        color.from_cicp(*pair)


def test_display_p3_has_the_colors_that_are_published_for_it():
    """CSS Color 4, 10.4: color(display-p3 0.5 0.5 0.5), and a P3 green of 0.6 with red of 0.4."""
    values = color.from_cicp(12, 13).to_srgb(np.array([[[128, 128, 128], [102, 153, 128]]], np.uint8))
    p3 = np.array([[1.2249401, -0.2249402, 0], [-0.0420569, 1.0420571, 0], [-0.0196376, -0.0786361, 1.0982735]])
    light = p3 @ color._srgb(np.array([102, 153, 128]) / 255)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(values[0, 0].astype(int) - 128).max() <= 1
    assert np.abs(values[0, 1] - expected).max() <= 1.5


def test_another_white_is_adapted():
    rounded = color.from_png(1 / 2.2, (0.3457, 0.3585, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06))
    white = rounded.to_srgb(np.full((1, 1, 3), 255, np.uint8))
    assert white.min() >= 254
    middle = shown(rounded, 128)
    assert np.ptp(middle.astype(int)) <= 1


def test_chromaticities_without_area_are_no_encoding():
    with pytest.raises(ValueError, match="area"):
        color.from_png(0.5, (0.3127, 0.329, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3))


def test_srgb_as_the_png_specification_writes_it_is_left_alone():
    assert color.from_png(0.45455, color.SRGB_PRIMARIES) is None
    assert color.is_screen_gamma(0.45455)
    assert not color.is_screen_gamma(0.55)


@pytest.mark.parametrize("shape", [(1, 1), (700, 900), (1, 600_000)], ids=str)
def test_large_and_tiny_pictures_are_converted_alike(shape):
    rgb = np.resize(PLAIN, (*shape, 3))
    encoding = color.from_cicp(9, 16)
    assert np.array_equal(encoding.to_srgb(rgb).reshape(-1, 3)[:1], encoding.to_srgb(rgb[:1, :1]).reshape(-1, 3))


def test_linear_light_and_back_is_the_identity():
    back = color._from_linear()[(color._srgb(np.arange(256) / 255) * 65535 + 0.5).astype(int)]
    assert np.array_equal(back, np.arange(256))
