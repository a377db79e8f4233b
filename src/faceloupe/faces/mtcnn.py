"""MTCNN's three stages with a choice of what to look for.

Stages, thresholds and arithmetic are those of ``detect_face`` of facenet-pytorch (Zhang et al. 2016, "Joint face
detection and alignment using MTCNN"), to the last pixel: a face's score depends on where exactly its box lies. What
differs is the cost: the smallest face to look for is said with each search, everything that a network sees is read from
one summed-area table of the picture, and tensors are channels-last.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

WINDOW_PX = 12  # a face of this size fills the first stage's window
STEP = 0.709  # from one level of the first stage's pyramid to the next
_STRIDE_PX = 2  # from one window of the first stage to the next
_CROP_PX = 24, 48  # inputs of the second and the third stage
_LOOKS = 512  # windows in one pass of the second or the third stage, as in facenet-pytorch
_SAME_WITHIN_LEVEL, _SAME = 0.5, 0.7  # boxes that overlap by more than this are the same face, 0..1


class Candidate(NamedTuple):
    """A face as the last stage sees it.

    Attributes:
        corners: (4,) float, ``x0, y0, x1, y1`` in pixels of the picture; they may lie beyond it.
        confidence: 0..1.
        landmarks: (5, 2) float, x and y in pixels of the picture.
    """

    corners: np.ndarray
    confidence: float
    landmarks: np.ndarray


class Cascade:
    """The three networks of an MTCNN. Thread-safe: they run without gradients or hooks, and nothing keeps a state."""

    def __init__(
        self,
        first: nn.Module,
        second: nn.Module,
        third: nn.Module,
        *,
        thresholds: tuple[float, float, float],
        device: torch.device,
    ) -> None:
        self._first, self._second, self._third = first, second, third
        self._thresholds = thresholds
        self._device = device

    @torch.inference_mode()
    def search(self, rgb: np.ndarray, smallest_px: float) -> list[Candidate]:
        """Find the faces of a picture.

        Args:
            rgb: (H, W, 3) uint8, RGB.
            smallest_px: size from which faces are looked for, pixels of the picture.

        Returns:
            Faces by falling confidence.
        """
        areas = _Areas(rgb)
        return self._described(areas, self._kept(areas, self._proposed(areas, smallest_px)))

    def _proposed(self, areas: "_Areas", smallest_px: float) -> np.ndarray:
        """First stage: the windows of all levels of the pyramid that may hold a face, as (N, 4) squares."""
        scale = WINDOW_PX / smallest_px
        windows = [np.empty((0, 9))]  # four corners, score, a shift of each corner
        while min(areas.width, areas.height) * scale >= WINDOW_PX:
            size = int(areas.width * scale + 1), int(areas.height * scale + 1)
            (shifts,), ((_, scores),) = self._run(self._first, areas.means(areas.whole, size))
            y, x = np.nonzero(scores >= self._thresholds[0])
            start = np.stack([x, y], 1) * _STRIDE_PX
            corners = np.floor(np.concatenate([start + 1, start + WINDOW_PX], 1) / scale)
            level = np.concatenate([corners, scores[y, x, None], shifts[:, y, x].T], 1)
            windows.append(level[_distinct(corners, scores[y, x], _SAME_WITHIN_LEVEL)])
            scale *= STEP
        every = np.concatenate(windows)
        every = every[_distinct(every[:, :4], every[:, 4], _SAME)]
        sides = every[:, 2:4] - every[:, :2]
        return _squared(every[:, :4] + every[:, 5:] * np.tile(sides, 2))

    def _kept(self, areas: "_Areas", boxes: np.ndarray) -> np.ndarray:
        """Second stage: those of the (N, 4) squares that look like faces, moved onto them."""
        boxes = areas.shown(boxes)
        if not len(boxes):
            return boxes
        shifts, scores = self._observation(self._second, areas, boxes, _CROP_PX[0])
        passed = np.flatnonzero(scores[:, 1] > self._thresholds[1])
        passed = passed[_distinct(boxes[passed], scores[passed, 1], _SAME)]
        return _squared(_moved(boxes[passed], shifts[passed]))

    def _described(self, areas: "_Areas", boxes: np.ndarray) -> list[Candidate]:
        """Third stage: those of the (N, 4) squares that are faces, with their final boxes and landmarks."""
        boxes = areas.shown(boxes)
        if not len(boxes):
            return []
        shifts, points, scores = self._observation(self._third, areas, boxes, _CROP_PX[1])
        corners = _moved(boxes, shifts)
        start, sides = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2] + 1
        landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * sides + start - 1
        passed = np.flatnonzero(scores[:, 1] > self._thresholds[2])
        passed = passed[_distinct(corners[passed], scores[passed, 1], _SAME, of_smaller=True)]
        return [Candidate(corners[index], float(scores[index, 1]), landmarks[index]) for index in passed]

    def _observation(self, network: nn.Module, areas: "_Areas", boxes: np.ndarray, side: int) -> list[np.ndarray]:
        """Return a network's outputs for boxes (N, 4), some at a time: noise has thousands of windows to look into."""
        parts = [
            self._run(network, areas.crops(boxes[start : start + _LOOKS], side))
            for start in range(0, len(boxes), _LOOKS)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run(self, network: nn.Module, pictures: np.ndarray) -> list[np.ndarray]:
        """Return a network's outputs for (N, H, W, 3) float32 pictures, 0..255."""
        inputs = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2)  # channels-last in memory
        return [output.cpu().numpy() for output in network((inputs - 127.5) / 128)]


class _Areas:
    """Mean colors over any rectangles of a picture, from its summed-area table (Crow 1984).

    They are what torch's ``interpolate(mode="area")`` gives, with which facenet-pytorch makes all that the networks
    see, but the cost depends on the size of the result alone, not on that of what is shrunk.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        self.height, self.width = rgb.shape[:2]
        self.whole = np.array([[0, 0, self.width, self.height]])
        # Sums that overflow wrap around, and so do their differences: no more than a single cell's sum must fit.
        self._sums = cv2.integral(rgb, sdepth=cv2.CV_32S).reshape(-1, 3)

    def means(self, rectangles: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Shrink or enlarge parts of the picture.

        Args:
            rectangles: (N, 4) int, ``x0, y0, x1, y1`` in whole pixels within the picture.
            size: width and height of the result.

        Returns:
            (N, height, width, 3) float32, 0..255.
        """
        left, right = _cells(rectangles[:, 0], rectangles[:, 2], size[0])
        top, bottom = _cells(rectangles[:, 1], rectangles[:, 3], size[1])
        columns = self.width + 1

        def up_to(y: np.ndarray, x: np.ndarray) -> np.ndarray:
            sums: np.ndarray = self._sums.take(y[:, :, None] * columns + x[:, None], axis=0)
            return sums

        sums = up_to(bottom, right) - up_to(bottom, left) - up_to(top, right) + up_to(top, left)
        counts = (bottom - top)[:, :, None] * (right - left)[:, None]
        means: np.ndarray = np.divide(sums, counts[..., None], dtype=np.float32)
        return means

    def shown(self, boxes: np.ndarray) -> np.ndarray:
        """Those of the boxes (N, 4) that show some of the picture."""
        start, end = self._inside(boxes)
        return boxes[(start < end).all(1)]

    def crops(self, boxes: np.ndarray, side: int) -> np.ndarray:
        """Return what boxes (N, 4) show, each of them some of the picture: (N, side, side, 3) float32."""
        return self.means(np.concatenate(self._inside(boxes), 1), (side, side))

    def _inside(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        corners = np.trunc(boxes).astype(int)
        return np.maximum(corners[:, :2], 1) - 1, np.minimum(corners[:, 2:], (self.width, self.height))


def _cells(start: np.ndarray, end: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """First pixels, and pixels after the last, of ``count`` cells over each of the ranges (N,): both (N, count)."""
    edges = np.arange(count + 1) * (end - start)[:, None]
    return start[:, None] + edges[:, :-1] // count, start[:, None] - (-edges[:, 1:] // count)


def _squared(boxes: np.ndarray) -> np.ndarray:
    """Squares around the centers of boxes (N, 4), as large as their longer sides."""
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([center - half, center + half], 1)


def _moved(boxes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) with their corners moved by shifts (N, 4) in units of their sides."""
    moved: np.ndarray = boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    return moved


def _distinct(boxes: np.ndarray, scores: np.ndarray, limit: float, *, of_smaller: bool = False) -> np.ndarray:
    """Greedy non-maximum suppression: keep the best box, drop those that overlap it by more than the limit, repeat.

    Args:
        boxes: (N, 4), pixels.
        scores: (N,), any unit.
        limit: on the intersection as a share of the union, 0..1.
        of_smaller: take the share of the smaller box, not of the union.

    Returns:
        (K,) indices, by falling score.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    # Windows that reach beyond the picture on all sides show the same, and score the same. Which of these is kept moves
    # the box by pixels, so it is the one that facenet-pytorch keeps: the last for the third stage, the first elsewhere.
    order = np.argsort(scores)[::-1] if of_smaller else np.argsort(-scores, kind="stable")
    distinct = []
    while len(order):
        best, order = order[0], order[1:]
        distinct.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[order, 2:]) - np.maximum(boxes[best, :2], boxes[order, :2])
        shared = np.maximum(sides, 0).prod(1)
        whole = np.minimum(sizes[best], sizes[order]) if of_smaller else sizes[best] + sizes[order] - shared
        order = order[shared <= limit * whole]
    return np.array(distinct, int)
