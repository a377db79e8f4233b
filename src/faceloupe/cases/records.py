"""Records that the case store returns, and functions that normalize names and texts for storage."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.media.evidence_file import printable_name


class Confidence(StrEnum):
    """How sure an examiner is of a decision."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Case:
    """A case.

    Attributes:
        id: 12 hexadecimal digits.
        examiner: examiner in charge; empty if no name was given.
        blind: whether a score stays hidden from each examiner until that examiner has entered a decision.
        items: number of items.
    """

    id: str
    name: str
    examiner: str
    blind: bool
    created_utc: str
    items: int


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of evidence in a case.

    Attributes:
        id: id within the store.
        sha256: SHA-256 of the bytes.
        name: name under which it was first filed.
        outcome: outcome of the run selected by ``case_schema.finding_run``; None if there is no run or it is hidden.
        score: score of that run, 0..1; None also if the run has no score.
        hidden: whether there is a result that the viewer may not see yet.
        decision: outcome of the newest decision; None if there is no decision.
        signed_off: whether a reviewer has signed the item since its newest decision.
    """

    id: int
    case_id: str
    sha256: str
    name: str
    size_bytes: int
    media_type: str
    format: str | None
    added_utc: str
    added_by: str
    outcome: str | None
    score: float | None
    hidden: bool
    decision: str | None
    signed_off: bool


@dataclass(frozen=True, slots=True)
class SimilarItem:
    """An item of a case that is the same file as another, or a similar image.

    Attributes:
        case: case of the item; never a blind case.
        sha256: SHA-256 of the item.
        name: name of the item.
        differing_bits: number of differing bits of the 64-bit perceptual hashes; None for the same file.
    """

    case: Case
    sha256: str
    name: str
    differing_bits: int | None


class ReviewState(StrEnum):
    """State of the review of an item."""

    UNDECIDED = "undecided"
    DECIDED = "decided"  # but not signed since then
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Neighbors:
    """SHA-256 of the items before and after an item, in the order they were filed; None if there is none.

    Attributes:
        undecided: next item without a decision; the search continues from the first item after the last.
    """

    previous: str | None
    following: str | None
    undecided: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list of items, and the length of the whole list."""

    items: tuple[Item, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Run:
    """An analysis of an item; ``Runs.report_text`` returns its report.

    Attributes:
        id: 12 hexadecimal digits.
        report_sha256: SHA-256 of the text of the report in UTF-8.
        pictures: name -> SHA-256 of the PNG file.
    """

    id: str
    created_utc: str
    actor: str
    outcome: str
    score: float | None
    report_sha256: str
    pictures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A note on an item or a case; ``text`` is plain text, and markup in it has no meaning."""

    utc: str
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """An examiner's decision on an item.

    Attributes:
        score_seen_before: whether the examiner had seen the score before; derived from the logs of all cases with the
            evidence, not stated by the examiner.
        name_checked: whether the examiner had signed in with a personal password.
    """

    utc: str
    examiner: str
    outcome: str
    reason: str
    confidence: str
    score_seen_before: bool
    name_checked: bool = False


@dataclass(frozen=True, slots=True)
class SignOff:
    """A second person's signature under an item or a case.

    Attributes:
        open_items: number of items of a case without a decision when it was signed; None if there were none.
        open_reason: why the case was signed although items were undecided; None if there were none.
        name_checked: whether the reviewer had signed in with a personal password.
    """

    utc: str
    reviewer: str
    open_items: int | None = None
    open_reason: str | None = None
    name_checked: bool = False


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Work whose start is recorded but not its end: it is still running, or its process died.

    Attributes:
        action: "intake" or "run".
        stored: whether the bytes are already in the store; they are kept even if they are never filed.
    """

    case_id: str
    action: str
    sha256: str
    name: str
    actor: str
    began_utc: str
    stored: bool


def utc_now() -> datetime:
    """Return the current time in UTC, with its time zone."""
    return datetime.now(UTC)


def stamp(time: datetime) -> str:
    """Return a time in the stored form: UTC, ISO 8601, microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(text: str) -> str:
    """Return text in the stored form.

    Characters that cannot be encoded become ``?``, control characters other than line breaks and tabs U+FFFD, and CR LF
    becomes LF.
    """
    encodable = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return "".join(
        "\ufffd" if unicodedata.category(character) == "Cc" and character not in "\n\t" else character
        for character in encodable
    )


def name_of(text: str, what: str) -> str:
    """Return a name in the stored form: one line, printable, without surrounding spaces.

    Args:
        text: the name as typed.
        what: kind of name, for the error message.

    Raises:
        UsageError: the name is empty.
    """
    name = printable_name(" ".join(text.split()))
    if not name:
        raise UsageError(f"The {what} must be named.")
    return name


def text_of(text: str, what: str) -> str:
    """Return a text in the stored form.

    Args:
        text: the text as typed.
        what: kind of text, for the error message.

    Raises:
        UsageError: the text is empty.
    """
    if not text.strip():
        raise UsageError(f"The {what} must not be empty.")
    return plain(text)


def reason_of(problem: BaseException) -> str:
    """Return why work ended, for the log: the message of a ``FaceLoupeError``, or the type of any other error."""
    return str(problem) if isinstance(problem, FaceLoupeError) else f"Unexpected error: {type(problem).__name__}."


def person_key(name: str) -> str:
    """Return the key for comparing names of people; it ignores case, character width and extra spaces."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())
