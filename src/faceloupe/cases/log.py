"""The log: entries that each carry the hash of the one before, and the check of such a chain.

An entry's SHA-256 is taken over the UTF-8 text of a JSON object with the keys ``action``, ``actor``, ``chain``,
``parameters``, ``previous_sha256``, ``seq`` and ``utc``, sorted, without white space, no character escaped that JSON
allows as it is. The first entry of a chain follows 64 zeros. Each case is a chain, named by its id; what belongs to no
case is in the chain ``store``.

A chain shows that what it holds was not changed by half. Against somebody who rewrites every file of the data folder
only a head helps that was noted elsewhere: on paper, or in an exported bundle.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

STORE = "store"  # chain of what belongs to no case
START = "0" * 64  # what the first entry of a chain follows


class Action(StrEnum):
    """What is logged; beside it ``<action> begun``, ``<action> failed`` and ``<action> refused``."""

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
        previous_sha256: of the entry before.
        sha256: of this one, as it was written; ``intact`` holds it against the content.
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
    def from_dict(cls, chain: str, values: Mapping[str, Any]) -> "Entry":
        """The reverse of ``as_dict``.

        Raises:
            KeyError, TypeError, ValueError: these are not the values of an entry.
        """
        names = ("seq", "utc", "actor", "action", "previous_sha256", "sha256")
        return cls(chain=chain, parameters=canonical(values["parameters"]), **{name: values[name] for name in names})

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the chain. Parameters that are no JSON any more come as the text they are."""
        try:
            parameters = json.loads(self.parameters)
        except (ValueError, RecursionError):
            parameters = self.parameters
        return {
            "seq": self.seq,
            "utc": self.utc,
            "actor": self.actor,
            "action": self.action,
            "parameters": parameters,
            "previous_sha256": self.previous_sha256,
            "sha256": self.sha256,
        }

    def digest(self) -> str:
        """SHA-256 of the content.

        Raises:
            ValueError, TypeError, RecursionError: the content is not that of any entry.
        """
        content = self.as_dict() | {"chain": self.chain}
        del content["sha256"]
        return hashlib.sha256(canonical(content).encode()).hexdigest()

    @property
    def intact(self) -> bool:
        """Whether the content is what the hash was taken over, to the last byte."""
        try:
            # Other text can mean the same parameters, and would pass the hash.
            return canonical(json.loads(self.parameters)) == self.parameters and self.digest() == self.sha256
        except (ValueError, TypeError, RecursionError):
            return False


@dataclass(frozen=True, slots=True)
class LogCheck:
    """What a check of a chain found.

    Attributes:
        ok: whether every entry is what was written, in its place, and none is missing.
        entries: how many were found good before the first broken one; all of them where the chain is good.
        first_broken: number of the first entry that was edited, removed, inserted or moved; None where none was.
        reason: what is wrong with it, one sentence; empty where the chain is good.
        head_sha256: of the last good entry.
    """

    ok: bool
    entries: int
    first_broken: int | None = None
    reason: str = ""
    head_sha256: str = START


@dataclass(frozen=True, slots=True)
class Witness:
    """What is known about a chain from outside of it.

    Attributes:
        head: the last entry; None where nothing is known about it.
        hashes: number -> SHA-256 of entries that were seen before.
    """

    head: Head | None = None
    hashes: Mapping[int, str] = field(default_factory=dict)


def canonical(value: Any) -> str:
    """Canonical JSON: keys sorted, no white space, never NaN.

    Raises:
        ValueError, TypeError: there is no such text of the value.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def append(
    connection: sqlite3.Connection, chain: str, *, utc: str, actor: str, action: str, parameters: Mapping[str, Any]
) -> Head:
    """Append an entry to a chain, in the transaction of what it tells of.

    Returns:
        The new head of the chain.
    """
    found = connection.execute("SELECT seq, sha256 FROM heads WHERE chain = ?", (chain,)).fetchone()
    seq, previous = found or (0, START)
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
    """The entries of a chain, in order."""
    rows = connection.execute(
        "SELECT chain, seq, utc, actor, action, parameters, previous_sha256, sha256 FROM log"
        " WHERE chain = ? ORDER BY seq",
        (chain,),
    )
    return (Entry(*row) for row in rows)


def head(connection: sqlite3.Connection, chain: str) -> Head | None:
    """The head of a chain as it is noted outside the log; None where none is."""
    found = connection.execute("SELECT chain, seq, sha256 FROM heads WHERE chain = ?", (chain,)).fetchone()
    return Head(*found) if found else None


def check(chain: Iterable[Entry], witness: Witness) -> LogCheck:
    """Follow a chain from its start, and hold it against what is known from outside.

    Args:
        chain: its entries, in order.
    """
    count, previous = 0, START

    def broken(number: int, reason: str) -> LogCheck:
        return LogCheck(ok=False, entries=count, first_broken=number, reason=reason, head_sha256=previous)

    try:
        for entry in chain:
            number = count + 1
            problem = _problem(entry, number, previous, witness)
            if problem:
                return broken(number, problem)
            count, previous = number, entry.sha256
    except sqlite3.DatabaseError as problem:
        return broken(count + 1, f"Entry {count + 1} cannot be read ({problem}).")
    last = max([1, *witness.hashes, witness.head.seq if witness.head else 0])  # no chain is ever empty
    if last > count:
        return broken(count + 1, f"Entry {count + 1} is missing: the chain had {last} or more.")
    if witness.head and witness.head.seq == count and witness.head.sha256 != previous:
        return broken(count, f"Entry {count} is not the head that was noted.")
    return LogCheck(ok=True, entries=count, head_sha256=previous)


def check_stored(connection: sqlite3.Connection, chain: str, noted: Mapping[int, str] | None) -> LogCheck:
    """Check a chain of the store.

    Args:
        noted: number -> SHA-256 of heads that the file of heads has; None where that file is gone.
    """
    known = Witness(head(connection, chain) or Head(chain, 0, START), noted or {})
    found = check(entries(connection, chain), known)
    if noted is None and found.ok:
        reason = "The file of heads is gone, so that entries could be missing at the end."
        return replace(found, ok=False, first_broken=found.entries + 1, reason=reason)
    return found


def _problem(entry: Entry, number: int, previous: str, witness: Witness) -> str:
    """What is wrong with the entry that should be this one; empty where nothing is."""
    if entry.seq != number:
        return f"Entry {number} is missing: entry {entry.seq} is in its place."
    if witness.head and number > witness.head.seq:
        return f"Entry {number} was inserted: the chain ends with entry {witness.head.seq}."
    if not entry.intact:
        return f"Entry {number} was edited: its content is not what its hash was taken over."
    if entry.previous_sha256 != previous:
        return f"Entry {number} does not follow the entry before it: one of the two was replaced."
    if witness.hashes.get(number, entry.sha256) != entry.sha256:
        return f"Entry {number} was replaced: its hash is not the one that was noted."
    return ""
