"""Which frames of a video are looked at, and where its scenes change."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from statistics import median

import numpy as np

from faceloupe.errors import UsageError
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.media.video import Video

_FEWEST, _MOST = 32, 256  # frames looked at where the number is left to the duration: one a second between these
_LINEAR_FRAMES = (
    3_000  # of a stretch that is decoded whole, so that every cut in it is found; longer ones are skipped through
)
_SETTLED = 2  # frames after a cut before the new shot is looked at: encoders are at their worst right behind a cut
_RECENT = 12  # differences that tell how much a scene moves


@dataclass(frozen=True, slots=True)
class Cut:
    """A change of scene.

    Attributes:
        after: index of the last frame seen of the old shot.
        before: index of the first frame seen of the new one; not ``after + 1`` where frames between were skipped.
        time_s: of the frame ``before``, seconds.
    """

    after: int
    before: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame that is looked at.

    Attributes:
        index: in order of display, from 0.
        time_s: since the first frame of the video, seconds.
        shot: number of the shot it belongs to, from 0.
        rgb: (H, W, 3) uint8, upright.
    """

    index: int
    time_s: float
    shot: int
    rgb: np.ndarray


class CutFinder:
    """Tells cuts from movement: the picture changes at once, and its layout with it.

    Two successive small gray pictures lie across a cut where their mean difference is large, several times what it was
    lately (Yusoff et al. 2000, "Video shot cut detection using adaptive thresholding"), and they hardly correlate.
    """

    LEAST_DIFFERENCE = 14.0  # gray levels
    TIMES_RECENT = 3.0
    MOST_CORRELATION = 0.6

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def is_cut(self, luma: np.ndarray) -> bool:
        """Whether a cut lies between the picture given last and this one.

        Args:
            luma: (h, w) uint8, the frame made small.
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


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / scale if scale else 0.0


def _spread(video: Video | IsolatedVideo, count: int, from_s: float, end_s: float) -> list[int]:
    """Indices of the frames on screen halfway through equal parts of a stretch; all where there are no more."""
    first, last = video.index_at(from_s), video.index_at(end_s)
    if float(video.time(last)) >= end_s > from_s:
        last = max(first, last - 1)  # it begins where the stretch ends
    if last - first < count:
        return list(range(first, last + 1))
    moments = (np.arange(count) + 0.5) / count * (end_s - from_s) + from_s
    return sorted({video.index_at(float(moment)) for moment in moments})


class Sampler:
    """Looks through a video: frames spread evenly over the time, one more for each shot, and the cuts between.

    Attributes:
        planned: indices of the evenly spread frames.
        cuts: found so far.
    """

    def __init__(self, video: Video | IsolatedVideo, *, frames: int, from_s: float, to_s: float) -> None:
        """
        Args:
            frames: to look at; 0 leaves it to the duration.
            from_s: start of the stretch that is looked at, seconds.
            to_s: its end; 0 is the end of the video.

        Raises:
            UsageError: there is no such stretch.
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
        self._video = video
        self._every = self.planned[-1] - self.planned[0] <= _LINEAR_FRAMES
        self.cuts: list[Cut] = []

    def samples(self) -> Generator[Sample]:
        """Decode, and give the frames that are looked at, in order of display."""
        first, last = self.planned[0], self.planned[-1]
        spacing = max(1, (last - first) // max(len(self.planned) - 1, 1))
        finder, before, extra, extras_left = CutFinder(), first, None, len(self.planned)
        for decoded_frame in self._video.walk(self.planned, every=self._every):
            index = decoded_frame.index
            if finder.is_cut(decoded_frame.luma) and index > first:
                self.cuts.append(Cut(before, index, float(decoded_frame.time)))
                following = next((one for one in self.planned if one >= index), index)
                extra = index + _SETTLED if extras_left and following - index > spacing // 3 else None
            before = index
            is_extra = extra is not None and index >= extra
            if decoded_frame.wanted or is_extra:
                extras_left -= not decoded_frame.wanted
                extra = None
                yield Sample(index, float(decoded_frame.time), len(self.cuts), decoded_frame.rgb())
