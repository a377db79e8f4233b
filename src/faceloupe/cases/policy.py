"""The rules of a review: who may see a score, who has seen it, and who may sign.

People are distinguished by ``records.person_key`` of their names.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from sqlite3 import Connection

from faceloupe.cases import queries
from faceloupe.cases.records import Item, person_key
from faceloupe.cases.runs import finding_run_id
from faceloupe.cases.transaction import PolicyViolation, find_case, find_item


@dataclass(frozen=True, slots=True)
class ResultView:
    """A view of a run's result: the SHA-256 of the item and the id of the run."""

    sha256: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Visibility:
    """The results that a person may see.

    Attributes:
        allowed: SHA-256 of the items whose results the person may see.
        new: results of these items that the person has not seen yet, according to the logs.
    """

    allowed: tuple[str, ...]
    new: tuple[ResultView, ...]


def may_see(connection: Connection, sha256: str, person: str) -> bool:
    """Return whether a person may see the results of some evidence, in any case.

    A blind case withholds the results of its evidence from a person who has not decided it there.

    Args:
        connection: connection of a transaction.
        sha256: SHA-256 of the evidence.
        person: key of the person's name.
    """
    return queries.blind_case_of(connection, sha256, person) is None


def seen_runs(connection: Connection, person: str, sha256: str) -> set[str]:
    """Return the ids of the runs of some evidence that a person has seen, according to the logs of all cases."""
    query = "SELECT actor, parameters FROM log INDEXED BY log_views WHERE action = 'score viewed'"
    of_evidence = "json_valid(parameters) AND json_extract(parameters, '$.sha256') = ?"
    views = connection.execute(f"{query} AND {of_evidence}", (sha256,))
    return {json.loads(parameters)["run"] for actor, parameters in views if person_key(actor) == person}


def unseen(connection: Connection, views: Iterable[ResultView], person: str) -> tuple[ResultView, ...]:
    """Return the views that are not yet in the logs for a person."""
    return tuple(view for view in views if view.run_id not in seen_runs(connection, person, view.sha256))


def visibility(connection: Connection, case_id: str, hashes: Iterable[str], person: str) -> Visibility:
    """Return which results of these items a person may see, and which of these results are new to that person.

    Raises:
        PolicyViolation: one of the items is not in the case.
    """
    items = [find_item(connection, case_id, prefix) for prefix in hashes]
    allowed: list[str] = []
    views: list[ResultView] = []
    for item in items:
        if may_see(connection, item.sha256, person):
            allowed.append(item.sha256)
            run_id = finding_run_id(connection, item.id)
            if run_id is not None:
                views.append(ResultView(item.sha256, run_id))
    return Visibility(tuple(allowed), unseen(connection, views, person))


def refuse_reviewer_as_examiner(connection: Connection, case_id: str, item: Item, name: str) -> None:
    """Refuse a decision by a person who has signed the item or the case.

    Raises:
        PolicyViolation: the person has signed the item or the case as its reviewer.
    """
    signed = "SELECT 1 FROM sign_offs WHERE case_id = ? AND (item_id = ? OR item_id IS NULL) AND reviewer_key = ?"
    if connection.execute(signed, (case_id, item.id, person_key(name))).fetchone():
        raise PolicyViolation(f"{name} has signed this as its reviewer and cannot also decide it; ask another person.")


def refuse_examiner_as_reviewer(connection: Connection, case_id: str, item: Item | None, name: str) -> None:
    """Refuse a signature by a person who has decided.

    Args:
        connection: connection of a transaction.
        case_id: id of the case.
        item: item to be signed; None for the case itself.
        name: name of the person.

    Raises:
        PolicyViolation: the item is not decided, the person is the examiner of the case, or the person has decided the
            item (if ``item`` is None: any item of the case).
    """
    if item is not None and item.decision is None:
        raise PolicyViolation("The item has no decision to sign; enter one first.")
    person = person_key(name)
    if person == person_key(find_case(connection, case_id).examiner):
        raise PolicyViolation(f"{name} is the examiner of the case and cannot review it; ask another person.")
    decided = "SELECT 1 FROM decisions JOIN items ON items.id = item_id WHERE case_id = ? AND examiner_key = ?"
    values: tuple[object, ...] = (case_id, person)
    if item is not None:
        decided, values = f"{decided} AND item_id = ?", (*values, item.id)
    if connection.execute(decided, values).fetchone():
        raise PolicyViolation(f"{name} has made the decision to be signed and cannot review it; ask another person.")


def open_items(connection: Connection, case_id: str, reason: str) -> int | None:
    """Count the undecided items of a case that is about to be signed; return None if there are none.

    Args:
        connection: connection of the signature's transaction, so that no item is filed between count and signature.
        case_id: id of the case.
        reason: why the case is signed although items are undecided; may be empty.

    Raises:
        PolicyViolation: items are undecided, and the reason is empty.
    """
    count = queries.undecided(connection, case_id)
    if count and not reason:
        raise PolicyViolation(
            f"{count:,} {'item has' if count == 1 else 'items have'} no decision; decide first, or state why the case "
            "is signed off all the same. The report prints the reason."
        )
    return count or None
