"""The core's answers to faces that its classifier was not trained on, stored for the fusions that weigh the core."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from faceloupe.errors import DatasetError
from faceloupe.system.files import replacing
from faceloupe.training import views
from faceloupe.training.cross_fitting import CrossAnswers
from faceloupe.training.looks import Looks

FILE = "answers.csv"
_COLUMNS = ("id", "treatment", "unseen", "strangers")


def write(parts: Iterable[tuple[Looks, CrossAnswers]], path: Path) -> None:
    """Write the core's answers to looks under fixed treatments; looks under random treatments are never judged.

    Args:
        parts: looks and the answers to them. For looks that no classifier was fitted on, both answers are those of the
            shipped classifier.
        path: path of the file.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(_COLUMNS)
        for looks, answers in parts:
            for row in np.flatnonzero(np.isin(looks.treatments, list(views.TIERS))):
                logits = f"{answers.unseen[row]:.5f}", f"{answers.strangers[row]:.5f}"
                table.writerow((looks.ids[row], looks.treatments[row], *logits))


def read(path: Path, looks: Looks) -> CrossAnswers:
    """Read the core's answers to N looks; nan for a look without an answer.

    Raises:
        DatasetError: the file is missing.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is not there: run `core` first.")
    with path.open(newline="", encoding="utf-8") as stream:
        known = {
            (row["id"], row["treatment"]): (float(row["unseen"]), float(row["strangers"]))
            for row in csv.DictReader(stream)
        }
    nothing = (np.nan, np.nan)
    both = [known.get(key, nothing) for key in zip(looks.ids.tolist(), looks.treatments.tolist(), strict=True)]
    return CrossAnswers(*np.array(both, np.float64).reshape(-1, 2).T)
