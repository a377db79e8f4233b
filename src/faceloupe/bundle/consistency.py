"""Consistency of the members of a bundle: the case, its items, the log, and the files that they name must agree."""

import json
from collections import Counter
from collections.abc import Iterator

import msgspec

from faceloupe.bundle import contents, format
from faceloupe.bundle.format import Manifest
from faceloupe.bundle.format_1 import Item, LogEntry, Rest, parts
from faceloupe.bundle.reader import Archive
from faceloupe.cases.audit_log import Action, Entry, Head, canonical
from faceloupe.cases.audit_verify import ExpectedHeads, check
from faceloupe.errors import BundleError, ReportError
from faceloupe.report.case_schema import (
    CaseHeader,
    CaseRecord,
    DecisionRecord,
    ItemRecord,
    NoteRecord,
    RunRecord,
    SignOffRecord,
)

_STATEMENTS = (Action.NOTE, Action.DECISION, Action.SIGN_OFF)  # written by people


def log_problems(archive: Archive, manifest: Manifest) -> Iterator[str]:
    """Check the hash chain of ``log.jsonl``, and its end against the manifest.

    Yields:
        The problems, one sentence each.

    Raises:
        BundleError: the member cannot be read, or one of its lines is not a log entry.
    """
    chain = check(_entries(archive, manifest), ExpectedHeads(Head(manifest.case_id, *_end(manifest))))
    if not chain.ok:
        yield f"{format.LOG}: {chain.reason}"


def _end(manifest: Manifest) -> tuple[int, str]:
    return manifest.log_entries, manifest.log_head_sha256


def _entries(archive: Archive, manifest: Manifest) -> Iterator[Entry]:
    for number, line in enumerate(archive.lines(format.LOG), 1):
        values = format.parsed(line, f"Line {number} of {format.LOG}")
        try:
            entry = Entry.of(manifest.case_id, values)
            same = f"{canonical(msgspec.to_builtins(entry.to_record()))}\n".encode() == line
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError):
            same = False
        if not same:
            raise BundleError(f"Line {number} of {format.LOG} is not a valid entry of a log.")
        yield entry


def case_problems(archive: Archive, manifest: Manifest) -> Iterator[str]:
    """Compare the case and its items with the log and with the members that they name.

    Items and reports are read one at a time, and are not kept in memory.

    Yields:
        The differences, one sentence each.

    Raises:
        BundleError: a member cannot be read, or does not have the expected form.
    """
    try:
        yield from _Consistency(archive, manifest).problems()
    except (ReportError, KeyError, TypeError, AttributeError, ValueError, RecursionError):
        named = format.CASE if manifest.format == "1" else f"{format.CASE} or {format.ITEMS}"
        raise BundleError(f"{named} does not have the form of a case report.") from None


class _Consistency:
    """What the log records, and what has been read so far from the case record."""

    def __init__(self, archive: Archive, manifest: Manifest) -> None:
        self._archive, self._manifest = archive, manifest
        self._items_member = format.CASE if manifest.format == "1" else format.ITEMS
        self._hashes = {member.name: member.sha256 for member in manifest.members}
        self._unused_members = {name for name in self._hashes if name.startswith(("reports/", "pictures/"))}
        self._intake_entries: dict[str, Entry] = {}  # SHA-256 -> its intake entry in the log
        self._items: Counter[str] = Counter()
        self._logged_runs: dict[str, str] = {}  # run id -> canonical parameters
        self._runs = 0
        self._logged: dict[str, Counter[str]] = {action: Counter() for action in _STATEMENTS}
        self._recorded: dict[str, Counter[str]] = {action: Counter() for action in _STATEMENTS}
        for entry in _entries(archive, manifest):
            self._read(entry)

    def _read(self, entry: Entry) -> None:
        parameters = json.loads(entry.parameters)
        if entry.action == Action.INTAKE:
            self._intake_entries.setdefault(
                parameters["sha256"], entry
            )  # an item keeps its first name if it is filed again
        elif entry.action == Action.RUN:
            self._logged_runs[parameters["run"]] = entry.parameters
        elif entry.action in self._logged:
            self._logged[entry.action][canonical([entry.utc, entry.actor, parameters])] += 1

    def problems(self) -> Iterator[str]:
        """Read the case and its items, and yield the problems."""
        yield from self._format_1() if self._manifest.format == "1" else self._format_2()
        yield from self._final_problems()

    def _format_2(self) -> Iterator[str]:
        for item in contents.items(self._archive, self._manifest.format):
            yield from self._item(item)
        yield from self._case(contents.header(self._archive))

    def _format_1(self) -> Iterator[str]:
        lines, same, frame = self._archive.lines(format.LOG), True, None
        for part in parts(self._archive.lines(format.CASE)):
            match part:
                case Item(text):
                    item = ItemRecord.from_json(text)
                    yield from self._item(item)
                    for run in item.runs:
                        yield from self._report_twice(run)
                case LogEntry(text):
                    same &= f"{canonical(json.loads(text))}\n".encode() == next(lines, b"")
                case Rest(text):
                    frame = CaseRecord.from_json(text)
        if frame is None:
            raise BundleError(f"{format.CASE} is empty.")
        yield from self._case(frame)
        if (frame.log.head_sha256, not same, next(lines, None)) != (_end(self._manifest)[1], False, None):
            yield f"The log in {format.CASE} differs from {format.LOG}."

    def _case(self, case: CaseRecord | CaseHeader) -> Iterator[str]:
        if case.case.id != self._manifest.case_id:
            yield f"{format.CASE} belongs to the case {case.case.id}, but the bundle to {self._manifest.case_id}."
        self._record(case, None)

    def _item(self, item: ItemRecord) -> Iterator[str]:
        self._items[item.sha256] += 1
        self._record(item, item.sha256)
        if (entry := self._intake_entries.get(item.sha256)) is not None:
            facts = {"name": item.name, "sha256": item.sha256, "size_bytes": item.size_bytes}
            identity = entry.utc, entry.actor, json.loads(entry.parameters)
            if identity != (item.added_utc, item.added_by, facts):
                yield f"The item {item.sha256[:12]} in {self._items_member} is not the one recorded in the log."
        for run in item.runs:
            yield from self._run(item, run)

    def _record(self, part: ItemRecord | CaseRecord | CaseHeader, sha256: str | None) -> None:
        """Collect the statements of people on an item, or on the case."""
        for note in part.notes:
            self._statement(Action.NOTE, note, note.author, sha256)
        for sign_off in part.sign_offs:
            self._statement(Action.SIGN_OFF, sign_off, sign_off.reviewer, sha256)
        for decision in part.decisions if isinstance(part, ItemRecord) else ():
            self._statement(Action.DECISION, decision, decision.examiner, sha256)

    def _statement(
        self, action: Action, statement: NoteRecord | DecisionRecord | SignOffRecord, person: str, sha256: str | None
    ) -> None:
        """Collect a statement in the form that its log entry has."""
        parameters = msgspec.to_builtins(statement)
        for name in ("utc", "author", "examiner", "reviewer"):  # an entry has these outside of its parameters
            parameters.pop(name, None)
        self._recorded[action][canonical([statement.utc, person, parameters | {"sha256": sha256}])] += 1

    def _run(self, item: ItemRecord, run: RunRecord) -> Iterator[str]:
        self._runs += 1
        name = format.report_name(run.id if self._manifest.format == "1" else run.report_sha256)
        pictures = {format.picture_name(sha256): sha256 for sha256 in run.pictures.values()}
        self._unused_members -= {name, *pictures}
        facts = {"sha256": item.sha256, "run": run.id, "report_sha256": run.report_sha256, "pictures": run.pictures}
        if self._logged_runs.get(run.id) != canonical(facts):
            yield f"Run {run.id} in {self._items_member} is not the one recorded in the log."
        if self._hashes.get(name) != run.report_sha256:
            yield f"{name} is not the report that was filed: its hash differs from the one in {self._items_member}."
        for picture, sha256 in pictures.items():
            if self._hashes.get(picture) != sha256:
                yield f"{picture} is not the picture that was filed: its hash differs, or it is missing."

    def _report_twice(self, run: RunRecord) -> Iterator[str]:
        """Compare the two copies of a report in format 1: its own member, and its copy in the case report."""
        name = format.report_name(run.id)
        if canonical(format.parsed(self._archive.read(name), name)) != canonical(json.loads(bytes(run.report_json))):
            yield f"{name} is not the report in {format.CASE}."

    def _final_problems(self) -> Iterator[str]:
        """Yield the problems that show only after everything was read, such as missing or surplus members."""
        if self._items != Counter(self._intake_entries.keys()):
            yield f"The items of {self._items_member} are not those recorded as filed in the log."
        evidence = {format.evidence_name(sha256) for sha256 in self._items} if self._manifest.with_evidence else set()
        present = {name for name in self._hashes if name.startswith("evidence/")}
        for name in sorted(evidence ^ present):
            yield f"{name} is {'missing' if name in evidence else 'not evidence of this bundle'}."
        for name in sorted(evidence & present):
            if format.evidence_name(self._hashes[name]) != name:
                yield f"{name} is not the evidence that was filed: its hash differs."
        if len(self._logged_runs) - self._runs != self._manifest.withheld_runs:
            yield f"The log records {len(self._logged_runs)} runs, but {self._items_member} has {self._runs}."
        for name in sorted(self._unused_members):
            yield f"{name} belongs to no run of the case."
        members = " and ".join(dict.fromkeys((format.CASE, self._items_member)))
        for action, statements in self._logged.items():
            if statements != self._recorded[action]:
                yield f"The {action}s in {members} are not those recorded in the log."
