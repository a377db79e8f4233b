"""Face detection with MTCNN, behind one adapter."""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch

from faceloupe.config import Settings
from faceloupe.faces.mtcnn import STEP, WINDOW_PX, Candidate, Cascade
from faceloupe.faces.mtcnn_networks import load_networks
from faceloupe.types import Box, DetectedFace

# A face that fills its picture is larger than the faces that MTCNN was trained on. The detector looks for it in a small
# copy of the picture with a gray border. The face is large, so a low resolution is enough.
_CLOSE_UP_SIDE = 240
_BORDER_SHARE = 0.4
_BORDER_GRAY = 127
_EARLY_THRESHOLDS = (0.6, 0.7)  # of the first two stages, as facenet-pytorch sets them
SURE = 0.9  # confidence of a face that needs no second search

# Successive frames of a video are similar, so not every frame is searched for the smallest faces: see
# ``VideoFaceDetector``.
_LONGEST_LEVEL = 420  # pixels: longer side of the largest pyramid level; the cost grows with its square
_LARGE = 0.25  # share of a frame's longer side: faces of at least this size are looked for in every frame
_INTERVAL, _INTERVAL_UNSEEN = 8, 4  # frames from one full search to the next, with and without a face in sight
_SMALLEST_CLOSE_UP = 60  # pixels of the small copy: a face that fills a frame is larger

_Search = Callable[[np.ndarray], list[Candidate]]


class FaceDetector:
    """A detector for all faces of a picture (Zhang et al. 2016, "Joint face detection and alignment using MTCNN").

    Thread-safe: the networks keep no state.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        thresholds = (*_EARLY_THRESHOLDS, settings.detection_confidence)
        device = torch.device(settings.device)
        self._cascade = Cascade(*load_networks(device), thresholds=thresholds, device=device)

    def detect(self, rgb: np.ndarray) -> list[DetectedFace]:
        """Find all faces of a picture.

        If the search finds no certain face, a second search looks for a face that fills the picture.

        Args:
            rgb: (H, W, 3) uint8, RGB.

        Returns:
            Faces from the largest to the smallest. Boxes and landmarks are in pixels of ``rgb``, and the boxes are
            clipped to it.
        """
        search = self._cascade_from(self._settings.smallest_sought_px)
        return self._faces(rgb, search, search)

    def for_video(self) -> "VideoFaceDetector":
        """Return a detector for successive frames of a video, which costs a small part of ``detect`` per frame."""
        return VideoFaceDetector(self)

    def search_fully(self, rgb: np.ndarray) -> list[DetectedFace]:
        """Find the faces of a frame that are at least as large as ``min_detectable_px_in_video``."""
        search = self._cascade_from(self._finest_level(rgb.shape[1], rgb.shape[0]))
        return self._faces(rgb, search, self._cascade_from(_SMALLEST_CLOSE_UP))

    def search_between(self, rgb: np.ndarray, known: Sequence[DetectedFace]) -> list[DetectedFace]:
        """Find the faces of a frame that are large, or about as large as the known faces."""
        return self._faces(rgb, self._cascade_from(self._smallest_between(rgb, known)))

    def min_detectable_px_in_video(self, width: int, height: int) -> float:
        """Return the size of the smallest face that is looked for in video frames of that size, in their pixels."""
        return self._finest_level(width, height) / self._shrinking(width, height)

    def _shrinking(self, width: int, height: int) -> float:
        """Return the scale of the copy that is searched: its pixels per pixel of the picture, at most 1."""
        return min(1.0, self._settings.detection_long_side / max(width, height))

    def _finest_level(self, width: int, height: int) -> float:
        """Return the size of the smallest face of a full search, in pixels of the searched copy.

        It is always a pyramid level that ``detect`` searches, too.
        """
        smallest = float(self._settings.smallest_sought_px)
        while max(width, height) * self._shrinking(width, height) * WINDOW_PX / smallest > _LONGEST_LEVEL:
            smallest /= STEP
        return smallest

    def _smallest_between(self, rgb: np.ndarray, known: Sequence[DetectedFace]) -> float:
        """Return the size of the smallest face to look for between two full searches, in pixels of the searched copy.

        It is the coarsest pyramid level on which all known faces are still found. The first stage also finds faces
        that are somewhat smaller than its window, so this may be one level above their size.
        """
        height, width = rgb.shape[:2]
        least = min([_LARGE * max(width, height), *(face.size_px / STEP for face in known)])
        least *= self._shrinking(width, height)
        smallest = self._finest_level(width, height)
        while smallest / STEP <= least:
            smallest /= STEP
        return smallest

    def _cascade_from(self, smallest_px: float) -> _Search:
        """Return a search for faces of at least that size, in pixels of the searched picture."""
        return partial(self._cascade.search, smallest_px=smallest_px)

    def _faces(self, rgb: np.ndarray, search: _Search, close_up_search: _Search | None = None) -> list[DetectedFace]:
        """Return the faces of a picture; if none is certain and a close-up search is given, use that as well."""
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

    def min_detectable_px(self, width: int, height: int) -> float:
        """Return the size of the smallest face that ``detect`` looks for in a picture of that size, in its pixels."""
        return self._settings.smallest_sought_px * max(1.0, max(width, height) / self._settings.detection_long_side)

    def _search(self, rgb: np.ndarray, long_side: int, search: _Search, *, framed: bool = False) -> list[Candidate]:
        """Search a copy of the picture whose longer side is at most ``long_side``; results in pixels of the picture.

        With ``framed``, the copy gets a gray border.
        """
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


class VideoFaceDetector:
    """A detector for successive frames, any time apart. Only one thread at a time may call it.

    The first frame, the first frame after each cut, and every few frames in between get a full search for all faces of
    at least ``min_detectable_px_in_video``. In the other frames, the detector looks only for large faces and for faces
    about as large as those of the previous frame, but everywhere in the frame. If it finds fewer faces than in the
    previous frame, it searches the frame fully. A face is thus found however far it has moved, and its box is equal or
    close to the box from ``detect``. A small face that newly appears is found at the next full search.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._known: list[DetectedFace] = []  # certain faces of the previous frame
        self._age = _INTERVAL  # frames since the last full search

    def detect(self, rgb: np.ndarray, *, fresh: bool = False) -> list[DetectedFace]:
        """Find the faces of the next frame.

        Args:
            rgb: (H, W, 3) uint8, RGB.
            fresh: whether there is a cut between the previous frame and this one.

        Returns:
            The faces of the frame, as ``FaceDetector.detect`` returns them.
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
