"""Face tracks: one track is one person in one shot. Tracks that look alike are linked across shots."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from faceloupe.models.contract import FloatArray
from faceloupe.types import DetectedFace

_SIDE = 32  # pixels of the small pictures that are compared
# Sides of the compared squares (the face, and the head with the shoulders) in units of the spread of the landmarks. The
# box of a tilted face would not do: it depends on whether the face was found tilted or upright. In a frontal face, the
# spread is a third of the box.
_FACE, _SCENE = 3.5, 7.0
_LEAST_SPREAD = 0.15  # of the shorter side of the box; landmarks of a face are never closer together
_BINS = (8, 8)  # hue, saturation
_FARTHEST = 2.0  # face sizes that a face may move from one frame to the next; over n frames, sqrt(n) times as far
_LARGEST_GROWTH = 1.8  # greatest ratio of heights
_LONGEST_GAP = 4  # successive frames in which a face may be missing before its track ends
_LEAST_ALIKE, _LEAST_FIT = 0.25, 0.4
# Least similarity of two tracks that are linked. Strangers in one scene reached 0.84; those of 12 clips of one person,
# 0.79.
_LINKED_ALIKE = 0.85
_LEAST_LAYOUT = 2 * (_LINKED_ALIKE - 0.5)  # below this, even equal colors cannot reach ``_LINKED_ALIKE``
_COMPARED = 8  # approximate number of appearances per track that are compared with other tracks


@dataclass(frozen=True, slots=True)
class Appearance:
    """The appearance of a face, to tell it from other faces of the same clip; it cannot identify a person.

    Attributes:
        face: (1024,) float32, a small gray picture of the face with its eyes level; mean 0 and length 1.
        colors: (2, 64) float32, hue-saturation histograms of the face and of head and shoulders; each sums to 1.
    """

    face: np.ndarray
    colors: np.ndarray

    def similarity(self, other: "Appearance") -> float:
        """Return the similarity, from 0 (nothing in common) to 1 (the same pictures)."""
        return float(_similarity(np.maximum(self.face @ other.face, 0.0), self.colors, other.colors))


def _similarity(layout: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Combine the similarity in layout (...,) and two sets of colors (..., 2, 64) into one similarity, 0..1."""
    colors = np.minimum(first, second).sum(-1)  # histogram intersection, Swain and Ballard 1991
    similarity: np.ndarray = 0.5 * layout + 0.2 * colors[..., 0] + 0.3 * colors[..., 1]
    return similarity


def appearance(rgb: np.ndarray, face: DetectedFace) -> Appearance:
    """Return the appearance of a face in an (H, W, 3) uint8 RGB picture."""
    left, right = face.landmarks[:2]
    angle = float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))
    upright = _cut(rgb, face, _FACE, angle)
    gray = cv2.GaussianBlur(cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY), (5, 5), 0).astype(np.float32)
    vector = (gray - gray.mean()).ravel()
    length = float(np.linalg.norm(vector))
    colors = np.stack([_histogram(upright), _histogram(_cut(rgb, face, _SCENE, 0.0))])
    return Appearance(vector / length if length else vector, colors)


def _cut(rgb: np.ndarray, face: DetectedFace, spreads: float, angle: float) -> np.ndarray:
    """Return a square around the landmarks, turned by ``angle`` degrees and shrunk: (32, 32, 3) uint8."""
    center = face.landmarks.mean(0)
    spread = float(np.sqrt(np.square(face.landmarks - center).sum(1).mean()))
    side = spreads * max(spread, _LEAST_SPREAD * face.size_px)
    matrix: FloatArray = cv2.getRotationMatrix2D(center.tolist(), angle, _SIDE / side).astype(np.float64)
    matrix[:, 2] += _SIDE / 2 - center
    return cv2.warpAffine(rgb, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _histogram(rgb: np.ndarray) -> np.ndarray:
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1], None, _BINS, [0, 180, 0, 256]).ravel()
    shares: np.ndarray = counts / counts.sum()
    return shares


@dataclass(slots=True)
class Track:
    """One person in one shot.

    Attributes:
        id: from 1, in order of first appearance.
        shot: number of the shot, from 0.
        frames: positions among the analyzed frames at which the face was found.
        faces: the face at each of these positions.
        observations: its appearance at each of these positions.
    """

    id: int
    shot: int
    frames: list[int] = field(default_factory=list)
    faces: list[DetectedFace] = field(default_factory=list)
    observations: list[Appearance] = field(default_factory=list)


class Tracker:
    """A tracker that assigns the faces of successive frames to tracks by position, size and appearance.

    The assignment is solved with the Hungarian method (Kuhn 1955).

    Attributes:
        tracks: all tracks so far except those that ``forget`` dropped, in order of their ids.
    """

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._position, self._last_id = -1, 0

    def add(self, rgb: np.ndarray, faces: Sequence[DetectedFace], shot: int) -> list[int]:
        """Add the faces of the next frame to tracks.

        Args:
            rgb: (H, W, 3) uint8.
            faces: the faces found in the frame.
            shot: number of the frame's shot; tracks never cross shots.

        Returns:
            The id of the track of each face.
        """
        from scipy.optimize import linear_sum_assignment  # takes half a second, so only videos import it

        self._position += 1
        observations = [appearance(rgb, face) for face in faces]
        open_tracks = [
            track
            for track in self.tracks
            if track.shot == shot and self._position - track.frames[-1] <= _LONGEST_GAP + 1
        ]
        fits = np.array(
            [
                [self._fit(track, face, observation) for face, observation in zip(faces, observations, strict=True)]
                for track in open_tracks
            ]
        ).reshape(len(open_tracks), len(faces))
        owners: dict[int, Track] = {}
        for row, column in zip(*linear_sum_assignment(fits, maximize=True), strict=True):
            if fits[row, column] >= _LEAST_FIT:
                owners[int(column)] = open_tracks[row]
        for number, (face, observation) in enumerate(zip(faces, observations, strict=True)):
            if number not in owners:
                self._last_id += 1
                owners[number] = Track(self._last_id, shot)
                self.tracks.append(owners[number])
            track = owners[number]
            track.frames.append(self._position)
            track.faces.append(face)
            track.observations.append(observation)
        return [owners[number].id for number in range(len(faces))]

    def forget(self) -> None:
        """Drop all data that is not needed to continue: ended tracks, and all but the last face of the others.

        Without this, an endless stream would fill the memory.
        """
        self.tracks = [
            Track(track.id, track.shot, track.frames[-1:], track.faces[-1:], track.observations[-1:])
            for track in self.tracks
            if self._position - track.frames[-1] <= _LONGEST_GAP
        ]

    def _fit(self, track: Track, face: DetectedFace, observation: Appearance) -> float:
        """Return how well a face of this frame continues a track, from 0 (it cannot) to 1."""
        last, box = track.faces[-1].box, face.box
        size = (last.width + last.height + box.width + box.height) / 4
        apart = np.hypot(last.x0 + last.x1 - box.x0 - box.x1, last.y0 + last.y1 - box.y0 - box.y1) / 2 / size
        farthest = _FARTHEST * np.sqrt(self._position - track.frames[-1])
        growth = max(box.height / last.height, last.height / box.height)
        alike = observation.similarity(track.observations[-1])
        if apart > farthest or growth > _LARGEST_GROWTH or alike < _LEAST_ALIKE:
            return 0.0
        return float(0.4 * (1.0 - apart / farthest) + 0.6 * alike)


@dataclass(frozen=True, slots=True)
class Person:
    """Tracks that look like one person.

    Attributes:
        id: from 1, in order of first appearance.
        tracks: ids of the tracks.
        similarity: the lowest similarity at which two groups of these tracks were linked, 0..1; 1 for a single track.
    """

    id: int
    tracks: tuple[int, ...]
    similarity: float


def link(tracks: Sequence[Track], *, check: Callable[[], None] = lambda: None) -> tuple[Person, ...]:
    """Link tracks that look alike, the most similar pairs first; tracks that share a frame are different people.

    Args:
        tracks: all tracks of a video.
        check: called regularly; it stops the work by raising an exception.
    """
    pairs = sorted(_alike(tracks, check), reverse=True)
    members = {number: [number] for number in range(len(tracks))}  # the group of each track: one list for all members
    least = dict.fromkeys(members, 1.0)
    for alike, i, j in pairs:
        first, second = members[i], members[j]
        if first is second or _met([tracks[n] for n in first], [tracks[n] for n in second]):
            continue
        joined = sorted([*first, *second])
        for number in joined:
            members[number], least[number] = joined, alike
    groups = sorted({tuple(group) for group in members.values()})
    return tuple(
        Person(number, tuple(tracks[n].id for n in group), least[group[0]]) for number, group in enumerate(groups, 1)
    )


def _met(ones: Sequence[Track], others: Sequence[Track]) -> bool:
    return any(not set(track.frames).isdisjoint(other.frames) for track in ones for other in others)


def _alike(tracks: Sequence[Track], check: Callable[[], None]) -> Iterator[tuple[float, int, int]]:
    """Yield the similarity and the numbers of each pair of tracks that may be linked, the later track first.

    The similarity is that of the two most similar appearances, among about eight per track. Only some are compared
    because a video of many shots has millions of pairs.
    """
    compared = [track.observations[:: max(1, len(track.observations) // _COMPARED)] for track in tracks]
    observations = [observation for some in compared for observation in some]
    if not observations:
        return
    owners = np.repeat(np.arange(len(tracks)), [len(some) for some in compared])
    faces, colors = (
        np.stack([observation.face for observation in observations]),
        np.stack([observation.colors for observation in observations]),
    )
    for number in range(1, len(tracks)):
        check()
        mine, before = np.flatnonzero(owners == number), int(np.searchsorted(owners, number))
        layouts = faces[mine] @ faces[:before].T
        rows, columns = np.nonzero(layouts >= _LEAST_LAYOUT)
        alike = _similarity(layouts[rows, columns], colors[mine[rows]], colors[columns])
        best = np.zeros(number)
        np.maximum.at(best, owners[columns], alike)
        for other in np.flatnonzero(best >= _LINKED_ALIKE):
            yield float(best[other]), number, int(other)
