"""Live view: frames of a camera, scored as they arrive.

A live view makes no findings, and stores frames only on request.
"""

import hashlib
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

from faceloupe.analysis.networks import Networks, candidate
from faceloupe.errors import EvidenceError
from faceloupe.faces.detector import FaceDetector
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.faces.tracks import Tracker
from faceloupe.faces.upright import AnyAngleVideoDetector
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.sandbox.image import decode
from faceloupe.types import Box

WINDOW_S = 2.0  # seconds over which the score of a face is averaged
KEPT_S = 10.0  # seconds for which frames are kept, so that they can be filed
MOST_BYTES = 2_000_000  # largest frame that is accepted
_SMALLEST_PX = 48  # smaller faces are not searched for, which saves most of the time
_RATE_FRAMES, _LEAST_FRAMES = 20, 6  # most and fewest frames over which the frame rate is measured


@dataclass(frozen=True, slots=True)
class LiveFace:
    """A face in a frame.

    Attributes:
        id: id of its track, from 1.
        box: box in pixels of the frame.
        score: calibrated score of the mean logit of its frames in the last ``WINDOW_S`` seconds, 0..1; None if none of
            these frames was scored.
        problem: why the face was not scored in this frame; empty if it was.
    """

    id: int
    box: Box
    score: float | None
    problem: str


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A frame as received, and the faces in it.

    Attributes:
        content: the JPEG.
        sha256: SHA-256 of the JPEG, taken before it was decoded.
        taken: time at which the camera showed the frame, by the clock of the browser.
        width: width in pixels.
        height: height in pixels.
        faces: the faces found in the frame.
    """

    content: bytes = field(repr=False)
    sha256: str
    taken: datetime
    width: int
    height: int
    faces: tuple[LiveFace, ...]


class LiveView:
    """Scores frames one after another. Only one thread at a time may call it."""

    def __init__(self, networks: Networks, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without frames.

        Args:
            networks: the networks, which must be fast. Only near faces are searched for, and they are followed between
                full searches.
            clock: monotonic clock in seconds.
        """
        settings = replace(networks.settings, smallest_sought_px=_SMALLEST_PX, max_bytes=MOST_BYTES)
        self._networks = Networks(FaceDetector(settings), networks.scorer, settings)
        self._clock, self._tracker = clock, Tracker()
        self._video_detector, self._shape = AnyAngleVideoDetector(self._networks.detector), (0, 0, 0)
        self._logits: defaultdict[int, deque[tuple[float, float]]] = defaultdict(deque)
        self._frames: deque[tuple[float, LiveFrame]] = deque()

    def look(self, content: bytes, taken: datetime) -> LiveFrame:
        """Score the faces of the next frame.

        Args:
            content: the frame as JPEG.
            taken: time at which the camera showed the frame.

        Raises:
            EvidenceError: ``content`` is not a JPEG, or cannot be decoded.
        """
        began = self._clock()
        evidence_file = evidence_from_bytes(content, "frame.jpg", max_bytes=MOST_BYTES)
        if evidence_file.evidence.format != "JPEG":
            raise EvidenceError("A frame of the camera is not a JPEG; reload the page.")
        rgb = decode(evidence_file, settings=self._networks.settings).rgb
        scorer = self._networks.scorer
        if rgb.shape != self._shape:  # the user switched to another camera or to the screen
            self._shape, self._video_detector = rgb.shape, AnyAngleVideoDetector(self._networks.detector)
        detected = self._video_detector.detect(rgb)
        ids = self._tracker.add(rgb, detected, 0)
        self._tracker.forget()
        candidates = [candidate(face, BorderlessPicture.whole(rgb), scorer) for face in detected]
        fit = [number for number, cut in enumerate(candidates) if not cut.quality.problem]
        logits = scorer.logits([candidates[number].views for number in fit]) if fit else ()
        for number, logit in zip(fit, logits, strict=True):
            self._logits[ids[number]].append((began, float(logit)))
        self._forget_before(began - WINDOW_S)
        faces = tuple(
            LiveFace(track, face.box, self._score(track), cut.quality.problem or "")
            for track, face, cut in zip(ids, detected, candidates, strict=True)
        )
        height, width = rgb.shape[:2]
        sha256 = evidence_file.evidence.sha256
        frame = LiveFrame(content, sha256, taken, width, height, faces)
        self._frames.append((began, frame))
        while self._frames[0][0] < began - KEPT_S:
            self._frames.popleft()
        return frame

    @property
    def rate(self) -> float | None:
        """Current frame rate in frames per second; None until enough frames have arrived."""
        times = [at for at, _ in self._frames][-_RATE_FRAMES - 1 :]
        gaps = [after - before for before, after in pairwise(times)]
        return 1.0 / statistics.mean(gaps) if len(times) >= _LEAST_FRAMES and sum(gaps) > 0 else None

    def last_frames(self) -> tuple[LiveFrame, ...]:
        """Return the frames of the last ``KEPT_S`` seconds."""
        return tuple(frame for _, frame in self._frames)

    def _forget_before(self, time_s: float) -> None:
        for track, logits in list(self._logits.items()):
            while logits and logits[0][0] < time_s:
                logits.popleft()
            if not logits:
                del self._logits[track]

    def _score(self, track: int) -> float | None:
        if track not in self._logits:
            return None
        return self._networks.scorer.probability(statistics.mean(logit for _, logit in self._logits[track]))


@dataclass(frozen=True, slots=True)
class LiveSegment:
    """Frames of a live view, joined into one file.

    Attributes:
        name: name of the file.
        content: the JPEGs one after another, unchanged. Video players and FaceLoupe can read this stream.
        note: how the frames were made, with the time and SHA-256 of each.
    """

    name: str
    content: bytes = field(repr=False)
    note: str


def join_frames(frames: Sequence[LiveFrame]) -> LiveSegment:
    """Join frames into one file.

    Raises:
        EvidenceError: there are no frames.
    """
    if not frames:
        raise EvidenceError("There is no frame to keep; start the camera first.")
    first, last = frames[0], frames[-1]
    lines = [
        f"Frames of a live view, {first.taken.isoformat()} to {last.taken.isoformat()} by the clock of the browser. "
        f"The browser drew each frame of the camera or screen to {first.width} x {first.height} pixels and encoded it "
        "as JPEG with quality 0.9; frames between them were dropped. The file holds these JPEGs one after another, "
        "unchanged; it states no times, so that a player's times are not those of the frames. "
        "Frame, time, SHA-256, bytes:",
        *(
            f"{number} {frame.taken.isoformat()} {frame.sha256} {len(frame.content)}"
            for number, frame in enumerate(frames, 1)
        ),
    ]
    name = f"live-{first.taken.astimezone(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(first.content).hexdigest()[:8]}.mjpeg"
    return LiveSegment(name, b"".join(frame.content for frame in frames), "\n".join(lines))
