"""Claims about tracks: who continues whom. People are drawn as textured discs of their own colors."""

import numpy as np
import pytest

from faceloupe.faces.tracks import Tracker, appearance, link
from faceloupe.types import Box, DetectedFace

SIZE = (480, 640)
COLORS = {"ann": (200, 120, 90), "bob": (90, 140, 200), "cy": (120, 200, 90)}


def face_at(x: float, y: float, size: float = 80.0) -> DetectedFace:
    half = size / 2
    points = [(-0.2, -0.15), (0.2, -0.15), (0.0, 0.05), (-0.15, 0.25), (0.15, 0.25)]
    landmarks = np.array([(x + dx * size, y + dy * size) for dx, dy in points])
    return DetectedFace(Box(x - half, y - half, x + half, y + half), 0.99, landmarks)


def scene(people: dict[str, tuple[float, float]], noise: int = 0) -> tuple[np.ndarray, list[DetectedFace]]:
    """A picture of people at their places, later ones in front, and the faces of those who are not hidden, in order."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    rgb = np.full((*SIZE, 3), 128, np.int16)
    for name, (x, y) in people.items():
        pattern = np.random.default_rng(len(name) * 7 + ord(name[0])).integers(-60, 60, (8, 8))
        inside = (abs(columns - x) < 90) & (abs(rows - y) < 90)
        cells = pattern[((rows - int(y)) // 12) % 8, ((columns - int(x)) // 12) % 8]
        rgb[inside] = np.asarray(COLORS[name]) + cells[inside][:, None]
    rgb += np.random.default_rng(noise).integers(-8, 9, rgb.shape, dtype=np.int16)
    return np.clip(rgb, 0, 255).astype(np.uint8), [face_at(*people[name]) for name in visible(people)]


def visible(people: dict[str, tuple[float, float]]) -> list[str]:
    """Return the people who are not occluded, in alphabetical order."""
    order = list(people)
    return sorted(
        name
        for number, name in enumerate(order)
        if all(abs(people[name][0] - people[front][0]) > 110 for front in order[number + 1 :])
    )


def run(frames: list[dict[str, tuple[float, float]]], shots: list[int] | None = None) -> tuple[Tracker, list[dict]]:
    """Track a list of frames; for each, the track of each person."""
    tracker, owners = Tracker(), []
    for number, people in enumerate(frames):
        rgb, faces = scene(people, number)
        ids = tracker.add(rgb, faces, shots[number] if shots else 0)
        owners.append(dict(zip(visible(people), ids, strict=True)))
    return tracker, owners


def test_a_person_who_moves_stays_one_track():
    tracker, _ = run([{"ann": (120 + 40 * step, 240)} for step in range(10)])
    assert [track.frames for track in tracker.tracks] == [list(range(10))]


def test_people_who_cross_keep_their_tracks():
    frames = [{"ann": (120 + 60 * step, 240), "bob": (540 - 60 * step, 240)} for step in range(8)]
    _, owners = run(frames)
    assert any("ann" not in owner for owner in owners)  # bob passes in front of her
    assert {name: {owner[name] for owner in owners if name in owner} for name in ("ann", "bob")} == {
        "ann": {1},
        "bob": {2},
    }


def test_people_who_change_places_between_two_frames_keep_their_tracks():
    _, owners = run([{"ann": (260, 240), "bob": (380, 240)}, {"ann": (380, 240), "bob": (260, 240)}])
    assert owners[0] == owners[1]


def test_a_face_missed_in_every_third_frame_stays_one_track():
    tracker, _ = run([{} if step % 3 == 1 else {"ann": (200 + 5 * step, 240)} for step in range(9)])
    assert [track.frames for track in tracker.tracks] == [[0, 2, 3, 5, 6, 8]]


def test_no_track_reaches_across_a_cut():
    tracker, _ = run([{"ann": (200, 240)}] * 4, shots=[0, 0, 1, 1])
    assert [(track.shot, track.frames) for track in tracker.tracks] == [(0, [0, 1]), (1, [2, 3])]


def test_a_person_on_both_sides_of_a_cut_is_linked_and_a_stranger_is_not():
    tracker, _ = run([{"ann": (200, 240)}, {"ann": (400, 200)}, {"bob": (300, 240)}], shots=[0, 1, 2])
    assert [person.tracks for person in link(tracker.tracks)] == [(1, 2), (3,)]


def test_a_person_who_leaves_and_comes_back_is_two_tracks_of_one_person():
    tracker, _ = run([{"ann": (200, 240)}] * 2 + [{}] * 8 + [{"ann": (420, 240)}] * 2)
    assert len(tracker.tracks) == 2
    (person,) = link(tracker.tracks)
    assert person.tracks == (1, 2)
    assert 0.88 <= person.similarity <= 1.0


def test_linking_can_be_stopped():
    tracker, _ = run([{"ann": (200, 240)}, {"ann": (400, 200)}], shots=[0, 1])

    def stop():
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        link(tracker.tracks, check=stop)


def test_tracks_that_share_a_frame_are_never_one_person():
    tracker, _ = run([{"ann": (160, 240)}])
    rgb, _ = scene({"ann": (160, 240)})
    twin = Tracker()
    twin.add(rgb, [face_at(160, 240), face_at(170, 250)], 0)
    assert len(link(twin.tracks)) == 2
    assert len(link(tracker.tracks)) == 1


def test_another_person_at_the_same_position_is_another_track():
    tracker, _ = run([{"ann": (300, 240)}, {"bob": (300, 240)}])
    assert len(tracker.tracks) == 2


def test_an_empty_video_has_no_tracks_and_no_people():
    tracker, owners = run([{}, {}])
    assert (tracker.tracks, owners, link(tracker.tracks)) == ([], [{}, {}], ())


def test_likeness_is_1_for_the_same_picture_and_does_not_depend_on_the_order():
    rgb, (ann, bob) = scene({"ann": (160, 240), "bob": (460, 240)})
    first, other = appearance(rgb, ann), appearance(rgb, bob)
    assert first.similarity(first) == pytest.approx(1.0, abs=1e-5)
    assert first.similarity(other) == pytest.approx(other.similarity(first), abs=1e-6)
    assert first.similarity(other) < 0.6


def test_a_flat_or_border_face_can_be_described():
    for at in ((0.0, 0.0), (639.0, 479.0)):
        observation = appearance(np.zeros((*SIZE, 3), np.uint8), face_at(*at))
        assert np.isfinite(observation.face).all()
        assert observation.colors.sum(1) == pytest.approx([1.0, 1.0])


def test_a_tracker_that_forgets_continues_its_tracks_and_never_gives_an_id_twice():
    tracker, ids = Tracker(), []
    for number in range(30):
        people = {"ann": (100.0 + 5 * number, 200.0)} if number < 10 or number > 20 else {"bob": (500.0, 200.0)}
        rgb, faces = scene(people, number)
        ids += tracker.add(rgb, faces, 0)
        tracker.forget()
        assert all(len(track.faces) == len(track.frames) == len(track.observations) == 1 for track in tracker.tracks)
    assert ids == [1] * 10 + [2] * 11 + [3] * 9
    assert [track.id for track in tracker.tracks] == [3]
