"""From a face box to the network's input: the same geometry, resizing and normalization for training and inference.

All parameters come from the model record, so that a model always gets the input that it was trained on.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from faceloupe.models.contract import InputContract
from faceloupe.types import Box


def crop_square(box: Box, width: int, height: int, margin: float) -> Box:
    """Return the square of the picture that the network will see.

    The square is centered on the box, with a side of ``margin`` times the box's longer side. It is shifted into the
    picture, and shrunk to fit if the picture is smaller. It is never padded, because a padded border would tell the
    network how tightly the source was framed.

    Args:
        box: face box in pixels of the picture.
        width: width of the picture, pixels.
        height: height of the picture, pixels.
        margin: see ``InputContract.crop_margin``.

    Returns:
        A square inside the picture whose corners are whole numbers.
    """
    inside = box.clipped(width, height)
    side = round(min(margin * max(inside.width, inside.height), width, height))
    side = max(side, 1)
    x0 = round((inside.x0 + inside.x1 - side) / 2)
    y0 = round((inside.y0 + inside.y1 - side) / 2)
    x0 = min(max(x0, 0), width - side)
    y0 = min(max(y0, 0), height - side)
    return Box(float(x0), float(y0), float(x0 + side), float(y0 + side))


def cut(rgb: np.ndarray, square: Box, size: int) -> np.ndarray:
    """Crop a square from a picture and resize it: by pixel area when shrinking, bicubically when enlarging.

    Args:
        rgb: (H, W, 3) uint8.
        square: a square inside the picture whose corners are whole numbers.
        size: side of the result, pixels.

    Returns:
        (size, size, 3) uint8.
    """
    x0, y0, x1, y1 = (int(value) for value in square.corners)
    region = rgb[y0:y1, x0:x1]
    interpolation = cv2.INTER_AREA if region.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(region, (size, size), interpolation=interpolation)


MEASURED_PX = 224  # greatest side of the crop on which quality is measured, because sharpness depends on its size
FACE_ALONE = 1.3  # greatest margin of a crop that shows little more than the face


@dataclass(frozen=True, slots=True)
class FaceViews:
    """The views of a face that a network gets, from the tightest to the widest.

    Attributes:
        squares: V squares of the picture, each inside the next.
        crops: (V, S, S, 3) uint8 RGB, the pixels of the squares at the network's input size.
        context: shorter side of the picture divided by the longer side of the face box: how much of the surroundings
            is visible.
        members: the views of each member of an ensemble or fusion; the other attributes are then those of the view
            that is shown. Empty for a single network.
        alone: (S, S, 3) uint8 RGB crop of the face with little around it, see ``measured``; None to use the widest
            view.
    """

    squares: tuple[Box, ...]
    crops: np.ndarray
    context: float = np.inf
    members: tuple["FaceViews", ...] = ()
    alone: np.ndarray | None = None

    @property
    def widest(self) -> tuple[Box, np.ndarray]:
        """The square and the (S, S, 3) pixels of the widest view, which is the one shown."""
        return self.squares[-1], self.crops[-1]

    @property
    def measured(self) -> np.ndarray:
        """The (S, S, 3) crop on which the quality of the face is measured, at most ``MEASURED_PX`` per side."""
        core = self.members[0] if self.members else self
        return core.crops[-1] if core.alone is None else core.alone


def view_face(rgb: np.ndarray, box: Box, contract: InputContract) -> FaceViews:
    """Return all views of a face; see ``crop_square`` and ``cut``."""
    squares = tuple(crop_square(box, rgb.shape[1], rgb.shape[0], margin) for margin in contract.views)
    inside = box.clipped(rgb.shape[1], rgb.shape[0])
    context = min(rgb.shape[:2]) / max(inside.width, inside.height)
    crops = np.stack([cut(rgb, square, contract.size) for square in squares])
    narrow = max(sum(margin <= FACE_ALONE for margin in contract.views), 1) - 1
    fits = contract.size <= MEASURED_PX
    return FaceViews(squares, crops, context, alone=crops[narrow] if fits else cut(rgb, squares[narrow], MEASURED_PX))


def normalize(crops: np.ndarray, contract: InputContract) -> np.ndarray:
    """Scale and normalize crops.

    Args:
        crops: (N, S, S, 3) uint8, RGB.
        contract: input contract of the model.

    Returns:
        (N, 3, S, S) float32.
    """
    count, side = crops.shape[:2]
    mean = np.tile(np.asarray(contract.mean, np.float32) * 255.0, side)  # for a row of pixels: loops over 3 are slow
    inverse = np.tile(1.0 / (np.asarray(contract.std, np.float32) * 255.0), side)
    rows = crops.reshape(count, side, -1).astype(np.float32)
    rows -= mean
    rows *= inverse
    return rows.reshape(crops.shape).transpose(0, 3, 1, 2)
