"""Runs: analyses of the items of cases, with their reports and pictures."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from sqlite3 import Connection

from faceloupe.cases import queries
from faceloupe.cases.audit_log import Action
from faceloupe.cases.blobs import BlobStore
from faceloupe.cases.case_log import CaseLog
from faceloupe.cases.records import Run, name_of, plain
from faceloupe.cases.transaction import PolicyViolation, find_item
from faceloupe.errors import CaseError, ReportError
from faceloupe.report.case_schema import finding_run
from faceloupe.report.schema import Report

_PICTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def report_text(connection: Connection, run_id: str) -> str:
    """Return the text of the report of a run, checked against its hash.

    Raises:
        CaseError: there is no such run, or the text was changed after filing.
    """
    report = queries.report(connection, run_id)
    if report is None:
        raise CaseError("There is no such run in the store.")
    if hashlib.sha256(report.text.encode()).hexdigest() != report.sha256:
        raise CaseError(
            f"The report of run {run_id} differs from what was filed; restore the data folder from a backup."
        )
    return report.text


def finding_run_id(connection: Connection, item_id: int) -> str | None:
    """Return the id of the run of an item that ``case_schema.finding_run`` selects; None without runs."""

    def of_segment(run_id: str) -> bool:
        stored = queries.report(connection, run_id)
        try:
            return stored is None or Report.from_json(stored.text).segment is not None
        except ReportError:  # an unreadable report cannot state a result for the whole file
            return True

    return finding_run(queries.run_ids(connection, item_id), of_segment)


class Runs:
    """The part of the store that holds the results of analyses, which are never changed."""

    def __init__(self, log: CaseLog, pictures: BlobStore) -> None:
        """Use the log of the store and the folder of its pictures."""
        self._log, self._pictures = log, pictures

    def begin(self, case_id: str, sha256: str, *, actor: str) -> None:
        """Log the start of an analysis of an item; ``add`` or ``fail`` logs its end.

        Raises:
            CaseError: there is no such case or item, or the store cannot be written.
        """
        actor = name_of(actor, "actor")
        with self._log.write_case(case_id, Action.RUN, actor, sha256=sha256) as transaction:
            item = transaction.item(case_id, sha256)
            transaction.begin(case_id, Action.RUN, actor, item.sha256, item.name)

    def fail(self, case_id: str, sha256: str, *, actor: str, reason: str) -> None:
        """Log that an analysis ended without a report.

        Raises:
            CaseError: there is no such case, or the store cannot be written.
        """
        self._log.fail(case_id, Action.RUN, name_of(actor, "actor"), sha256, plain(reason))

    def add(
        self,
        case_id: str,
        sha256: str,
        report: Report,
        pictures: Mapping[str, bytes],
        *,
        actor: str,
        image_hash: str = "",
    ) -> Run:
        """Store a report as canonical JSON, with its pictures.

        Args:
            case_id: id of the case.
            sha256: SHA-256 of the evidence.
            report: report of this evidence.
            pictures: file name -> bytes of the PNG file.
            actor: name of the person who started the analysis.
            image_hash: perceptual hash of an image, see ``media.similarity``; empty if there is none.

        Raises:
            ValueError: the name of a picture is not a plain file name.
            CaseError: there is no such case or item, the report is of other evidence, or the store cannot be written.
        """
        actor, text = name_of(actor, "actor"), report.to_json()
        odd = [name for name in pictures if not _PICTURE.fullmatch(name)]
        if odd:
            raise ValueError(f"a picture needs a plain file name, not {odd[0]!r}")
        digests = {name: self._pictures.keep_bytes(content) for name, content in pictures.items()}
        run_id, report_sha256 = secrets.token_hex(6), hashlib.sha256(text.encode()).hexdigest()
        outcome, score = report.outcome.value, report.score
        with self._log.write_case(case_id, Action.RUN, actor, sha256=sha256) as transaction:
            item, connection = transaction.item(case_id, sha256), transaction.connection
            if report.evidence.sha256 != sha256:
                raise PolicyViolation("The report belongs to other evidence than the item; file it to its own item.")
            connection.execute(
                "INSERT INTO runs (id, item_id, created_utc, actor, outcome, score, report_sha256, report)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (run_id, item.id, transaction.utc, actor, outcome, score, report_sha256, text),
            )
            connection.executemany(
                "INSERT INTO pictures (run_id, name, sha256) VALUES (?, ?, ?)",
                [(run_id, name, picture) for name, picture in digests.items()],
            )
            if image_hash:
                connection.execute(
                    "INSERT INTO image_hashes (sha256, perceptual_hash) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (sha256, image_hash),
                )
            if finding_run_id(connection, item.id) == run_id:
                connection.execute("UPDATE items SET outcome = ?, score = ? WHERE id = ?", (outcome, score, item.id))
            transaction.end(case_id, Action.RUN, sha256)
            # The outcome is not logged: examiners can read the log before they have decided a blind case.
            parameters = {"sha256": sha256, "run": run_id, "report_sha256": report_sha256, "pictures": digests}
            transaction.log(case_id, actor, Action.RUN, parameters)
        return Run(run_id, transaction.utc, actor, outcome, score, report_sha256, digests)

    def of_item(self, case_id: str, sha256: str) -> tuple[Run, ...]:
        """Return the runs of an item, oldest first.

        In a blind case, call ``Reviews.may_see_score`` before showing them.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            return queries.runs(connection, find_item(connection, case_id, sha256).id)

    def finding(self, case_id: str, sha256: str) -> Run | None:
        """Return the run of an item that ``case_schema.finding_run`` selects; None without runs.

        In a blind case, call ``Reviews.may_see_score`` before showing it.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            item_id = find_item(connection, case_id, sha256).id
            run_id = finding_run_id(connection, item_id)
            return next((run for run in queries.runs(connection, item_id) if run.id == run_id), None)

    def report(self, run_id: str) -> Report:
        """Return the report of a run.

        Raises:
            CaseError: there is no such run, or the text was changed after filing.
            ReportError: this release cannot read the report.
        """
        return Report.from_json(self.report_text(run_id))

    def report_text(self, run_id: str) -> str:
        """Return the report of a run as filed: canonical JSON.

        Raises:
            CaseError: there is no such run, or the text was changed after filing.
        """
        with self._log.read() as connection:
            return report_text(connection, run_id)

    def picture(self, sha256: str) -> bytes:
        """Return the PNG bytes of a picture of a run.

        Raises:
            CaseError: the picture is missing or damaged.
        """
        return self._pictures.read(sha256)
