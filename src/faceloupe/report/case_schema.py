"""The record of a case (schema version "1") as types, from which pages, documents and bundles are made.

The fields of each struct are in the order of the JSON text, and their docstrings are published, as in
``report.schema``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal, Self, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from faceloupe.errors import ReportError
from faceloupe.report.schema import Report, Tool

CASE_SCHEMA_VERSION: Final = "1"
AnyRun = TypeVar("AnyRun")


class _Readable(Struct, frozen=True, kw_only=True):
    """A part of a case record that can be read on its own."""

    @classmethod
    def from_json(cls, content: bytes | str) -> Self:
        """Read this part from JSON.

        Raises:
            ReportError: the JSON does not fit this type, or is nested too deeply.
        """
        try:
            return msgspec.json.decode(content, type=cls)
        except RecursionError:
            raise ReportError("The case record is nested too deeply to be read.") from None
        except msgspec.MsgspecError as problem:
            raise ReportError(
                f"This is not a case record of schema version {CASE_SCHEMA_VERSION}: {problem}."
            ) from problem

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read this part from plain JSON values; see ``from_json``."""
        return cls.from_json(json.dumps(values, ensure_ascii=False))


# Statements of people must not have unknown fields: the check of a bundle compares every field with the log.
class NoteRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note on an item or a case; ``text`` is plain text, and markup in it has no meaning."""

    utc: str
    author: str
    text: str


class DecisionRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An examiner's decision on an item.

    Attributes:
        outcome: a value of ``Outcome``.
        confidence: ``low``, ``medium`` or ``high``.
        score_seen_before: whether the examiner had seen the score before, according to the logs of all cases with the
            evidence.
        name_checked: true if the examiner had signed in with a personal password; otherwise absent.
    """

    utc: str
    examiner: str
    outcome: str
    reason: str
    confidence: str | None
    score_seen_before: bool
    name_checked: bool | UnsetType = UNSET


class SignOffRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second person's signature under an item or a case.

    Attributes:
        open_items: number of items of a case without a decision when it was signed; absent if all had one.
        open_reason: why the case was signed although items had no decision; absent if all had one.
        name_checked: true if the reviewer had signed in with a personal password; otherwise absent.
    """

    utc: str
    reviewer: str
    open_items: int | UnsetType = UNSET
    open_reason: str | UnsetType = UNSET
    name_checked: bool | UnsetType = UNSET


class RunRecord(_Readable, frozen=True, kw_only=True, dict=True):
    """An analysis of an item.

    Attributes:
        report_sha256: SHA-256 of the text of the report as filed, in UTF-8.
        report_json: the report, see ``report.schema.Report``. Its name in JSON is ``report``.
        pictures: SHA-256 of each PNG file, by file name.
    """

    id: str
    created_utc: str
    actor: str
    report_sha256: str
    report_json: msgspec.Raw = msgspec.field(name="report")
    pictures: dict[str, str]

    @cached_property
    def report(self) -> Report:
        """The canonical report.

        Raises:
            ReportError: the text is not a canonical report.
        """
        return Report.from_json(bytes(self.report_json))


class ItemRecord(_Readable, frozen=True, kw_only=True):
    """A piece of evidence in a case.

    Attributes:
        runs: the analyses, from the oldest to the newest.
        runs_withheld: number of analyses that a blind case withholds from the person for whom the record was made.
    """

    sha256: str
    name: str
    size_bytes: int
    media_type: str
    format: str | None
    added_utc: str
    added_by: str
    runs: tuple[RunRecord, ...]
    runs_withheld: int = 0
    notes: tuple[NoteRecord, ...]
    decisions: tuple[DecisionRecord, ...]
    sign_offs: tuple[SignOffRecord, ...]

    @property
    def finding_run(self) -> RunRecord | None:
        """The run that states the finding; see the function ``finding_run``.

        Raises:
            ReportError: the report of a run cannot be read.
        """
        return finding_run(self.runs, lambda run: run.report.segment is not None)


class CaseInfo(Struct, frozen=True, kw_only=True):
    """A case.

    Attributes:
        examiner: examiner in charge; empty if no name was given.
        blind: whether a score stays hidden from each examiner until that examiner has entered a decision.
    """

    id: str
    name: str
    examiner: str
    blind: bool
    created_utc: str


class LogEntry(Struct, frozen=True, kw_only=True):
    """An entry of the log of a case.

    Attributes:
        seq: number of the entry, from 1.
        parameters: parameters of the action; in a damaged entry, the stored text if it is not valid JSON.
        previous_sha256: hash of the previous entry; 64 zeros for the first entry.
    """

    seq: int
    utc: str
    actor: str
    action: str
    parameters: Any
    previous_sha256: str | None
    sha256: str


class LogRecord(Struct, frozen=True, kw_only=True):
    """The log of a case.

    Attributes:
        head_sha256: hash of the last entry, or of the last intact entry if the log is damaged; 64 zeros if there is
            none.
        verified: whether the chain of hashes is intact.
    """

    entries: tuple[LogEntry, ...]
    head_sha256: str | None
    verified: bool


class CaseRecord(_Readable, frozen=True, kw_only=True):
    """The record of a case: the source of every page, CSV file and PDF document about it."""

    schema_version: Literal["1"]
    kind: Literal["case"]
    created_utc: str
    tool: Tool
    case: CaseInfo
    items: tuple[ItemRecord, ...]
    notes: tuple[NoteRecord, ...]
    sign_offs: tuple[SignOffRecord, ...]
    log: LogRecord


class CaseHeader(_Readable, frozen=True, kw_only=True):
    """The case in ``case.json`` of a bundle, without its items and its log, which are separate members of the bundle.

    Attributes:
        log_verified: whether the chain of hashes of the log was intact when the bundle was made.
    """

    schema_version: Literal["1"]
    kind: Literal["case"]
    tool: Tool
    case: CaseInfo
    notes: tuple[NoteRecord, ...]
    sign_offs: tuple[SignOffRecord, ...]
    log_verified: bool


def finding_run(runs: Sequence[AnyRun], of_segment: Callable[[AnyRun], bool]) -> AnyRun | None:
    """Return the run that states the finding of an item: the latest run of the whole file.

    If all runs are of segments of a video, return the latest of them. Return None if there are no runs.

    Args:
        runs: the runs of the item, oldest first.
        of_segment: tells whether a run is of a segment; not called if there is only one run.
    """
    if len(runs) < 2:
        return runs[-1] if runs else None
    return next((run for run in reversed(runs) if not of_segment(run)), runs[-1])
