"""Queries that return rows as records. Lists do not read reports; item searches stay in one case and use an index."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from faceloupe.cases.records import (
    Case,
    Decision,
    Item,
    Neighbors,
    Note,
    Page,
    ReviewState,
    Run,
    SignOff,
    SimilarItem,
    Unfinished,
)

_CASE = """SELECT cases.id, cases.name, examiner, blind, created_utc,
    (SELECT count(*) FROM items WHERE case_id = cases.id) FROM cases"""
# The items of blind cases that a person has not decided there; their results are withheld from that person. Evidence is
# identified by its hash, so its results are withheld in other cases too.
_WITHHELD = """FROM items AS withheld JOIN cases ON cases.id = withheld.case_id
    WHERE blind AND NOT EXISTS (SELECT 1 FROM decisions WHERE item_id = withheld.id AND examiner_key = :viewer)"""
_HIDDEN = f"""(items.outcome IS NOT NULL AND :viewer IS NOT NULL
    AND EXISTS (SELECT 1 {_WITHHELD} AND withheld.sha256 = items.sha256))"""
# Times have the same order as the log, see ``CaseLog.write``.
_SIGNED = """EXISTS (SELECT 1 FROM sign_offs WHERE case_id = items.case_id AND item_id = items.id
    AND utc >= (SELECT utc FROM decisions WHERE item_id = items.id ORDER BY id DESC LIMIT 1))"""
_ITEM = f"""SELECT items.id, case_id, items.sha256, name, size_bytes, media_type, format, added_utc, added_by,
    iif({_HIDDEN}, NULL, outcome), iif({_HIDDEN}, NULL, score), {_HIDDEN},
    (SELECT outcome FROM decisions WHERE item_id = items.id ORDER BY id DESC LIMIT 1), {_SIGNED}
    FROM items JOIN evidence ON evidence.sha256 = items.sha256"""


@dataclass(frozen=True, slots=True)
class StoredReport:
    """The stored report of a run: its text, and the SHA-256 that the text should have."""

    text: str
    sha256: str


def _case(row: tuple[Any, ...]) -> Case:
    case_id, name, examiner, blind, created_utc, items = row
    return Case(case_id, name, examiner, bool(blind), created_utc, items)


def case(connection: Connection, case_id: str) -> Case | None:
    """Return a case; None if no case has this id."""
    row = connection.execute(f"{_CASE} WHERE cases.id = ?", (case_id,)).fetchone()
    return _case(row) if row else None


def cases(connection: Connection) -> tuple[Case, ...]:
    """Return all cases, newest first."""
    return tuple(map(_case, connection.execute(f"{_CASE} ORDER BY cases.rowid DESC")))


def blind_case_of(connection: Connection, sha256: str, person: str) -> Case | None:
    """Return the oldest blind case with this evidence that a person has not decided there, or None."""
    query = f"SELECT withheld.case_id {_WITHHELD} AND withheld.sha256 = :sha256 ORDER BY cases.rowid LIMIT 1"
    row = connection.execute(query, {"sha256": sha256, "viewer": person}).fetchone()
    return case(connection, row[0]) if row else None


def newest_case_of(connection: Connection, sha256: str) -> Case | None:
    """Return the newest case with this evidence, or None."""
    row = connection.execute(
        f"{_CASE} JOIN items ON items.case_id = cases.id WHERE items.sha256 = ? ORDER BY cases.rowid DESC LIMIT 1",
        (sha256,),
    ).fetchone()
    return _case(row) if row else None


def similar_items(connection: Connection, sha256: str, image_hash: str, near_bits: int) -> tuple[SimilarItem, ...]:
    """Return the items that are this evidence or a similar image, except in blind cases; see ``Items.similar``."""
    own = connection.execute("SELECT perceptual_hash FROM image_hashes WHERE sha256 = ?", (sha256,)).fetchone()
    wanted = image_hash or (own[0] if own else "")
    distances: dict[str, int | None] = {}
    if wanted:
        bits = int(wanted, 16)
        for other, text in connection.execute("SELECT sha256, perceptual_hash FROM image_hashes"):
            if (differing := (bits ^ int(text, 16)).bit_count()) <= near_bits:
                distances[other] = differing
    distances[sha256] = None
    similar = []
    for other, distance in distances.items():
        rows = connection.execute(
            "SELECT case_id, items.name FROM items JOIN cases ON cases.id = case_id WHERE sha256 = ? AND NOT blind",
            (other,),
        )
        for case_id, name in rows.fetchall():
            if case_row := case(connection, case_id):
                similar.append(SimilarItem(case_row, other, name, distance))
    return tuple(sorted(similar, key=lambda item: -1 if item.differing_bits is None else item.differing_bits))


def withheld_hashes(connection: Connection, person: str) -> frozenset[str]:
    """Return the SHA-256 of all evidence for which ``blind_case_of`` returns a case."""
    rows = connection.execute(f"SELECT DISTINCT withheld.sha256 {_WITHHELD}", {"viewer": person})
    return frozenset(sha256 for (sha256,) in rows)


def _item(row: tuple[Any, ...]) -> Item:
    *values, hidden, decision, signed_off = row
    return Item(*(*values, bool(hidden), decision, bool(signed_off)))


def changes_since(connection: Connection, case_id: str, utc: str) -> int:
    """Count the items filed to a case and the decisions made in it after a time."""
    count: int
    (count,) = connection.execute(
        """SELECT (SELECT count(*) FROM items WHERE case_id = :case_id AND added_utc > :utc)
        + (SELECT count(*) FROM decisions JOIN items ON items.id = item_id WHERE case_id = :case_id AND utc > :utc)""",
        {"case_id": case_id, "utc": utc},
    ).fetchone()
    return count


def undecided(connection: Connection, case_id: str) -> int:
    """Count the items of a case that have no decision."""
    count: int
    (count,) = connection.execute(
        """SELECT count(*) FROM items WHERE case_id = ?
        AND NOT EXISTS (SELECT 1 FROM decisions WHERE item_id = items.id)""",
        (case_id,),
    ).fetchone()
    return count


_DECIDED = "EXISTS (SELECT 1 FROM decisions WHERE item_id = items.id)"
_STATES = {
    ReviewState.UNDECIDED: f"NOT {_DECIDED}",
    ReviewState.DECIDED: f"{_DECIDED} AND NOT {_SIGNED}",
    ReviewState.SIGNED: _SIGNED,
}


def neighbors(connection: Connection, case_id: str, item_id: int) -> Neighbors:
    """Return the neighbors of an item in its case, and the next undecided item; see ``Neighbors``."""
    values = {"case_id": case_id, "id": item_id}

    def first(condition: str, order: str) -> str | None:
        query = f"SELECT sha256 FROM items WHERE case_id = :case_id AND {condition} ORDER BY {order} LIMIT 1"
        row = connection.execute(query, values).fetchone()
        return row[0] if row else None

    return Neighbors(
        first("id < :id", "id DESC"), first("id > :id", "id"), first(f"id != :id AND NOT {_DECIDED}", "id < :id, id")
    )


def items_query(*, search: str, outcome: str | None, state: ReviewState | None = None) -> str:
    """Return the SQL condition that selects a list of items; see ``items``."""
    condition = "case_id = :case_id"
    if state is not None:
        condition += f" AND {_STATES[state]}"
    if outcome is not None:
        condition += f" AND outcome = :outcome AND NOT {_HIDDEN}"
    if search:
        # Not LIKE: it treats % and _ as wildcards, and ignores the case of ASCII letters only.
        condition += " AND (instr(name_key, :search) OR substr(items.sha256, 1, length(:search)) = :search)"
    return condition


def items(
    connection: Connection,
    case_id: str,
    *,
    search: str,
    outcome: str | None,
    state: ReviewState | None,
    viewer: str | None,
    offset: int,
    limit: int,
) -> Page:
    """Return a page of a case's items, in the order they were filed; see ``Items.page``.

    Args:
        connection: connection of a transaction.
        case_id: id of the case.
        outcome: outcome of the run selected by ``case_schema.finding_run``; None for all.
        offset: index of the first item, from 0.
        limit: maximum number of items.
        search: part of the name or start of the hash, case folded; empty for all.
        state: state of the review; None for all.
        viewer: key of the viewer's name; None hides nothing.
    """
    condition = items_query(search=search, outcome=outcome, state=state)
    values = {"case_id": case_id, "search": search, "outcome": outcome, "viewer": viewer}
    (total,) = connection.execute(f"SELECT count(*) FROM items WHERE {condition}", values).fetchone()
    rows = connection.execute(
        f"{_ITEM} WHERE {condition} ORDER BY items.id LIMIT :limit OFFSET :offset",
        values | {"limit": limit, "offset": offset},
    )
    return Page(tuple(map(_item, rows)), total)


def items_by_hash_prefix(connection: Connection, case_id: str, prefix: str, viewer: str | None) -> tuple[Item, ...]:
    """Return up to two items of a case whose hash begins with the given digits."""
    rows = connection.execute(
        f"{_ITEM} WHERE case_id = :case_id AND items.sha256 >= :low AND items.sha256 < :high LIMIT 2",
        {"case_id": case_id, "low": prefix, "high": f"{prefix}g", "viewer": viewer},  # g sorts after all digits
    )
    return tuple(map(_item, rows))


def all_items(connection: Connection, case_id: str, viewer: str | None) -> Iterator[Item]:
    """Return an iterator over all items of a case, in the order they were filed."""
    rows = connection.execute(
        f"{_ITEM} WHERE case_id = :case_id ORDER BY items.id", {"case_id": case_id, "viewer": viewer}
    )
    return map(_item, rows)


def runs(connection: Connection, item_id: int) -> tuple[Run, ...]:
    """Return the runs of an item, oldest first."""
    rows = connection.execute(
        "SELECT id, created_utc, actor, outcome, score, report_sha256 FROM runs WHERE item_id = ? ORDER BY number",
        (item_id,),
    ).fetchall()
    return tuple(Run(*(*row, _pictures(connection, row[0]))) for row in rows)


def _pictures(connection: Connection, run_id: str) -> dict[str, str]:
    rows = connection.execute("SELECT name, sha256 FROM pictures WHERE run_id = ? ORDER BY rowid", (run_id,))
    return dict(rows.fetchall())


def report(connection: Connection, run_id: str) -> StoredReport | None:
    """Return the report of a run; None if there is no such run."""
    row = connection.execute("SELECT report, report_sha256 FROM runs WHERE id = ?", (run_id,)).fetchone()
    return StoredReport(*row) if row else None


def run_ids(connection: Connection, item_id: int) -> tuple[str, ...]:
    """Return the ids of the runs of an item, oldest first."""
    rows = connection.execute("SELECT id FROM runs WHERE item_id = ? ORDER BY number", (item_id,))
    return tuple(run_id for (run_id,) in rows)


def notes(connection: Connection, case_id: str, item_id: int | None) -> tuple[Note, ...]:
    """Return the notes on an item, or on the case itself if ``item_id`` is None; oldest first."""
    rows = connection.execute(
        "SELECT utc, author, text FROM notes WHERE case_id = ? AND item_id IS ? ORDER BY id", (case_id, item_id)
    )
    return tuple(Note(*row) for row in rows)


def decisions(connection: Connection, item_id: int) -> tuple[Decision, ...]:
    """Return the decisions on an item, oldest first."""
    rows = connection.execute(
        "SELECT utc, examiner, outcome, reason, confidence, score_seen_before, name_checked FROM decisions"
        " WHERE item_id = ? ORDER BY id",
        (item_id,),
    )
    return tuple(Decision(*(*values, bool(seen), bool(checked))) for *values, seen, checked in rows)


def sign_offs(connection: Connection, case_id: str, item_id: int | None) -> tuple[SignOff, ...]:
    """Return the signatures under an item, or under the case itself if ``item_id`` is None; oldest first."""
    rows = connection.execute(
        "SELECT utc, reviewer, open_items, open_reason, name_checked FROM sign_offs"
        " WHERE case_id = ? AND item_id IS ? ORDER BY id",
        (case_id, item_id),
    )
    return tuple(SignOff(*(*values, bool(checked))) for *values, checked in rows)


def unfinished(connection: Connection, stored: Callable[[str], bool]) -> tuple[Unfinished, ...]:
    """Return work whose start is recorded but not its end, oldest first.

    Args:
        connection: connection of a transaction.
        stored: returns whether the bytes with a SHA-256 are in the store.
    """
    rows = connection.execute("SELECT case_id, action, sha256, name, actor, began_utc FROM pending ORDER BY began_utc")
    return tuple(Unfinished(*(*row, stored(row[2]))) for row in rows.fetchall())


def chains(connection: Connection) -> set[str]:
    """Return the names of all chains that the database has a trace of."""
    rows = connection.execute("SELECT id FROM cases UNION SELECT chain FROM heads UNION SELECT chain FROM log")
    return {chain for (chain,) in rows}
