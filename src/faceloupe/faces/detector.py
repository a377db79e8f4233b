"""The face finder: MTCNN behind one adapter. The only module that imports facenet_pytorch."""

import threading

import cv2
import numpy as np
import torch

from faceloupe.config import Settings
from faceloupe.types import Box, DetectedFace
from faceloupe.vision_ops import torchvision

# A face that fills its picture is larger than MTCNN was trained on. Such a one is looked for in a small copy of the
# picture with a gray border: it is large, so little resolution is needed to see it.
_CLOSE_UP_SIDE = 240
_BORDER_SHARE = 0.4
_BORDER_GRAY = 127
_EARLY_THRESHOLDS = (0.6, 0.7)  # of the first two stages, as facenet-pytorch sets them
SURE = 0.9  # confidence of a face that needs no second search
_SMALLEST_MTCNN_INPUT = 12  # its first stage is a 12 x 12 window

_Candidate = tuple[np.ndarray, float, np.ndarray]  # corners (4,), confidence 0..1, landmarks (5, 2)


class FaceDetector:
    """Finds every face of a picture (Zhang et al. 2016, "Joint face detection and alignment using MTCNN").

    Thread-safe: one lock around the network, which keeps no state between calls.
    """

    def __init__(self, settings: Settings) -> None:
        torchvision()
        from facenet_pytorch import MTCNN  # after torchvision(), see there

        self._settings = settings
        self._lock = threading.Lock()
        self._network = MTCNN(
            keep_all=True,
            min_face_size=settings.smallest_sought_px,
            thresholds=[*_EARLY_THRESHOLDS, settings.detection_confidence],
            post_process=False,
            select_largest=False,
            device=torch.device(settings.device),
        )

    def detect(self, rgb: np.ndarray) -> list[DetectedFace]:
        """Find all faces.

        Args:
            rgb: (H, W, 3) uint8, RGB.

        Returns:
            Faces from the largest to the smallest, boxes and landmarks in pixels of ``rgb``, boxes clipped to it. Where
            the search finds no face for sure, a second one looks for a face that fills the picture.
        """
        found = self._search(rgb, self._settings.detection_long_side)
        if not any(confidence >= SURE for _, confidence, _ in found):
            close_up = self._search(rgb, _CLOSE_UP_SIDE, framed=True)
            if any(confidence >= SURE for _, confidence, _ in close_up) or not found:
                found = close_up
        height, width = rgb.shape[:2]
        faces = []
        for (x0, y0, x1, y1), confidence, landmarks in found:
            if min(x1, width) - max(x0, 0.0) >= 1.0 and min(y1, height) - max(y0, 0.0) >= 1.0:
                box = Box(float(x0), float(y0), float(x1), float(y1)).clipped(width, height)
                faces.append(DetectedFace(box, confidence, landmarks))
        return sorted(faces, key=lambda face: -face.box.width * face.box.height)

    def smallest_sought(self, width: int, height: int) -> float:
        """Faces from this size upward are looked for in a picture of that size, pixels of the picture."""
        return self._settings.smallest_sought_px * max(1.0, max(width, height) / self._settings.detection_long_side)

    def _search(self, rgb: np.ndarray, long_side: int, *, framed: bool = False) -> list[_Candidate]:
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
            (((box.reshape(2, 2) - border) * per_pixel).reshape(4), confidence, (landmarks - border) * per_pixel)
            for box, confidence, landmarks in self._run(seen)
        ]

    def _run(self, rgb: np.ndarray) -> list[_Candidate]:
        if min(rgb.shape[:2]) < max(self._settings.smallest_sought_px, _SMALLEST_MTCNN_INPUT):
            return []
        with self._lock:
            try:
                boxes, scores, points = self._network.detect(rgb, landmarks=True)
            except RuntimeError as problem:
                # All candidates of a stage were degenerate: facenet-pytorch concatenates an empty list.
                if "non-empty list" not in str(problem):
                    raise
                return []
        if boxes is None:
            return []
        return [
            (np.asarray(box, np.float64), float(score), np.asarray(point, np.float64))
            for box, score, point in zip(boxes, scores, points, strict=True)
        ]
