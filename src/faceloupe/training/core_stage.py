"""The stage that makes the core: fits its classifier on the trunk's statistics, judges it, and writes its record.

The core is judged like the expert (see ``expert_records``): on faces of families that its classifier was not trained
on, and on swaps of people that it was not trained on. The trunk was trained only on ImageNet, so it has not seen any
face of the material.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from faceloupe.evaluation.source_rows import HELD_OUT, LEFT_OUT, SourceRow, write_owner, write_rows
from faceloupe.models.backbones import BlockStatistics
from faceloupe.models.contract import QualityGates
from faceloupe.models.networks import build, fold
from faceloupe.models.record import CORE, ModelRecord, write_record
from faceloupe.scoring.single import NetworkScorer
from faceloupe.training import (
    core_answers,
    core_card,
    core_head,
    cross_fitting,
    data,
    expert_records,
    expert_tables,
    features,
    heads,
    looks,
    material,
    plans,
    regions,
)
from faceloupe.training.calibrate import LICENSE
from faceloupe.training.core_features import CONTRACT
from faceloupe.training.core_head import CoreSettings, Examples, Standard
from faceloupe.training.cross_fitting import CrossAnswers
from faceloupe.training.expert_card import TIERS_FILE
from faceloupe.training.expert_records import CLEAN, Evidence
from faceloupe.training.expert_stage import PEAK_QUANTILE, PEAKS, TIERS, changed_auc
from faceloupe.training.expert_tables import Verdicts
from faceloupe.training.fusing import Judged, make_record
from faceloupe.training.looks import CHANGED, MIN_COLOR, NOT_SEEN, Looks
from faceloupe.training.material import Still
from faceloupe.training.plans import ANY, NOT_BLENDED, ExpertSettings
from faceloupe.training.regions import Region
from faceloupe.training.train import load_trunk

LEARNS_FROM = (*NOT_BLENDED, "512")  # treatments


@dataclass(frozen=True, slots=True)
class Material:
    """All inputs of the stage.

    Attributes:
        looks: N looks of all splits.
        statistics: (N, V, D) float16 of the looks, in ``core_features.CROPS``.
        stills: pictures by id.
        regions: regions of the kind ``FACE``, by id.
        work: folder of the regions.
    """

    looks: Looks
    statistics: torch.Tensor
    stills: Mapping[str, Still]
    regions: Mapping[str, Region]
    work: Path

    def where(self, keep: np.ndarray) -> "Material":
        """Return the material of the looks that a (N,) bool mask keeps."""
        chosen = self.statistics[torch.from_numpy(np.flatnonzero(keep))]
        return replace(self, looks=self.looks.where(keep), statistics=chosen)


def read(work: Path, folder: Path, stills: Sequence[Still], settings: ExpertSettings) -> Material:
    """Read the material from the folder of intermediate results.

    Args:
        work: folder that ``regions`` wrote to.
        folder: folder of the statistics.
        stills: the pictures to use.
        settings: settings of the expert, which define the families and the changed faces.

    Raises:
        DatasetError: a stage has not run.
    """
    cache, located = features.read(folder), regions.read(work)
    gray = looks.gray_pictures((located[name] for name in np.unique(cache.ids).tolist() if name in located), work)
    seen = looks.gather(
        stills, located, cache, changed=settings.changed, families=settings.families, gray=gray, wide="wide"
    )
    seen = seen.where((seen.tight != NOT_SEEN) & (seen.widest != NOT_SEEN))
    statistics = np.stack([cache.values[rows, 0] for rows in (seen.tight, seen.widest)], axis=1)
    return Material(seen, torch.from_numpy(statistics), {still.id: still for still in stills}, located, work)


def make(
    prepared: Material,
    settings: CoreSettings,
    *,
    trunk: Path,
    gates: QualityGates,
    target: Path,
    docs: Path,
    report: Callable[[str], None] = lambda line: None,
) -> ModelRecord:
    """Fit, judge and write the core.

    Args:
        prepared: the material.
        settings: settings of the fit.
        trunk: ImageNet weights, see ``train.load_trunk``.
        gates: quality gates of the record; the color gate is replaced.
        target: folder for the record, the weights and the answers to all looks, replaced as a whole.
        docs: folder of the card and its tables by source.
        report: called with progress messages.

    Raises:
        DatasetError: a held-out picture is among the training material, or a class is missing.
    """
    seen = prepared.where(prepared.looks.splits != material.HELD_OUT)
    held_out = prepared.where(prepared.looks.splits == material.HELD_OUT)
    material.refuse_held_out(prepared.stills[name].entry for name in np.unique(seen.looks.ids))
    training = np.isin(seen.looks.treatments, LEARNS_FROM) & np.isin(seen.looks.splits, data.SPLITS)
    examples = Examples(seen.statistics, seen.looks.labels, seen.looks.sources)
    standard = Standard.of(seen.statistics[torch.from_numpy(np.flatnonzero(training))].flatten(0, 1))

    def fitted(known: np.ndarray) -> nn.Sequential:
        return core_head.fit(examples, known, standard, settings)

    def answer(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        report(f"fitted on {int(known.sum()):,} looks, {int(asked.sum()):,} are judged")
        return core_head.logits(fitted(known), seen.statistics[torch.from_numpy(np.flatnonzero(asked))])

    judge = _Judge(seen.looks, cross_fitting.cross_answers(seen.looks, training, answer))
    classifier = fitted(training)
    of_held_out = core_head.logits(classifier, held_out.statistics)
    name = f"faceloupe-mobilenet_v3_small-{settings.version}"
    content = save(_weights(trunk, classifier), {"architecture": CORE})
    record = judge.record(
        gates=replace(gates, min_color=MIN_COLOR),
        id=name,
        architecture=CORE,
        weights_file=f"{name}.safetensors",
        weights_sha256=hashlib.sha256(content).hexdigest(),
        **_described(content, seen, training),
    )
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / record.weights_file).write_bytes(content)
    write_record(record, partial / f"{name}.json")
    of_all = (seen.looks, judge.answers), (held_out.looks, CrossAnswers(of_held_out, of_held_out))
    core_answers.write(of_all, partial / core_answers.FILE)
    docs.mkdir(parents=True, exist_ok=True)
    write_rows(judge.left_out(record), docs / LEFT_OUT)
    write_rows(judge.tiers(record), docs / TIERS_FILE)
    write_rows(_held_out(held_out.looks, of_held_out, record), docs / HELD_OUT)
    write_owner(record, docs)
    core_card.write(record, docs)
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)
    return record


def _weights(trunk: Path, classifier: nn.Sequential) -> dict[str, torch.Tensor]:
    network = build(CORE)
    load_trunk(network, trunk)
    network.classifier.load_state_dict(classifier.state_dict())
    return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}


def _described(content: bytes, seen: Material, training: np.ndarray) -> dict[str, Any]:
    """Return the fields of a record that describe the network, without its errors."""
    network = build(CORE)
    network.load_state_dict(load(content))
    assert isinstance(network, BlockStatistics)
    scorer = NetworkScorer(fold(network.eval()).requires_grad_(False), CONTRACT)
    return {
        "parameters": sum(tensor.numel() for tensor in build(CORE).parameters()),
        "input": CONTRACT,
        "explanation_max": _peak(scorer, seen),
        "trained_on": expert_records.trained_on(seen.looks, training),
        "license": LICENSE,
        "manipulations": "; ".join(expert_records.MANIPULATIONS.values()),
    }


def _peak(scorer: NetworkScorer, seen: Material) -> float:
    """Return the upper end of the heatmaps' color scale: a high quantile of their peaks over manipulated faces."""
    manipulated = np.flatnonzero((seen.looks.labels == 1) & (seen.looks.treatments == CLEAN))
    chance = heads.balance_over(seen.looks.sources[manipulated])
    count = min(PEAKS, len(manipulated))
    chosen = np.random.default_rng(0).choice(seen.looks.ids[manipulated], count, replace=False, p=chance)
    peaks = []
    for name in chosen.tolist():
        region = seen.regions[name]
        face = scorer.view(regions.pixels(seen.work, region), region.face_box)
        peaks.append(float(scorer.explained(face)[1].max()))
    return max(round(float(np.quantile(peaks, PEAK_QUANTILE)), 3), 0.001)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Answers of the core to faces that its classifier was not trained on, and the results computed from them.

    Attributes:
        seen: N looks of train and val.
        answers: the answers to these looks.
    """

    seen: Looks
    answers: CrossAnswers

    def evidence(self, treatment: str = CLEAN) -> Evidence:
        """Return the judgements under a treatment, see ``expert_records.evidence``."""
        return expert_records.evidence(self.seen, (plans.CORE,), (self.answers,), (treatment,))

    def record(self, **identity: Any) -> ModelRecord:
        """Return the record."""
        judged, seen = self.evidence(), self.seen
        index = judged.index
        return make_record(
            judged.logits[:, 0],
            Judged.of(seen.labels[index], seen.sources[index], seen.units[index], judged.unseen, seen.scored[index]),
            described=expert_records.described(seen, index),
            limits=expert_records.limits(ANY, changed_auc(seen, (replace(plans.CORE, kind=CHANGED),), (self.answers,))),
            **identity,
        )

    def _verdicts(self, judged: Evidence, record: ModelRecord) -> Verdicts:
        return _verdicts(self.seen, judged.index, judged.logits[:, 0], record)

    def left_out(self, record: ModelRecord) -> list[SourceRow]:
        """Return the rows by source of the faces that the error rates count."""
        judged = self.evidence().counted()
        judged = judged.where(self.seen.scored[judged.index])
        return expert_tables.by_source(self._verdicts(judged, record), expert_tables.VIEW_NAMES[CLEAN])

    def tiers(self, record: ModelRecord) -> list[SourceRow]:
        """Return the rows of each whole class by tier, for the faces that have all tiers."""
        made = [tier for tier in TIERS if (self.seen.treatments == tier).any()]
        by_tier = [set(self.seen.ids[self.seen.treatments == tier].tolist()) for tier in made]
        common = np.isin(self.seen.ids, sorted(set.intersection(*by_tier)))
        verdicts = []
        for tier in made:
            judged = self.evidence(tier).counted()
            judged = judged.where((common & self.seen.scored)[judged.index])
            verdicts.append((expert_tables.VIEW_NAMES[tier], self._verdicts(judged, record)))
        return expert_tables.in_all(verdicts)


def _verdicts(seen: Looks, index: np.ndarray, logits: np.ndarray, record: ModelRecord) -> Verdicts:
    log_odds = np.asarray(record.calibrator.log_odds(logits))
    return Verdicts.at(seen.labels[index], seen.sources[index], log_odds, record.thresholds)


def _held_out(looks: Looks, logits: np.ndarray, record: ModelRecord) -> list[SourceRow]:
    """Return the rows by source and tier of the held-out looks."""
    rows: list[SourceRow] = []
    for tier in TIERS:
        index = np.flatnonzero((looks.treatments == tier) & looks.scored)
        if len(index):
            verdicts = _verdicts(looks, index, logits[index], record)
            rows += expert_tables.by_source(verdicts, expert_tables.VIEW_NAMES[tier])
    return rows
