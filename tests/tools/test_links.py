"""The count of wrong and missed links between shots."""

from tools.links import Links, _counted

from faceloupe.faces.tracks import Person


def test_a_link_of_different_people_is_wrong_and_a_missing_link_of_one_is_a_miss():
    people = (Person(1, (1, 2, 5), 0.9), Person(2, (3,), 1.0), Person(3, (4,), 1.0))
    shows = {1: "a", 2: "a", 3: "a", 4: "b", 5: "b"}
    assert _counted(people, shows) == Links(different=6, wrong=2, same=4, missed=3, mixed=1, linked=3)
