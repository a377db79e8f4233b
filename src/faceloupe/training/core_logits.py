"""The core's answers to the views that judge the fusion; an interrupted run goes on.

Pictures that the core was trained on are left out: its answers to them say nothing of what it does elsewhere.
"""

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from faceloupe.errors import DatasetError
from faceloupe.scoring.preprocess import FaceViews
from faceloupe.scoring.single import Scorer
from faceloupe.training import regions, views
from faceloupe.training.lines import GrowingTable
from faceloupe.training.material import Still
from faceloupe.training.regions import Region

TABLE = "core.csv"
COLUMNS = ("id", "treatment", "logit", "model")
_BATCH = 16


def fresh_to_the_core(still: Still) -> bool:
    """Whether the core was not trained on a picture: it learned from the train split of ``stills.csv`` alone."""
    return bool(still.entry.repository) or still.entry.split != "train"


@dataclass(frozen=True, slots=True)
class Task:
    """One face under one treatment."""

    still: Still
    treatment: str


def tasks(stills: Iterable[Still], seen: Iterable[tuple[str, str]]) -> list[Task]:
    """Return the views to score by the core: pictures fresh to it, under the fixed treatments of the cache.

    Args:
        stills: the material.
        seen: id and treatment of every cached view; repetitions do not matter. Random treatments are for training
            alone, and nothing is judged under them.
    """
    by_id = {still.id: still for still in stills if fresh_to_the_core(still)}
    return [
        Task(by_id[name], treatment)
        for name, treatment in dict.fromkeys(seen)
        if name in by_id and treatment in views.TIERS
    ]


def score(
    wanted: Iterable[Task],
    located: Mapping[str, Region],
    work: Path,
    *,
    scorer: Scorer,
    model: str,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Write the core's raw logits of all tasks to ``work/core.csv``; what is there already stays.

    Args:
        wanted: see ``tasks``.
        located: regions by id.
        work: folder that ``regions.make`` wrote to.
        scorer: of the core.
        model: its id; rows of another model do not count.
        report: called with the number of tasks done, and of all.
    """
    wanted = list(wanted)
    table = GrowingTable(work / TABLE, COLUMNS)
    try:
        known = {(row["id"], row["treatment"]) for row in table.rows if row["model"] == model}
        left = [task for task in wanted if (task.still.id, task.treatment) not in known]
        for start in range(0, len(left), _BATCH):
            batch = left[start : start + _BATCH]
            logits = scorer.logits([_face(task, located[task.still.id], work, scorer) for task in batch])
            table.add(
                (task.still.id, task.treatment, f"{logit:.5f}", model)
                for task, logit in zip(batch, logits, strict=True)
            )
            report(len(wanted) - len(left) + start + len(batch), len(wanted))
    finally:
        table.close()


def _face(task: Task, region: Region, work: Path, scorer: Scorer) -> FaceViews:
    assert region.box is not None
    face = views.Face(regions.pixels(work, region), region.box, region.picture_px)
    treated, _ = views.treat(face, task.treatment, task.still.entry.pair or task.still.id)
    return scorer.view(treated.rgb, treated.box)


def read(work: Path, model: str) -> dict[tuple[str, str], float]:
    """Return the logits that ``score`` stored of a model: (id, treatment) -> raw logit.

    Raises:
        DatasetError: there are none.
    """
    path = work / TABLE
    if not path.is_file():
        raise DatasetError(f"{path} is not there: run `corelogits` first.")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == model]
    if not rows:
        raise DatasetError(f"{path} holds no answers of {model}: run `corelogits` first.")
    return {(row["id"], row["treatment"]): float(row["logit"]) for row in rows}
