"""The card of the core, generated from its record and from its results on held-out material."""

from pathlib import Path

from faceloupe.evaluation.source_rows import HELD_OUT, LEFT_OUT
from faceloupe.models.record import ModelRecord
from faceloupe.system.files import replacing
from faceloupe.training.card import table
from faceloupe.training.expert_card import CARD, IDENTITY, TIERS_FILE, identity, table_by_source


def write(record: ModelRecord, docs: Path) -> Path:
    """Write the card.

    Args:
        record: record of the core.
        docs: folder of the card, which also holds the tables by source.

    Returns:
        Path of the card.

    Raises:
        WeightsError: a table is missing or damaged.
    """
    contract = record.input
    margins = " and ".join(f"{margin:g}" for margin in contract.views)
    text = "\n\n".join(
        [
            "# Card of the core",
            "Written by `python -m faceloupe.training core`. Polarity: 1 = manipulated, 0 = authentic.",
            f"**{record.id}** scores where the effort is *quick*. It is a MobileNetV3-small with its ImageNet weights, "
            "not trained any further, whose classifier reads the mean and the standard deviation of every channel of "
            f"every block. A face is looked at in squares of {margins} times its longer side, at {contract.size} px; "
            "its logit is the mean of the two.",
            table(IDENTITY, [identity(record)]),
            "Rates are of photographs and generated faces of families of sources that the classifier of their fold "
            "saw nothing of, and of collections of changed faces with their originals, where it saw other people of "
            "them.",
            "## Held out for good",
            "Nothing here was trained on, tuned on or calibrated on. AUC is against all faces of the other class, "
            "their sources weighing alike. Cost is the class's half of Cllr, in bits: 0 is perfect, 1 says nothing.",
            table_by_source(docs / HELD_OUT),
            "## As it is, and degraded twice",
            "The same faces, of families left out: as they are; the picture shrunk to 768 px, then JPEG 60; to "
            "512 px, JPEG 40.",
            table_by_source(docs / TIERS_FILE),
            "## Sources left out of training",
            "Each judged by a classifier that saw no picture of its family; collections of changed faces by one that "
            "saw other people of them. Photographs first, those with the most false alarms on top.",
            table_by_source(docs / LEFT_OUT, by_errors=True),
            "## What it rests on",
            record.trained_on,
            "## Limits",
            "\n".join(f"- {line}" for line in record.limits),
        ]
    )
    card = docs / CARD
    with replacing(card) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return card
