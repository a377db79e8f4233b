"""Gates: can this face carry a verdict at all?"""

from dataclasses import dataclass

import cv2
import numpy as np

from faceloupe.types import DetectedFace, FaceQuality


@dataclass(frozen=True, slots=True)
class QualityGates:
    """Least values that a face needs to be scored; they travel in the model record.

    Attributes:
        min_size_px: shorter side of the face box, source pixels.
        min_sharpness: see ``sharpness``.
        min_confidence: of the face finder, 0..1.
    """

    min_size_px: float
    min_sharpness: float
    min_confidence: float


def sharpness(crop: np.ndarray) -> float:
    """Variance of the Laplacian of the gray crop (Pech-Pacheco et al. 2000), in squared gray levels; 0 for a flat one.

    Args:
        crop: (S, S, 3) uint8 RGB at the model's input size, so that faces of every size are held to one measure.
    """
    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def assess(face: DetectedFace, crop: np.ndarray, gates: QualityGates) -> FaceQuality:
    """Hold a face against the gates; the first that fails is named."""
    sharp = sharpness(crop)
    problem = ""
    if face.confidence < gates.min_confidence:
        needed = f"{face.confidence:.2f}; {gates.min_confidence:.2f} is needed"
        problem = f"the face finder is not sure that this is a face ({needed})"
    elif face.size_px < gates.min_size_px:
        problem = f"the face is {face.size_px:.0f} px wide; {gates.min_size_px:.0f} are needed"
    elif sharp < gates.min_sharpness:
        problem = f"the face is too blurred (sharpness {sharp:.1f}; {gates.min_sharpness:.1f} is needed)"
    return FaceQuality(face.size_px, sharp, face.confidence, problem)
