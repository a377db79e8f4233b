"""All tables of the model card, for the models of a registry and for peers on the same faces."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from faceloupe.evaluation.measures import AucRow, Curves, Decisions, MeasuredRow, curves_of, measure
from faceloupe.evaluation.published import (
    ClipRow,
    Evaluation,
    HeatmapRow,
    ModelIdentity,
    Studies,
    Tables,
    read_evaluation,
)
from faceloupe.models.networks import build
from faceloupe.models.record import EVALUATION, ModelRecord, members_of, read_registry
from faceloupe.scoring.classifier import FaceScorer
from faceloupe.scoring.joint import join
from faceloupe.scoring.single import NetworkScorer, Scorer
from faceloupe.system.files import replacing
from faceloupe.training import clips as clip_faces
from faceloupe.training import heatmaps, peers
from faceloupe.training.conditions import CONDITIONS
from faceloupe.training.data import Item, read_rgb
from faceloupe.training.fitting import CrossFit, Members, source_sets
from faceloupe.training.scoring import Degrade, ScoredFaces, score_all
from faceloupe.training.settings import CARD_CORE

SIZES = (0, 80, 112, 160, 10_000)  # bounds of the rows by face size, pixels of the stored picture
BEST_PEER = "MesoInception_F2F"  # the best of the four on the faces of FaceForensics++
_SOURCE_OF_SWAPS = "ffpp_faces"
Report = Callable[[str], None]


class _Field:
    """The compared models: the models of a registry, and the peers."""

    def __init__(self, registry: Path, peer_folder: Path | None) -> None:
        # Heads and fusions are measured on the features of other material, see ``expert_card``.
        known = read_registry(registry)
        self.records = {name: record for name, record in known.items() if not record.component and not record.fusion}
        self._registry = registry
        self._read = cache(read_rgb)  # the same pictures are read for every degradation
        self.singles: dict[str, Scorer] = {}
        for name, record in self.records.items():
            if not record.members:
                self.singles[name] = FaceScorer(record, registry).scorer
        self.peers: dict[str, Scorer] = {}
        if peer_folder is not None:
            loaded = peers.load_peers(peer_folder)
            self.peers = {name: NetworkScorer(network, peers.CONTRACT) for name, network in loaded.items()}

    def score(self, root: Path, items: list[Item], degrade: Degrade | None = None) -> dict[str, ScoredFaces]:
        """Return the logits of every model.

        The logits of an ensemble are computed from those of its members. Only one peer scores degraded faces.
        """
        peers_asked = self.peers
        if degrade is not None:
            peers_asked = {name: scorer for name, scorer in self.peers.items() if name == BEST_PEER}
        scored = score_all(self.singles | peers_asked, root, items, degrade, read=self._read)
        for name, record in self.records.items():
            if record.members:
                members = members_of(record, self._registry)
                log_odds = np.stack(
                    [member.calibrator.log_odds(scored[member.id].logits) for member in members], axis=1
                )
                scored[name] = replace(scored[record.members[0]], logits=join(log_odds, record.fusion, members))
        order = [*self.records, *peers_asked]
        return {name: scored[name] for name in order}

    def members_of(self, name: str, scored: dict[str, ScoredFaces]) -> Members:
        """Return the members of an ensemble with their scores; empty for a single network."""
        record = self.records.get(name)
        return [(self.kind_of(member), scored[member]) for member in (record.members if record else ())]

    def kind_of(self, name: str) -> str:
        """Return the kind of calibrator to fit on the folds of a model.

        A peer gets one as well; otherwise its rows would only show that it was calibrated on other material.
        """
        return self.records[name].calibrator.kind if name in self.records else "platt"


def _row(model: str, part: str, decisions: Decisions) -> MeasuredRow:
    return measure(decisions).as_row(MeasuredRow, model=model, part=part)


def _rounded(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation rounded to the printed digits; the studies are not rounded."""
    values = msgspec.json.Decoder(float_hook=lambda text: round(float(text), 4)).decode(msgspec.json.encode(evaluation))
    return msgspec.structs.replace(msgspec.convert(values, Evaluation), studies=evaluation.studies)


def _size_sets(faces: ScoredFaces) -> dict[str, np.ndarray]:
    sides = np.array([min(item.face_box.width, item.face_box.height) for item in faces.items])
    names = [f"{low} to {high - 1} px" if high < 10_000 else f"{low} px and more" for low, high in _pairs(SIZES)]
    names[0] = f"below {SIZES[1]} px"
    masks = [(sides >= low) & (sides < high) for low, high in _pairs(SIZES)]
    return {name: mask for name, mask in zip(names, masks, strict=True) if mask.any()}


def _pairs(bounds: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    return pairwise(bounds)


def _people(faces: ScoredFaces) -> ScoredFaces:
    """Return one mean logit for each person and label, for collections with several frames of a person."""
    keys = [(Path(item.path).stem.partition("_")[0], item.label) for item in faces.items]
    items, logits = [], []
    for key in sorted(set(keys)):
        mine = [number for number, other in enumerate(keys) if other == key]
        items.append(faces.items[mine[0]])
        logits.append(float(faces.logits[mine].mean()))
    return ScoredFaces(items, np.array([item.label for item in items]), np.array(logits))


def _by_clip(model: str, faces: list[clip_faces.ClipFace], log_odds: np.ndarray) -> list[ClipRow]:
    """Return the mean log-odds over the frames of each clip."""
    frames: dict[tuple[str, str], list[tuple[clip_faces.ClipFace, float]]] = {}
    for face, value in zip(faces, log_odds, strict=True):
        frames.setdefault((face.item.source, face.clip), []).append((face, float(value)))
    rows = []
    for (source, clip), pairs in frames.items():
        face, values = pairs[-1][0], [value for _, value in pairs]
        about = face.method, face.item.label, face.item.group
        rows.append(ClipRow(model, face.split, source, clip, *about, len(values), float(np.mean(values))))
    return rows


def evaluate(
    registry: Path,
    root: Path,
    items: list[Item],
    work: Path,
    *,
    peer_folder: Path | None = None,
    report: Report = lambda text: None,
) -> Evaluation:
    """Measure every model of a registry.

    Args:
        registry: folder of records and weights.
        root: folder of the material.
        items: prepared items of the material.
        work: folder of ``clips.csv`` from the prepare stage, and of the results of the studies, if they were run.
        peer_folder: folder with MesoNet's weights; None leaves out the peers.
        report: called with progress messages.

    Returns:
        Tables and curves, rounded to the printed digits.
    """
    field = _Field(registry, peer_folder)
    validation = [item for item in items if item.split == "val" and item.has_face]
    tables = Tables([], [], [], [], [], [])
    curves: dict[str, Curves] = {}
    folds: dict[str, CrossFit] = {}
    for condition, degrade in CONDITIONS.items():
        report(f"condition: {condition}")
        scored = field.score(root, validation, degrade)
        if not folds:
            folds = {
                name: CrossFit(field.kind_of(name), faces, field.members_of(name, scored))
                for name, faces in scored.items()
            }
        decisions = {name: folds[name].decide(faces, field.members_of(name, scored)) for name, faces in scored.items()}
        for name, faces in scored.items():
            if name in field.records or name == BEST_PEER:
                tables.conditions.append(_row(name, condition, decisions[name]))
            if degrade is None:
                for table, sets in ((tables.sources, source_sets(faces)), (tables.sizes, _size_sets(faces))):
                    table += [_row(name, part, decisions[name].where(mask)) for part, mask in sets.items()]
                curves[name] = curves_of(decisions[name])
                if faces.mask((_SOURCE_OF_SWAPS,)).any():
                    tables.people.append(_people_row(name, faces))
        if degrade is None:
            _write_predictions(work / "predictions.csv", scored, decisions)
    report("clips")
    table, clip_rows = _clips(field, work)
    tables.clips.extend(table)
    report("heatmaps")
    blended = heatmaps.blended_faces(root, items)
    for name, scorer in _explained(field, registry):
        tables.heatmaps.extend(_heatmap_rows(name, scorer, field.records.get(name), blended))
    own = [
        ModelIdentity(record.id, record.architecture, record.parameters, record.weights_sha256, record.sha256)
        for record in field.records.values()
    ]
    peer_models = [ModelIdentity(name, "MesoNet", None) for name in field.peers]
    return _rounded(Evaluation([*own, *peer_models], CARD_CORE, tables, clip_rows, curves, _studies(work, registry)))


def _studies(work: Path, registry: Path) -> Studies:
    """Return the studies that were run in ``work``; missing ones are taken from the registry's evaluation."""
    measured = registry / EVALUATION
    known = read_evaluation(measured).studies if measured.is_file() else Studies(None, None)
    for study in msgspec.structs.fields(Studies):
        if (path := work / f"{study.name}.json").is_file():
            run = msgspec.json.decode(path.read_bytes(), type=study.type)
            known = msgspec.structs.replace(known, **{study.name: run})
    return known


def _people_row(name: str, faces: ScoredFaces) -> AucRow:
    people = _people(faces.of((_SOURCE_OF_SWAPS,)))
    called = people.logits > 0, people.logits < 0
    decisions = Decisions(people.labels, people.logits, *called, people.units, people.logits)
    measures = measure(decisions)
    return AucRow(name, f"{_SOURCE_OF_SWAPS}, a person", measures.n_real, measures.n_fake, measures.auc)


def _clips(field: _Field, work: Path) -> tuple[list[MeasuredRow], list[ClipRow]]:
    if not (work / clip_faces.INDEX).is_file():
        return [], []
    faces = clip_faces.read_clips(work / clip_faces.INDEX)
    scored = field.score(work, [face.item for face in faces])
    table: list[MeasuredRow] = []
    listed: list[ClipRow] = []
    for name, clip in scored.items():
        record = field.records.get(name)
        log_odds = record.calibrator.log_odds(clip.logits) if record else clip.logits
        rows = _by_clip(name, faces, np.asarray(log_odds))
        for source in sorted({row.source for row in rows}):
            mine = [row for row in rows if row.source == source]
            labels = np.array([row.label for row in mine])
            values = np.array([row.log_odds for row in mine])
            units = np.array([row.group or row.clip for row in mine])
            called = np.zeros(len(mine), bool), np.zeros(len(mine), bool)
            if record:
                decided = Decisions.at(labels, values, record.thresholds, units)
                called = decided.called_fake, decided.called_real
            table.append(_row(name, source, Decisions(labels, values, *called, units, values)))
        if record:
            listed += rows
    return table, listed


def _explained(field: _Field, registry: Path) -> Iterator[tuple[str, Scorer]]:
    for name, record in field.records.items():
        yield name, FaceScorer(record, registry).scorer
    record = field.records[CARD_CORE if CARD_CORE in field.singles else next(iter(field.singles))]
    import torch  # here: only the randomized network needs it

    torch.manual_seed(0)
    yield "randomized weights", NetworkScorer(build(record.architecture).eval().requires_grad_(False), record.input)


def _heatmap_rows(
    name: str, scorer: Scorer, record: ModelRecord | None, blended: list[heatmaps.BlendedFace]
) -> list[HeatmapRow]:
    threshold = 0.0
    if record:  # the logit at a score of 0.5
        logits = np.linspace(-30.0, 30.0, 60_001)
        above = int(np.searchsorted(record.calibrator.log_odds(logits), 0.0))
        threshold = float(logits[min(above, len(logits) - 1)])
    rows = heatmaps.localize(scorer, blended, threshold)
    return [HeatmapRow(name, part, *astuple(measured)) for part, measured in rows.items()]


def _write_predictions(path: Path, scored: dict[str, ScoredFaces], decisions: dict[str, Decisions]) -> None:
    """Write the scores of every model for every validation face, completely or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["model", "path", "source", "unit", "label", "logit", "log_odds", "outcome"])
        for name, faces in scored.items():
            decision = decisions[name]
            for number, item in enumerate(faces.items):
                outcome = "manipulated" if decision.called_fake[number] else "inconclusive"
                outcome = "authentic" if decision.called_real[number] else outcome
                numbers = f"{faces.logits[number]:.6f}", f"{decision.log_odds[number]:.6f}"
                writer.writerow([name, item.path, item.source, item.unit, item.label, *numbers, outcome])
