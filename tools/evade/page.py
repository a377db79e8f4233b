"""The page of the evasion bench, and the counts behind it."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from faceloupe.evaluation.metrics import wilson_interval
from faceloupe.system.files import replacing
from faceloupe.training.card import table
from faceloupe.types import Outcome
from tools.evade.bench import UNCHANGED, Verdict
from tools.evade.pictures import LONGEST
from tools.evade.transforms import TRANSFORMATIONS

COUNTS = "{effort}.csv"


@dataclass(frozen=True, slots=True)
class Count:
    """Counts of the verdicts on the pictures of a split, before and after one transformation.

    Attributes:
        manipulated: manipulated pictures that are called manipulated before.
        held: of these, called manipulated after.
        cleared: of these, called authentic after.
        authentic: authentic pictures that are not called manipulated before.
        accused: of these, called manipulated after.
        passed: of these, called authentic before.
        passed_held: of those, called authentic after.
    """

    effort: str
    model: str
    split: str
    transformation: str
    manipulated: int
    held: int
    cleared: int
    authentic: int
    accused: int
    passed: int
    passed_held: int


def counted(verdicts: Iterable[Verdict], effort: str, model: str) -> list[Count]:
    """Count verdicts, in the order of the splits and of ``TRANSFORMATIONS``."""
    before: dict[str, Outcome] = {}
    tally: Counter[tuple[str, str, str]] = Counter()
    splits: dict[str, None] = {}
    for verdict in verdicts:
        splits[verdict.split] = None
        if verdict.transformation == UNCHANGED:
            before[verdict.location] = verdict.outcome
            continue
        key, after = (verdict.split, verdict.transformation), verdict.outcome
        if verdict.label:
            tally[(*key, "manipulated")] += 1
            tally[(*key, "held")] += after is Outcome.MANIPULATED
            tally[(*key, "cleared")] += after is Outcome.AUTHENTIC
        else:
            passed = before[verdict.location] is Outcome.AUTHENTIC
            tally[(*key, "authentic")] += 1
            tally[(*key, "accused")] += after is Outcome.MANIPULATED
            tally[(*key, "passed")] += passed
            tally[(*key, "passed_held")] += passed and after is Outcome.AUTHENTIC
    names = [item.name for item in fields(Count)[4:]]
    return [
        Count(effort, model, split, transformation.name, *(tally[split, transformation.name, name] for name in names))
        for split in splits
        for transformation in TRANSFORMATIONS
    ]


def write_counts(counts: Sequence[Count], folder: Path) -> Path:
    """Write the counts of one effort as CSV."""
    path = folder / COUNTS.format(effort=counts[0].effort)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([item.name for item in fields(Count)])
        writer.writerows(map(astuple, counts))
    return path


def read_counts(folder: Path) -> list[Count]:
    """Read the counts of all efforts."""
    counts = []
    for path in sorted(folder.glob(COUNTS.format(effort="*"))):
        with path.open(newline="", encoding="utf-8") as stream:
            counts += [
                Count(*(value if item.type is str else int(value) for item, value in zip(fields(Count), row.values())))
                for row in csv.DictReader(stream)
            ]
    return counts


def _share(count: int, of: int) -> str:
    if not of:
        return "-"
    low, high = wilson_interval(count, of)
    return f"{count} of {of} ({low:.0%} to {high:.0%})"


def _tables(counts: Sequence[Count]) -> str:
    parts = []
    for effort, model, split in dict.fromkeys((count.effort, count.model, count.split) for count in counts):
        rows = [count for count in counts if (count.effort, count.split) == (effort, split)]
        body = [
            (
                row.transformation,
                _share(row.held, row.manipulated),
                _share(row.cleared, row.manipulated),
                _share(row.accused, row.authentic),
                _share(row.passed_held, row.passed),
            )
            for row in rows
        ]
        heads = (
            "transformation",
            "manipulated, verdict kept",
            "manipulated, then called authentic",
            "authentic, then called manipulated",
            "authentic, verdict kept",
        )
        parts.append(f"## {effort}, {split}\n\nModel `{model}`.\n\n{table(heads, body)}")
    return "\n\n".join(parts)


def write_page(counts: Sequence[Count], path: Path) -> None:
    """Write the page."""
    methods = table(
        ("transformation", "what was done"),
        [(transformation.name, transformation.description) for transformation in TRANSFORMATIONS],
    )
    text = f"""# Do verdicts survive?

Written by `make evade` from the counts beside this page (`evasion/`). Pictures that were held out of training are
stored, sent or turned in ways that change nothing or little for a viewer, and each result is analyzed as a file. The
manipulated pictures are those that are called manipulated unchanged; the authentic ones are those that are not. As they
were chosen by a verdict, some of these lie near a threshold and would change under any small change. A verdict that is
not kept is inconclusive, not applicable (no face was found), or the opposite one, which has a column of its own. In
brackets are the 95 % intervals of Wilson, with each picture as one observation.

The pictures are drawn over the sources in turn. Of the split `val`, thresholds and calibration have seen the faces; of
the split `cross` (other sources and generators) nothing was trained, tuned or calibrated on. Pictures longer than
{LONGEST:,} pixels are shrunk to that first.

{_tables(counts)}

## The transformations

{methods}
"""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
