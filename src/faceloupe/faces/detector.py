"""The face finder: MTCNN behind one adapter."""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch

from faceloupe.config import Settings
from faceloupe.faces.mtcnn import STEP, WINDOW_PX, Candidate, Cascade
from faceloupe.faces.mtcnn_networks import load_networks
from faceloupe.types import Box, DetectedFace

# A face that fills its picture is larger than MTCNN was trained on. Such a one is looked for in a small copy of the
# picture with a gray border: it is large, so little resolution is needed to see it.
_CLOSE_UP_SIDE = 240
_BORDER_SHARE = 0.4
_BORDER_GRAY = 127
_EARLY_THRESHOLDS = (0.6, 0.7)  # of the first two stages, as facenet-pytorch sets them
SURE = 0.9  # confidence of a face that needs no second search

# Successive frames of a video are much alike, so not each is searched for the smallest faces: see ``Follower``.
_LONGEST_LEVEL = 420  # pixels, of the first stage's pyramid; the cost grows with the square of this
_LARGE = 0.25  # of a frame's longer side: faces from this size on are looked for in every frame
_INTERVAL, _INTERVAL_UNSEEN = 8, 4  # frames from one full search to the next, while a face is in sight or none is
_SMALLEST_CLOSE_UP = 60  # pixels of the small copy: a face that fills a frame is larger

_Search = Callable[[np.ndarray], list[Candidate]]


class FaceDetector:
    """Finds every face of a picture (Zhang et al. 2016, "Joint face detection and alignment using MTCNN").

    Thread-safe: the networks keep no state.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        thresholds = (*_EARLY_THRESHOLDS, settings.detection_confidence)
        device = torch.device(settings.device)
        self._cascade = Cascade(*load_networks(device), thresholds=thresholds, device=device)

    def detect(self, rgb: np.ndarray) -> list[DetectedFace]:
        """Find all faces.

        Args:
            rgb: (H, W, 3) uint8, RGB.

        Returns:
            Faces from the largest to the smallest, boxes and landmarks in pixels of ``rgb``, boxes clipped to it. Where
            the search finds no face for sure, a second one looks for a face that fills the picture.
        """
        search = self._cascade_from(self._settings.smallest_sought_px)
        return self._faces(rgb, search, search)

    def follower(self) -> "Follower":
        """Return what finds the faces of frames that come one by one, at a small part of the cost of ``detect``."""
        return Follower(self)

    def search_fully(self, rgb: np.ndarray) -> list[DetectedFace]:
        """Find the faces of a frame from ``smallest_followed`` on."""
        search = self._cascade_from(self._finest_level(rgb.shape[1], rgb.shape[0]))
        return self._faces(rgb, search, self._cascade_from(_SMALLEST_CLOSE_UP))

    def search_between(self, rgb: np.ndarray, known: Sequence[DetectedFace]) -> list[DetectedFace]:
        """Find the faces of a frame that are about as large as the known ones, and large ones."""
        return self._faces(rgb, self._cascade_from(self._smallest_between(rgb, known)))

    def smallest_followed(self, width: int, height: int) -> float:
        """Faces from this size upward are looked for in the frames of a clip of that size, pixels of the frame."""
        return self._finest_level(width, height) / self._shrinking(width, height)

    def _shrinking(self, width: int, height: int) -> float:
        """Pixels of the copy that is searched for each pixel of the picture, up to 1."""
        return min(1.0, self._settings.detection_long_side / max(width, height))

    def _finest_level(self, width: int, height: int) -> float:
        """Size of the smallest face of a full search, pixels of the copy: a level that ``detect`` looks at, too."""
        smallest = float(self._settings.smallest_sought_px)
        while max(width, height) * self._shrinking(width, height) * WINDOW_PX / smallest > _LONGEST_LEVEL:
            smallest /= STEP
        return smallest

    def _smallest_between(self, rgb: np.ndarray, known: Sequence[DetectedFace]) -> float:
        """Search a frame between two full searches: the coarsest level on which all known faces are still seen.

        The first stage finds faces somewhat smaller than its window, so that may be the level above their size.
        """
        height, width = rgb.shape[:2]
        least = min([_LARGE * max(width, height), *(face.size_px / STEP for face in known)])
        least *= self._shrinking(width, height)
        smallest = self._finest_level(width, height)
        while smallest / STEP <= least:
            smallest /= STEP
        return smallest

    def _cascade_from(self, smallest_px: float) -> _Search:
        """Return a search for faces of at least that size, pixels of the picture that is searched."""
        return partial(self._cascade.search, smallest_px=smallest_px)

    def _faces(self, rgb: np.ndarray, search: _Search, close_up_search: _Search | None = None) -> list[DetectedFace]:
        """Return the faces of a picture; where none is certain, search it again as a close-up."""
        detected = self._search(rgb, self._settings.detection_long_side, search)
        if close_up_search and not any(candidate.confidence >= SURE for candidate in detected):
            close_up = self._search(rgb, _CLOSE_UP_SIDE, close_up_search, framed=True)
            if any(candidate.confidence >= SURE for candidate in close_up) or not detected:
                detected = close_up
        height, width = rgb.shape[:2]
        faces = []
        for (x0, y0, x1, y1), confidence, landmarks in detected:
            if min(x1, width) - max(x0, 0.0) >= 1.0 and min(y1, height) - max(y0, 0.0) >= 1.0:
                box = Box(float(x0), float(y0), float(x1), float(y1)).clipped(width, height)
                faces.append(DetectedFace(box, confidence, landmarks))
        return sorted(faces, key=lambda face: -face.box.width * face.box.height)

    def smallest_sought(self, width: int, height: int) -> float:
        """Faces from this size upward are looked for in a picture of that size, pixels of the picture."""
        return self._settings.smallest_sought_px * max(1.0, max(width, height) / self._settings.detection_long_side)

    def _search(self, rgb: np.ndarray, long_side: int, search: _Search, *, framed: bool = False) -> list[Candidate]:
        """Search a copy of the picture, shrunk to ``long_side``; results in pixels of the picture."""
        height, width = rgb.shape[:2]
        scale = min(1.0, long_side / max(height, width))
        seen, border = rgb, 0
        if scale < 1.0:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            seen = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        per_pixel = np.array([width / seen.shape[1], height / seen.shape[0]])
        if framed:
            border = round(_BORDER_SHARE * max(seen.shape[:2]))
            gray = (_BORDER_GRAY,) * 3
            seen = cv2.copyMakeBorder(seen, border, border, border, border, cv2.BORDER_CONSTANT, value=gray)
        return [
            Candidate(
                ((box.reshape(2, 2) - border) * per_pixel).reshape(4), confidence, (landmarks - border) * per_pixel
            )
            for box, confidence, landmarks in search(seen)
        ]


class Follower:
    """Finds the faces of frames that come one by one, any time apart. One thread at a time may call it.

    The first frame, the first after each cut and some of the others are searched for all faces from
    ``smallest_followed`` on. In the rest, only faces about as large as those of the frame before are looked for, and
    large ones, but all over the frame; where fewer turn up than in the frame before, the frame is searched fully after
    all. So a face is found however far it moved, with the box that ``detect`` gives it or one close to that, but a
    small newcomer is seen only from the next full search on.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._known: list[DetectedFace] = []  # in the frame before, for sure
        self._age = _INTERVAL  # frames since the last full search

    def detect(self, rgb: np.ndarray, *, fresh: bool = False) -> list[DetectedFace]:
        """Find the faces of the next frame.

        Args:
            rgb: (H, W, 3) uint8, RGB.
            fresh: whether a cut lies between this frame and the one before.

        Returns:
            Its faces, as ``FaceDetector.detect`` returns them.
        """
        faces: list[DetectedFace] = []
        full = fresh or self._age >= (_INTERVAL if self._known else _INTERVAL_UNSEEN)
        if not full:
            faces = self._detector.search_between(rgb, self._known)
            full = sum(face.confidence >= SURE for face in faces) < len(self._known)
        if full:
            faces, self._age = self._detector.search_fully(rgb), 0
        self._known = [face for face in faces if face.confidence >= SURE]
        self._age += 1
        return faces
