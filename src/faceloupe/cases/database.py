"""The SQLite database file: connections, transactions, and error messages for users."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from faceloupe.cases import migrations
from faceloupe.errors import CaseError

_WAIT_S = 60.0  # time to wait for another writer, seconds
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
    """Convert SQLite errors caused by the file or the disk to ``CaseError``; other errors pass unchanged."""
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
    """A database file. All threads and processes may use it: every transaction has its own connection."""

    def __init__(self, path: Path) -> None:
        """Set the path of the file."""
        self._path = path

    def missing_migrations(self) -> list[str]:
        """Return the names of the missing migrations, without changing the database.

        Raises:
            CaseError: the database is from a newer version, damaged, or cannot be opened.
        """
        if not self.exists():
            return list(migrations.MIGRATIONS)
        with _as_case_errors(self._path.parent), closing(self._connect()) as connection:
            return migrations.missing(connection)

    def exists(self) -> bool:
        """Return whether the file exists."""
        return self._path.exists()

    def prepare(self) -> None:
        """Set the options that the database file stores permanently.

        Raises:
            CaseError: the file cannot be written.
        """
        with _as_case_errors(self._path.parent), closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Begin a transaction; it is committed at the end of the block, or rolled back if the block raises.

        Args:
            write: whether to take the write lock at the start; otherwise all reads see one state of the database.

        Raises:
            CaseError: the file is locked, unreadable or damaged, or the disk is full; the transaction is rolled back.
        """
        with _as_case_errors(self._path.parent), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield connection  # closing without a commit rolls back
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # commits survive a power cut
        except BaseException:
            connection.close()
            raise
        return connection
