"""Check of a log chain: whether every entry is unchanged and in its place, and no entry is missing."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from faceloupe.cases.audit_log import START, Entry, Head, entries, head


@dataclass(frozen=True, slots=True)
class LogCheck:
    """Result of the check of a chain.

    Attributes:
        ok: whether every entry is unchanged and in its place, and no entry is missing.
        entries: number of good entries before the first broken one; of all entries if the chain is good.
        first_broken: number of the first entry that was edited, removed, inserted or moved; None if the chain is good.
        reason: what is wrong with that entry, one sentence; empty if the chain is good.
        head_sha256: SHA-256 of the last good entry.
    """

    ok: bool
    entries: int
    first_broken: int | None = None
    reason: str = ""
    head_sha256: str = START


@dataclass(frozen=True, slots=True)
class ExpectedHeads:
    """Knowledge about a chain from outside of the chain.

    Attributes:
        head: the last entry; None if it is unknown.
        hashes: number -> SHA-256 of entries that were recorded before.
    """

    head: Head | None = None
    hashes: Mapping[int, str] = field(default_factory=dict)


def check(chain: Iterable[Entry], expected: ExpectedHeads) -> LogCheck:
    """Check the entries of a chain from the first, and compare them with the expected heads.

    Args:
        chain: entries of the chain, in order.
        expected: heads known from outside of the chain.
    """
    count, previous = 0, START

    def broken(number: int, reason: str) -> LogCheck:
        return LogCheck(ok=False, entries=count, first_broken=number, reason=reason, head_sha256=previous)

    try:
        for entry in chain:
            number = count + 1
            problem = _problem(entry, number, previous, expected)
            if problem:
                return broken(number, problem)
            count, previous = number, entry.sha256
    except sqlite3.DatabaseError as problem:
        return broken(count + 1, f"Entry {count + 1} cannot be read ({problem}).")
    last = max([1, *expected.hashes, expected.head.seq if expected.head else 0])  # every chain has an entry
    if last > count:
        return broken(count + 1, f"Entry {count + 1} is missing: the chain had {last} or more.")
    if expected.head and expected.head.seq == count and expected.head.sha256 != previous:
        return broken(count, f"Entry {count} is not the recorded head.")
    return LogCheck(ok=True, entries=count, head_sha256=previous)


def check_stored(connection: sqlite3.Connection, chain: str, noted: Mapping[int, str] | None) -> LogCheck:
    """Check a chain of the store.

    Args:
        connection: connection to the database of the store.
        chain: name of the chain.
        noted: number -> SHA-256 of the heads in the file of heads; None if that file is missing.
    """
    known = ExpectedHeads(head(connection, chain) or Head(chain, 0, START), noted or {})
    result = check(entries(connection, chain), known)
    if noted is None and result.ok:
        reason = "The file of heads is missing, so entries could be missing at the end."
        return replace(result, ok=False, first_broken=result.entries + 1, reason=reason)
    return result


def _problem(entry: Entry, number: int, previous: str, expected: ExpectedHeads) -> str:
    """Return what is wrong with the entry expected to have this number; empty if nothing is wrong."""
    if entry.seq != number:
        return f"Entry {number} is missing: entry {entry.seq} is in its place."
    if expected.head and number > expected.head.seq:
        return f"Entry {number} was inserted: the chain ends with entry {expected.head.seq}."
    if not entry.intact:
        return f"Entry {number} was edited: its content does not match its hash."
    if entry.previous_sha256 != previous:
        return f"Entry {number} does not follow the entry before it: one of the two was replaced."
    if expected.hashes.get(number, entry.sha256) != entry.sha256:
        return f"Entry {number} was replaced: its hash is not the recorded one."
    return ""
