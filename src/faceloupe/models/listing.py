"""The list of the models in a weights folder."""

from dataclasses import dataclass
from pathlib import Path

from faceloupe.config import DEFAULT_MODEL
from faceloupe.media.evidence_file import printable_name
from faceloupe.models.record import read_registry
from faceloupe.models.registry import read_entries, weights_status


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model in ``faceloupe models list --json`` and in the HTTP API; the fields are the keys, in their order.

    Attributes:
        weights: state of the weights, see ``models.registry.weights_status``.
        size_bytes: size of the weights file; like ``url`` and ``card``, None if the registry has no entry for it.
    """

    id: str
    architecture: str
    parameters: int
    weights_file: str
    weights_sha256: str
    weights: str
    default: bool
    size_bytes: int | None
    url: str | None
    license: str
    card: str | None


def listed_models(folder: Path) -> list[ListedModel]:
    """Return the models of a folder; every weights file is read once and checked.

    Raises:
        WeightsError: a record or the registry is damaged.
    """
    registry = read_registry(folder)
    entries = read_entries(folder) if registry else {}
    verified: set[str] = set()
    models = []
    for record in registry.values():
        entry = entries.get(record.id)
        models.append(
            ListedModel(
                id=printable_name(record.id),
                architecture=printable_name(record.architecture),
                parameters=record.parameters,
                weights_file=printable_name(record.weights_file),
                weights_sha256=record.weights_sha256,
                weights=weights_status(record, folder, verified),
                default=record.id == DEFAULT_MODEL,
                size_bytes=entry.size_bytes if entry else None,
                url=entry.url if entry else None,
                license=record.license,
                card=entry.card if entry else None,
            )
        )
    return models
