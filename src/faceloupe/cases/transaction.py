"""A write transaction: rows and the log entries about them, kept together or not at all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from sqlite3 import Connection

from faceloupe.cases import audit_log, queries
from faceloupe.cases.audit_log import Action, Head
from faceloupe.cases.records import Case, Item
from faceloupe.errors import CaseError
from faceloupe.media.evidence_file import printable_name

_PREFIX = re.compile(r"[0-9a-f]{4,64}")  # fewer digits would soon fit several items
_SHOWN_ID = 64  # characters of an unknown case's id that are shown and logged


class PolicyViolation(CaseError):
    """The request breaks a rule of the store; the attempt is logged."""


def shown_id(case_id: str) -> str:
    """Return what somebody gave as the id of a case, as it may stand in a sentence or the log."""
    return printable_name(case_id)[:_SHOWN_ID]


def unknown_case(case_id: str) -> PolicyViolation:
    """Return the refusal of a case that there is not."""
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
    """Return the item of a case whose SHA-256 begins with these digits, four or more.

    Args:
        connection: of a transaction.
        case_id: of the case.
        prefix: first digits of the hash.
        viewer: key of the person's name from whom a blind case keeps results; None hides nothing.

    Raises:
        PolicyViolation: no item, or several, begin so.
    """
    digits = prefix.strip().lower()
    matches = queries.items_beginning(connection, case_id, digits, viewer) if _PREFIX.fullmatch(digits) else ()
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
        connection: to the database.
        utc: its time, for every row and entry of it; taken while nobody else writes, and later than all times of the
            chain, so that the log is in order.
        heads: chain -> its head after this transaction.
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
        """Note that work on some evidence begins, so that it is known should its process die."""
        self.connection.execute(
            "INSERT OR REPLACE INTO pending (case_id, action, sha256, name, actor, began_utc)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (case_id, action, sha256, name, actor, self.utc),
        )
        self.log(case_id, actor, f"{action} begun", {"sha256": sha256, "name": name})

    def end(self, case_id: str, action: Action, sha256: str) -> None:
        """Note that it ended; the caller writes its entry."""
        self.connection.execute(
            "DELETE FROM pending WHERE case_id = ? AND action = ? AND sha256 = ?", (case_id, action, sha256)
        )
