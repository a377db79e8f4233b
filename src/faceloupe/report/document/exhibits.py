"""The items of a case record, each with the run that states its finding, if that may be shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from faceloupe.report.case_schema import CaseRecord, ItemRecord, RunRecord
from faceloupe.report.document.format import runs_of
from faceloupe.report.schema import Report

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One item of a case.

    Attributes:
        number: number of the item, from 1, in the order of the record.
        item: the item in the record.
        withheld: whether the findings of the tool must not be shown: the record withholds runs from its recipient, or
            the case is in blind mode and the item has runs but no decision of an examiner.
    """

    number: int
    item: ItemRecord
    withheld: bool

    @property
    def anchor(self) -> str:
        """Anchor for links to the item."""
        return f"item-{self.number}"

    @property
    def run(self) -> RunRecord | None:
        """The run that states the finding, see ``ItemRecord``; None if there are no runs or findings are withheld."""
        return None if self.withheld else self.item.finding_run

    @property
    def report(self) -> Report | None:
        """The canonical report of ``run``; None if there is no run."""
        return None if self.run is None else self.run.report


def exhibits(case: CaseRecord) -> tuple[Exhibit, ...]:
    """Return the items of a case in the order of the record."""
    blind = case.case.blind
    return tuple(
        Exhibit(number, item, bool(item.runs_withheld or (blind and item.runs and not item.decisions)))
        for number, item in enumerate(case.items, 1)
    )


def grouped(parts: Iterable[tuple[int, Part]]) -> list[tuple[Part, list[int]]]:
    """Group equal parts of several items; return each part with the numbers of its items, by first appearance."""
    groups: dict[bytes, tuple[Part, list[int]]] = {}
    for number, part in parts:
        groups.setdefault(msgspec.json.encode(part), (part, []))[1].append(number)
    return list(groups.values())


def items_text(numbers: Sequence[int], texts: Mapping[str, str]) -> str:
    """Return the numbers of items as text."""
    return texts["one_item" if len(numbers) == 1 else "several_items"].format(numbers=runs_of(numbers))
