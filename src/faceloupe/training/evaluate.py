"""Scores of labeled faces, and the tables made from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from faceloupe.scoring.preprocess import InputContract, normalize, view_face
from faceloupe.training.data import Item, read_rgb

# Sources of photographs and of wholly generated faces: there, the authentic and the manipulated come from different
# collections, so they are judged together.
GENERATED = (
    "hardfake",
    "ffhq_tpdne",
    "omi_stylegan2",
    "generated_photos",
    "boredhumans",
    "sdfd_sd21",
    "utkface",
    "facemask_nomask",
)
_BATCH = 32


@dataclass(frozen=True, slots=True)
class ScoredFaces:
    """Labeled faces with the network's answer.

    Attributes:
        items: N items.
        labels: (N,) int, 1 = manipulated.
        logits: (N,) float64, before calibration.
    """

    items: list[Item]
    labels: np.ndarray
    logits: np.ndarray

    def of(self, sources: tuple[str, ...]) -> "ScoredFaces":
        """The faces of some sources."""
        keep = np.array([item.source in sources for item in self.items], bool)
        return ScoredFaces(
            [i for i, k in zip(self.items, keep, strict=True) if k], self.labels[keep], self.logits[keep]
        )

    @property
    def sources(self) -> list[str]:
        return sorted({item.source for item in self.items})


def score_faces(network: nn.Module, contract: InputContract, root: Path, items: list[Item]) -> ScoredFaces:
    """Score every item's face, cropped as the app crops it."""
    network.eval()
    device = next(network.parameters()).device
    logits = []
    for start in range(0, len(items), _BATCH):
        crops = []
        for item in items[start : start + _BATCH]:
            crops.append(view_face(read_rgb(root / item.path), item.box, contract).crops)
        inputs = torch.from_numpy(normalize(np.concatenate(crops), contract)).to(
            device, memory_format=torch.channels_last
        )
        with torch.inference_mode():
            logits.append(network(inputs).double().cpu().numpy().reshape(len(crops), -1).mean(1))
    return ScoredFaces(items, np.array([item.label for item in items]), np.concatenate(logits))


def auc(faces: ScoredFaces) -> float:
    """Area under the ROC curve, 0..1; nan where one class is missing."""
    return float(roc_auc_score(faces.labels, faces.logits)) if len(set(faces.labels)) == 2 else float("nan")


def auc_by_source(faces: ScoredFaces) -> dict[str, float]:
    """AUC of the generated-face sources together, and of every source that holds both classes."""
    table = {"generated": auc(faces.of(GENERATED))}
    table |= {source: auc(faces.of((source,))) for source in faces.sources}
    return {name: value for name, value in table.items() if not np.isnan(value)}
