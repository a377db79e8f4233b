"""The database schema, as named migrations that are each applied once, within a transaction."""

import sqlite3
from collections.abc import Callable, Iterator

from faceloupe.errors import CaseError

_APPEND_ONLY = ("cases", "evidence", "runs", "pictures", "notes", "decisions", "sign_offs", "log")


def _schema() -> Iterator[str]:
    yield """CREATE TABLE cases (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        examiner TEXT NOT NULL,
        blind INTEGER NOT NULL,
        created_utc TEXT NOT NULL
    ) STRICT"""
    yield """CREATE TABLE evidence (
        sha256 TEXT PRIMARY KEY,
        size_bytes INTEGER NOT NULL,
        media_type TEXT NOT NULL,
        format TEXT
    ) STRICT"""
    # Outcome and score are copied from the run selected by ``case_schema.finding_run``, so that lists need not read
    # reports. The report remains authoritative.
    yield """CREATE TABLE items (
        id INTEGER PRIMARY KEY,
        case_id TEXT NOT NULL REFERENCES cases,
        sha256 TEXT NOT NULL REFERENCES evidence,
        name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        added_utc TEXT NOT NULL,
        added_by TEXT NOT NULL,
        outcome TEXT,
        score REAL,
        UNIQUE (case_id, sha256)
    ) STRICT"""
    yield "CREATE INDEX items_by_case ON items (case_id)"
    yield "CREATE INDEX items_by_outcome ON items (case_id, outcome)"
    yield """CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        item_id INTEGER NOT NULL REFERENCES items,
        created_utc TEXT NOT NULL,
        actor TEXT NOT NULL,
        outcome TEXT NOT NULL,
        score REAL,
        report_sha256 TEXT NOT NULL,
        report TEXT NOT NULL
    ) STRICT"""
    yield "CREATE INDEX runs_by_item ON runs (item_id)"
    yield """CREATE TABLE pictures (
        run_id TEXT NOT NULL REFERENCES runs (id),
        name TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (run_id, name)
    ) STRICT"""
    yield """CREATE TABLE notes (
        id INTEGER PRIMARY KEY,
        case_id TEXT NOT NULL REFERENCES cases,
        item_id INTEGER REFERENCES items,
        utc TEXT NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT"""
    yield "CREATE INDEX notes_by_item ON notes (case_id, item_id)"
    yield """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        item_id INTEGER NOT NULL REFERENCES items,
        utc TEXT NOT NULL,
        examiner TEXT NOT NULL,
        examiner_key TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        confidence TEXT NOT NULL,
        score_seen_before INTEGER NOT NULL
    ) STRICT"""
    yield "CREATE INDEX decisions_by_item ON decisions (item_id)"
    yield """CREATE TABLE sign_offs (
        id INTEGER PRIMARY KEY,
        case_id TEXT NOT NULL REFERENCES cases,
        item_id INTEGER REFERENCES items,
        utc TEXT NOT NULL,
        reviewer TEXT NOT NULL,
        reviewer_key TEXT NOT NULL
    ) STRICT"""
    yield "CREATE INDEX sign_offs_by_item ON sign_offs (case_id, item_id)"
    yield """CREATE TABLE pending (
        case_id TEXT NOT NULL REFERENCES cases,
        action TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        name TEXT NOT NULL,
        actor TEXT NOT NULL,
        began_utc TEXT NOT NULL,
        PRIMARY KEY (case_id, action, sha256)
    ) STRICT"""
    yield """CREATE TABLE log (
        chain TEXT NOT NULL,
        seq INTEGER NOT NULL,
        utc TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        parameters TEXT NOT NULL,
        previous_sha256 TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (chain, seq)
    ) STRICT, WITHOUT ROWID"""
    yield """CREATE INDEX log_views ON log (chain, json_extract(parameters, '$.sha256'))
        WHERE action = 'score viewed'"""
    yield """CREATE TABLE heads (
        chain TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        sha256 TEXT NOT NULL
    ) STRICT"""
    for table in _APPEND_ONLY:
        for event in ("UPDATE", "DELETE"):
            yield f"""CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table}
                BEGIN SELECT RAISE (ABORT, '{table}: what is written stays'); END"""
    # Of an item, only the copied outcome and score may change.
    yield """CREATE TRIGGER items_no_update
        BEFORE UPDATE OF id, case_id, sha256, name, name_key, added_utc, added_by ON items
        BEGIN SELECT RAISE (ABORT, 'items: what is written stays'); END"""
    yield """CREATE TRIGGER items_no_delete BEFORE DELETE ON items
        BEGIN SELECT RAISE (ABORT, 'items: what is written stays'); END"""
    # A REPLACE deletes rows without firing the delete trigger.
    yield """CREATE TRIGGER log_no_replace BEFORE INSERT ON log
        WHEN EXISTS (SELECT 1 FROM log WHERE chain = NEW.chain AND seq = NEW.seq)
        BEGIN SELECT RAISE (ABORT, 'log: what is written stays'); END"""


def _open_items() -> Iterator[str]:
    yield "ALTER TABLE sign_offs ADD COLUMN open_items INTEGER"  # undecided items when a case was signed; NULL if none
    yield "ALTER TABLE sign_offs ADD COLUMN open_reason TEXT"  # why it was signed anyway; NULL likewise


def _image_hashes() -> Iterator[str]:
    yield """CREATE TABLE image_hashes (
        sha256 TEXT PRIMARY KEY REFERENCES evidence (sha256),
        perceptual_hash TEXT NOT NULL
    ) STRICT"""
    for event in ("UPDATE", "DELETE"):
        yield f"""CREATE TRIGGER image_hashes_no_{event.lower()} BEFORE {event} ON image_hashes
            BEGIN SELECT RAISE (ABORT, 'image_hashes: what is written stays'); END"""


def _name_checks() -> Iterator[str]:
    for table in ("decisions", "sign_offs"):
        # whether the person was signed in with a password
        yield f"ALTER TABLE {table} ADD COLUMN name_checked INTEGER NOT NULL DEFAULT 0"


def _evidence_across_cases() -> Iterator[str]:
    # A blind case withholds the results of its evidence in all cases, and a view in any of them counts.
    yield "CREATE INDEX items_by_evidence ON items (sha256)"
    yield "DROP INDEX IF EXISTS log_views"
    # A damaged log entry must not prevent the store from opening; the check of the log reports it.
    yield """CREATE INDEX log_views ON log (json_extract(parameters, '$.sha256'))
        WHERE action = 'score viewed' AND json_valid(parameters)"""


MIGRATIONS: dict[str, Callable[[], Iterator[str]]] = {  # in this order; names never change
    "001_schema": _schema,
    "002_open_items": _open_items,
    "003_image_hashes": _image_hashes,
    "004_name_checks": _name_checks,
    "005_evidence_across_cases": _evidence_across_cases,
}


def _applied(connection: sqlite3.Connection) -> set[str]:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone():
        return set()
    return {name for (name,) in connection.execute("SELECT name FROM migrations")}


def missing(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the missing migrations; the database is only read.

    Raises:
        CaseError: a newer version of FaceLoupe has changed the database.
    """
    applied = _applied(connection)
    if applied - MIGRATIONS.keys():
        raise CaseError("The case database was made by a newer version of FaceLoupe; open it with that version.")
    return [name for name in MIGRATIONS if name not in applied]


def migrate(connection: sqlite3.Connection, utc: str) -> None:
    """Apply the missing migrations within the caller's transaction.

    Args:
        connection: connection to the database of the store.
        utc: time to record for the migrations.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_utc TEXT NOT NULL)")
    for name in missing(connection):
        for statement in MIGRATIONS[name]():
            connection.execute(statement)
        connection.execute("INSERT INTO migrations VALUES (?, ?)", (name, utc))
