"""The error rates of an exported network, on the validation faces of the material; they go into its own record."""

from pathlib import Path
from typing import Any

from faceloupe.config import QUICK_MODEL
from faceloupe.evaluation import edge_export
from faceloupe.evaluation.measures import Decisions, measure
from faceloupe.models.loading import load_network
from faceloupe.models.record import find_record
from faceloupe.scoring.single import NetworkScorer
from faceloupe.system.files import replacing
from faceloupe.training.data import Item
from faceloupe.training.scoring import score_all


def measure_exported(
    path: Path, registry: Path, root: Path, items: list[Item], model: str = QUICK_MODEL
) -> dict[str, Any]:
    """Measure an exported network beside the original, and write both into its record.

    The thresholds and the calibrator are those of the original's record, which were fitted to faces of this split: both
    rows are favored by that alike, and are to be compared with each other, not with the cross-fitted rates of the card.

    Args:
        path: of the exported file; its record lies beside it.
        registry: folder of the original's record and weights.
        root: folder of the material.
        items: prepared items of the material.
        model: id of the original.

    Returns:
        The record, as plain JSON values.

    Raises:
        WeightsError: the file, its record or the original are not what they should be.
    """
    record = find_record(registry, model)
    values, exported = edge_export.read_exported(path, record)
    original = NetworkScorer(load_network(record, registry), record.input)
    chosen = [item for item in items if item.split == "val" and item.has_face]
    scored = score_all({"error_rates": exported, "error_rates_of_the_original": original}, root, chosen)
    for name, faces in scored.items():
        log_odds = record.calibrator.log_odds(faces.logits)
        measured = measure(Decisions.at(faces.labels, log_odds, record.thresholds, faces.units))
        values[name] = {
            "measures": measured.as_dict(),
            "measured_on": f"{len(chosen):,} single faces (validation split), at the original's thresholds and "
            "calibrator, which were fitted to the same faces; before the quality gates",
        }
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(edge_export.to_json(values), encoding="utf-8")
    return values
