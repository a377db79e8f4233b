"""What other networks say of faces that the expert is judged by: MesoNet, and features of ImageNet.

What an expert is worth shows beside what costs less. MesoNet is taken as it was published; MobileNetV3-small keeps its
ImageNet weights, and a linear head on them is fitted on the expert's own material, with the same families left out.
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
IN_UNSEEN, IN_HELD_OUT = "left out", "held out"  # in the views of the rows
CONTRACT = InputContract(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.3, (1.3,))
_BOUNDS = Caps(Cap(pictures=40, person=10))  # of a source, for what is judged: more change no mean over sources
_EVEN = Thresholds(0.5 - 1e-9, 0.5)  # none of these has thresholds of its own for this material
_HEAD = HeadSettings(decay=1e-4)
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Faces:
    """N faces that are judged.

    Attributes:
        stills: of the pictures.
        located: their regions.
        labels: (N,) int, 1 = manipulated.
        sources: (N,) str, as ``looks.source_names`` names them.
        families: (N,) str.
        held_out: (N,) bool, whether a face is of the split that nothing may be fitted on.
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
    """Choose the faces that are judged: at most 40 of a source, method and label in a split, none of them gray.

    Args:
        stills: the material.
        located: its regions by id, see ``regions.read``.
        work: folder that ``regions.make`` wrote to.
        families: source -> its family, where it is not the source itself.
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
    """The trunk of an ImageNet network, whose pooled features a linear head is fitted on."""

    def __init__(self, trunk: Path) -> None:
        """Load the trunk, see ``train.load_trunk``."""
        network = build("mobilenet_v3_small")
        load_trunk(network, trunk)
        network.classifier = nn.Sequential(nn.Identity())
        self._network = network.eval()

    def features(self, crops: np.ndarray) -> torch.Tensor:
        """(N, S, S, 3) uint8 RGB crops of ``CONTRACT`` to (N, 576) float32."""
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
    """Have the networks judge the faces.

    Args:
        faces: of both classes, in the held-out split and out of it.
        scorers: by name.
        probe: the trunk; its row is ``PROBE``.
        work: folder that ``regions.make`` wrote to.
        report: called with the number of faces done, and of all.

    Returns:
        Rows by source, their view being the network's name and whether it judged faces left out or held out.
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
    """(N,) logits of linear heads: each face's of one that saw nothing of its family, nor of the held-out split."""
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
