"""The record of a case, read from the store: the source of all pages, CSV files and PDF documents about a case.

``report.case_schema`` defines its form.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from sqlite3 import Connection
from typing import Any

import msgspec

from faceloupe.cases import audit_log, policy, queries
from faceloupe.cases.records import Decision, Item, Run, SignOff, person_key, stamp
from faceloupe.cases.runs import report_text
from faceloupe.cases.store import CaseStore
from faceloupe.cases.transaction import find_case
from faceloupe.report.build import tool
from faceloupe.report.case_schema import (
    CASE_SCHEMA_VERSION,
    CaseInfo,
    CaseRecord,
    DecisionRecord,
    ItemRecord,
    LogEntry,
    LogRecord,
    NoteRecord,
    RunRecord,
    SignOffRecord,
)


@dataclass(frozen=True, slots=True)
class StreamedRecord:
    """A case record whose items are read one at a time, because they may not all fit into memory.

    Attributes:
        frame: the record without its items and without its log entries.
        items: iterator over the items; it can be consumed once.
        entries: returns a new iterator over the log entries on each call.
    """

    frame: CaseRecord
    items: Iterator[ItemRecord]
    entries: Callable[[], Iterator[LogEntry]]

    def whole(self) -> CaseRecord:
        """Return the whole record, loaded into memory."""
        items, log = tuple(self.items), msgspec.structs.replace(self.frame.log, entries=tuple(self.entries()))
        return msgspec.structs.replace(self.frame, items=items, log=log)

    def pieces(self) -> Iterator[str]:
        """Yield the text of the whole record as indented JSON, one item or entry at a time."""
        start, rest = _text(self.frame).split('"items": []', 1)
        middle, end = rest.rsplit('"entries": []', 1)
        yield f'{start}"items": '
        yield from _array(self.items, 2)
        yield f'{middle}"entries": '
        yield from _array(self.entries(), 4)
        yield end


@contextmanager
def open_case_record(store: CaseStore, case_id: str, *, viewer: str | None = None) -> Iterator[StreamedRecord]:
    """Open the record of a case, as of one moment; its items can be read within the block.

    Args:
        store: store that holds the case.
        case_id: id of the case.
        viewer: name of the person who will see the record; runs that a blind case hides from that person are left out.
            None leaves nothing out.

    Raises:
        CaseError: there is no such case, or a report in it was changed after filing.
    """
    with store.log.snapshot(case_id) as (connection, check):
        case = find_case(connection, case_id)
        frame = CaseRecord(
            schema_version=CASE_SCHEMA_VERSION,
            kind="case",
            created_utc=stamp(store.clock()),
            tool=tool(),
            case=CaseInfo(
                id=case.id, name=case.name, examiner=case.examiner, blind=case.blind, created_utc=case.created_utc
            ),
            items=(),
            notes=_notes(connection, case_id, None),
            sign_offs=_sign_offs(connection, case_id, None),
            log=LogRecord(entries=(), head_sha256=check.head_sha256, verified=check.ok),
        )
        person = None if viewer is None else person_key(viewer)
        items = (_item(connection, item, person) for item in queries.all_items(connection, case_id, person))
        yield StreamedRecord(
            frame, items, lambda: (entry.to_record() for entry in audit_log.entries(connection, case_id))
        )


def case_record(store: CaseStore, case_id: str, *, viewer: str | None = None) -> CaseRecord:
    """Return a whole case record in memory; see ``open_case_record``."""
    with open_case_record(store, case_id, viewer=viewer) as record:
        return record.whole()


def _item(connection: Connection, item: Item, person: str | None) -> ItemRecord:
    hidden = person is not None and not policy.may_see(connection, item.sha256, person)
    runs = queries.runs(connection, item.id)
    decisions = queries.decisions(connection, item.id)
    return ItemRecord(
        sha256=item.sha256,
        name=item.name,
        size_bytes=item.size_bytes,
        media_type=item.media_type,
        format=item.format,
        added_utc=item.added_utc,
        added_by=item.added_by,
        runs=() if hidden else tuple(_run(connection, run) for run in runs),
        runs_withheld=len(runs) if hidden else 0,
        notes=_notes(connection, item.case_id, item.id),
        decisions=tuple(DecisionRecord(**_stated(decision)) for decision in decisions),
        sign_offs=_sign_offs(connection, item.case_id, item.id),
    )


def _run(connection: Connection, run: Run) -> RunRecord:
    return RunRecord(
        id=run.id,
        created_utc=run.created_utc,
        actor=run.actor,
        report_sha256=run.report_sha256,
        report_json=msgspec.Raw(report_text(connection, run.id).encode()),
        pictures=dict(run.pictures),
    )


def _notes(connection: Connection, case_id: str, item_id: int | None) -> tuple[NoteRecord, ...]:
    return tuple(NoteRecord(**asdict(note)) for note in queries.notes(connection, case_id, item_id))


def _sign_offs(connection: Connection, case_id: str, item_id: int | None) -> tuple[SignOffRecord, ...]:
    return tuple(SignOffRecord(**_stated(sign_off)) for sign_off in queries.sign_offs(connection, case_id, item_id))


def _stated(statement: Decision | SignOff) -> dict[str, Any]:
    """Return the fields of a statement for its record; None values and a false ``name_checked`` are omitted."""
    fields = {name: value for name, value in asdict(statement).items() if value is not None}
    if not fields.pop("name_checked"):
        return fields
    return fields | {"name_checked": True}


def _array(values: Iterable[msgspec.Struct], indent: int) -> Iterator[str]:
    """Yield the text of a JSON array, one value at a time; ``indent`` is its depth in spaces."""
    separator, deep = "[\n", " " * (indent + 2)
    for value in values:
        yield separator + "\n".join(f"{deep}{line}" for line in _text(value).split("\n"))
        separator = ",\n"
    yield f"\n{' ' * indent}]" if separator == ",\n" else "[]"


def _text(record: msgspec.Struct) -> str:
    # json, not msgspec, does the indenting: the text of a bundle must be byte for byte the same as in earlier releases.
    return json.dumps(json.loads(msgspec.json.encode(record)), indent=2, ensure_ascii=False, allow_nan=False)
