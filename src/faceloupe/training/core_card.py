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
            f"**{record.id}** is the model of the effort *quick*, and a member of the default model. It is a "
            "MobileNetV3-small with its ImageNet weights, not trained any further. Its classifier reads the mean and "
            f"the standard deviation of every channel of every block. Each face is cropped to squares of {margins} "
            f"times its longer side, at {contract.size} px; the logit is the mean of the two.",
            table(IDENTITY, [identity(record)]),
            "The rates are those of photographs and generated faces of sources whose families the classifier of that "
            "fold never saw, and of collections of changed faces with their originals, judged by a classifier that saw "
            "other people of the collection.",
            "## Held out",
            "Nothing here was used for training, tuning or calibration. The AUC is against all faces of the other "
            "class, with the same weight for each source. The cost is the class's half of Cllr, in bits: 0 is perfect, "
            "1 says nothing.",
            table_by_source(docs / HELD_OUT),
            "## As they are, and degraded in two steps",
            "The same faces of families left out: as they are, with the picture shrunk to 768 px and saved as JPEG 60, "
            "and with the picture shrunk to 512 px and saved as JPEG 40.",
            table_by_source(docs / TIERS_FILE),
            "## Sources left out of training",
            "Each source was judged by a classifier that saw no picture of its family; collections of changed faces "
            "were judged by one that saw other people of them. Photographs come first, and the sources with the most "
            "false alarms at the top.",
            table_by_source(docs / LEFT_OUT, by_errors=True),
            "## Training material",
            record.trained_on,
            "## Limits",
            "\n".join(f"- {line}" for line in record.limits),
        ]
    )
    card = docs / CARD
    with replacing(card) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return card
