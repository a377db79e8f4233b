"""The log: each entry contains the hash of the previous entry; ``audit_verify`` checks the chains.

An entry's SHA-256 is the hash of the UTF-8 text of a JSON object with the keys ``action``, ``actor``, ``chain``,
``parameters``, ``previous_sha256``, ``seq`` and ``utc``, sorted, without white space and without escapes that JSON does
not require. The previous hash of the first entry is 64 zeros. Each case has a chain, named by its id; entries that
belong to no case are in the chain ``store``.

A chain reveals partial changes of its entries. If somebody rewrites every file of the data folder, only a head that was
recorded elsewhere, on paper or in an exported bundle, can reveal it.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import structs

from faceloupe.report.case_schema import LogEntry

STORE = "store"  # chain of entries that belong to no case
START = "0" * 64  # previous hash of the first entry of a chain
_ENTRIES = "SELECT chain, seq, utc, actor, action, parameters, previous_sha256, sha256 FROM log WHERE chain = ?"


class Action(StrEnum):
    """The logged actions; there are also ``<action> begun``, ``<action> failed`` and ``<action> refused``."""

    STORE_CREATED = "store created"
    CASE_CREATED = "case created"
    INTAKE = "intake"
    EVIDENCE_CHECK = "evidence check"
    RUN = "run"
    SCORE_VIEWED = "score viewed"
    NOTE = "note"
    DECISION = "decision"
    SIGN_OFF = "sign-off"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain: its number and its hash."""

    chain: str
    seq: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log.

    Attributes:
        seq: from 1, without gaps.
        parameters: canonical JSON, see ``canonical``.
        previous_sha256: SHA-256 of the previous entry.
        sha256: stored SHA-256 of this entry; ``intact`` compares it with the content.
    """

    chain: str
    seq: int
    utc: str
    actor: str
    action: str
    parameters: str
    previous_sha256: str
    sha256: str

    @classmethod
    def of(cls, chain: str, values: object) -> "Entry":
        """Create an entry from the JSON values of a ``LogEntry``, as returned by ``to_record``.

        Raises:
            msgspec.ValidationError: the values are not those of an entry.
            TypeError, ValueError: the parameters have no canonical form.
        """
        stated = msgspec.convert(values, LogEntry)
        return cls(**structs.asdict(stated) | {"chain": chain, "parameters": canonical(stated.parameters)})

    def to_record(self) -> LogEntry:
        """Return the entry as case records state it; parameters that are not valid JSON are returned as text."""
        try:
            parameters = json.loads(self.parameters)
        except (ValueError, RecursionError):
            parameters = self.parameters
        return LogEntry(
            seq=self.seq,
            utc=self.utc,
            actor=self.actor,
            action=self.action,
            parameters=parameters,
            previous_sha256=self.previous_sha256,
            sha256=self.sha256,
        )

    def digest(self) -> str:
        """Return the SHA-256 of the content.

        Raises:
            ValueError, TypeError, RecursionError: the content has no canonical form.
        """
        content = structs.asdict(self.to_record()) | {"chain": self.chain}
        del content["sha256"]
        return hashlib.sha256(canonical(content).encode()).hexdigest()

    @property
    def intact(self) -> bool:
        """Whether the content matches the stored hash, byte for byte."""
        try:
            # A different text can parse to the same parameters, and would pass the hash check.
            return canonical(json.loads(self.parameters)) == self.parameters and self.digest() == self.sha256
        except (ValueError, TypeError, RecursionError):
            return False


def canonical(value: Any) -> str:
    """Return the canonical JSON of a value: sorted keys, no white space, never NaN.

    Raises:
        ValueError, TypeError: the value cannot be written as JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def append(
    connection: sqlite3.Connection, chain: str, *, utc: str, actor: str, action: str, parameters: Mapping[str, Any]
) -> Head:
    """Append an entry to a chain, in the transaction that makes the logged change.

    Returns:
        The new head of the chain.
    """
    row = connection.execute("SELECT seq, sha256 FROM heads WHERE chain = ?", (chain,)).fetchone()
    seq, previous = row or (0, START)
    entry = Entry(chain, seq + 1, utc, actor, action, canonical(parameters), previous, "")
    head = Head(chain, entry.seq, entry.digest())
    connection.execute(
        "INSERT INTO log (chain, seq, utc, actor, action, parameters, previous_sha256, sha256)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (chain, entry.seq, utc, actor, action, entry.parameters, previous, head.sha256),
    )
    connection.execute(
        "INSERT INTO heads (chain, seq, sha256) VALUES (?, ?, ?)"
        " ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, sha256 = excluded.sha256",
        (chain, head.seq, head.sha256),
    )
    return head


def entries(connection: sqlite3.Connection, chain: str) -> Iterator[Entry]:
    """Return the entries of a chain, in order."""
    return (Entry(*row) for row in connection.execute(f"{_ENTRIES} ORDER BY seq", (chain,)))


def head(connection: sqlite3.Connection, chain: str) -> Head | None:
    """Return the head of a chain from the table ``heads``; None if there is none."""
    row = connection.execute("SELECT chain, seq, sha256 FROM heads WHERE chain = ?", (chain,)).fetchone()
    return Head(*row) if row else None


def tail(connection: sqlite3.Connection, chain: str, most: int) -> tuple[Entry, ...]:
    """Return up to ``most`` of the newest entries of a chain, newest first."""
    return tuple(Entry(*row) for row in connection.execute(f"{_ENTRIES} ORDER BY seq DESC LIMIT ?", (chain, most)))
