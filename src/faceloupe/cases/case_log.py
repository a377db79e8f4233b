"""The log of the store: transactions that log what they do, and the check of what was logged."""

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
SELF = "FaceLoupe"  # actor of what nobody asked for


class CaseLog:
    """The log of a data folder, a chain of entries for each case. Any thread of any process may use it.

    Nothing is written to the database but through its transactions.
    """

    def __init__(self, database: Database, anchors: Path, clock: Clock = utc_now) -> None:
        """Name the files of the log.

        Args:
            database: of the store.
            anchors: file with the heads of the chains, beside the database.
            clock: tells the time, with its zone.
        """
        self._database, self._anchors, self._clock = database, AnchorFile(anchors), clock

    def prepare(self) -> None:
        """Make the database where there is none, and bring an older one to the form of this version.

        Raises:
            CaseError: a newer version has changed the database, which is left untouched, or it cannot be used.
        """
        if not self._database.lacks():
            return
        if not self._database.exists():
            self._anchors.create()  # before the first entry, and never again: where it is absent, it was lost
        self._database.prepare()
        with self.write() as transaction:
            migrations.migrate(transaction.connection, transaction.utc)
            if audit_log.head(transaction.connection, STORE) is None:
                transaction.log(STORE, SELF, Action.STORE_CREATED, {})

    @contextmanager
    def write(self, chain: str = "") -> Iterator[Transaction]:
        """Begin a write transaction: committed at the end of the block, undone where the block raises.

        Args:
            chain: that it writes to; its time is later than that of the last entry, even if the clock was set back.
                Empty for one that has no entries yet.

        Raises:
            CaseError: the store cannot be written; nothing of the transaction is kept.
        """
        with self._database.transaction(write=True) as connection:
            transaction = Transaction(connection, self._stamp(connection, chain))
            yield transaction
        self._anchors.append(transaction.heads.values())

    def _stamp(self, connection: Connection, chain: str) -> str:
        """Return the time for what is written to a chain now; signatures are held against decisions by it."""
        now = stamp(self._clock())
        newest = audit_log.tail(connection, chain, 1) if chain else ()
        if not newest or newest[0].utc < now:
            return now
        try:
            return stamp(datetime.fromisoformat(newest[0].utc) + timedelta(microseconds=1))
        except (ValueError, OverflowError):  # the entry was edited, which the check of the log tells
            return now

    @contextmanager
    def write_case(self, case_id: str, attempt: str, actor: str, **parameters: object) -> Iterator[Transaction]:
        """Begin a write transaction on a case. After a ``PolicyViolation`` in the block, only the attempt is logged.

        Args:
            case_id: of the case.
            attempt: what is to be done, as ``Action`` names it.
            actor: who does it.
            parameters: JSON values that it is to be done with, for the entry of a refusal.

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
        """Begin a read transaction: all that is read is of one moment.

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
        """Log that work on an item, which ``Transaction.begin`` noted, failed.

        Raises:
            CaseError: there is no such case, or the log cannot be written.
        """
        with self.write_case(case_id, action, actor, sha256=sha256) as transaction:
            transaction.end(case_id, action, sha256)
            transaction.log(case_id, actor, f"{action} failed", {"sha256": sha256, "reason": plain(reason)})

    def record_failure(self, case_id: str, attempt: str, *, actor: str, reason: str, name: str = "") -> None:
        """Log that something could not be done, such as the intake of a file that cannot be read.

        Args:
            case_id: of the case.
            attempt: what was tried, as ``Action`` names it.
            actor: who tried it.
            reason: why it failed, one sentence.
            name: of the file that it was tried with, if any.

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
        """Return the end of the log of a case, the newest entry first; however long the log is.

        Raises:
            CaseError: there is no such case.
        """
        with self.read_case(case_id) as connection:
            return audit_log.tail(connection, case_id, most)

    def head(self, case_id: str) -> Head:
        """Return the last entry of a case's log, as it is noted; nothing is checked.

        Raises:
            CaseError: there is no such case.
        """
        with self.read_case(case_id) as connection:
            return audit_log.head(connection, case_id) or Head(case_id, 0, START)

    def verify(self, case_id: str) -> LogCheck:
        """Check the chain of a case, or that of what belongs to no case (``audit_log.STORE``).

        Raises:
            CaseError: nothing shows that there ever was such a case.
        """
        checks = self._verify(case_id)
        if case_id not in checks:
            raise unknown_case(case_id)
        return checks[case_id]

    def verify_all(self) -> dict[str, LogCheck]:
        """Check every chain that the store has, or once had.

        Returns:
            Id of the case, or ``audit_log.STORE``, -> the check of its chain.
        """
        return self._verify(None)

    def _verify(self, only: str | None) -> dict[str, LogCheck]:
        noted = self._anchors.read()  # before the database, which is never behind it
        with self.read() as connection:
            chains = {STORE, *(noted or ()), *queries.chains(connection)}
            return {
                chain: _check(connection, chain, noted) for chain in sorted(chains if only is None else chains & {only})
            }

    @contextmanager
    def snapshot(self, case_id: str) -> Iterator[tuple[Connection, LogCheck]]:
        """Begin a long read of a case: a connection that shows one moment of it, and the check of its log.

        Raises:
            CaseError: there is no such case.
        """
        noted = self._anchors.read()
        with self.read_case(case_id) as connection:
            yield connection, _check(connection, case_id, noted)


def _check(connection: Connection, chain: str, noted: dict[str, dict[int, str]] | None) -> LogCheck:
    return check_stored(connection, chain, None if noted is None else noted.get(chain, {}))
