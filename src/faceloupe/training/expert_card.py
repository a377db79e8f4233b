"""The card of the fusion and its members: written from their records and from what was counted on held-out material."""

import csv
from collections.abc import Sequence
from pathlib import Path

from faceloupe.errors import DatasetError
from faceloupe.evaluation.metrics import wilson_interval
from faceloupe.models.record import ModelRecord, SourceResult
from faceloupe.system.files import replacing
from faceloupe.training.card import table

HELD_OUT = "held-out.csv"  # beside the card: what the models said of material that decided nothing
COLUMNS = ("source", "label", "view", "faces", "manipulated", "authentic", "auc")


def write(records: Sequence[ModelRecord], held_out: Path, card: Path) -> None:
    """Write the card.

    Args:
        records: of the fusion and its members, the fusion first.
        held_out: CSV with ``COLUMNS``: of each source that nothing was trained, tuned or calibrated on, how many faces
            there are and how many were called manipulated and authentic.

    Raises:
        DatasetError: the CSV is missing or lacks a column.
    """
    fusion = records[0]
    text = "\n\n".join(
        [
            "# Card of the expert and its fusion with the core",
            "Written by `python -m faceloupe.training expertcard`. Polarity: 1 = manipulated, 0 = authentic.",
            f"**{fusion.id}** is the default model. It weighs the calibrated log-likelihood ratios of its members; the "
            "heads stand on the image tower of CLIP ViT-B/16, which was not trained any further.",
            table(
                (
                    "model",
                    "speaks for",
                    "thresholds",
                    "log10 LR bounds",
                    "ECE",
                    "Cllr",
                    "false manipulated",
                    "false authentic",
                    "decided",
                ),
                [_identity(record) for record in records],
            ),
            _weights(fusion),
            "Rates of the fusion and its heads are of photographs and generated faces whose source no head of their "
            "fold was trained on, and of swapped, reenacted and composed faces of kinds that were trained on, of "
            "other people. Those of the core are of its own validation faces. Below, each source stands by itself; "
            "validation faces of a source that was trained on are counted twice: once with the source left out, once "
            "as other people of it.",
            "## Photographs called manipulated, by source",
            "Of collections that were left out or whose other pictures were trained on.",
            _alarms(fusion.validation),
            "## Generated and changed faces, by source",
            _found(fusion.validation),
            "## Held out for good",
            "Nothing here was trained on, tuned on or calibrated on. AUC is against all photographs of this table.",
            _held_out(held_out),
            "## What it rests on",
            f"{fusion.trained_on}",
            "## Limits",
            "\n".join(f"- {line}" for line in fusion.limits),
        ]
    )
    with replacing(card) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _identity(record: ModelRecord) -> tuple[str, ...]:
    rates, (low, high) = record.error_rates, record.log10_lr_bounds
    intervals = {name: "{:.1%} to {:.1%}".format(*pair) for name, pair in rates.interval_95.items()}
    return (
        record.id,
        record.proposition or "generated or changed",
        f"{record.thresholds.lower:.3f} / {record.thresholds.upper:.3f}",
        f"{low:+.2f} .. {high:+.2f}",
        f"{record.calibration.ece:.3f}",
        f"{record.calibration.cllr:.3f}",
        f"{rates.fpr:.1%} of {rates.n_real:,} ({intervals['fpr']})",
        f"{rates.fnr:.1%} of {rates.n_fake:,} ({intervals['fnr']})",
        f"{1 - rates.inconclusive:.0%}",
    )


def _weights(fusion: ModelRecord) -> str:
    assert fusion.fusion is not None
    pairs = zip(fusion.members, fusion.fusion.weights, strict=True)
    listed = ", ".join(f"{name} {weight:.2f}" for name, weight in pairs)
    return (
        f"Weights: {listed}, and {fusion.fusion.joint:.2f} of the joined propositions; log-odds of a member are held "
        f"within {fusion.fusion.limit:g}. In a video, heads look at up to {fusion.fusion.frames} frames of each face. "
        f"A face further than {fusion.scope_limit:.3f} from all known ones gets no verdict."
    )


def _share(count: int, of: int) -> str:
    low, high = wilson_interval(count, of)
    return f"{count / of:.1%} ({low:.1%} to {high:.1%})"


def _alarms(rows: Sequence[SourceResult]) -> str:
    photos = [row for row in rows if row.fpr is not None and row.source != "all"]
    photos.sort(key=lambda row: (-(row.fpr or 0.0), row.source))
    body = [
        (
            row.source,
            str(row.n_real),
            _share(round((row.fpr or 0.0) * row.n_real), row.n_real),
            f"{1 - row.inconclusive:.0%}",
        )
        for row in photos
    ]
    return table(("source", "photographs", "called manipulated (95 %)", "decided"), body)


def _found(rows: Sequence[SourceResult]) -> str:
    fakes = [row for row in rows if row.fnr is not None and row.source != "all"]
    fakes.sort(key=lambda row: (-(row.fnr or 0.0), row.source))
    body = [
        (
            row.source,
            str(row.n_fake),
            _share(round((row.fnr or 0.0) * row.n_fake), row.n_fake),
            f"{1 - row.inconclusive:.0%}",
        )
        for row in fakes
    ]
    return table(("source", "faces", "called authentic (95 %)", "decided"), body)


def _held_out(path: Path) -> str:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        body = [
            (
                row["source"],
                row["view"],
                row["label"],
                row["faces"],
                _share(int(row["manipulated"]), int(row["faces"])),
                _share(int(row["authentic"]), int(row["faces"])),
                row["auc"] or "-",
            )
            for row in rows
        ]
    except (OSError, KeyError, ValueError) as problem:
        raise DatasetError(f"{path} does not hold what was counted on held-out material: {problem}.") from problem
    heads = ("source", "as", "truth", "faces", "called manipulated", "called authentic", "AUC")
    return table(heads, body)
