"""The count of wrong and missed links between shots."""

import numpy as np
from PIL import Image
from tools.links import FRAMES, SHOTS, Clip, Links, _counted, followed, linked

from faceloupe.config import Settings
from faceloupe.faces.detector import FaceDetector
from faceloupe.faces.tracks import Person
from tests.conftest import GENERATED


def test_a_link_of_different_people_is_wrong_and_a_missing_link_of_one_is_a_miss():
    people = (Person(1, (1, 2, 5), 0.9), Person(2, (3,), 1.0), Person(3, (4,), 1.0))
    shows = {1: "a", 2: "a", 3: "a", 4: "b", 5: "b"}
    assert _counted(people, shows) == Links(different=6, wrong=2, same=4, missed=3, mixed=1, linked=3)


def test_the_shots_of_one_picture_are_followed_and_linked():
    with Image.open(GENERATED) as opened:
        rgb = np.asarray(opened.convert("RGB").resize((240, 240)))
    tracks, owners = followed([Clip("a", (rgb,) * (SHOTS * FRAMES))], 1.0, FaceDetector(Settings()))
    assert owners == dict.fromkeys(range(SHOTS), "a")
    assert linked(tracks, owners) == Links(
        different=0, wrong=0, same=SHOTS * (SHOTS - 1) // 2, missed=0, mixed=0, linked=1
    )
