"""The log of the store: transactions that write log entries, and the check of these entries."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection

from faceloupe.cases import audit_log, migrations, queries
from faceloupe.cases.audit_anchors import AnchorFile
from faceloupe.cases.audit_log import START, STORE, Action, Entry, Head
from faceloupe.cases.audit_verify import LogCheck, check_stored
from faceloupe.cases.database import Database
from faceloupe.cases.records import name_of, plain, stamp, utc_now
from faceloupe.cases.transaction import PolicyViolation, Transaction, find_case, shown_id, unknown_case
from faceloupe.media.evidence_file import printable_name

Clock = Callable[[], datetime]
SYSTEM_ACTOR = "FaceLoupe"  # actor of entries that no person caused


class CaseLog:
    """The log of a data folder, with one chain of entries per case. All threads and processes may use it.

    Everything that is written to the database goes through its transactions.
    """

    def __init__(self, database: Database, anchors: Path, clock: Clock = utc_now) -> None:
        """Set the files of the log.

        Args:
            database: database of the store.
            anchors: path of the file with the heads of the chains, beside the database.
            clock: returns the current time, with its time zone.
        """
        self._database, self._anchors, self._clock = database, AnchorFile(anchors), clock

    def prepare(self) -> None:
        """Create the database if it does not exist, and migrate an older one to this version.

        Raises:
            CaseError: the database cannot be used, or was changed by a newer version; it is then left untouched.
        """
        if not self._database.missing_migrations():
            return
        if not self._database.exists():
            self._anchors.create()  # only before the first entry: if the file is missing later, it was lost
        self._database.prepare()
        with self.write() as transaction:
            migrations.migrate(transaction.connection, transaction.utc)
            if audit_log.head(transaction.connection, STORE) is None:
                transaction.log(STORE, SYSTEM_ACTOR, Action.STORE_CREATED, {})

    @contextmanager
    def write(self, chain: str = "") -> Iterator[Transaction]:
        """Begin a write transaction; it is committed at the end of the block, or rolled back if the block raises.

        Args:
            chain: chain to write to. The time of the transaction is later than the last entry of the chain, even if the
                clock was set back. Empty for a chain without entries.

        Raises:
            CaseError: the store cannot be written; the transaction is rolled back.
        """
        with self._database.transaction(write=True) as connection:
            transaction = Transaction(connection, self._stamp(connection, chain))
            yield transaction
        self._anchors.append(transaction.heads.values())

    def _stamp(self, connection: Connection, chain: str) -> str:
        """Return the time for new entries of a chain; it decides whether a signature is newer than a decision."""
        now = stamp(self._clock())
        newest = audit_log.tail(connection, chain, 1) if chain else ()
        if not newest or newest[0].utc < now:
            return now
        try:
            return stamp(datetime.fromisoformat(newest[0].utc) + timedelta(microseconds=1))
        except (ValueError, OverflowError):  # the entry was edited; the check of the log reports it
            return now

    @contextmanager
    def write_case(self, case_id: str, attempt: str, actor: str, **parameters: object) -> Iterator[Transaction]:
        """Begin a write transaction on a case; if the block raises ``PolicyViolation``, only the attempt is logged.

        Args:
            case_id: id of the case.
            attempt: name of the action, see ``Action``.
            actor: name of the person who acts.
            parameters: JSON values of the action, for the log entry of a refusal.

        Raises:
            PolicyViolation: there is no such case.
            CaseError: the store cannot be written.
        """
        chain = case_id
        try:
            with self.write(case_id) as transaction:
                if queries.case(transaction.connection, case_id) is None:
                    chain, parameters = STORE, {"case": shown_id(case_id)}
                    raise unknown_case(case_id)
                yield transaction
        except PolicyViolation as refusal:
            with self.write(chain) as transaction:
                tried = {name: plain(value) if isinstance(value, str) else value for name, value in parameters.items()}
                transaction.log(chain, actor, f"{attempt} refused", tried | {"reason": str(refusal)})
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a read transaction; all reads see the same state of the database.

        Raises:
            CaseError: the store cannot be read.
        """
        with self._database.transaction(write=False) as connection:
            yield connection

    @contextmanager
    def read_case(self, case_id: str) -> Iterator[Connection]:
        """Begin a read transaction on a case.

        Raises:
            PolicyViolation: there is no such case.
        """
        with self.read() as connection:
            find_case(connection, case_id)
            yield connection

    def fail(self, case_id: str, action: Action, actor: str, sha256: str, reason: str) -> None:
        """Log that work on an item failed, after ``Transaction.begin`` recorded its start.

        Raises:
            CaseError: there is no such case, or the log cannot be written.
        """
        with self.write_case(case_id, action, actor, sha256=sha256) as transaction:
            transaction.end(case_id, action, sha256)
            transaction.log(case_id, actor, f"{action} failed", {"sha256": sha256, "reason": plain(reason)})

    def record_failure(self, case_id: str, attempt: str, *, actor: str, reason: str, name: str = "") -> None:
        """Log that an action failed, such as the intake of a file that cannot be read.

        Args:
            case_id: id of the case.
            attempt: name of the action, see ``Action``.
            actor: name of the person who acted.
            reason: why it failed, one sentence.
            name: name of the file, if any.

        Raises:
            CaseError: there is no such case, or the log cannot be written.
        """
        actor = name_of(actor, "actor")
        with self.write_case(case_id, attempt, actor) as transaction:
            parameters = {"reason": plain(reason)} | ({"name": printable_name(name)} if name else {})
            transaction.log(case_id, actor, f"{attempt} failed", parameters)

    def entries(self, case_id: str) -> tuple[Entry, ...]:
        """Return the log of a case, in order.

        Raises:
            CaseError: there is no such case.
        """
        with self.read_case(case_id) as connection:
            return tuple(audit_log.entries(connection, case_id))

    def newest(self, case_id: str, most: int) -> tuple[Entry, ...]:
        """Return up to ``most`` of the newest entries of a case, newest first; the rest of the log is not read.

        Raises:
            CaseError: there is no such case.
        """
        with self.read_case(case_id) as connection:
            return audit_log.tail(connection, case_id, most)

    def head(self, case_id: str) -> Head:
        """Return the stored head of a case's log, without any check.

        Raises:
            CaseError: there is no such case.
        """
        with self.read_case(case_id) as connection:
            return audit_log.head(connection, case_id) or Head(case_id, 0, START)

    def verify(self, case_id: str) -> LogCheck:
        """Check the chain of a case, or the chain of entries that belong to no case (``audit_log.STORE``).

        Raises:
            CaseError: there is no trace of such a case.
        """
        checks = self._verify(case_id)
        if case_id not in checks:
            raise unknown_case(case_id)
        return checks[case_id]

    def verify_all(self) -> dict[str, LogCheck]:
        """Check every chain that the store holds, or has a trace of.

        Returns:
            Id of the case, or ``audit_log.STORE``, -> result of the check of its chain.
        """
        return self._verify(None)

    def _verify(self, only: str | None) -> dict[str, LogCheck]:
        noted = self._anchors.read()  # read before the database, so that the anchors cannot be ahead of it
        with self.read() as connection:
            chains = {STORE, *(noted or ()), *queries.chains(connection)}
            return {
                chain: _check(connection, chain, noted) for chain in sorted(chains if only is None else chains & {only})
            }

    @contextmanager
    def snapshot(self, case_id: str) -> Iterator[tuple[Connection, LogCheck]]:
        """Begin a long read of a case, and check its log.

        Yields:
            A connection that sees one state of the database, and the result of the check.

        Raises:
            CaseError: there is no such case.
        """
        noted = self._anchors.read()
        with self.read_case(case_id) as connection:
            yield connection, _check(connection, case_id, noted)


def _check(connection: Connection, chain: str, noted: dict[str, dict[int, str]] | None) -> LogCheck:
    return check_stored(connection, chain, None if noted is None else noted.get(chain, {}))
