"""Runs of the pipeline over the items of a case: their reports and pictures."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

from faceloupe.cases import queries
from faceloupe.cases.audit_log import Action
from faceloupe.cases.filing import Filing
from faceloupe.cases.records import Run, name_of, plain
from faceloupe.cases.transaction import PolicyViolation
from faceloupe.errors import CaseError
from faceloupe.types import Outcome

_PICTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def report_text(connection: Connection, run_id: str) -> str:
    """The report of a run, held against its hash.

    Raises:
        CaseError: there is no such run, or the text is not what was filed.
    """
    found = queries.report(connection, run_id)
    if found is None:
        raise CaseError("There is no such run in the store.")
    text, sha256 = found
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise CaseError(
            f"The report of run {run_id} differs from what was filed; restore the data folder from a backup."
        )
    return text


class Runs(Filing):
    """The part of the store that holds what was found in the evidence. Nothing of it is ever changed."""

    def begin_run(self, case_id: str, sha256: str, *, actor: str) -> None:
        """Log that an analysis of an item begins; ``add_run`` or ``fail_run`` ends it.

        Raises:
            CaseError: there is no such case or item, or the store cannot be written.
        """
        actor = name_of(actor, "actor")
        with self._writing(case_id, Action.RUN, actor, sha256=sha256) as writing:
            item = writing.item(case_id, sha256)
            writing.begin(case_id, Action.RUN, actor, item.sha256, item.name)

    def fail_run(self, case_id: str, sha256: str, *, actor: str, reason: str) -> None:
        """Log that an analysis came to no report.

        Raises:
            CaseError: there is no such case, or the store cannot be written.
        """
        self._fail(case_id, Action.RUN, name_of(actor, "actor"), sha256, plain(reason))

    def add_run(
        self, case_id: str, sha256: str, report: Mapping[str, Any], pictures: Mapping[str, bytes], *, actor: str
    ) -> Run:
        """Keep a canonical report, and the pictures that belong to it.

        Args:
            report: see ``report.build``; of this very evidence.
            pictures: file name -> PNG.

        Raises:
            CaseError: there is no such case or item, the report is of other evidence, or the store cannot be written.
        """
        from faceloupe.report.build import of_segment, to_json  # OpenCV, which listing and reviewing do without

        actor, text = name_of(actor, "actor"), to_json(dict(report))
        odd = [name for name in pictures if not _PICTURE.fullmatch(name)]
        if odd:
            raise ValueError(f"a picture needs a plain file name, not {odd[0]!r}")
        kept = {name: self._pictures.keep_bytes(content) for name, content in pictures.items()}
        run_id, report_sha256 = secrets.token_hex(6), hashlib.sha256(text.encode()).hexdigest()
        outcome, score = Outcome(report["outcome"]).value, report["score"]
        with self._writing(case_id, Action.RUN, actor, sha256=sha256) as writing:
            item, connection = writing.item(case_id, sha256), writing.connection
            if report["evidence"]["sha256"] != sha256:
                raise PolicyViolation("The report belongs to other evidence than the item; file it to its own item.")
            connection.execute(
                "INSERT INTO runs (id, item_id, created_utc, actor, outcome, score, report_sha256, report)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (run_id, item.id, writing.utc, actor, outcome, score, report_sha256, text),
            )
            connection.executemany(
                "INSERT INTO pictures (run_id, name, sha256) VALUES (?, ?, ?)",
                [(run_id, name, picture) for name, picture in kept.items()],
            )
            earlier = connection.execute("SELECT report FROM runs WHERE item_id = ? AND id != ?", (item.id, run_id))
            if not of_segment(report) or all(of_segment(json.loads(one)) for (one,) in earlier):
                connection.execute("UPDATE items SET outcome = ?, score = ? WHERE id = ?", (outcome, score, item.id))
            writing.end(case_id, Action.RUN, sha256)
            # Without the outcome: the log is open to examiners from whom a blind case keeps it.
            parameters = {"sha256": sha256, "run": run_id, "report_sha256": report_sha256, "pictures": kept}
            writing.log(case_id, actor, Action.RUN, parameters)
        return Run(run_id, writing.utc, actor, outcome, score, report_sha256, kept)

    def runs(self, case_id: str, sha256: str) -> tuple[Run, ...]:
        """The runs of an item, the oldest first. In a blind case ask ``may_see_score`` before showing them.

        Raises:
            CaseError: there is no such case or item.
        """
        item = self.item(case_id, sha256)
        with self._reading(case_id) as connection:
            return queries.runs(connection, item.id)

    def report_text(self, run_id: str) -> str:
        """The report of a run, as it was filed: canonical JSON.

        Raises:
            CaseError: there is no such run, or the text is not what was filed.
        """
        with self._database.transaction(write=False) as connection:
            return report_text(connection, run_id)

    def picture(self, sha256: str) -> bytes:
        """A picture of a run, PNG.

        Raises:
            CaseError: it is missing or damaged.
        """
        return self._pictures.read(sha256)
