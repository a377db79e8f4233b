"""Other networks on the faces that the expert is judged by: MesoNet, and a linear head on ImageNet features.

They show what the expert adds over cheaper methods. MesoNet is used as published. MobileNetV3-small keeps its ImageNet
weights, and a linear head on it is fitted on the expert's own material, with the same families left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from faceloupe.evaluation.source_rows import SourceRow
from faceloupe.models.contract import InputContract
from faceloupe.models.networks import build
from faceloupe.models.record import Thresholds
from faceloupe.scoring.preprocess import normalize, view_face
from faceloupe.scoring.single import Scorer
from faceloupe.training import choosing, cross_fitting, expert_tables, heads, looks, regions
from faceloupe.training.choosing import Cap, Caps
from faceloupe.training.heads import HeadSettings
from faceloupe.training.material import HELD_OUT, Still
from faceloupe.training.regions import Region
from faceloupe.training.train import load_trunk

PROBE = "ImageNet MobileNetV3-small, linear head"
IN_UNSEEN, IN_HELD_OUT = "left out", "held out"  # parts of the view names of the rows
CONTRACT = InputContract(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.3, (1.3,))
_BOUNDS = Caps(Cap(pictures=40, person=10))  # for the faces of a source; more do not change a mean over sources
_EVEN = Thresholds(0.5 - 1e-9, 0.5)  # none of these networks has thresholds for this material
_HEAD = HeadSettings(decay=1e-4)
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Faces:
    """N faces to judge.

    Attributes:
        stills: pictures of the faces.
        located: regions of the faces.
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str, named as in ``looks.source_names``.
        families: (N,) str.
        held_out: (N,) bool, whether a face is in the split that nothing may be fitted on.
    """

    stills: tuple[Still, ...]
    located: tuple[Region, ...]
    labels: np.ndarray
    sources: np.ndarray
    families: np.ndarray
    held_out: np.ndarray

    def __len__(self) -> int:
        return len(self.stills)


def choose(stills: Sequence[Still], located: Mapping[str, Region], work: Path, families: Mapping[str, str]) -> Faces:
    """Choose the faces to judge: at most 40 of a source, method and label in a split, none of them gray.

    Args:
        stills: the material.
        located: regions by id, see ``regions.read``.
        work: folder that ``regions.make`` wrote to.
        families: family of each source, if it is not the source itself.
    """
    chosen = choosing.bounded([still for still in stills if still.id in located], _BOUNDS).stills
    gray = looks.gray_pictures([located[still.id] for still in chosen], work)
    chosen = tuple(still for still in chosen if still.id not in gray)
    names = looks.source_names(stills)
    return Faces(
        chosen,
        tuple(located[still.id] for still in chosen),
        np.array([still.entry.label for still in chosen]),
        np.array([names[still.id] for still in chosen]),
        np.array([families.get(still.entry.source, still.entry.source) for still in chosen]),
        np.array([still.entry.split == HELD_OUT for still in chosen]),
    )


class Probe:
    """Trunk of an ImageNet network; a linear head is fitted on its pooled features."""

    def __init__(self, trunk: Path) -> None:
        """Load the trunk, see ``train.load_trunk``."""
        network = build("mobilenet_v3_small")
        load_trunk(network, trunk)
        network.classifier = nn.Sequential(nn.Identity())
        self._network = network.eval()

    def features(self, crops: np.ndarray) -> torch.Tensor:
        """Map (N, S, S, 3) uint8 RGB crops of ``CONTRACT`` to (N, 576) float32 features."""
        with torch.no_grad():
            features: torch.Tensor = self._network(torch.from_numpy(normalize(crops, CONTRACT)).contiguous())
        return features


def ask(
    faces: Faces,
    scorers: Mapping[str, Scorer],
    probe: Probe,
    work: Path,
    *,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[SourceRow]:
    """Let the networks judge the faces.

    Args:
        faces: faces of both classes, inside and outside the held-out split.
        scorers: scorers by name.
        probe: the trunk; its rows are named ``PROBE``.
        work: folder that ``regions.make`` wrote to.
        report: called with the number of faces done and the total number.

    Returns:
        Rows by source; their view states the network's name and whether the faces were left out or held out.
    """
    logits, parts = {name: np.empty(len(faces)) for name in scorers}, []
    for start in range(0, len(faces), _BATCH):
        batch = [(regions.pixels(work, region), region.face_box) for region in faces.located[start : start + _BATCH]]
        for name, scorer in scorers.items():
            logits[name][start : start + len(batch)] = scorer.logits([scorer.view(rgb, box) for rgb, box in batch])
        parts.append(probe.features(np.concatenate([view_face(rgb, box, CONTRACT).crops for rgb, box in batch])))
        report(start + len(batch), len(faces))
    logits[PROBE] = _fitted(faces, torch.cat(parts))
    rows = []
    for name, values in logits.items():
        for view, mask in ((IN_UNSEEN, ~faces.held_out), (IN_HELD_OUT, faces.held_out)):
            if len(set(faces.labels[mask].tolist())) < 2:
                continue
            verdicts = expert_tables.Verdicts.at(faces.labels[mask], faces.sources[mask], values[mask], _EVEN)
            rows += expert_tables.by_source(verdicts, f"{name}, {view}")
    return rows


def _fitted(faces: Faces, inputs: torch.Tensor) -> np.ndarray:
    """Return (N,) logits of linear heads that saw neither the family of the face nor the held-out split."""
    learned_from = inputs[torch.from_numpy(~faces.held_out)]
    inputs = (inputs - learned_from.mean(0)) / (learned_from.std(0) + 1e-6)
    folds = np.where(faces.held_out, -1, cross_fitting.family_fold(faces.families))
    logits = np.empty(len(faces))
    for fold in np.unique(folds):
        outside = folds == fold
        known = ~outside & ~faces.held_out
        head = heads.fit(inputs[torch.from_numpy(known)], faces.labels[known], faces.sources[known], _HEAD)
        logits[outside] = head(inputs[torch.from_numpy(outside)])
    return logits
