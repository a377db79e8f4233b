"""The evaluation that lies beside the model records: what the tables and figures of the app are made from."""

import json
from pathlib import Path
from typing import Any

from faceloupe.errors import WeightsError
from faceloupe.models.record import ModelRecord

_TABLES = ("sources", "sizes", "conditions", "people", "clips", "heatmaps")
_CURVES = ("roc", "reliability", "tippett", "confusion")


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read an evaluation, as ``faceloupe.training evaluate`` made it.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        complete = (
            all(isinstance(evaluation["tables"][name], list) for name in _TABLES)
            and all(set(_CURVES) <= set(evaluation["curves"][model["id"]]) for model in evaluation["models"])
            and {"left_out", "faults"} <= set(evaluation["studies"])
            and isinstance(evaluation["clips"], list)
        )
        if not complete:
            raise ValueError("a part is missing")
    except FileNotFoundError:
        raise WeightsError(f"{path.name} is missing, so there are no tables; restore it from the repository.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise WeightsError(
            f"{path.name} is damaged, so there are no tables; restore it from the repository."
        ) from problem
    return evaluation


def is_of(evaluation: dict[str, Any], record: ModelRecord) -> bool:
    """Whether a record is the very one that was measured."""
    hashes = {model["id"]: model.get("record_sha256") for model in evaluation["models"]}
    return hashes.get(record.id) == record.sha256
