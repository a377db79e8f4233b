"""Error rates of an exported network on the validation faces of the material, written into its own record."""

from pathlib import Path

import msgspec

from faceloupe.config import QUICK_MODEL
from faceloupe.evaluation import edge_export
from faceloupe.evaluation.measures import Decisions, Measures, measure
from faceloupe.models.loading import load_network
from faceloupe.models.record import find_record
from faceloupe.scoring.single import NetworkScorer
from faceloupe.system.files import replacing
from faceloupe.training.data import Item
from faceloupe.training.scoring import score_all


def measure_exported(
    path: Path, registry: Path, root: Path, items: list[Item], model: str = QUICK_MODEL
) -> dict[str, Measures]:
    """Measure an exported network and the original, and write both results into the record of the export.

    Thresholds and calibrator come from the original's record and were fitted to faces of this split. This favors both
    results alike: compare them with each other, not with the cross-fitted rates of the card.

    Args:
        path: path of the exported file; its record lies beside it.
        registry: folder of the original's record and weights.
        root: folder of the material.
        items: prepared items of the material.
        model: id of the original.

    Returns:
        The measures by their name in the record: ``error_rates`` and ``error_rates_of_the_original``.

    Raises:
        WeightsError: the file, its record or the original is missing or not valid.
    """
    record = find_record(registry, model)
    exported_record, exported = edge_export.read_exported(path, record)
    original = NetworkScorer(load_network(record, registry), record.input)
    chosen = [item for item in items if item.split == "val" and item.has_face]
    scored = score_all({"error_rates": exported, "error_rates_of_the_original": original}, root, chosen)
    measured = {
        name: measure(
            Decisions.at(faces.labels, record.calibrator.log_odds(faces.logits), record.thresholds, faces.units)
        )
        for name, faces in scored.items()
    }
    described = (
        f"{len(chosen):,} single faces (validation split), at the original's thresholds and calibrator, which were "
        "fitted to the same faces; before the quality gates"
    )
    rates = {name: edge_export.Rates(measures, described) for name, measures in measured.items()}
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(msgspec.structs.replace(exported_record, **rates).to_json(), encoding="utf-8")
    return measured
