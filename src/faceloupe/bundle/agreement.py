"""Whether the members of a bundle agree: the case report, the log, and the files that they name."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from faceloupe.bundle import layout
from faceloupe.bundle.archive import Archive
from faceloupe.bundle.layout import Manifest
from faceloupe.cases.log import Action, Entry, Head, Witness, canonical, check
from faceloupe.errors import BundleError

Report = Mapping[str, Any]


def log_problems(archive: Archive, manifest: Manifest) -> Iterator[str]:
    """What is wrong with ``log.jsonl``: its chain, or its end.

    Raises:
        BundleError: it cannot be read.
    """
    entries = []
    for number, line in enumerate(archive.read(layout.LOG).splitlines(keepends=True), 1):
        values = layout.parsed(line, f"Line {number} of {layout.LOG}")
        try:
            entry = Entry.from_dict(manifest.case_id, values)
            same = f"{canonical(entry.as_dict())}\n".encode() == line
        except (KeyError, TypeError, ValueError, RecursionError):
            same = False
        if not same:
            yield f"Line {number} of {layout.LOG} is no entry of a log, as it would be written."
            return
        entries.append(entry)
    found = check(entries, Witness(Head(manifest.case_id, manifest.log_entries, manifest.log_head_sha256)))
    if not found.ok:
        yield f"{layout.LOG}: {found.reason}"


def case_problems(archive: Archive, manifest: Manifest) -> Iterator[str]:
    """What in ``case.json`` is not in the log or in the members it names, and the other way around.

    Raises:
        BundleError: a member cannot be read, or does not have the form it should.
    """
    case = layout.parsed(archive.read(layout.CASE), layout.CASE)
    log = [layout.parsed(line, layout.LOG) for line in archive.read(layout.LOG).splitlines()]
    try:
        yield from _problems(archive, manifest, case, log)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise BundleError(f"{layout.CASE} does not have the form of a case report.") from None


def _problems(archive: Archive, manifest: Manifest, case: Report, log: list[Report]) -> Iterator[str]:
    if case["case"]["id"] != manifest.case_id:
        yield f"{layout.CASE} is of the case {case['case']['id']}, and the bundle of {manifest.case_id}."
    if canonical(case["log"]["entries"]) != canonical(log):
        yield f"The log in {layout.CASE} is not that of {layout.LOG}."
    yield from _items(manifest, case["items"], log)
    yield from _runs(archive, manifest, case["items"], log)
    yield from _views(case, log)


def _items(manifest: Manifest, items: list[Report], log: list[Report]) -> Iterator[str]:
    filed = {entry["parameters"]["sha256"] for entry in log if entry["action"] == Action.INTAKE}
    named = [item["sha256"] for item in items]
    if Counter(named) != Counter(filed):
        yield f"The items of {layout.CASE} are not those that the log says were filed."
    hashes = {member.name: member.sha256 for member in manifest.members}
    expected = {layout.evidence_name(sha256) for sha256 in named} if manifest.with_evidence else set()
    present = {name for name in hashes if name.startswith("evidence/")}
    for name in sorted(expected ^ present):
        yield f"{name} is {'missing' if name in expected else 'no evidence that belongs in the bundle'}."
    for name in sorted(expected & present):
        if layout.evidence_name(hashes[name]) != name:
            yield f"{name} is not the evidence that was filed: its bytes have another hash."


def _runs(archive: Archive, manifest: Manifest, items: list[Report], log: list[Report]) -> Iterator[str]:
    hashes = {member.name: member.sha256 for member in manifest.members}
    logged = {entry["parameters"]["run"]: entry["parameters"] for entry in log if entry["action"] == Action.RUN}
    strays = {name for name in hashes if name.startswith(("reports/", "pictures/"))}
    shown = 0
    for item in items:
        for run in item["runs"]:
            shown += 1
            name = layout.report_name(run["id"])
            pictures = {layout.picture_name(sha256): sha256 for sha256 in run["pictures"].values()}
            strays -= {name, *pictures}
            facts = {"sha256": item["sha256"], "run": run["id"], "report_sha256": run["report_sha256"]}
            if logged.get(run["id"]) != facts | {"pictures": run["pictures"]}:
                yield f"Run {run['id']} in {layout.CASE} is not the one that the log tells of."
            if hashes.get(name) != run["report_sha256"]:
                yield f"{name} is not the report that was filed: its hash is not that of the case report."
            elif canonical(layout.parsed(archive.read(name), name)) != canonical(run["report"]):
                yield f"{name} is not the report that stands in {layout.CASE}."
            for picture, sha256 in pictures.items():
                if hashes.get(picture) != sha256:
                    yield f"{picture} is not the picture that was filed: its bytes have another hash, or are missing."
    if len(logged) - shown != manifest.withheld_runs:
        yield f"The log tells of {len(logged)} runs, and {layout.CASE} has {shown}."
    for name in sorted(strays):
        yield f"{name} belongs to no run of the case."


def _views(case: Report, log: list[Report]) -> Iterator[str]:
    """Notes, decisions and signatures: each stands in the log as it stands in the case report, and none is missing."""
    told = {Action.NOTE: Counter(), Action.DECISION: Counter(), Action.SIGN_OFF: Counter()}
    for entry in log:
        if entry["action"] in told:
            told[entry["action"]][canonical([entry["utc"], entry["actor"], entry["parameters"]])] += 1
    said = {action: Counter() for action in told}
    for part in (case, *case["items"]):
        of = {"sha256": part.get("sha256")}
        for action, key, who in (
            (Action.NOTE, "notes", "author"),
            (Action.DECISION, "decisions", "examiner"),
            (Action.SIGN_OFF, "sign_offs", "reviewer"),
        ):
            for one in part.get(key, ()):
                rest = {name: value for name, value in one.items() if name not in ("utc", who)}
                said[action][canonical([one["utc"], one[who], rest | of])] += 1
    for action, counted in told.items():
        if counted != said[action]:
            yield f"The {action}s in {layout.CASE} are not those that the log tells of."
