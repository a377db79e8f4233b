"""What the case store returns, and the form in which names and texts enter it."""

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
        examiner: who is in charge; empty where no name was given.
        blind: whether a score stays hidden from each examiner until that examiner has entered a decision.
        items: how many it has.
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
        id: within the store.
        sha256: of the bytes.
        name: under which it was filed first.
        outcome: of the run that says what was found, see ``case_schema.finding_run``; None where there is none,
            and where it is hidden.
        score: likewise, 0..1; None also where that run gave none.
        hidden: whether there is a result that the viewer may not see yet.
        decision: outcome word of the newest decision; None where there is none.
        signed_off: whether a reviewer has signed the item.
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
    """An item of a case that is the same file as another one, or an image much like it.

    Attributes:
        case: that it is in; never a blind one.
        sha256: of the item.
        name: of the item.
        differing_bits: of the 64 of the perceptual hashes; None for the same file.
    """

    case: Case
    sha256: str
    name: str
    differing_bits: int | None


class ReviewState(StrEnum):
    """How far the review of an item is."""

    UNDECIDED = "undecided"
    DECIDED = "decided"  # but not signed since
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Neighbors:
    """SHA-256 of the items around one, in the order they were filed; None where there is none.

    Attributes:
        undecided: the next one without a decision, from the first again after the last.
    """

    previous: str | None
    following: str | None
    undecided: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list of items, and how many the whole list has."""

    items: tuple[Item, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Run:
    """An analysis of an item; ``Runs.report_text`` has its report.

    Attributes:
        id: 12 hexadecimal digits.
        report_sha256: of the text of the report, UTF-8.
        pictures: name -> SHA-256 of the PNG.
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
    """What somebody wrote; ``text`` is text, whatever markup it seems to hold."""

    utc: str
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """An examiner's own view of an item.

    Attributes:
        score_seen_before: whether the examiner had seen the score; read from the logs of all cases that have the
            evidence, never claimed by anyone.
        name_checked: whether the examiner had entered a password of their own.
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
        open_items: how many items of a case had no decision when it was signed; None where all had one.
        open_reason: why it was signed all the same; None likewise.
        name_checked: whether the reviewer entered a password of their own.
    """

    utc: str
    reviewer: str
    open_items: int | None = None
    open_reason: str | None = None
    name_checked: bool = False


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Work that was begun and of which no end is recorded: it is going on, or its process died.

    Attributes:
        action: "intake" or "run".
        stored: whether the bytes are in the store already; they are kept, filed or not.
    """

    case_id: str
    action: str
    sha256: str
    name: str
    actor: str
    began_utc: str
    stored: bool


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


def stamp(time: datetime) -> str:
    """Return a time as it is stored: UTC, ISO 8601, microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(text: str) -> str:
    """Return text as it is stored.

    What cannot be encoded, and controls other than line breaks and tabs, become U+FFFD.
    """
    encodable = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return "".join(
        "\ufffd" if unicodedata.category(character) == "Cc" and character not in "\n\t" else character
        for character in encodable
    )


def name_of(text: str, what: str) -> str:
    """Return a name as it is stored: on one line, printable, without spaces around it.

    Args:
        text: as it was typed.
        what: it is the name of, for the sentence.

    Raises:
        UsageError: nothing is left.
    """
    name = printable_name(" ".join(text.split()))
    if not name:
        raise UsageError(f"The {what} must be named.")
    return name


def text_of(text: str, what: str) -> str:
    """Return a text as it is stored.

    Args:
        text: as it was typed.
        what: it is, for the sentence.

    Raises:
        UsageError: it is empty.
    """
    if not text.strip():
        raise UsageError(f"The {what} must not be empty.")
    return plain(text)


def reason_of(problem: BaseException) -> str:
    """Return why work ended, for the log: the sentence of an error raised on purpose, the kind of any other."""
    return str(problem) if isinstance(problem, FaceLoupeError) else f"Unexpected error: {type(problem).__name__}."


def person_key(name: str) -> str:
    """Return what names of people are compared by: case, width and spaces do not make another person."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())
