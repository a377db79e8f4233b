"""Studies with short runs of one recipe: training without some sources, and training under faults."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from faceloupe.evaluation import metrics
from faceloupe.evaluation.measures import Decisions, measure
from faceloupe.evaluation.published import FaultRow, LeftOutRow, Row, Study
from faceloupe.models.networks import build
from faceloupe.scoring.single import NetworkScorer
from faceloupe.training.data import Item
from faceloupe.training.faults import Fault
from faceloupe.training.fitting import CrossFit, Fit
from faceloupe.training.scoring import auc_by_source, score_all
from faceloupe.training.settings import TrainingSettings
from faceloupe.training.train import fingerprint, train

# Sources that are left out together: a fold trains on none of its sources. FaceForensics++ is left out as a whole.
FOLDS = {
    "a": ("hardfake", "dfd_crops"),
    "b": ("ffhq_tpdne", "ffpp_faces", "ffpp_c23_methods"),
    "c": ("ciplab", "utkface"),
    "d": ("dfdc_faces", "facemask_nomask"),
}
FAULTS = (
    "label_noise:0.2",
    "shuffle_labels",
    "input_noise:0.5",
    "wrong_loss",
    "shuffle_batch",
    "random_weight_reset:0.01",
    "skip_update:3",
)


def _trained(recipe: TrainingSettings, root: Path, items: list[Item], trunk: Path, work: Path) -> Path:
    """Return the weights of a run; a run that an interrupted study has already finished is not repeated."""
    weights, origin = work / "weights.safetensors", work / "run.json"
    if weights.is_file() and origin.is_file():
        known = json.loads(origin.read_text(encoding="utf-8"))
        if known["recipe_sha256"] == fingerprint(recipe, items, trunk):
            return weights
    return train(recipe, root, items, trunk=trunk, work=work)


def _scorer(settings: TrainingSettings, weights: Path) -> NetworkScorer:
    network = build(settings.architecture)
    network.load_state_dict(load_file(weights))
    return NetworkScorer(network.eval().requires_grad_(False), settings.contract)


def left_out(settings: TrainingSettings, root: Path, items: list[Item], trunk: Path, work: Path) -> Study[LeftOutRow]:
    """Train once for every fold of ``FOLDS``, and judge all faces, from both splits, of the sources it left out.

    Calibration and thresholds come from the validation faces of the other sources.

    Returns:
        For each left-out source: counts, AUC, and shares called manipulated and authentic at the thresholds.
    """
    rows = []
    for fold, sources in FOLDS.items():
        recipe = replace(settings, without=sources, selection=())
        weights = _trained(recipe, root, items, trunk, work / fold)
        scorer = _scorer(recipe, weights)
        remaining = [item for item in items if item.split == "val" and item.has_face and item.source not in sources]
        faces = score_all({"": scorer}, root, remaining)[""]
        fit = Fit.to("platt", faces.labels, faces.logits)
        unseen = [item for item in items if item.source in sources and item.has_face]
        judged = score_all({"": scorer}, root, unseen)[""]
        for source in sources:
            scored = judged.of((source,))
            log_odds = np.asarray(fit.calibrator.log_odds(scored.logits))
            measures = measure(Decisions.at(scored.labels, log_odds, fit.thresholds, scored.units))
            rows.append(measures.as_row(LeftOutRow, source=source, fold=fold, kept_auc=auc_by_source(faces)))
    return _study(settings, rows)


def _study(settings: TrainingSettings, rows: list[Row]) -> Study[Row]:
    sizes = sorted({stage.size for stage in settings.stages})
    return Study(sum(stage.images for stage in settings.stages), sizes, rows)


def faults(
    settings: TrainingSettings,
    root: Path,
    items: list[Item],
    trunk: Path,
    work: Path,
) -> Study[FaultRow]:
    """Train without a fault and under each of ``FAULTS``, and measure the effect on AUC and calibration.

    Returns:
        A row for each run: AUC, mean AUC over the rows by source, and ECE and Cllr before and after calibration.
    """
    rows = []
    validation = [item for item in items if item.split == "val" and item.has_face]
    for text in ("none", *FAULTS):
        recipe = replace(settings, fault=None if text == "none" else Fault.parse(text), selection=())
        weights = _trained(recipe, root, items, trunk, work / text.replace(":", "-"))
        faces = score_all({"": _scorer(recipe, weights)}, root, validation)[""]
        once = np.ones(len(faces.labels))
        calibrated = CrossFit("platt", faces).decide(faces)
        by_source = auc_by_source(faces)
        rows.append(
            FaultRow(
                text,
                auc=float(metrics.auc(faces.labels, faces.logits, once)),
                mean_auc=float(np.mean(list(by_source.values()))),
                ece=float(metrics.calibration_error(faces.labels, 1 / (1 + np.exp(-faces.logits)), once)),
                cllr=float(metrics.cllr(faces.labels, faces.logits, once)),
                calibrated_ece=float(
                    metrics.calibration_error(faces.labels, 1 / (1 + np.exp(-calibrated.log_odds)), once)
                ),
                calibrated_cllr=float(metrics.cllr(faces.labels, calibrated.log_odds, once)),
            )
        )
    return _study(settings, rows)
