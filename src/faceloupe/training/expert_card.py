"""The card of the fusion and its members, generated from their records and from the results on held-out material."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from faceloupe.evaluation.metrics import wilson_interval
from faceloupe.evaluation.source_rows import AS_IS, HELD_OUT, LEFT_OUT, SourceRow, are_of, read_rows
from faceloupe.models.record import ModelRecord
from faceloupe.system.files import replacing
from faceloupe.training.card import table

CARD = "card.md"
# Written beside the card by the stage `heads`; rows as in ``source_rows``.
TIERS_FILE, CONDITIONS, CLIPS = "tiers.csv", "conditions.csv", "clips.csv"
OTHERS = "others.csv"  # made by the stage `others`


class _OwnCore(NamedTuple):
    """Sentences about the core, which depend on how it was fitted."""

    rates: str
    clips: str
    beside: str


# The core of the stage `core` is fitted in the folds of the heads, and has tables of its own.
_IN_FOLDS = _OwnCore(
    "Rates are of photographs and generated faces of sources that no head of their fold was trained on, nor the core's "
    "classifier, and of collections of swapped, reenacted and composed faces with their originals, judged by what saw "
    "other people of them.",
    "Core and heads saw other people of the collection, or nothing of its family. What the table calls faces are "
    "people.",
    "The core's columns are those of [its own card](../core/card.md).",
)
# The core of the stages `train` and `calibrate` knows some of the sources.
_TRAINED_BEFORE = _OwnCore(
    "Rates of the fusion and its heads are of photographs and generated faces of sources that no head of their fold "
    "was trained on, nor the core (where it was, it is not asked), and of collections of swapped, reenacted and "
    "composed faces with their originals, judged by heads that saw other people of them. Those of the core are of its "
    "own validation faces.",
    "The heads saw other people of the collection, or nothing of its family. What the table calls faces are people; "
    "the core is not asked.",
    "The core is not asked about families that it was trained on.",
)


def write(records: Sequence[ModelRecord], docs: Path, core_docs: Path) -> Path:
    """Write the card.

    Args:
        records: records of the fusion and its members: the fusion first, then the core.
        docs: folder of the card, which also holds the tables by source.
        core_docs: folder of the core's tables by source.

    Returns:
        Path of the card.

    Raises:
        WeightsError: a table is missing or damaged.
    """
    fusion, core = records[:2]
    in_folds = are_of(core_docs, core)
    about_core = _IN_FOLDS if in_folds else _TRAINED_BEFORE
    own = ((fusion.id, docs), (core.id, core_docs)) if in_folds else ((fusion.id, docs),)
    text = "\n\n".join(
        [
            "# Card of the expert and its fusion with the core",
            "Written by `python -m faceloupe.training expertcard`. Polarity: 1 = manipulated, 0 = authentic.",
            f"**{fusion.id}** is the default model. It weighs the calibrated log-likelihood ratios of its members; the "
            "heads stand on the image tower of CLIP ViT-B/16, which was not trained any further.",
            "What becomes of verdicts when a picture is recompressed, resized, tilted or stored otherwise was "
            "[counted](../evasion.md).",
            table(
                IDENTITY,
                [identity(record) for record in records],
            ),
            _weights(fusion),
            about_core.rates,
            "## Sources left out of training",
            "Each judged by heads that saw no picture of its family; collections of changed faces by heads that saw "
            "other people of them. AUC is against all faces of the other class, their sources weighing alike. Cost is "
            "the class's half of Cllr, in bits: 0 is perfect, 1 says nothing. Photographs first, those with the most "
            "false alarms on top.",
            table_by_source(docs / LEFT_OUT, by_errors=True),
            "## As it is, and degraded twice",
            "The same validation faces: as they are; the picture shrunk to 768 px, then JPEG 60; to 512 px, JPEG 40.",
            table_by_source(docs / TIERS_FILE),
            "## By pose and size of the face",
            "Faces of sources left out, as they are; pose is estimated from five landmarks, where the face finder gave "
            "them. What is turned or small is not spread evenly over the sources.",
            table_by_source(docs / CONDITIONS),
            "## Swaps, frames of a person judged together",
            "Collections of changed faces and their originals: the frames of a person are judged together, as those of "
            f"a video are. {about_core.clips}",
            table_by_source(docs / CLIPS),
            "## Held out for good",
            "Nothing here was trained on, tuned on or calibrated on.",
            table_by_source(docs / HELD_OUT),
            "## Beside other networks",
            "AUC of the same kinds of faces as they are, sources weighing alike: all that were left out, all that were "
            "held out, and each held-out source against all faces of the other class. "
            f"{about_core.beside} MesoNet's networks (Afchar et al. 2018) are taken as they were published; the linear "
            "head on ImageNet features is fitted on the expert's material, with the same families left out. Of large "
            "sources, the others saw 40 faces each.",
            _beside(*own, others=docs / OTHERS),
            "## What it rests on",
            f"{fusion.trained_on}",
            "## Limits",
            "\n".join(f"- {line}" for line in fusion.limits),
        ]
    )
    card = docs / CARD
    with replacing(card) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return card


IDENTITY = (
    "model",
    "speaks for",
    "thresholds",
    "log10 LR bounds",
    "ECE",
    "Cllr",
    "false manipulated",
    "false authentic",
    "decided",
)


def identity(record: ModelRecord) -> tuple[str, ...]:
    """Return the summary of a record in the columns of ``IDENTITY``."""
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
        f"within {fusion.fusion.limit:g}. In a video, heads look at up to {fusion.fusion.frames} frames of each face, "
        "evidence against a generated face counts as none, and the likelihood ratio of a frame is the mean of two: of "
        "all members together, and of the head for changed faces. The log-odds of a face in a video are the mean of "
        f"its frames, less {fusion.fusion.bias:g}, times the number of looks that these are worth, any two being "
        f"correlated by {fusion.fusion.correlation:g}; evidence against a manipulation is not added up. "
        f"A face further than {fusion.scope_limit:.3f} from all known ones gets no verdict."
    )


def _beside(*own: tuple[str, Path], others: Path) -> str:
    """Return a table that compares our models with other networks: one row for each set of faces, one column each."""
    columns: dict[str, dict[tuple[str, str, str], SourceRow]] = {}
    for model, docs in own:
        columns[model] = {}
        for name, view in ((LEFT_OUT, "left out"), (HELD_OUT, "held out")):
            for row in read_rows(docs / name):
                if row.view == AS_IS:
                    columns[model][view, row.label, row.source] = row
    for row in read_rows(others):
        name, _, view = row.view.rpartition(", ")
        columns.setdefault(name, {})[view, row.label, row.source] = row
    sets = [key for key in columns[own[0][0]] if key[0] == "held out" or key[2] == "all"]
    body = []
    for view, label, source in sorted(sets, key=lambda key: (key[0] != "left out", key[2] != "all", key[1])):
        rows = [column.get((view, label, source)) for column in columns.values()]
        body.append((source, view, label, *("-" if row is None or row.auc is None else str(row.auc) for row in rows)))
    return table(("source", "as", "truth", *columns), body)


def _share(count: int, of: int) -> str:
    low, high = wilson_interval(count, of)
    return f"{count / of:.1%} ({low:.1%} to {high:.1%})"


def table_by_source(path: Path, *, by_errors: bool = False) -> str:
    """Return a table by source as Markdown.

    Args:
        path: path of the CSV with the results.
        by_errors: whether to order the rows by class, then by the share of wrong calls; otherwise the file's order.
    """
    rows = read_rows(path)
    if by_errors:
        rows.sort(key=lambda row: (row.label, -row.wrong / row.faces))
    body = [
        (
            row.source,
            row.view,
            row.label,
            str(row.faces),
            _share(row.manipulated, row.faces),
            _share(row.authentic, row.faces),
            "-" if row.auc is None else str(row.auc),
            str(row.cost),
        )
        for row in rows
    ]
    return table(("source", "as", "truth", "faces", "called manipulated", "called authentic", "AUC", "cost"), body)
