"""Test of the heatmaps: the share of their mass inside the true masks of faces that are blended here."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from faceloupe.evaluation.published import Localization
from faceloupe.scoring.single import Scorer
from faceloupe.training import blending
from faceloupe.training.data import Item, read_rgb

_COUNT = 160  # blended faces
_SMALL = 0.15  # share of the frame, below which a changed area counts as small
_CHANGED = 0.1  # mask values up to this count as unchanged


@dataclass(frozen=True, slots=True)
class BlendedFace:
    """A blended validation face, originally authentic, with the mask of the change, (H, W) float32 in 0..1."""

    region: blending.Region
    rgb: np.ndarray
    mask: np.ndarray


def blended_faces(root: Path, items: list[Item], count: int = _COUNT) -> list[BlendedFace]:
    """Blend validation faces, half of them with a donor's face; the choice is always the same."""
    candidates = [item for item in items if item.split == "val" and not item.label and item.has_face]
    random = np.random.default_rng(0)
    faces = []
    for number, index in enumerate(random.permutation(len(candidates))[:count]):
        item = candidates[index]
        others = [other for other in candidates if other.source == item.source]
        chosen = [item, others[random.integers(len(others))]] if number % 2 else [item]
        regions = [blending.region(read_rgb(root / item.path), item.box, item.landmarks) for item in chosen]
        rgb, mask = blending.blend(random, *regions)
        if mask.max() > _CHANGED:
            faces.append(BlendedFace(regions[0], rgb, mask))
    return faces


def localize(scorer: Scorer, faces: list[BlendedFace], threshold: float = 0.0) -> dict[str, Localization]:
    """Compare a scorer's heatmaps with the masks, in the frame of the widest view.

    Args:
        scorer: computes the heatmaps.
        faces: blended faces with their masks.
        threshold: logit above which the scorer favors manipulated over authentic.

    Returns:
        Results for all faces, for the faces with a small change, and for the faces scored above the threshold.
    """
    measured = []
    for face in faces:
        views = scorer.view(face.rgb, face.region.box)
        reading, heat = scorer.explained(views)
        x0, y0, x1, y1 = (int(value) for value in views.widest[0].corners)
        mask = cv2.resize(face.mask[y0:y1, x0:x1], heat.shape[::-1], interpolation=cv2.INTER_LINEAR) > _CHANGED
        if mask.any():
            mass = float(heat[mask].sum() / heat.sum()) if heat.sum() > 0 else float("nan")
            measured.append((reading.logit, float(mask.mean()), mass))
    logits, areas, masses = np.array(measured).T
    parts = {
        "all": np.ones(len(measured), bool),
        f"changed area below {_SMALL:.0%}": areas < _SMALL,
        "scored above .5": logits > threshold,
    }
    return {name: _summary(areas[chosen], masses[chosen]) for name, chosen in parts.items() if chosen.any()}


def _summary(areas: np.ndarray, masses: np.ndarray) -> Localization:
    drawn = np.isfinite(masses)
    area, mass = areas[drawn], masses[drawn]
    means = [float(values.mean()) if len(values) else None for values in (mass, area, mass / area)]
    return Localization(int(drawn.sum()), int((~drawn).sum()), *means)
