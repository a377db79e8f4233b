"""The case in a bundle of either format: its header, and its items one by one."""

import json
from collections.abc import Iterator

import msgspec

from faceloupe.bundle import format
from faceloupe.bundle.format_1 import Item, parts
from faceloupe.bundle.reader import Archive
from faceloupe.cases.audit_log import canonical
from faceloupe.errors import BundleError
from faceloupe.report.case_schema import CaseHeader, CaseRecord, ItemRecord


def header_text(record: CaseRecord) -> bytes:
    """Return the text of ``case.json``.

    Args:
        record: record of the case; its items and log entries are not used.
    """
    values = CaseHeader(
        schema_version=record.schema_version,
        kind=record.kind,
        tool=record.tool,
        case=record.case,
        notes=record.notes,
        sign_offs=record.sign_offs,
        log_verified=record.log.verified,
    )
    return format.text(msgspec.to_builtins(values))


def item_line(item: ItemRecord) -> bytes:
    """Return the line of an item in ``items.jsonl``, without the reports of its runs, which have their own members."""
    bare = tuple(msgspec.structs.replace(run, report_json=msgspec.Raw(b"null")) for run in item.runs)
    values = json.loads(msgspec.json.encode(msgspec.structs.replace(item, runs=bare)))
    for run in values["runs"]:
        del run["report"]
    return f"{canonical(values)}\n".encode()


def header(archive: Archive) -> CaseHeader:
    """Read ``case.json`` of format 2.

    Raises:
        BundleError: the member is missing, or differs from what ``header_text`` writes, if only by a byte.
        ReportError: the member does not have the form of a header.
    """
    content = archive.read(format.CASE)
    values = format.parsed(content, format.CASE)
    try:
        same = format.text(values) == content
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise BundleError(f"{format.CASE} does not have the form of the header of a case.")
    return CaseHeader.from_json(content)


def items(archive: Archive, form: str) -> Iterator[ItemRecord]:
    """Yield the items of a bundle with the reports of their runs, one by one.

    Args:
        archive: the bundle.
        form: format of the bundle, one of ``format.FORMATS``.

    Raises:
        BundleError: a member is missing, or an item differs from what ``item_line`` writes, if only by a byte.
        ReportError: an item does not have the form of an item.
    """
    if form == "1":
        for part in parts(archive.lines(format.CASE)):
            if isinstance(part, Item):
                yield ItemRecord.from_json(part.text)
        return
    for number, line in enumerate(archive.lines(format.ITEMS), 1):
        values = format.parsed(line, f"Line {number} of {format.ITEMS}")
        try:
            same = f"{canonical(values)}\n".encode() == line
            for run in values["runs"]:
                name = format.report_name(run["report_sha256"])
                format.parsed(content := archive.read(name), name)
                run["report"] = msgspec.Raw(content)
        except (KeyError, TypeError, ValueError, RecursionError):
            same = False
        if not same:
            raise BundleError(f"Line {number} of {format.ITEMS} is not an item of a case.")
        yield ItemRecord.from_json(msgspec.json.encode(values))
