"""Selection of the frames of a video that are analyzed, and detection of its cuts."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from statistics import median

import numpy as np

from faceloupe.errors import UsageError
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.media.video import Video

_FEWEST, _MOST = 32, 256  # bounds for the default number of frames, which is one per second
_LINEAR_FRAMES, _LINEAR_PIXELS = 3_000, 6e9  # largest segment that is decoded completely, so that every cut is found.
# The key frames of a longer segment are scanned first, if its container supports seeking.
_SEEKABLE = ("mov", "matroska")
_SHORTEST_SHOT_S, _SAMPLES_PER_SHOT = 1.0, 3  # shots of at least this length get this many samples
_SHOT_SAMPLE_TIMES_S = (0.3, 0.55, 0.85)  # seconds after a cut by which these samples are due
_MOST_EXTRA = 2_048  # samples that are added for shots
_SETTLED = 2  # frames after a cut before the new shot is analyzed, because encoding is worst right after a cut
_RECENT = 12  # differences that measure the movement of a scene


@dataclass(frozen=True, slots=True)
class Cut:
    """A change of scene.

    Attributes:
        after: index of the last decoded frame of the old shot.
        before: index of the first decoded frame of the new shot; not ``after + 1`` if frames between them were skipped.
        time_s: time of the frame ``before``, seconds.
    """

    after: int
    before: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame that is analyzed.

    Attributes:
        index: position in display order, from 0.
        time_s: time since the first frame of the video, seconds.
        shot: number of its shot, from 0.
        rgb: (H, W, 3) uint8, upright.
    """

    index: int
    time_s: float
    shot: int
    rgb: np.ndarray


class CutFinder:
    """Detector that distinguishes cuts from movement: at a cut, the picture and its layout change at once.

    A cut lies between two successive small gray pictures if their mean difference is large and several times the recent
    differences (Yusoff et al. 2000, "Video shot cut detection using adaptive thresholding"), and if they hardly
    correlate.
    """

    LEAST_DIFFERENCE = 14.0  # gray levels
    TIMES_RECENT = 3.0
    MOST_CORRELATION = 0.6

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def is_cut(self, luma: np.ndarray) -> bool:
        """Return whether a cut lies between the previous picture and this one.

        Args:
            luma: (h, w) uint8, the reduced frame.
        """
        now, before = luma.astype(np.float32), self._last
        self._last = now
        if before is None:
            return False
        difference = float(np.abs(now - before).mean())
        usual = median(self._recent) if self._recent else 0.0
        self._recent.append(difference)
        if difference < max(self.LEAST_DIFFERENCE, self.TIMES_RECENT * usual):
            return False
        self._recent.clear()
        return _correlation(now, before) < self.MOST_CORRELATION


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / scale if scale else 0.0


def _spread(video: Video | IsolatedVideo, count: int, from_s: float, end_s: float) -> list[int]:
    """Return the indices of the frames on screen halfway through equal parts of a segment, or all its frames."""
    first, last = video.index_at(from_s), video.index_at(end_s)
    if float(video.time(last)) >= end_s > from_s:
        last = max(first, last - 1)  # the last frame begins where the segment ends
    if last - first < count:
        return list(range(first, last + 1))
    moments = (np.arange(count) + 0.5) / count * (end_s - from_s) + from_s
    return sorted({video.index_at(float(moment)) for moment in moments})


class Sampler:
    """Sampler that spreads frames evenly over time, adds more in shots that have too few, and records the cuts.

    Attributes:
        planned: indices of the evenly spread frames.
        cuts: cuts found so far.
    """

    def __init__(self, video: Video | IsolatedVideo, *, frames: int, from_s: float, to_s: float) -> None:
        """Choose the frames of a video.

        Args:
            video: an open video.
            frames: number of frames; 0 derives it from the duration.
            from_s: start of the segment that is analyzed, seconds.
            to_s: end of the segment, seconds; 0 is the end of the video.

        Raises:
            UsageError: the segment is not in the video.
        """
        last_s = float(video.time(video.count - 1))
        duration_s = video.facts.duration_s or last_s
        if from_s > last_s or (to_s and to_s <= from_s):
            raise UsageError(
                f"The segment from {from_s:g} s to {to_s or duration_s:g} s is not in the video, "
                f"which lasts {duration_s:.2f} s."
            )
        end_s = min(to_s or duration_s, duration_s)
        count = frames or min(max(_FEWEST, int(end_s - from_s)), _MOST)
        self.planned = _spread(video, count, from_s, end_s)
        self._video, self._by_shots = video, not frames
        span, seekable = self.planned[-1] - self.planned[0], any(name in video.facts.container for name in _SEEKABLE)
        pixels = video.facts.width * video.facts.height
        self._every = not seekable or span <= _LINEAR_FRAMES or span * pixels <= _LINEAR_PIXELS
        self.cuts: list[Cut] = []

    def _with_shots(self) -> list[int]:
        """Return the planned frames, and more in each shot that has too few, found by a quick pass over key frames."""
        finder, starts = CutFinder(), [self.planned[0]]
        for key in self._video.walk((self.planned[0], self.planned[-1]), every=False, keys_only=True):
            if finder.is_cut(key.luma) and key.index > starts[-1]:
                starts.append(key.index)
        shots = [
            (first, last)
            for first, last in zip(starts, [*starts[1:], self.planned[-1] + 1], strict=True)
            if self._video.time(last - 1) - self._video.time(first) >= _SHORTEST_SHOT_S - _SHORTEST_SHOT_S / 10
        ]
        shots.sort(key=lambda shot: self._video.time(shot[1] - 1) - self._video.time(shot[0]), reverse=True)
        planned, extra = set(self.planned), 0
        for first, last in shots:
            if sum(first <= index < last for index in self.planned) >= _SAMPLES_PER_SHOT or extra >= _MOST_EXTRA:
                continue
            shot_frames = {first + (last - first) * (2 * number + 1) // (2 * _SAMPLES_PER_SHOT) for number in range(3)}
            extra += len(shot_frames - planned)
            planned |= shot_frames
        return sorted(planned)

    def samples(self) -> Generator[Sample]:
        """Decode the video and yield the frames to analyze, in display order."""
        if self._by_shots and not self._every:
            self.planned = self._with_shots()
        first, last = self.planned[0], self.planned[-1]
        spacing = max(1, (last - first) // max(len(self.planned) - 1, 1))
        sparse = self._video.time(first + spacing) - self._video.time(first) > 1 if first < last else False
        finder, before, size = CutFinder(), first, None
        early, early_left, more_left = None, len(self.planned), _MOST_EXTRA
        shot_start = self._video.time(first)
        shot_samples = 0 if sparse else _SAMPLES_PER_SHOT  # dense: the first shot has enough
        for decoded_frame in self._video.walk(self.planned, every=self._every):
            index = decoded_frame.index
            resized = size is not None and decoded_frame.size != size  # tracks end where the size changes
            size = decoded_frame.size
            if (finder.is_cut(decoded_frame.luma) or resized) and index > first:
                self.cuts.append(Cut(before, index, float(decoded_frame.time)))
                following = next((planned for planned in self.planned if planned >= index), index)
                early = index + _SETTLED if early_left and following - index > spacing // 3 else None
                shot_start, shot_samples = decoded_frame.time, 0
            before = index
            is_early = early is not None and index >= early
            is_due = (
                self._by_shots
                and shot_samples < _SAMPLES_PER_SHOT
                and more_left > 0
                and decoded_frame.time - shot_start >= _SHOT_SAMPLE_TIMES_S[shot_samples]
            )
            if decoded_frame.wanted or is_early or is_due:
                early_left -= is_early and not decoded_frame.wanted
                more_left -= is_due and not is_early and not decoded_frame.wanted
                early = None
                shot_samples += 1
                yield Sample(index, float(decoded_frame.time), len(self.cuts), decoded_frame.rgb())
