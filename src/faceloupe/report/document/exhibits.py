"""The items of a case record, each with its latest run, and what of it may be shown.

A case record is one JSON document::

    schema_version "1", kind "case", created_utc, tool { as in a report }
    case       { id, name, created_utc, examiner, blind }
    items      [ { sha256, name, size_bytes, media_type, format, added_utc, added_by,
                   runs [ { id, created_utc, actor, report_sha256, report, pictures { file name: sha256 } } ],
                   runs_withheld,
                   notes, decisions [ { utc, examiner, outcome, reason, confidence, score_seen_before } ], sign_offs } ]
    notes      [ { utc, author, text } ]
    sign_offs  [ { utc, reviewer } ]
    log        { entries [ { seq, utc, actor, action, parameters, previous_sha256, sha256 } ], head_sha256, verified }
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faceloupe.errors import UsageError
from faceloupe.report.build import SCHEMA_VERSION, of_segment
from faceloupe.report.document.format import runs_of

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One item of a case.

    Attributes:
        number: from 1, in the order of the record.
        item: its part of the record.
        withheld: whether what the tool found must not be shown: the case is in blind mode, and the record keeps it from
            whom it was made for, or no decision of an examiner is recorded for this item.
    """

    number: int
    item: Record
    withheld: bool

    @property
    def anchor(self) -> str:
        return f"item-{self.number}"

    @property
    def run(self) -> Record | None:
        """The run that says what was found, see ``finding_run``; None where that is withheld too."""
        return None if self.withheld else finding_run(self.item["runs"])

    @property
    def report(self) -> Record | None:
        """The canonical report of that run."""
        return None if self.run is None else self.run["report"]


def finding_run(runs: Sequence[Record]) -> Record | None:
    """Of the runs of an item the latest; one of a mere stretch of a video only where no run is of the whole.

    None where there are no runs.
    """
    return next((run for run in reversed(runs) if not of_segment(run["report"])), runs[-1] if runs else None)


def exhibits(case: Record) -> tuple[Exhibit, ...]:
    """The items of a case in their order.

    Raises:
        UsageError: this is no record of a case that this release can read.
    """
    if (case.get("kind"), case.get("schema_version")) != ("case", SCHEMA_VERSION):
        raise UsageError(f"A case report can only be made from a case record of schema version {SCHEMA_VERSION}.")
    blind = case["case"]["blind"]
    return tuple(
        Exhibit(number, item, bool(item.get("runs_withheld") or (blind and item["runs"] and not item["decisions"])))
        for number, item in enumerate(case["items"], 1)
    )


def grouped(parts: Iterable[tuple[int, Any]]) -> list[tuple[Any, list[int]]]:
    """Equal parts of several items, each once with the numbers of its items, in order of first appearance."""
    groups: dict[str, tuple[Any, list[int]]] = {}
    for number, part in parts:
        groups.setdefault(json.dumps(part, sort_keys=True), (part, []))[1].append(number)
    return list(groups.values())


def items_text(numbers: Sequence[int], texts: Mapping[str, str]) -> str:
    """The numbers of items in words."""
    return texts["one_item" if len(numbers) == 1 else "several_items"].format(numbers=runs_of(numbers))
