"""The data of a case report: plain JSON values, the one source of every page, CSV and PDF about a case.

```
schema_version, kind "case", created_utc
tool        as in a report, see ``report.build``
case        { id, name, created_utc, examiner, blind }
items       [ { sha256, name, size_bytes, media_type, format, added_utc, added_by,
                runs      [ { id, created_utc, actor, report_sha256, report { ... }, pictures { name: sha256 } } ],
                runs_withheld: how many a blind case keeps from whom the report is for,
                notes     [ { utc, author, text } ],
                decisions [ { utc, examiner, outcome, reason, confidence, score_seen_before } ],
                sign_offs [ { utc, reviewer } ] } ]
notes, sign_offs    of the case itself, likewise
log         { entries [ { seq, utc, actor, action, parameters, previous_sha256, sha256 } ], head_sha256, verified }
```
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from sqlite3 import Connection
from typing import Any

from faceloupe.cases import audit_log, policy, queries
from faceloupe.cases.audit_verify import LogCheck
from faceloupe.cases.records import Item, Run, person_key, stamp
from faceloupe.cases.runs import report_text
from faceloupe.cases.store import CaseStore
from faceloupe.report.build import tool

SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class CaseReport:
    """A case report whose items come one by one: a case can hold more of them than the memory.

    Attributes:
        before: what stands before the items.
        items: can be gone through once.
        after: what stands after them, up to the log.
        log: the check of the log.
        entries: gives the entries of the log from the first, as often as it is called.
    """

    before: dict[str, Any]
    items: Iterator[dict[str, Any]]
    after: dict[str, Any]
    log: LogCheck
    entries: Callable[[], Iterator[dict[str, Any]]]

    def as_dict(self) -> dict[str, Any]:
        """The whole report."""
        return self.before | {"items": list(self.items)} | self.after | {"log": self._log(list(self.entries()))}

    def _log(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        return {"entries": entries, "head_sha256": self.log.head_sha256, "verified": self.log.ok}

    def pieces(self) -> Iterator[str]:
        """The text of the whole report, an item or an entry at a time: that of ``report.build.to_json``."""
        start, rest = _json(self.before | {"items": []} | self.after | {"log": self._log([])}).split('"items": []', 1)
        middle, end = rest.rsplit('"entries": []', 1)
        yield f'{start}"items": '
        yield from _array(self.items, 2)
        yield f'{middle}"entries": '
        yield from _array(self.entries(), 4)
        yield end


@contextmanager
def open_case_report(store: CaseStore, case_id: str, *, viewer: str | None = None) -> Iterator[CaseReport]:
    """A case report, all of one moment; its items can be read within the block.

    Args:
        viewer: whose eyes it is for: runs that a blind case keeps from that person are left out. None leaves nothing
            out.

    Raises:
        CaseError: there is no such case, or a report in it is not what was filed.
    """
    with store.snapshot(case_id) as (connection, check):
        case = asdict(queries.case(connection, case_id))
        del case["items"]
        before = {
            "schema_version": SCHEMA_VERSION,
            "kind": "case",
            "created_utc": stamp(store.clock()),
            "tool": tool(),
            "case": case,
        }
        after = {
            "notes": [asdict(note) for note in queries.notes(connection, case_id, None)],
            "sign_offs": [asdict(sign_off) for sign_off in queries.sign_offs(connection, case_id, None)],
        }
        person = None if viewer is None else person_key(viewer)
        items = (_item(connection, item, person) for item in queries.all_items(connection, case_id, person))
        yield CaseReport(
            before, items, after, check, lambda: (entry.as_dict() for entry in audit_log.entries(connection, case_id))
        )


def case_report(store: CaseStore, case_id: str, *, viewer: str | None = None) -> dict[str, Any]:
    """A whole case report in memory; see ``open_case_report``."""
    with open_case_report(store, case_id, viewer=viewer) as report:
        return report.as_dict()


def _item(connection: Connection, item: Item, person: str | None) -> dict[str, Any]:
    hidden = person is not None and not policy.may_see(connection, item.case_id, item.id, person)
    runs = queries.runs(connection, item.id)
    return {
        "sha256": item.sha256,
        "name": item.name,
        "size_bytes": item.size_bytes,
        "media_type": item.media_type,
        "format": item.format,
        "added_utc": item.added_utc,
        "added_by": item.added_by,
        "runs": [] if hidden else [_run(connection, run) for run in runs],
        "runs_withheld": len(runs) if hidden else 0,
        "notes": [asdict(note) for note in queries.notes(connection, item.case_id, item.id)],
        "decisions": [asdict(decision) for decision in queries.decisions(connection, item.id)],
        "sign_offs": [asdict(sign_off) for sign_off in queries.sign_offs(connection, item.case_id, item.id)],
    }


def _run(connection: Connection, run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "created_utc": run.created_utc,
        "actor": run.actor,
        "report_sha256": run.report_sha256,
        "report": json.loads(report_text(connection, run.id)),
        "pictures": dict(run.pictures),
    }


def _array(values: Iterable[Any], indent: int) -> Iterator[str]:
    """The text of an array that stands so many spaces deep, a value at a time."""
    separator, deep = "[\n", " " * (indent + 2)
    for value in values:
        yield separator + "\n".join(f"{deep}{line}" for line in _json(value).split("\n"))
        separator = ",\n"
    yield f"\n{' ' * indent}]" if separator == ",\n" else "[]"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
