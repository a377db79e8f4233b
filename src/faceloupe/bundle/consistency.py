"""Whether the members of a bundle agree: the case report, the log, and the files that they name."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from faceloupe.bundle import format
from faceloupe.bundle.format import Manifest
from faceloupe.bundle.reader import Archive
from faceloupe.bundle.stream import Item, LogEntry, Rest, parts
from faceloupe.cases.audit_log import Action, Entry, Head, canonical
from faceloupe.cases.audit_verify import ExpectedHeads, check
from faceloupe.errors import BundleError

Report = Mapping[str, Any]
_VIEWS = {  # what people say: where it stands in a case report, and by what name whoever said it
    Action.NOTE: ("notes", "author"),
    Action.DECISION: ("decisions", "examiner"),
    Action.SIGN_OFF: ("sign_offs", "reviewer"),
}


def log_problems(archive: Archive, manifest: Manifest) -> Iterator[str]:
    """What is wrong with ``log.jsonl``: its chain, or its end.

    Raises:
        BundleError: it cannot be read, or a line of it is no entry.
    """
    found = check(_entries(archive, manifest), ExpectedHeads(Head(manifest.case_id, *_end(manifest))))
    if not found.ok:
        yield f"{format.LOG}: {found.reason}"


def _end(manifest: Manifest) -> tuple[int, str]:
    return manifest.log_entries, manifest.log_head_sha256


def _entries(archive: Archive, manifest: Manifest) -> Iterator[Entry]:
    for number, line in enumerate(archive.lines(format.LOG), 1):
        values = format.parsed(line, f"Line {number} of {format.LOG}")
        try:
            entry = Entry.from_dict(manifest.case_id, values)
            same = f"{canonical(entry.as_dict())}\n".encode() == line
        except (KeyError, TypeError, ValueError, RecursionError):
            same = False
        if not same:
            raise BundleError(f"Line {number} of {format.LOG} is not a valid entry of a log.")
        yield entry


def case_problems(archive: Archive, manifest: Manifest) -> Iterator[str]:
    """What in ``case.json`` is not in the log or in the members it names, and the other way around.

    Both are read a piece at a time: of an item and of an entry no more than its hashes is kept.

    Raises:
        BundleError: a member cannot be read, or does not have the form it should.
    """
    try:
        yield from _Consistency(archive, manifest).problems()
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise BundleError(f"{format.CASE} does not have the form of a case report.") from None


class _Consistency:
    """What the log tells, and what was found of it so far in the case report."""

    def __init__(self, archive: Archive, manifest: Manifest) -> None:
        self._archive, self._manifest = archive, manifest
        self._hashes = {member.name: member.sha256 for member in manifest.members}
        self._strays = {name for name in self._hashes if name.startswith(("reports/", "pictures/"))}
        self._filed: set[str] = set()
        self._items: Counter[str] = Counter()
        self._logged: dict[str, str] = {}  # run -> canonical parameters
        self._runs = 0
        self._told = {action: Counter() for action in _VIEWS}
        self._said = {action: Counter() for action in _VIEWS}
        for line in archive.lines(format.LOG):
            self._read(format.parsed(line, format.LOG))

    def _read(self, entry: Report) -> None:
        action, parameters = entry["action"], entry["parameters"]
        if action == Action.INTAKE:
            self._filed.add(parameters["sha256"])
        elif action == Action.RUN:
            self._logged[parameters["run"]] = canonical(parameters)
        elif action in self._told:
            self._told[action][canonical([entry["utc"], entry["actor"], parameters])] += 1

    def problems(self) -> Iterator[str]:
        lines, same, rest = self._archive.lines(format.LOG), True, {}
        for part in parts(self._archive.lines(format.CASE)):
            match part:
                case Item(item):
                    self._items[item["sha256"]] += 1
                    self._hear(item, item["sha256"])
                    for run in item["runs"]:
                        yield from self._run(item, run)
                case LogEntry(entry):
                    same &= f"{canonical(entry)}\n".encode() == next(lines, b"")
                case Rest(rest):
                    pass
        if rest["case"]["id"] != self._manifest.case_id:
            yield f"{format.CASE} belongs to the case {rest['case']['id']}, but the bundle to {self._manifest.case_id}."
        if (rest["log"]["head_sha256"], not same, next(lines, None)) != (_end(self._manifest)[1], False, None):
            yield f"The log in {format.CASE} differs from {format.LOG}."
        self._hear(rest, None)
        yield from self._whole()

    def _hear(self, part: Report, sha256: str | None) -> None:
        """Note what people said about an item, or about the case."""
        for action, (key, who) in _VIEWS.items():
            for one in part.get(key, ()):
                kept = {name: value for name, value in one.items() if name not in ("utc", who)}
                self._said[action][canonical([one["utc"], one[who], kept | {"sha256": sha256}])] += 1

    def _run(self, item: Report, run: Report) -> Iterator[str]:
        self._runs += 1
        name = format.report_name(run["id"])
        pictures = {format.picture_name(sha256): sha256 for sha256 in run["pictures"].values()}
        self._strays -= {name, *pictures}
        facts = {"sha256": item["sha256"], "run": run["id"], "report_sha256": run["report_sha256"]}
        if self._logged.get(run["id"]) != canonical(facts | {"pictures": run["pictures"]}):
            yield f"Run {run['id']} in {format.CASE} is not the one recorded in the log."
        if self._hashes.get(name) != run["report_sha256"]:
            yield f"{name} is not the report that was filed: its hash differs from the one in the case report."
        elif canonical(format.parsed(self._archive.read(name), name)) != canonical(run["report"]):
            yield f"{name} is not the report in {format.CASE}."
        for picture, sha256 in pictures.items():
            if self._hashes.get(picture) != sha256:
                yield f"{picture} is not the picture that was filed: its hash differs, or it is missing."

    def _whole(self) -> Iterator[str]:
        """What is missing, or more than it should be, once all was read."""
        if self._items != Counter(self._filed):
            yield f"The items of {format.CASE} are not those recorded as filed in the log."
        evidence = {format.evidence_name(sha256) for sha256 in self._items} if self._manifest.with_evidence else set()
        present = {name for name in self._hashes if name.startswith("evidence/")}
        for name in sorted(evidence ^ present):
            yield f"{name} is {'missing' if name in evidence else 'not evidence of this bundle'}."
        for name in sorted(evidence & present):
            if format.evidence_name(self._hashes[name]) != name:
                yield f"{name} is not the evidence that was filed: its hash differs."
        if len(self._logged) - self._runs != self._manifest.withheld_runs:
            yield f"The log records {len(self._logged)} runs, but {format.CASE} has {self._runs}."
        for name in sorted(self._strays):
            yield f"{name} belongs to no run of the case."
        for action, counted in self._told.items():
            if counted != self._said[action]:
                yield f"The {action}s in {format.CASE} are not those recorded in the log."
