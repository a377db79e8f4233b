"""The check of a chain of the log: whether every entry is what was written, in its place, and none is missing."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from faceloupe.cases.audit_log import START, Entry, Head, entries, head


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
class ExpectedHeads:
    """What is known about a chain from outside of it.

    Attributes:
        head: the last entry; None where nothing is known about it.
        hashes: number -> SHA-256 of entries that were seen before.
    """

    head: Head | None = None
    hashes: Mapping[int, str] = field(default_factory=dict)


def check(chain: Iterable[Entry], expected: ExpectedHeads) -> LogCheck:
    """Follow a chain from its start, and check it against what is known from outside.

    Args:
        chain: its entries, in order.
        expected: the heads that are known from outside of the chain.
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
    last = max([1, *expected.hashes, expected.head.seq if expected.head else 0])  # no chain is ever empty
    if last > count:
        return broken(count + 1, f"Entry {count + 1} is missing: the chain had {last} or more.")
    if expected.head and expected.head.seq == count and expected.head.sha256 != previous:
        return broken(count, f"Entry {count} is not the recorded head.")
    return LogCheck(ok=True, entries=count, head_sha256=previous)


def check_stored(connection: sqlite3.Connection, chain: str, noted: Mapping[int, str] | None) -> LogCheck:
    """Check a chain of the store.

    Args:
        connection: to the database of the store.
        chain: name of the chain.
        noted: number -> SHA-256 of heads that the file of heads has; None where that file is gone.
    """
    known = ExpectedHeads(head(connection, chain) or Head(chain, 0, START), noted or {})
    result = check(entries(connection, chain), known)
    if noted is None and result.ok:
        reason = "The file of heads is missing, so entries could be missing at the end."
        return replace(result, ok=False, first_broken=result.entries + 1, reason=reason)
    return result


def _problem(entry: Entry, number: int, previous: str, expected: ExpectedHeads) -> str:
    """Return what is wrong with the entry that should be this one; empty where nothing is."""
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
