"""The three stages of MTCNN, with a smallest face size that each search can choose.

Stages, thresholds and arithmetic match ``detect_face`` of facenet-pytorch (Zhang et al. 2016, "Joint face detection and
alignment using MTCNN") to the last pixel, because a face's score depends on the exact position of its box. Only the
cost differs: each search sets the smallest face to look for, all network inputs are read from one summed-area table of
the picture, and tensors are channels-last.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

WINDOW_PX = 12  # a face of this size fills the first stage's window
STEP = 0.709  # scale from one level of the first stage's pyramid to the next
_STRIDE_PX = 2  # from one window of the first stage to the next
_CROP_PX = 24, 48  # input sizes of the second and the third stage
_BATCH_WINDOWS = 512  # windows per batch of the second or the third stage, as in facenet-pytorch
_SAME_WITHIN_LEVEL, _SAME = 0.5, 0.7  # boxes that overlap by more than this are the same face, 0..1


class Candidate(NamedTuple):
    """A face from the last stage.

    Attributes:
        corners: (4,) float, ``x0, y0, x1, y1`` in pixels of the picture; they may lie outside it.
        confidence: 0..1.
        landmarks: (5, 2) float, x and y in pixels of the picture.
    """

    corners: np.ndarray
    confidence: float
    landmarks: np.ndarray


class Cascade:
    """The three networks of an MTCNN. Thread-safe: they run without gradients or hooks, and keep no state."""

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
            smallest_px: size of the smallest face to look for, in pixels of the picture.

        Returns:
            Faces in descending order of confidence.
        """
        table = _SummedAreaTable(rgb)
        return self._finalize(table, self._refine(table, self._propose(table, smallest_px)))

    def _propose(self, table: "_SummedAreaTable", smallest_px: float) -> np.ndarray:
        """Run the first stage: return the windows of all pyramid levels that may hold a face, as (N, 4) squares."""
        scale = WINDOW_PX / smallest_px
        windows = [np.empty((0, 9))]  # x0, y0, x1, y1, score, and a shift for each coordinate
        while min(table.width, table.height) * scale >= WINDOW_PX:
            size = int(table.width * scale + 1), int(table.height * scale + 1)
            (shifts,), ((_, scores),) = self._run(self._first, table.means(table.whole, size))
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

    def _refine(self, table: "_SummedAreaTable", boxes: np.ndarray) -> np.ndarray:
        """Run the second stage: return the (N, 4) squares that look like faces, moved onto the faces."""
        boxes = table.overlapping(boxes)
        if not len(boxes):
            return boxes
        shifts, scores = self._network_outputs(self._second, table, boxes, _CROP_PX[0])
        passed = np.flatnonzero(scores[:, 1] > self._thresholds[1])
        passed = passed[_distinct(boxes[passed], scores[passed, 1], _SAME)]
        return _squared(_moved(boxes[passed], shifts[passed]))

    def _finalize(self, table: "_SummedAreaTable", boxes: np.ndarray) -> list[Candidate]:
        """Run the third stage: return the (N, 4) squares that are faces, with their final boxes and landmarks."""
        boxes = table.overlapping(boxes)
        if not len(boxes):
            return []
        shifts, points, scores = self._network_outputs(self._third, table, boxes, _CROP_PX[1])
        corners = _moved(boxes, shifts)
        start, sides = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2] + 1
        landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * sides + start - 1
        passed = np.flatnonzero(scores[:, 1] > self._thresholds[2])
        passed = passed[_distinct(corners[passed], scores[passed, 1], _SAME, of_smaller=True)]
        return [Candidate(corners[index], float(scores[index, 1]), landmarks[index]) for index in passed]

    def _network_outputs(
        self, network: nn.Module, table: "_SummedAreaTable", boxes: np.ndarray, side: int
    ) -> list[np.ndarray]:
        """Return a network's outputs for boxes (N, 4), computed in batches because a noisy picture has thousands."""
        parts = [
            self._run(network, table.crops(boxes[start : start + _BATCH_WINDOWS], side))
            for start in range(0, len(boxes), _BATCH_WINDOWS)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run(self, network: nn.Module, pictures: np.ndarray) -> list[np.ndarray]:
        """Return a network's outputs for (N, H, W, 3) float32 pictures, 0..255."""
        inputs = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2)  # channels-last in memory
        return [output.cpu().numpy() for output in network((inputs - 127.5) / 128)]


class _SummedAreaTable:
    """Mean colors over rectangles of a picture, from its summed-area table (Crow 1984).

    The results equal torch's ``interpolate(mode="area")``, which facenet-pytorch uses for all network inputs, but the
    cost depends only on the size of the result and not on the size of the rectangles.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        self.height, self.width = rgb.shape[:2]
        self.whole = np.array([[0, 0, self.width, self.height]])
        # Sums that overflow wrap around, and so do their differences: only the sum of a single cell must fit.
        self._sums = cv2.integral(rgb, sdepth=cv2.CV_32S).reshape(-1, 3)

    def means(self, rectangles: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Resize parts of the picture.

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

    def overlapping(self, boxes: np.ndarray) -> np.ndarray:
        """Return the boxes (N, 4) that overlap the picture."""
        start, end = self._inside(boxes)
        return boxes[(start < end).all(1)]

    def crops(self, boxes: np.ndarray, side: int) -> np.ndarray:
        """Return the crops of boxes (N, 4) that all overlap the picture: (N, side, side, 3) float32."""
        return self.means(np.concatenate(self._inside(boxes), 1), (side, side))

    def _inside(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        corners = np.trunc(boxes).astype(int)
        return np.maximum(corners[:, :2], 1) - 1, np.minimum(corners[:, 2:], (self.width, self.height))


def _cells(start: np.ndarray, end: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide each range (N,) into ``count`` cells; return their first pixels and ends (exclusive), both (N, count)."""
    edges = np.arange(count + 1) * (end - start)[:, None]
    return start[:, None] + edges[:, :-1] // count, start[:, None] - (-edges[:, 1:] // count)


def _squared(boxes: np.ndarray) -> np.ndarray:
    """Return squares around the centers of boxes (N, 4), with the longer side of each box."""
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([center - half, center + half], 1)


def _moved(boxes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) with their corners moved by shifts (N, 4), in units of their sides."""
    moved: np.ndarray = boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    return moved


def _distinct(boxes: np.ndarray, scores: np.ndarray, limit: float, *, of_smaller: bool = False) -> np.ndarray:
    """Suppress non-maxima greedily: keep the best box, drop the boxes that overlap it by more than the limit, repeat.

    Args:
        boxes: (N, 4), pixels.
        scores: (N,), any unit.
        limit: greatest intersection as a share of the union, 0..1.
        of_smaller: take the intersection as a share of the smaller box instead.

    Returns:
        (K,) indices of the boxes kept, in descending order of score.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    # Windows that reach beyond the picture on all sides show the same pixels and get the same score. The choice among
    # them moves the box by pixels, so keep the one that facenet-pytorch keeps: the last in the third stage, otherwise
    # the first.
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
