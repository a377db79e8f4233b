"""What every part of the case store rests on: transactions that log what they do, and the check of that log."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from faceloupe.cases import audit_log, blobs, migrations, queries
from faceloupe.cases.audit_anchors import AnchorFile
from faceloupe.cases.audit_log import START, STORE, Action, Entry, Head
from faceloupe.cases.audit_verify import LogCheck, check_stored
from faceloupe.cases.database import Database
from faceloupe.cases.records import Unfinished, name_of, plain, stamp, utc_now
from faceloupe.cases.transaction import PolicyViolation, Transaction
from faceloupe.config import private_folder
from faceloupe.media.evidence_file import printable_name

Clock = Callable[[], datetime]
_DATABASE = "cases.sqlite"
SELF = "FaceLoupe"  # actor of what nobody asked for
_SHOWN_ID = 64  # characters of an unknown case's id that are shown and logged


class Journal:
    """The data folder: its database, its log, and its kept files. Any thread of any process may use it."""

    def __init__(self, folder: Path, *, clock: Clock = utc_now) -> None:
        """Open the store, or make it; what dead processes left half done is cleared away.

        Args:
            folder: of the data; made where there is none.
            clock: tells the time, with its zone.

        Raises:
            CaseError: the folder cannot be used, or is of a newer version, which is left untouched.
        """
        self.folder, self.clock = folder, clock
        self._database = Database(folder / _DATABASE)
        self._heads = AnchorFile(folder / "heads.txt")
        incoming = folder / "incoming"
        self._evidence = blobs.BlobStore(folder / "evidence", incoming)
        self._pictures = blobs.BlobStore(folder / "pictures", incoming)
        with blobs.in_words(folder):
            private_folder(folder)
            if self._database.lacks():
                self._migrate()
            for name in ("evidence", "pictures", "incoming"):
                private_folder(folder / name)
            blobs.remove_leftovers(incoming)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder holds a store already."""
        return (folder / _DATABASE).exists()

    def _migrate(self) -> None:
        if not self._database.exists():
            self._heads.create()  # before the first entry, and never again: where it is absent, it was lost
        self._database.prepare()
        with self._transaction() as writing:
            migrations.migrate(writing.connection, writing.utc)
            if audit_log.head(writing.connection, STORE) is None:
                writing.log(STORE, SELF, Action.STORE_CREATED, {})

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self._database.transaction(write=True) as connection:
            writing = Transaction(connection, stamp(self.clock()))
            yield writing
        self._heads.append(writing.heads.values())

    @contextmanager
    def _writing(self, case_id: str, attempt: str, actor: str, **parameters: Any) -> Iterator[Transaction]:
        """A write transaction on a case. After a ``PolicyViolation`` in the block, only the attempt is logged.

        Args:
            attempt: what is to be done, as ``Action`` names it.
            parameters: what it is to be done with, for the entry of a refusal.

        Raises:
            PolicyViolation: there is no such case.
        """
        chain = case_id
        try:
            with self._transaction() as writing:
                if queries.case(writing.connection, case_id) is None:
                    chain, parameters = STORE, {"case": _shown(case_id)}
                    raise _unknown(case_id)
                yield writing
        except PolicyViolation as refusal:
            with self._transaction() as writing:
                tried = {name: plain(value) if isinstance(value, str) else value for name, value in parameters.items()}
                writing.log(chain, actor, f"{attempt} refused", tried | {"reason": str(refusal)})
            raise

    def _fail(self, case_id: str, action: Action, actor: str, sha256: str, reason: str) -> None:
        """Log the end of work on an item that came to nothing."""
        with self._writing(case_id, action, actor, sha256=sha256) as writing:
            writing.end(case_id, action, sha256)
            writing.log(case_id, actor, f"{action} failed", {"sha256": sha256, "reason": plain(reason)})

    @contextmanager
    def _reading(self, case_id: str) -> Iterator[Connection]:
        """A read transaction on a case: all that is read is of one moment.

        Raises:
            PolicyViolation: there is no such case.
        """
        with self._database.transaction(write=False) as connection:
            if queries.case(connection, case_id) is None:
                raise _unknown(case_id)
            yield connection

    def record_failure(self, case_id: str, attempt: str, *, actor: str, reason: str, name: str = "") -> None:
        """Log that something could not be done, such as the intake of a file that cannot be read.

        Args:
            attempt: what was tried, as ``Action`` names it.
            name: of the file that it was tried with, if any.

        Raises:
            CaseError: there is no such case, or the log cannot be written.
        """
        actor = name_of(actor, "actor")
        with self._writing(case_id, attempt, actor) as writing:
            parameters = {"reason": plain(reason)} | ({"name": printable_name(name)} if name else {})
            writing.log(case_id, actor, f"{attempt} failed", parameters)

    def record_export(self, case_id: str, *, actor: str, parameters: Mapping[str, Any]) -> None:
        """Log an export.

        Args:
            parameters: JSON values that say what was exported, such as the name and the SHA-256 of the bundle.

        Raises:
            CaseError: there is no such case, or the log cannot be written.
        """
        actor = name_of(actor, "actor")
        with self._writing(case_id, Action.EXPORT, actor) as writing:
            writing.log(case_id, actor, Action.EXPORT, parameters)

    def log(self, case_id: str) -> tuple[Entry, ...]:
        """The log of a case, in order.

        Raises:
            CaseError: there is no such case.
        """
        with self._reading(case_id) as connection:
            return tuple(audit_log.entries(connection, case_id))

    def newest_entries(self, case_id: str, most: int) -> tuple[Entry, ...]:
        """The end of the log of a case, the newest entry first; however long the log is.

        Raises:
            CaseError: there is no such case.
        """
        with self._reading(case_id) as connection:
            return audit_log.tail(connection, case_id, most)

    def log_head(self, case_id: str) -> Head:
        """The last entry of a case's log, as it is noted; nothing is checked.

        Raises:
            CaseError: there is no such case.
        """
        with self._reading(case_id) as connection:
            return audit_log.head(connection, case_id) or Head(case_id, 0, START)

    def verify_log(self, case_id: str) -> LogCheck:
        """Check the chain of a case, or that of what belongs to no case (``log.STORE``).

        Raises:
            CaseError: nothing shows that there ever was such a case.
        """
        checks = self._verify(case_id)
        if case_id not in checks:
            raise _unknown(case_id)
        return checks[case_id]

    def verify_logs(self) -> dict[str, LogCheck]:
        """Check every chain that the store has, or once had: id of the case, or ``log.STORE``, -> what was found."""
        return self._verify(None)

    def _verify(self, only: str | None) -> dict[str, LogCheck]:
        noted = self._heads.read()  # before the database, which is never behind it
        with self._database.transaction(write=False) as connection:
            chains = {STORE, *(noted or ()), *queries.chains(connection)}
            return {
                chain: _check(connection, chain, noted) for chain in sorted(chains if only is None else chains & {only})
            }

    @contextmanager
    def snapshot(self, case_id: str) -> Iterator[tuple[Connection, LogCheck]]:
        """For long reads of a case: a connection that shows one moment of it, and the check of its log.

        Raises:
            CaseError: there is no such case.
        """
        noted = self._heads.read()
        with self._reading(case_id) as connection:
            yield connection, _check(connection, case_id, noted)

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Work that was begun and of which no end is recorded: it is going on, or its process died."""
        with self._database.transaction(write=False) as connection:
            rows = queries.pending(connection)
        return tuple(Unfinished(*row, stored=self._evidence.holds(row[2])) for row in rows)


def _check(connection: Connection, chain: str, noted: dict[str, dict[int, str]] | None) -> LogCheck:
    return check_stored(connection, chain, None if noted is None else noted.get(chain, {}))


def _shown(case_id: str) -> str:
    """What somebody gave as the id of a case, as it may stand in a sentence or the log."""
    return printable_name(case_id)[:_SHOWN_ID]


def _unknown(case_id: str) -> PolicyViolation:
    return PolicyViolation(f"There is no case {_shown(case_id)}; see `faceloupe case list`.")
