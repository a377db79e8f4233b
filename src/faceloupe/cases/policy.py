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
    """That a person sees the result of a run: the SHA-256 of the item, and the run."""

    sha256: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Visibility:
    """What a person may see.

    Attributes:
        allowed: SHA-256 of the items whose results are open to the person.
        new: those results of them that the person is not known to have seen.
    """

    allowed: tuple[str, ...]
    new: tuple[ResultView, ...]


def may_see(connection: Connection, sha256: str, person: str) -> bool:
    """Tell whether a person may see results of some evidence, in whichever case: not before deciding it in blind ones.

    Args:
        connection: of a transaction.
        sha256: of the evidence.
        person: key of the person's name.
    """
    return queries.blind_case_of(connection, sha256, person) is None


def seen_runs(connection: Connection, person: str, sha256: str) -> set[str]:
    """Return the runs of some evidence whose results a person has seen, by the logs of all cases."""
    query = "SELECT actor, parameters FROM log INDEXED BY log_views WHERE action = 'score viewed'"
    of_evidence = "json_valid(parameters) AND json_extract(parameters, '$.sha256') = ?"
    views = connection.execute(f"{query} AND {of_evidence}", (sha256,))
    return {json.loads(parameters)["run"] for actor, parameters in views if person_key(actor) == person}


def unseen(connection: Connection, views: Iterable[ResultView], person: str) -> tuple[ResultView, ...]:
    """Return those of some results that a person is not known to have seen."""
    return tuple(view for view in views if view.run_id not in seen_runs(connection, person, view.sha256))


def visibility(connection: Connection, case_id: str, hashes: Iterable[str], person: str) -> Visibility:
    """Return what a person may see of some items, and what of it is new.

    Raises:
        PolicyViolation: one of them is not in the case.
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
    """Refuse a decision of somebody who has signed.

    Raises:
        PolicyViolation: the person has signed the item or the case, and would now decide what was signed.
    """
    signed = "SELECT 1 FROM sign_offs WHERE case_id = ? AND (item_id = ? OR item_id IS NULL) AND reviewer_key = ?"
    if connection.execute(signed, (case_id, item.id, person_key(name))).fetchone():
        raise PolicyViolation(f"{name} has signed this as its reviewer and cannot also decide it; ask another person.")


def refuse_examiner_as_reviewer(connection: Connection, case_id: str, item: Item | None, name: str) -> None:
    """Refuse a signature of somebody who has decided.

    Args:
        connection: of a transaction.
        case_id: of the case.
        item: to be signed; None for the case itself.
        name: of the person.

    Raises:
        PolicyViolation: the item is not decided, or the person is the case's examiner or made the decision.
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
    """Count the undecided items of a case that is about to be signed; None where there are none.

    Args:
        connection: of a transaction, so that no item is filed between this count and the signature.
        case_id: of the case.
        reason: why it is signed all the same; empty for none.

    Raises:
        PolicyViolation: there are some, and no reason is given.
    """
    count = queries.undecided(connection, case_id)
    if count and not reason:
        raise PolicyViolation(
            f"{count:,} {'item has' if count == 1 else 'items have'} no decision; decide first, or state why the case "
            "is signed off all the same. The report prints the reason."
        )
    return count or None
