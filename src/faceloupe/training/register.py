"""The last stage: installs the calibrated and measured models where the app looks for them."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from faceloupe.config import DEFAULT_MODEL, QUICK_MODEL, weights_folder
from faceloupe.errors import DatasetError, WeightsError
from faceloupe.evaluation.published import is_of, read_evaluation
from faceloupe.models.record import (
    COMPONENTS,
    CORE,
    EVALUATION,
    REGISTRY,
    ModelRecord,
    component_of,
    ensemble_hash,
    read_record,
    read_registry,
)
from faceloupe.models.registry import Part, ReleaseEntry, check_weights, components_of, read_entries, write_entries
from faceloupe.system.files import replacing
from faceloupe.training import tracking

CARD = "docs/model-card.md"  # written by the previous stage, for all models together
CORE_CARD = "docs/core/card.md"


def register(
    candidates: Path, evaluation: Path, folder: Path, expert: Path | None = None, core: Path | None = None
) -> Iterator[str]:
    """Copy candidate records, their verified weights and the evaluation into the weights folder; remove the old ones.

    Args:
        candidates: folder of records and weights, made by ``calibrate``.
        evaluation: file that ``evaluate`` made from exactly these records.
        folder: folder of the model registry.
        expert: folder of the stage ``heads``, with the expert's records and heads, which replace those in the registry;
            None keeps the old ones.
        core: folder of the stage ``core``, with the core's record and weights, which replace those in the registry;
            None keeps the old ones.

    Yields:
        One line for each change.

    Raises:
        WeightsError: the evaluation is missing or damaged, or weights do not match their record.
        DatasetError: the evaluation is of other records, or the app's quick or default model is not among the new ones.
    """
    records = read_registry(candidates)
    measured = read_evaluation(evaluation)
    for name, record in records.items():
        if not is_of(measured, record):
            raise DatasetError(f"{evaluation} does not hold the measures of {name} as it is now; evaluate first.")
        if not record.members:
            check_weights(record, candidates)
    folder.mkdir(parents=True, exist_ok=True)
    expected = {f"{name}.json" for name in records} | {record.weights_file for record in records.values()}
    expected |= {EVALUATION, REGISTRY}
    for name, record in records.items():
        if record.weights_file:
            _copy(candidates / record.weights_file, folder)
        _copy(candidates / f"{name}.json", folder)
        yield f"registered {name}"
    if core is not None:
        yield from install_core(core, folder)
    if expert is not None:
        yield from install_expert(expert, folder)
    names, stay = _of_other_stages(folder)
    expected |= names | {entry.file for entry in stay}
    shutil.copyfile(evaluation, folder / EVALUATION)
    made = [ReleaseEntry.of(record, folder, CARD) for record in records.values() if record.weights_file]
    write_entries(list({entry.id: entry for entry in (*made, *stay)}.values()), folder)
    for old in sorted(folder.iterdir()):
        if old.suffix in (".json", ".safetensors") and old.name not in expected:
            old.unlink()
            yield f"removed {old.name}"
    yield from _announce(candidates.parent / "origins.json", candidates)


def install_core(core: Path, folder: Path) -> Iterator[str]:
    """Install the core's record and weights in the weights folder; remove those of other versions.

    Args:
        core: folder of the stage ``core``.
        folder: folder of the model registry.

    Yields:
        One line for each change.

    Raises:
        WeightsError: weights do not match their record.
        DatasetError: the app's quick model is not among the records.
    """
    records = read_registry(core)
    if folder.resolve() == weights_folder().resolve() and QUICK_MODEL not in records:
        raise DatasetError(f"The app's quick model {QUICK_MODEL} (config.py) is not among {', '.join(records)}.")
    entries = read_entries(folder) if (folder / REGISTRY).is_file() else {}
    for name, known in read_registry(folder).items():
        if known.architecture == CORE and name not in records:
            (folder / f"{name}.json").unlink()
            (folder / known.weights_file).unlink()
            entries.pop(name, None)
            yield f"removed {name}"
    for name, record in records.items():
        check_weights(record, core)
        _copy(core / record.weights_file, folder)
        _copy(core / f"{name}.json", folder)
        entries[name] = ReleaseEntry.of(record, folder, CORE_CARD)
        yield f"registered {name}"
    write_entries(list(entries.values()), folder)


def install_expert(expert: Path, folder: Path) -> Iterator[str]:
    """Install the expert's records and heads in the weights folder; remove those of other versions.

    The encoder's own file stays where it is. The map that measures proportions is installed with its record.

    Args:
        expert: folder of the stage ``heads``.
        folder: folder of the model registry, with the core and the encoder.

    Yields:
        One line for each change.

    Raises:
        WeightsError: weights do not match their record.
        DatasetError: the app's default model is not among the records, or its core is not the one in the folder.
    """
    records = read_registry(expert)
    if folder.resolve() == weights_folder().resolve() and DEFAULT_MODEL not in records:
        raise DatasetError(f"The app's default model {DEFAULT_MODEL} (config.py) is not among {', '.join(records)}.")
    core = read_registry(folder)
    for record in records.values():
        members = [records.get(name) or core.get(name) for name in record.members]
        if record.fusion and (None in members or ensemble_hash([m for m in members if m]) != record.weights_sha256):
            raise DatasetError(f"{record.id} was not made with the core in {folder}; run `heads` again.")
    old = [name for name, known in core.items() if (known.component or known.fusion) and name not in records]
    (folder / COMPONENTS).mkdir(exist_ok=True)
    for path in sorted((expert / COMPONENTS).glob("*.json")):
        _copy(path, folder / COMPONENTS)
    entries = read_entries(folder) if (folder / REGISTRY).is_file() else {}
    for record in records.values():
        component = component_of(record, folder)
        if component and (expert / component.weights_file).is_file():
            _copy(expert / component.weights_file, folder)
            entries[component.id] = ReleaseEntry.of(component, folder, CARD)
    for name in old:
        weights = core[name].weights_file
        (folder / f"{name}.json").unlink()
        if weights:
            (folder / weights).unlink()
        entries.pop(name, None)
        yield f"removed {name}"
    for name, record in records.items():
        if record.weights_file:
            _copy(expert / record.weights_file, folder)
            check_weights(record, folder)
            entries[name] = ReleaseEntry.of(record, folder, CARD)
        _copy(expert / f"{name}.json", folder)
        yield f"registered {name}"
    write_entries(list(entries.values()), folder)


def _of_other_stages(folder: Path) -> tuple[set[str], list[ReleaseEntry]]:
    """Return the record files that the stages `core` and `heads` make, and the entries of their weights."""
    made: dict[str, ModelRecord] = {}
    for path in folder.glob("*.json"):
        with suppress(WeightsError):  # a damaged record is not kept
            record = read_record(path)
            if record.component or record.fusion or record.architecture == CORE:
                made[record.id] = record
    parts: dict[str, Part] = {
        part.id: part
        for record in made.values()
        if record.component or record.architecture == CORE
        for part in components_of(record, folder)
    }
    entries = read_entries(folder) if parts else {}
    return {f"{name}.json" for name in made}, [entries[name] for name in parts if name in entries]


def _copy(path: Path, folder: Path) -> None:
    with replacing(folder / path.name) as temporary:
        shutil.copyfile(path, temporary)


def _announce(origins: Path, candidates: Path) -> Iterator[str]:
    """Register the models in the tracking store, if their runs were tracked."""
    if not origins.is_file():
        raise DatasetError(f"{origins} is not there: calibrate first.")
    for name, origin in json.loads(origins.read_text(encoding="utf-8")).items():
        files = candidates / f"{name}.json", candidates / f"{name}.safetensors"
        version = tracking.register(origin["run_id"], *files, candidates.parent)
        if version:
            yield f"{name}: version {version} in the tracking store"
