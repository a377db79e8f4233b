"""Every table of the model card, for the models of a registry and a peer behind the same faces."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from faceloupe.config import QUICK_MODEL
from faceloupe.evaluation.measures import Decisions, Measures, curves_of, measure
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

SIZES = (0, 80, 112, 160, 10_000)  # bounds of the rows by face size, pixels of the stored picture
BEST_PEER = "MesoInception_F2F"  # of the four, on the faces of FaceForensics++
_SOURCE_OF_SWAPS = "ffpp_faces"
Report = Callable[[str], None]


class _Field:
    """The models that are compared: those of a registry, and the peers."""

    def __init__(self, registry: Path, peer_folder: Path | None) -> None:
        # Heads and fusions are counted on the features of another material, see ``expert_card``.
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
        """Logits of every model; an ensemble's follow from its members'. Of degraded faces, one peer alone."""
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
        """Return what an ensemble averages; nothing for a single network."""
        record = self.records.get(name)
        return [(self.kind_of(member), scored[member]) for member in (record.members if record else ())]

    def kind_of(self, name: str) -> str:
        """Return the kind of calibrator that the folds of a model are fitted with.

        A peer gets one too, or its rows would only show that it was calibrated elsewhere.
        """
        return self.records[name].calibrator.kind if name in self.records else "platt"


def _row(model: str, part: str, measures: Measures) -> dict[str, Any]:
    return {"model": model, "part": part} | {key: _rounded(value) for key, value in measures.as_dict().items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return value


def _size_sets(faces: ScoredFaces) -> dict[str, np.ndarray]:
    sides = np.array([min(item.face_box.width, item.face_box.height) for item in faces.items])
    names = [f"{low} to {high - 1} px" if high < 10_000 else f"{low} px and more" for low, high in _pairs(SIZES)]
    names[0] = f"below {SIZES[1]} px"
    masks = [(sides >= low) & (sides < high) for low, high in _pairs(SIZES)]
    return {name: mask for name, mask in zip(names, masks, strict=True) if mask.any()}


def _pairs(bounds: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    return pairwise(bounds)


def _people(faces: ScoredFaces) -> ScoredFaces:
    """One mean logit a person and label, for collections that hold several frames of each."""
    keys = [(Path(item.path).stem.partition("_")[0], item.label) for item in faces.items]
    items, logits = [], []
    for key in sorted(set(keys)):
        mine = [number for number, other in enumerate(keys) if other == key]
        items.append(faces.items[mine[0]])
        logits.append(float(faces.logits[mine].mean()))
    return ScoredFaces(items, np.array([item.label for item in items]), np.array(logits))


def _by_clip(faces: list[clip_faces.ClipFace], log_odds: np.ndarray) -> list[dict[str, Any]]:
    """Mean log-odds of each clip, over its frames."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for face, value in zip(faces, log_odds, strict=True):
        key = face.item.source, face.clip
        rows.setdefault(key, {"split": face.split, "source": face.item.source, "clip": face.clip})
        rows[key] |= {"method": face.method, "label": face.item.label, "group": face.item.group}
        rows[key].setdefault("values", []).append(float(value))
    for row in rows.values():
        row["frames"] = len(row["values"])
        row["log_odds"] = float(np.mean(row.pop("values")))
    return list(rows.values())


def evaluate(
    registry: Path,
    root: Path,
    items: list[Item],
    work: Path,
    *,
    peer_folder: Path | None = None,
    report: Report = lambda text: None,
) -> dict[str, Any]:
    """Measure every model of a registry.

    Args:
        registry: folder of records and weights.
        root: folder of the material.
        items: prepared items of the material.
        work: holds ``clips.csv`` of the prepare stage, and the results of the studies where they were run.
        peer_folder: with MesoNet's weights; None leaves the peer out.
        report: told what is under way.

    Returns:
        Tables and curves as plain JSON values, rounded to the digits that are printed.
    """
    field = _Field(registry, peer_folder)
    validation = [item for item in items if item.split == "val" and item.has_face]
    tables: dict[str, Any] = {"conditions": [], "sources": [], "sizes": [], "people": [], "clips": []}
    curves: dict[str, Any] = {}
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
                tables["conditions"].append(_row(name, condition, measure(decisions[name])))
            if degrade is None:
                for table, sets in (("sources", source_sets(faces)), ("sizes", _size_sets(faces))):
                    tables[table] += [
                        _row(name, part, measure(decisions[name].where(mask))) for part, mask in sets.items()
                    ]
                curves[name] = curves_of(decisions[name])
                if faces.mask((_SOURCE_OF_SWAPS,)).any():
                    tables["people"].append(_people_row(name, faces))
        if degrade is None:
            _write_predictions(work / "predictions.csv", scored, decisions)
    report("clips")
    tables["clips"], clip_rows = _clips(field, folds, work)
    report("heatmaps")
    blended = heatmaps.blended_faces(root, items)
    tables["heatmaps"] = [
        row
        for name, scorer in _explained(field, registry)
        for row in _heatmap_rows(name, scorer, field.records.get(name), blended)
    ]
    return {
        "models": [_identity(record) for record in field.records.values()]
        + [{"id": name, "architecture": "MesoNet", "parameters": None} for name in field.peers],
        "default": QUICK_MODEL,
        "tables": _rounded(tables),
        "clips": _rounded(clip_rows),
        "curves": _rounded(curves),
        "studies": {name: _study(name, work, registry) for name in ("left_out", "faults")},
    }


def _identity(record: ModelRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "architecture": record.architecture,
        "parameters": record.parameters,
        "weights_sha256": record.weights_sha256,
        "record_sha256": record.sha256,
    }


def _study(name: str, work: Path, registry: Path) -> Any:
    """Return a study that was run here, or else the one that was measured with this registry."""
    for path, inside in ((work / f"{name}.json", False), (registry / EVALUATION, True)):
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            return content["studies"][name] if inside else content
    return None


def _people_row(name: str, faces: ScoredFaces) -> dict[str, Any]:
    people = _people(faces.of((_SOURCE_OF_SWAPS,)))
    called = people.logits > 0, people.logits < 0
    decisions = Decisions(people.labels, people.logits, *called, people.units, people.logits)
    measures = measure(decisions)
    return {
        "model": name,
        "part": f"{_SOURCE_OF_SWAPS}, a person",
        "n_real": measures.n_real,
        "n_fake": measures.n_fake,
        "auc": _rounded(measures.as_dict()["auc"]),
    }


def _clips(field: _Field, folds: dict[str, CrossFit], work: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if not (work / clip_faces.INDEX).is_file():
        return [], []
    faces = clip_faces.read_clips(work / clip_faces.INDEX)
    scored = field.score(work, [face.item for face in faces])
    table, listed = [], []
    for name, clip in scored.items():
        record = field.records.get(name)
        log_odds = record.calibrator.log_odds(clip.logits) if record else clip.logits
        rows = _by_clip(faces, np.asarray(log_odds))
        for source in sorted({row["source"] for row in rows}):
            mine = [row for row in rows if row["source"] == source]
            labels = np.array([row["label"] for row in mine])
            values = np.array([row["log_odds"] for row in mine])
            units = np.array([row["group"] or row["clip"] for row in mine])
            called = np.zeros(len(mine), bool), np.zeros(len(mine), bool)
            if record:
                decided = Decisions.at(labels, values, record.thresholds, units)
                called = decided.called_fake, decided.called_real
            table.append(_row(name, source, measure(Decisions(labels, values, *called, units, values))))
        if record:
            listed += [{"model": name} | row for row in rows]
    return table, listed


def _explained(field: _Field, registry: Path) -> Iterator[tuple[str, Scorer]]:
    for name, record in field.records.items():
        yield name, FaceScorer(record, registry).scorer
    record = field.records[QUICK_MODEL if QUICK_MODEL in field.singles else next(iter(field.singles))]
    import torch  # here: only the randomized network needs it

    torch.manual_seed(0)
    yield "randomized weights", NetworkScorer(build(record.architecture).eval().requires_grad_(False), record.input)


def _heatmap_rows(
    name: str, scorer: Scorer, record: ModelRecord | None, blended: list[heatmaps.BlendedFace]
) -> list[dict[str, Any]]:
    threshold = 0.0
    if record:  # the logit that stands for a score of .5
        logits = np.linspace(-30.0, 30.0, 60_001)
        above = int(np.searchsorted(record.calibrator.log_odds(logits), 0.0))
        threshold = float(logits[min(above, len(logits) - 1)])
    rows = heatmaps.localize(scorer, blended, threshold)
    return [{"model": name, "part": part} | _rounded(asdict(measured)) for part, measured in rows.items()]


def _write_predictions(path: Path, scored: dict[str, ScoredFaces], decisions: dict[str, Decisions]) -> None:
    """Every model's word on every validation face, whole or not at all."""
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
