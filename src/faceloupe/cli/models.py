"""``faceloupe models ...``: its answers as text and exit code; ``cli.main`` prints them."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from faceloupe.config import Settings, weights_folder
from faceloupe.errors import UsageError, WeightsError
from faceloupe.media.evidence_file import printable_name
from faceloupe.models.checkpoint import Inspection, inspect_checkpoint
from faceloupe.models.listing import listed_models
from faceloupe.models.record import ModelRecord, read_registry
from faceloupe.models.registry import check_weights, components_of
from faceloupe.report.columns import columns
from faceloupe.report.schema import json_text
from faceloupe.types import Progress


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command: ``text`` for stdout, ``complaints`` (sentences) for stderr, and the exit code."""

    text: str
    complaints: tuple[str, ...] = ()
    code: int = 0


def _list(options: argparse.Namespace, _: Progress | None) -> Answer:
    models = listed_models(weights_folder())
    if options.json:
        return Answer(json_text([asdict(model) for model in models]))
    if not models:
        return Answer("There are no model records in the weights folder; restore them from the repository.")
    rows = [("Model", "Architecture", "Parameters", "Size", "Weights", "")]
    for model in models:
        size = f"{model.size_bytes / 1e6:.1f} MB" if model.size_bytes else "-"
        mark = "default" if model.default else ""
        rows.append((model.id, model.architecture, f"{model.parameters:,}", size, model.weights, mark))
    return Answer("\n".join(columns(rows)))


def _named(ids: Iterable[str], registry: dict[str, ModelRecord]) -> list[ModelRecord]:
    """Return the records with these ids, without duplicates.

    Raises:
        UsageError: there is no model with one of the ids.
    """
    for name in ids:
        if name not in registry:
            known = ", ".join(registry) or "none"
            raise UsageError(f"There is no model {name} in the weights folder (found: {known}).")
    return [registry[name] for name in dict.fromkeys(ids)]


def _verify(options: argparse.Namespace, _: Progress | None) -> Answer:
    folder = weights_folder()
    registry = read_registry(folder)
    lines, complaints = [], []
    for record in _named(options.ids or registry, registry):
        try:
            for part in components_of(record, folder):
                check_weights(part, folder)
            lines.append(f"{printable_name(record.id)}: verified, SHA-256 {record.weights_sha256}")
        except WeightsError as problem:
            lines.append(f"{printable_name(record.id)}: not verified")
            complaints.append(str(problem))
    if not registry:
        complaints.append("There are no model records in the weights folder; restore them from the repository.")
    return Answer("\n".join(lines), tuple(complaints), 1 if complaints else 0)


def _fetch(options: argparse.Namespace, progress: Progress | None) -> Answer:
    from faceloupe.models import fetch as fetching  # lazy import: other commands do not need requests

    folder = weights_folder()
    if options.file is not None:
        if options.ids:
            raise UsageError("--from takes no model id: the content of the file identifies the model.")
        record = fetching.install_file(options.file, folder)
        return Answer(f"{printable_name(record.id)}: verified, SHA-256 {record.weights_sha256}")
    ids = options.ids or [Settings.from_environment().model_id]
    lines = []
    for record in _named(ids, read_registry(folder)):
        fetching.fetch(record, folder, progress=progress)
        lines.append(f"{printable_name(record.id)}: verified, SHA-256 {record.weights_sha256}")
    return Answer("\n".join(lines))


def _export(options: argparse.Namespace, progress: Progress | None) -> Answer:
    from faceloupe.evaluation import edge_export  # lazy import: other commands do not need it

    folder = weights_folder()
    (record,) = _named([options.id], read_registry(folder))
    target = options.onnx or options.tflite
    exported = edge_export.export(
        record,
        folder,
        target,
        settings=Settings.from_environment(),
        int8=options.int8,
        pictures=options.pictures,
        labeled=options.labeled,
        progress=progress,
    )
    made, parity = exported.file, exported.parity
    lines = [
        f"Wrote      {printable_name(made.file)}, {made.size_bytes:,} bytes, {made.precision}, and its record",
        f"SHA-256    {made.sha256}",
        f"Parity     largest logit difference {parity.largest_logit_difference:.2g}, mean "
        f"{parity.mean_logit_difference:.2g}; different outcome for {parity.other_outcomes} of {parity.faces} faces",
        f"           on {parity.measured_on}",
    ]
    for rates, whose in (
        (exported.error_rates, "its own"),
        (exported.error_rates_of_the_original, "of the original"),
    ):
        if rates:
            measures = rates.measures
            shares = ", ".join(f"{name} {_share(getattr(measures, name).value)}" for name in ("fpr", "fnr", "coverage"))
            lines.append(f"Errors     {whose}: {shares}, {measures.n_real} authentic and {measures.n_fake} manipulated")
    if not exported.error_rates:
        lines.append(
            "Errors     not measured: the error rates of the original do not apply; measure them with --validate DIR"
        )
    return Answer("\n".join(lines))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _inspect(options: argparse.Namespace, _: Progress | None) -> Answer:
    inspection = inspect_checkpoint(options.file)
    return Answer(json_text(asdict(inspection)) if options.json else "\n".join(_description(inspection)))


def _description(inspection: Inspection) -> list[str]:
    """Return the readable description of an inspection, as lines."""
    lines = [
        f"File       {inspection.name}",
        f"SHA-256    {inspection.sha256}",
        f"Container  {inspection.container}, {inspection.size_bytes:,} bytes",
    ]
    if inspection.tensor_count:
        origin = f" (under {inspection.architecture_at})" if inspection.architecture_at else ""
        known = (
            f"{inspection.architecture}{origin}"
            if inspection.architecture
            else "not an architecture that this version knows"
        )
        lines += [
            f"Tensors    {inspection.tensor_count:,}, with {inspection.element_count:,} numbers in all",
            f"Network    {known}",
        ]
    lines.append(f"Verdict    {inspection.verdict}")
    if inspection.damage:
        lines.append(f"Damage     cannot be read to its end: {inspection.damage}")
    if not inspection.complete:
        lines.append("Note       nested too deeply to be counted in full")
    lines += _section(
        "Tensor",
        [(entry.name, entry.dtype, " x ".join(map(str, entry.shape)) or "one number") for entry in inspection.tensors],
        inspection.tensor_count,
    )
    arguments = [(entry.name, str(entry.value)) for entry in inspection.arguments]
    lines += _section("Argument", arguments, inspection.argument_count)
    globals_ = [(entry.name, _mark(harmless=entry.harmless)) for entry in inspection.globals]
    lines += _section("Import", globals_, inspection.global_count)
    calls = [
        (entry.name, f"{entry.count:,} x", _mark(harmless=entry.harmless), "; ".join(entry.arguments))
        for entry in inspection.calls
    ]
    return lines + _section("Call", calls, inspection.call_count)


def _mark(*, harmless: bool) -> str:
    return "rebuilds" if harmless else "runs code"


def _section(title: str, rows: Sequence[tuple[str, ...]], count: int) -> list[str]:
    if not rows:
        return []
    heading = (title,) + ("",) * (len(rows[0]) - 1)
    more = [f"and {count - len(rows):,} more"] if count > len(rows) else []
    return ["", *columns([heading, *rows]), *more]


ANSWERS: dict[str, Callable[[argparse.Namespace, Progress | None], Answer]] = {
    "list": _list,
    "verify": _verify,
    "fetch": _fetch,
    "inspect": _inspect,
    "export": _export,
}
