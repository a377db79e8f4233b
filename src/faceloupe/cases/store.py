"""The case store: a data folder with cases, their evidence, analysis results and reviews."""

import secrets
from pathlib import Path

from faceloupe.cases import blobs, queries
from faceloupe.cases.audit_log import Action
from faceloupe.cases.case_log import CaseLog, Clock
from faceloupe.cases.database import Database
from faceloupe.cases.items import Items
from faceloupe.cases.records import Case, name_of, utc_now
from faceloupe.cases.reviews import Reviews
from faceloupe.cases.runs import Runs
from faceloupe.cases.transaction import find_case
from faceloupe.config import private_folder

_DATABASE = "cases.sqlite"


class CaseStore:
    """All cases of a data folder. All threads and processes may use it; each call is its own transaction.

    Reviews by people are stored separately from the results of runs, and nothing changes a run.

    Attributes:
        folder: the data folder.
        clock: returns the current time, with its time zone.
        log: log of all actions.
        items: the evidence.
        runs: results of the analyses.
        reviews: score views, notes, decisions and signatures.
    """

    def __init__(self, folder: Path, *, clock: Clock = utc_now) -> None:
        """Open or create the store, and delete temporary files of ended processes.

        Args:
            folder: data folder; created if it does not exist.
            clock: returns the current time, with its time zone.

        Raises:
            CaseError: the folder cannot be used, or its database is from a newer version and is left untouched.
        """
        self.folder, self.clock = folder, clock
        incoming = folder / "incoming"
        evidence = blobs.BlobStore(folder / "evidence", incoming)
        pictures = blobs.BlobStore(folder / "pictures", incoming)
        self.log = CaseLog(Database(folder / _DATABASE), folder / "heads.txt", clock)
        self.items = Items(self.log, evidence)
        self.runs = Runs(self.log, pictures)
        self.reviews = Reviews(self.log)
        with blobs.as_case_errors(folder):
            private_folder(folder)
            self.log.prepare()
            for name in ("evidence", "pictures", "incoming"):
                private_folder(folder / name)
            blobs.remove_leftovers(incoming)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Return whether a folder already holds a store."""
        return (folder / _DATABASE).exists()

    def create_case(self, name: str, *, examiner: str = "", blind: bool = False, actor: str = "") -> Case:
        """Create a case.

        Args:
            name: name of the case.
            examiner: name of the examiner in charge; may be empty.
            blind: hide scores from each examiner until that examiner has entered a decision; cannot be changed later.
            actor: name of the person who creates it; the examiner if empty.

        Raises:
            UsageError: the name of the case is empty, or both ``examiner`` and ``actor`` are.
            CaseError: the store cannot be written.
        """
        name = name_of(name, "case")
        examiner = name_of(examiner, "examiner") if examiner else ""
        actor = name_of(actor or examiner, "actor")
        case_id = secrets.token_hex(6)
        with self.log.write() as transaction:
            transaction.connection.execute(
                "INSERT INTO cases (id, name, examiner, blind, created_utc) VALUES (?, ?, ?, ?, ?)",
                (case_id, name, examiner, blind, transaction.utc),
            )
            parameters = {"name": name, "examiner": examiner, "blind": blind}
            transaction.log(case_id, actor, Action.CASE_CREATED, parameters)
        return Case(case_id, name, examiner, blind, transaction.utc, items=0)

    def case(self, case_id: str) -> Case:
        """Return a case.

        Raises:
            CaseError: there is no such case.
        """
        with self.log.read() as connection:
            return find_case(connection, case_id)

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, newest first."""
        with self.log.read() as connection:
            return queries.cases(connection)
