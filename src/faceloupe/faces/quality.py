"""Quality gates that decide whether a face can carry a verdict."""

from collections.abc import Sequence
from statistics import median

import cv2
import numpy as np

from faceloupe.models.contract import QualityGates
from faceloupe.types import DetectedFace, FaceQuality, format_distinct


def sharpness(crop: np.ndarray) -> float:
    """Return the variance of the Laplacian of the gray crop (Pech-Pacheco et al. 2000), in squared gray levels.

    It is 0 for a flat crop.

    Args:
        crop: (S, S, 3) uint8 RGB at the model's input size, so that faces of all sizes are measured alike.
    """
    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def color_spread(crop: np.ndarray) -> float:
    """Measure the color variation that lightness does not explain; it is close to 0 for gray or toned pictures.

    A toned or yellowed print has one color at each lightness. The CIELAB channels a and b of a small copy of the crop
    are therefore each fitted by a parabola in L, and the spread is the root mean square of the residuals.

    Args:
        crop: (S, S, 3) uint8 RGB.

    Returns:
        The spread in CIELAB units, 0 or more; nearly all color photographs have 4 or more.
    """
    small = cv2.resize(crop, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    lightness, *colors = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3).T.astype(np.float64)
    powers = np.stack([np.ones_like(lightness), lightness, lightness**2], axis=1)
    left = [color - powers @ np.linalg.lstsq(powers, color, rcond=None)[0] for color in colors]
    return float(np.sqrt(sum(np.mean(part**2) for part in left)))


def assess(face: DetectedFace, crop: np.ndarray, gates: QualityGates) -> FaceQuality:
    """Check a face against the gates; the result names the first gate that fails."""
    sharp = sharpness(crop)
    problem = ""
    if face.confidence < gates.min_confidence:
        value, needed = format_distinct(face.confidence, gates.min_confidence)
        problem = f"the detector is not sure that this is a face (confidence {value}; at least {needed} is needed)"
    elif face.size_px < gates.min_size_px:
        value, needed = format_distinct(face.size_px, gates.min_size_px, decimals=0)
        problem = f"the face is {value} px wide; at least {needed} px are needed"
    elif sharp < gates.min_sharpness:
        value, needed = format_distinct(sharp, gates.min_sharpness, decimals=1)
        problem = f"the face is too blurred (sharpness {value}; at least {needed} is needed)"
    elif gates.min_color and (color := color_spread(crop)) < gates.min_color:
        value, needed = format_distinct(color, gates.min_color, decimals=1)
        problem = (
            f"the picture is gray or in one tone, and this model calls too many such photographs manipulated (color "
            f"spread {value}; at least {needed} is needed)"
        )
    return FaceQuality(face.size_px, sharp, face.confidence, problem)


# Least median confidence over a track, set from the control clips: a cartoon has .976 there, most faces have .999, and
# the worst face that passes has .987. One blurred real face (.968) does not pass.
TRACK_CONFIDENCE = 0.985


def low_confidence_reason(confidences: Sequence[float]) -> str:
    """Return why a track may not be a face, given its detector confidences (0..1); empty if they are high enough."""
    typical = median(confidences)
    if typical >= TRACK_CONFIDENCE:
        return ""
    shown, needed = format_distinct(typical, TRACK_CONFIDENCE, decimals=3)
    frames = "1 frame" if len(confidences) == 1 else f"{len(confidences)} frames"
    return (
        f"the detector is not sure that this is a face (median confidence {shown} over {frames}; at least {needed} "
        "is needed)"
    )
