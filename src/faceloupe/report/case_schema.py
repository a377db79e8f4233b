"""The record of a case of schema version "1" as types: what pages, documents and bundles are made of.

The structs stand in the order of the JSON text, as those of ``report.schema`` do.
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
    """A part of a case record that can be read by itself."""

    @classmethod
    def from_json(cls, content: bytes | str) -> Self:
        """Read it from JSON.

        Raises:
            ReportError: it does not have this form.
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
        """Read it from plain JSON values; see ``from_json``."""
        return cls.from_json(json.dumps(values, ensure_ascii=False))


# What people say has no fields beside these: the check of a bundle compares all of it with the log.
class NoteRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody wrote; ``text`` is text, whatever markup it seems to hold."""

    utc: str
    author: str
    text: str


class DecisionRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An examiner's own view of an item.

    Attributes:
        score_seen_before: whether the examiner had seen the score, by the logs of all cases that have the evidence.
        name_checked: true where the examiner had entered a password of their own; not stated otherwise.
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
        open_items: how many items of a case had no decision when it was signed; not stated where all had one.
        open_reason: why it was signed all the same; not stated likewise.
        name_checked: true where the reviewer entered a password of their own; not stated otherwise.
    """

    utc: str
    reviewer: str
    open_items: int | UnsetType = UNSET
    open_reason: str | UnsetType = UNSET
    name_checked: bool | UnsetType = UNSET


class RunRecord(_Readable, frozen=True, kw_only=True, dict=True):
    """An analysis of an item.

    Attributes:
        report_sha256: of the text of the report as it was filed, UTF-8.
        report_json: the report, see ``report``.
        pictures: file name -> SHA-256 of the PNG.
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
            ReportError: it is not one.
        """
        return Report.from_json(bytes(self.report_json))


class ItemRecord(_Readable, frozen=True, kw_only=True):
    """A piece of evidence in a case.

    Attributes:
        runs: the oldest first.
        runs_withheld: how many a blind case keeps from whom the record was made for.
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
        """The run that says what was found; see the function.

        Raises:
            ReportError: the report of a run cannot be read.
        """
        return finding_run(self.runs, lambda run: run.report.segment is not None)


class CaseInfo(Struct, frozen=True, kw_only=True):
    """A case.

    Attributes:
        examiner: who is in charge; empty where nobody was named.
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
        parameters: of the action; those of a broken entry may be any text.
        previous_sha256: hash of the entry before it; None for the first.
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
        head_sha256: hash of the last entry; None where there are none.
        verified: whether the chain of hashes is whole.
    """

    entries: tuple[LogEntry, ...]
    head_sha256: str | None
    verified: bool


class CaseRecord(_Readable, frozen=True, kw_only=True):
    """The record of a case: the one source of every page, CSV and PDF about it."""

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
    """What a bundle says of a case as a whole; its items and its log stand in members of their own.

    Attributes:
        log_verified: whether the chain of hashes of the log was whole.
    """

    schema_version: Literal["1"]
    kind: Literal["case"]
    tool: Tool
    case: CaseInfo
    notes: tuple[NoteRecord, ...]
    sign_offs: tuple[SignOffRecord, ...]
    log_verified: bool


def finding_run(runs: Sequence[AnyRun], of_segment: Callable[[AnyRun], bool]) -> AnyRun | None:
    """Of the runs of an item the latest; one of a segment of a video only where no run is of the whole.

    None where there are no runs.

    Args:
        runs: the oldest first.
        of_segment: tells whether a run is of a segment; not asked about an only run.
    """
    if len(runs) < 2:
        return runs[-1] if runs else None
    return next((run for run in reversed(runs) if not of_segment(run)), runs[-1])
