"""The SQLite file: connections, transactions, and its errors as sentences."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from faceloupe.cases import migrations
from faceloupe.errors import CaseError

_WAIT_S = 60.0  # for another writer to end
_READONLY = "The data folder {folder} cannot be written; change its permissions or choose another folder."
_CLOSED = "The case database in {folder} cannot be opened; check the permissions of the folder."
_BUSY = "The case database in {folder} has been in use for a minute; try again later."
_DAMAGED = "The case database in {folder} is damaged; restore the folder from a backup."
_SENTENCES = {
    sqlite3.SQLITE_FULL: "The disk of the data folder {folder} is full, so nothing was saved; free some space and try "
    "again.",
    sqlite3.SQLITE_IOERR: "The disk of the data folder {folder} has failed or is full; check it and try again.",
    sqlite3.SQLITE_READONLY: _READONLY,
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_PERM: _CLOSED,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
}


@contextmanager
def _as_case_errors(folder: Path) -> Iterator[None]:
    """Turn what can happen to a file of SQLite into a ``CaseError``; a wrong statement stays what it is."""
    try:
        yield
    except sqlite3.Error as problem:
        code = getattr(problem, "sqlite_errorcode", None)
        if code is None and isinstance(problem, sqlite3.OperationalError):  # text that is not UTF-8
            code = sqlite3.SQLITE_CORRUPT
        sentence = _SENTENCES.get((code or 0) & 0xFF)
        if sentence is None:
            raise
        raise CaseError(sentence.format(folder=folder)) from problem


class Database:
    """A database file. Any thread of any process may use it: every transaction has a connection of its own."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path = path

    def lacks(self) -> list[str]:
        """Name the migrations to be applied; nothing is changed.

        Raises:
            CaseError: the database is of a newer version, damaged, or cannot be opened.
        """
        if not self.exists():
            return list(migrations.MIGRATIONS)
        with _as_case_errors(self._path.parent), closing(self._connect()) as connection:
            return migrations.missing(connection)

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self._path.exists()

    def prepare(self) -> None:
        """Set what a database file keeps for good.

        Raises:
            CaseError: the file cannot be written.
        """
        with _as_case_errors(self._path.parent), closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Begin a transaction: committed at the end of the block, undone where the block raises.

        Args:
            write: take the place of the one writer at the start; else all reads are of one moment.

        Raises:
            CaseError: the file is locked, full, unreadable or damaged; nothing of the transaction is kept.
        """
        with _as_case_errors(self._path.parent), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield connection  # closing without a commit undoes everything
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # what is committed outlives a power cut
        except BaseException:
            connection.close()
            raise
        return connection
