import numpy as np
import pytest

from faceloupe.config import Settings
from faceloupe.faces.detector import FaceDetector
from faceloupe.scoring.single import Reading
from faceloupe.training import blending
from faceloupe.training.conditions import CONDITIONS
from faceloupe.training.heatmaps import BlendedFace, localize
from faceloupe.types import Box


@pytest.fixture(scope="module")
def face(portrait) -> blending.Region:
    (result, *_) = FaceDetector(Settings(effort="quick")).detect(portrait)
    return blending.region(portrait, result.box, tuple(result.landmarks.ravel()))


def test_a_region_is_small_and_keeps_box_and_landmarks_in_place(portrait, face):
    assert max(face.rgb.shape[:2]) <= blending.REGION_MAX_PX
    assert 0 <= face.box.x0 < face.box.x1 <= face.rgb.shape[1]
    inside = (face.landmarks > [face.box.x0, face.box.y0]) & (face.landmarks < [face.box.x1, face.box.y1])
    assert inside.all()


def test_blends_change_the_face_inside_the_mask_and_the_seam_only_there(face):
    """If the inner copy was changed, the pixels outside the mask are those of the photograph, bit for bit."""
    untouched = 0
    for seed in range(30):
        rgb, mask = blending.blend(np.random.default_rng(seed), face)
        assert rgb.shape == face.rgb.shape
        assert rgb.dtype == np.uint8
        assert 0.0 <= mask.min() <= mask.max() <= 1.0
        assert mask.mean() < 0.8
        outside = mask == 0
        untouched += bool(outside.any()) and np.array_equal(rgb[outside], face.rgb[outside])
    assert untouched >= 8


def test_the_same_seed_makes_the_same_blend(face):
    first, second = (blending.blend(np.random.default_rng(4), face) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


def test_a_face_is_blended_within_its_picture_at_its_own_resolution(portrait):
    (detected, *_) = FaceDetector(Settings(effort="quick")).detect(portrait)
    first, again, other = (
        blending.blend_within(np.random.default_rng(seed), portrait, detected.box, tuple(detected.landmarks.ravel()))
        for seed in (3, 3, 4)
    )
    changed = np.argwhere((first != portrait).any(axis=2))
    reach = blending.REGION_MARGIN * max(detected.box.width, detected.box.height) / 2 + 1
    middle = (detected.box.y0 + detected.box.y1) / 2, (detected.box.x0 + detected.box.x1) / 2
    assert first.shape == portrait.shape
    assert len(changed) > 1000
    assert (np.abs(changed - middle) <= reach).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_donor_in_the_same_pose_is_laid_over_the_face(face):
    mirrored = face.rgb[:, ::-1].copy()
    width = face.rgb.shape[1]
    points = np.stack([width - 1 - face.landmarks[:, 0], face.landmarks[:, 1]], 1)[[1, 0, 2, 4, 3]]
    donor = blending.Region(255 - mirrored, face.box, points)
    rgb, mask = blending.blend(np.random.default_rng(1), face, donor)
    solid = mask > 0.9
    assert solid.any()
    assert np.abs(rgb[solid].astype(int) - face.rgb[solid]).mean() > 5
    assert np.array_equal(rgb[mask == 0], face.rgb[mask == 0])


class _Knowing:
    """A scorer whose map is a given one: the measure itself is tested, not a network."""

    def __init__(self, heat: np.ndarray) -> None:
        self._heat = heat

    def view(self, rgb, box):
        from faceloupe.models.contract import InputContract
        from faceloupe.scoring.preprocess import view_face

        return view_face(rgb, box, InputContract(size=64, views=(1.0,)))

    def explained(self, face):
        return Reading(0.0), self._heat


def test_a_map_of_the_mask_itself_has_all_its_mass_inside_and_a_flat_one_its_share():
    mask = np.zeros((64, 64), np.float32)
    mask[16:32, 16:48] = 1.0
    rgb = np.zeros((64, 64, 3), np.uint8)
    faces = [BlendedFace(blending.Region(rgb, Box(0, 0, 64, 64), np.zeros((5, 2))), rgb, mask)]
    flat, nothing = np.ones((64, 64), np.float32), np.zeros((64, 64), np.float32)
    for heat, mass, gain in ((mask, 1.0, 8.0), (flat, 1 / 8, 1.0)):
        result = localize(_Knowing(heat), faces)
        assert set(result) == {"all", "changed area below 15%"}
        assert (result["all"].mass, result["all"].gain) == (pytest.approx(mass), pytest.approx(gain))
    blank = localize(_Knowing(nothing), faces, threshold=-1.0)["scored above .5"]
    assert (blank.faces, blank.blank) == (0, 1)


@pytest.mark.parametrize("name", [name for name, degrade in CONDITIONS.items() if degrade])
def test_a_degradation_keeps_the_box_on_the_face(name, portrait):
    box = Box(300, 200, 620, 600)
    rgb, moved = CONDITIONS[name](portrait, box)
    scale = rgb.shape[1] / portrait.shape[1]
    assert rgb.dtype == np.uint8
    assert moved.corners == pytest.approx([value * scale for value in box.corners], abs=0.5)
    assert not np.array_equal(rgb, portrait)
