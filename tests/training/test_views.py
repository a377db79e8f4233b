"""Views of a face for the encoder: crops, tiers and augmentation."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceloupe.errors import DatasetError
from faceloupe.training import views
from faceloupe.training.views import AS_FRAMED, STRENGTHS, Face, Framing, Passage, Recipe
from faceloupe.types import Box

PLAIN = Recipe(0.0, False, 1.0, False, 1.0, 0.0, (1.0, 1.0, 1.0), 1.0, (), AS_FRAMED, 0)


def marked(side: int = 520, box: tuple[float, ...] = (160.0, 150.0, 360.0, 350.0)) -> Face:
    """A picture with some texture, and a white cross in the middle of the face."""
    y, x = np.mgrid[:side, :side]
    rgb = np.stack([40 + 60 * np.sin(x / 31), 90 + 40 * np.cos(y / 23), 60 + 30 * np.sin((x + y) / 40)], axis=2)
    rgb = (rgb + np.random.default_rng(0).normal(0.0, 6.0, rgb.shape)).clip(0, 160).astype(np.uint8)
    cx, cy = round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2)
    rgb[cy - 20 : cy + 20, cx - 4 : cx + 4] = rgb[cy - 4 : cy + 4, cx - 20 : cx + 20] = 255
    return Face(rgb, Box(*box), 1040.0)


def cross_at(rgb: np.ndarray) -> np.ndarray:
    """x and y of the cross, pixels."""
    return np.argwhere(rgb.min(axis=2) > 200).mean(axis=0)[::-1]


def middle(box: Box) -> np.ndarray:
    return np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])


@pytest.mark.parametrize(("name", "ratio"), [("tight", 1.3), ("widest", 2.6)])
def test_a_crop_has_the_face_in_its_middle_and_says_how_wide_it_is(name, ratio):
    cropped = views.crop(marked(), name)
    assert cropped.rgb.shape == (224, 224, 3)
    assert (cropped.face_px, cropped.ratio) == (200, pytest.approx(ratio))
    np.testing.assert_allclose(cross_at(cropped.rgb), (112, 112), atol=8)


def test_a_crop_that_the_picture_cannot_fill_says_so():
    cropped = views.crop(marked(300, (50.0, 50.0, 250.0, 250.0)), "widest")
    assert cropped.ratio == pytest.approx(1.5)


def test_framing_zooms_and_shifts():
    plain, zoomed = (views.crop(marked(), "tight", Framing(zoom)) for zoom in (1.0, 0.85))
    assert zoomed.ratio == pytest.approx(0.85 * plain.ratio, abs=0.01)
    shifted = views.crop(marked(), "tight", Framing(1.0, (0.06, -0.06)))
    np.testing.assert_allclose(cross_at(shifted.rgb) - cross_at(plain.rgb), (-10.3, 10.3), atol=1.5)


@pytest.mark.parametrize(("name", "side", "quality"), [("768", 768, 60), ("512", 512, 40)])
def test_a_tier_is_measured_on_the_whole_picture(name, side, quality):
    face = marked()
    treated, framing = views.treat(face, name, "")
    factor = side / face.picture_px
    assert treated.rgb.shape[0] == round(520 * factor)
    np.testing.assert_allclose(treated.box.corners, np.array(face.box.corners) * factor, rtol=0.01)
    np.testing.assert_allclose(cross_at(treated.rgb), middle(treated.box), atol=2)
    assert framing == AS_FRAMED
    plain = cv2.resize(face.rgb, treated.rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(treated.rgb, views._jpeg(plain, quality))


def test_a_tier_enlarges_nothing_but_compresses():
    face = replace(marked(), picture_px=520.0)
    treated, _ = views.treat(face, "768", "")
    assert (treated.rgb.shape, treated.box) == (face.rgb.shape, face.box)
    assert (treated.rgb != face.rgb).any()


def test_as_is_changes_nothing():
    face = marked()
    assert views.treat(face, "as-is", "a") == (face, AS_FRAMED)


def test_a_recipe_that_asks_for_nothing_changes_nothing():
    np.testing.assert_array_equal(views.augment(marked(), PLAIN).rgb, marked().rgb)


@pytest.mark.parametrize(
    "change",
    [
        {"turn": 20.0},
        {"flip": True},
        {"squeeze": 0.7},
        {"squeeze": 1.4, "flip": True},
        {"passages": (Passage(0.5, 40, cv2.INTER_AREA),)},
        {"passages": (Passage(1.0, 80, cv2.INTER_CUBIC), Passage(0.6, 40, cv2.INTER_LINEAR))},
        {"flip": True, "turn": -25.0, "passages": (Passage(0.3, 40, cv2.INTER_LANCZOS4),)},
    ],
)
def test_the_box_stays_on_the_face(change):
    off_center = marked(520, (100.0, 150.0, 300.0, 370.0))
    treated = views.augment(off_center, replace(PLAIN, **change))
    np.testing.assert_allclose(cross_at(treated.rgb), middle(treated.box), atol=2.5)


def test_a_squeezed_picture_is_as_high_as_before():
    face = marked()
    treated = views.augment(face, replace(PLAIN, squeeze=0.7))
    assert treated.rgb.shape == (520, 364, 3)
    assert (treated.box.width, treated.box.height) == (pytest.approx(140), 200)


def test_linear_light_in_8_bits_coarsens_the_shadows_and_spares_the_lights():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    stored = views._stored_linear(levels).astype(int).ravel()[::3]
    assert len(set(stored[:64])) < 16
    np.testing.assert_allclose(stored[192:], np.arange(192, 256), atol=1)


def test_a_passage_shrinks_the_face_down_to_its_bound_and_smaller_ones_not_at_all():
    face = marked()
    for shrink, size in ((1.0, 40), (0.5, (200 * 40) ** 0.5), (0.0, 200)):
        treated = views.augment(face, replace(PLAIN, passages=(Passage(shrink, 40, cv2.INTER_AREA),)))
        assert treated.size_px == pytest.approx(size, rel=0.02)
        assert treated.picture_px == pytest.approx(1040 * treated.size_px / 200, rel=0.02)
    assert views.augment(face, replace(PLAIN, passages=(Passage(1.0, 300, cv2.INTER_AREA),))).size_px == 200


@pytest.mark.parametrize(
    "change",
    [
        {"gamma": 1.2},
        {"offset": 9.0},
        {"gain": (1.1, 1.0, 1.0)},
        {"saturation": 0.5},
        {"linear": True},
        *(
            {"passages": (Passage(0.0, 40, cv2.INTER_AREA, **filters),)}
            for filters in (
                {"blur_sigma": 1.0},
                {"sharpen": 1.0},
                {"noise_std": 4.0},
                {"noise_std": 4.0, "colored_noise": True},
                {"smooth": 30.0},
                {"codec": "JPEG", "quality": 40},
                {"codec": "JPEG", "quality": 40, "subsampling": 0},
                {"codec": "WEBP", "quality": 40},
            )
        ),
    ],
    ids=str,
)
def test_every_part_of_a_recipe_changes_the_picture_a_little_and_the_same_way_each_time(change):
    face = marked()
    first, second = (views.augment(face, replace(PLAIN, **change)).rgb for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert 0.05 < np.abs(first.astype(float) - face.rgb).mean() < 30


def test_gray_is_gray():
    rgb = views.augment(marked(), replace(PLAIN, saturation=0.0)).rgb
    assert np.ptp(rgb, axis=2).max() == 0


def test_colored_noise_differs_between_channels_and_other_noise_does_not():
    face = replace(marked(), rgb=np.full((520, 520, 3), 128, np.uint8))
    for colored in (True, False):
        passage = Passage(0.0, 40, cv2.INTER_AREA, noise_std=5.0, colored_noise=colored)
        rgb = views.augment(face, replace(PLAIN, passages=(passage,))).rgb
        assert rgb.std() == pytest.approx(5.0, rel=0.05)
        assert bool(np.ptp(rgb, axis=2).any()) is colored


def test_a_pair_has_one_recipe_and_each_number_another():
    first, again, other, next_one = (
        views.recipe_for(*of) for of in (("heavy-1", "p"), ("heavy-1", "p"), ("heavy-1", "q"), ("heavy-2", "p"))
    )
    assert first == again
    assert len({first, other, next_one}) == 3


def test_both_of_a_pair_are_treated_alike():
    """A face and its copy with another mouth differ after treatment where they differed before, and nowhere else."""
    real = marked()
    rgb = real.rgb.copy()
    rgb[300:320, 240:280] = 10
    fake = replace(real, rgb=rgb)
    for number in range(1, 9):
        first, other = (views.treat(face, f"light-{number}", "pair") for face in (real, fake))
        assert (first[0].box, first[1], first[0].rgb.shape) == (other[0].box, other[1], other[0].rgb.shape)
        crops = [views.crop(face, "widest", framing).rgb.astype(int) for face, framing in (first, other)]
        assert (np.abs(crops[0] - crops[1]).max(axis=2) > 25).mean() < 0.06


def test_heavy_is_heavier_than_light():
    def typical(strength: str) -> tuple[float, float]:
        recipes = [views.draw(np.random.default_rng(seed), STRENGTHS[strength]) for seed in range(400)]
        sizes = [views.augment(marked(), r).size_px for r in recipes[:40]]
        quality = [p.quality for r in recipes for p in r.passages if p.codec == "JPEG"]
        return float(np.mean(sizes)), float(np.mean(quality))

    light, heavy = typical("light"), typical("heavy")
    assert heavy[0] < light[0] - 15
    assert heavy[1] < light[1] - 10


def test_every_drawn_recipe_can_be_applied_to_small_faces_too():
    small = Face(marked().rgb[130:230, 130:230], Box(20.0, 20.0, 60.0, 70.0), 300.0)
    for strength in STRENGTHS.values():
        for seed in range(60):
            recipe = views.draw(np.random.default_rng(seed), strength)
            treated = views.augment(small, recipe)
            for name in views.CROPS:
                assert views.crop(treated, name, recipe.framing).rgb.dtype == np.uint8


@pytest.mark.parametrize("name", ["640", "heavy", "heavy-", "heavy-x", "harsh-1", ""])
def test_unknown_treatments_and_crops_are_refused(name):
    with pytest.raises(DatasetError, match="There is no treatment"):
        views.treat(marked(), name, "a")
    with pytest.raises(DatasetError, match="There is no crop"):
        views.crop(marked(), name)
