"""The card of the fusion and its members, generated from their records and from the results on held-out material."""

from collections.abc import Sequence
from pathlib import Path

from faceloupe.errors import WeightsError
from faceloupe.evaluation.metrics import wilson_interval
from faceloupe.evaluation.source_rows import AS_IS, HELD_OUT, LEFT_OUT, SourceRow, are_of, read_rows
from faceloupe.models.record import ModelRecord
from faceloupe.system.files import replacing
from faceloupe.training.card import table

CARD = "card.md"
# Written beside the card by the stage `heads`; rows as in ``source_rows``.
TIERS_FILE, CONDITIONS, CLIPS = "tiers.csv", "conditions.csv", "clips.csv"
OTHERS = "others.csv"  # made by the stage `others`


def write(records: Sequence[ModelRecord], docs: Path, core_docs: Path) -> Path:
    """Write the card.

    Args:
        records: records of the fusion and its members: the fusion first, then the core.
        docs: folder of the card, which also holds the tables by source.
        core_docs: folder of the core's tables by source.

    Returns:
        Path of the card.

    Raises:
        WeightsError: a table is missing or damaged, or the core's tables are those of another version.
    """
    fusion, core = records[:2]
    if not are_of(core_docs, core):
        raise WeightsError(f"The tables in {core_docs} are not those of {core.id}; run `core` again.")
    text = "\n\n".join(
        [
            "# Card of the expert and its fusion with the core",
            "Written by `python -m faceloupe.training expertcard`. Polarity: 1 = manipulated, 0 = authentic.",
            f"**{fusion.id}** is the default model. It combines the calibrated log-likelihood ratios of its members. "
            "The heads use features of the image tower of CLIP ViT-B/16, which was not trained any further.",
            "How verdicts change when a picture is recompressed, resized, tilted or stored differently was "
            "[counted separately](../evasion.md).",
            table(
                IDENTITY,
                [identity(record) for record in records],
            ),
            _weights(fusion),
            "The rates are those of photographs and generated faces of sources that neither a head nor the classifier "
            "of the core was trained on in that fold, and of collections of swapped, reenacted and composed faces with "
            "their originals, judged by heads and a core that saw other people of the collection.",
            "## Sources left out of training",
            "Each source was judged by networks that saw no picture of its family; collections of changed faces were "
            "judged by networks that saw other people of them. The AUC is against all faces of the other class, with "
            "the same weight for each source. The cost is the class's half of Cllr, in bits: 0 is perfect, 1 says "
            "nothing. Photographs come first, and the sources with the most false alarms at the top.",
            table_by_source(docs / LEFT_OUT, by_errors=True),
            "## As they are, and degraded in two steps",
            "The same validation faces as they are, with the picture shrunk to 768 px and saved as JPEG 60, and with "
            "the picture shrunk to 512 px and saved as JPEG 40.",
            table_by_source(docs / TIERS_FILE),
            "## By pose and size of the face",
            "Faces of sources left out, as they are. The pose is estimated from five landmarks, if the face detector "
            "found them. Turned and small faces are not spread evenly over the sources.",
            table_by_source(docs / CONDITIONS),
            "## Swaps, several frames of a person judged together",
            "Collections of changed faces and their originals. The frames of a person are judged together, like those "
            "of a video. The networks saw other people of the collection, or nothing of its family. The column "
            "*faces* counts people.",
            table_by_source(docs / CLIPS),
            "## Held out",
            "Nothing here was used for training, tuning or calibration.",
            table_by_source(docs / HELD_OUT),
            "## Compared with other networks",
            "AUC on the same faces as they are, with the same weight for each source: on all that were left out, on "
            "all that were held out, and of each held-out source against all faces of the other class. The column of "
            "the core comes from [its own card](../core/card.md). The MesoNet networks (Afchar et al. 2018) are used "
            "as they were published. The linear head on ImageNet features was fitted on the material of the expert, "
            "with the same families left out. The other networks judged at most 40 faces of each source.",
            _beside((fusion.id, docs), (core.id, core_docs), others=docs / OTHERS),
            "## Training material",
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
        f"Weights: {listed}, and {fusion.fusion.joint:.2f} for the joined propositions. The log-odds of a member are "
        f"clipped to {fusion.fusion.limit:g}, and those of a head that looks at the surroundings of a face exceed "
        f"those of the heads that look at the face alone by at most {fusion.fusion.lead:g}. In a video, the heads look "
        f"at up to {fusion.fusion.frames} frames of each face, evidence against a generated face counts as none, and "
        "the likelihood ratio of a frame is the mean of two: that of all members together, and that of the head for "
        "changed faces. The log-odds of a face in a video are the mean of its frames minus "
        f"{fusion.fusion.bias:g}, times the number of independent looks that these frames are worth, with a "
        f"correlation of {fusion.fusion.correlation:g} between any two. Evidence against a manipulation is not added "
        f"up. A face farther than {fusion.scope_limit:.3f} from all known faces "
        "gets no verdict."
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
