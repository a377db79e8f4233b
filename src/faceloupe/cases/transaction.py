"""Write transactions: rows and their log entries are committed together or not at all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from sqlite3 import Connection

from faceloupe.cases import audit_log, queries
from faceloupe.cases.audit_log import Action, Head
from faceloupe.cases.records import Case, Item
from faceloupe.errors import CaseError
from faceloupe.media.evidence_file import printable_name

_PREFIX = re.compile(r"[0-9a-f]{4,64}")  # fewer digits would often match several items
_SHOWN_ID = 64  # characters of an unknown case's id that are shown and logged


class PolicyViolation(CaseError):
    """The request breaks a rule of the store; the attempt is logged."""


def shown_id(case_id: str) -> str:
    """Return an unverified case id in a form that is safe for messages and the log."""
    return printable_name(case_id)[:_SHOWN_ID]


def unknown_case(case_id: str) -> PolicyViolation:
    """Return the error for a case that does not exist."""
    return PolicyViolation(f"There is no case {shown_id(case_id)}; see `faceloupe case list`.")


def find_case(connection: Connection, case_id: str) -> Case:
    """Return a case.

    Raises:
        PolicyViolation: there is no such case.
    """
    case = queries.case(connection, case_id)
    if case is None:
        raise unknown_case(case_id)
    return case


def find_item(connection: Connection, case_id: str, prefix: str, viewer: str | None = None) -> Item:
    """Return the item of a case whose SHA-256 begins with the given digits, four or more.

    Args:
        connection: connection of a transaction.
        case_id: id of the case.
        prefix: first digits of the hash.
        viewer: key of the viewer's name; results that a blind case withholds from this person are hidden. None hides
            nothing.

    Raises:
        PolicyViolation: no item or several items match.
    """
    digits = prefix.strip().lower()
    matches = queries.items_by_hash_prefix(connection, case_id, digits, viewer) if _PREFIX.fullmatch(digits) else ()
    if len(matches) != 1:
        raise PolicyViolation(
            f"{'Several items' if matches else 'No item'} of the case matches {printable_name(digits)[:64]!r}; "
            "give at least the first four digits of its SHA-256."
        )
    return matches[0]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A write transaction.

    Attributes:
        connection: connection to the database.
        utc: time of all rows and entries of the transaction. It is read while holding the write lock and is later than
            all earlier times of the chain, so that the log is in order.
        heads: chain -> head of the chain after this transaction; only chains with new entries.
    """

    connection: Connection
    utc: str
    heads: dict[str, Head] = field(default_factory=dict)

    def log(self, chain: str, actor: str, action: str, parameters: Mapping[str, object]) -> None:
        """Append an entry to a chain."""
        self.heads[chain] = audit_log.append(
            self.connection, chain, utc=self.utc, actor=actor, action=action, parameters=parameters
        )

    def item(self, case_id: str, prefix: str) -> Item:
        """Return an item of a case; see ``find_item``."""
        return find_item(self.connection, case_id, prefix)

    def begin(self, case_id: str, action: Action, actor: str, sha256: str, name: str) -> None:
        """Record the start of work on some evidence, so that it is known even if the process dies."""
        self.connection.execute(
            "INSERT OR REPLACE INTO pending (case_id, action, sha256, name, actor, began_utc)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (case_id, action, sha256, name, actor, self.utc),
        )
        self.log(case_id, actor, f"{action} begun", {"sha256": sha256, "name": name})

    def end(self, case_id: str, action: Action, sha256: str) -> None:
        """Record the end of work on some evidence; the caller writes the log entry."""
        self.connection.execute(
            "DELETE FROM pending WHERE case_id = ? AND action = ? AND sha256 = ?", (case_id, action, sha256)
        )
