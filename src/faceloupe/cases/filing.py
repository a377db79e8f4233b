"""Filing: cases and their evidence."""

import contextlib
import dataclasses
import secrets

from faceloupe.cases import queries
from faceloupe.cases.audit_log import STORE, Action
from faceloupe.cases.journal import SELF, Journal
from faceloupe.cases.records import Case, Item, Page, name_of, person_key, plain
from faceloupe.cases.transaction import find_item
from faceloupe.config import Settings
from faceloupe.errors import CaseError, FaceLoupeError, UsageError
from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name
from faceloupe.types import Step


class Filing(Journal):
    """The part of the store that holds what was given. Nothing of it is ever changed."""

    def create_case(self, name: str, *, examiner: str = "", blind: bool = False, actor: str = "") -> Case:
        """Open a case.

        Args:
            examiner: who is in charge; may be empty.
            blind: keep scores from each examiner until that examiner has entered a decision; for good.
            actor: who opens it; the examiner where empty.

        Raises:
            UsageError: nobody is named, or the case is not.
            CaseError: the store cannot be written.
        """
        name = name_of(name, "case")
        examiner = name_of(examiner, "examiner") if examiner else ""
        actor = name_of(actor or examiner, "actor")
        case_id = secrets.token_hex(6)
        with self._transaction() as writing:
            writing.connection.execute(
                "INSERT INTO cases (id, name, examiner, blind, created_utc) VALUES (?, ?, ?, ?, ?)",
                (case_id, name, examiner, blind, writing.utc),
            )
            parameters = {"name": name, "examiner": examiner, "blind": blind}
            writing.log(case_id, actor, Action.CASE_CREATED, parameters)
        return Case(case_id, name, examiner, blind, writing.utc, items=0)

    def case(self, case_id: str) -> Case:
        """
        Raises:
            CaseError: there is no such case.
        """
        with self._reading(case_id) as connection:
            return queries.case(connection, case_id)

    def cases(self) -> tuple[Case, ...]:
        """All cases, the newest first."""
        with self._database.transaction(write=False) as connection:
            return queries.cases(connection)

    def file_evidence(self, case_id: str, evidence_file: EvidenceFile, *, actor: str, step: Step | None = None) -> Item:
        """Keep the bytes of a file, and file them to a case. The same bytes are one item, under its first name.

        Args:
            step: called with the share that is kept, 0..1; what it raises ends the work.

        Raises:
            EvidenceError: the file is gone, or not what it was when it was hashed.
            CaseError: there is no such case, or the store cannot be written.
        """
        actor, found = name_of(actor, "actor"), evidence_file.evidence
        name = printable_name(found.name)
        facts = {"sha256": found.sha256, "name": name, "size_bytes": found.size_bytes}
        with self._writing(case_id, Action.INTAKE, actor, **facts) as writing:
            writing.begin(case_id, Action.INTAKE, actor, found.sha256, name)
        try:
            with evidence_file.open() as stream:
                self._evidence.keep(stream, found.sha256, found.size_bytes, step)
        except FaceLoupeError as problem:
            with contextlib.suppress(CaseError):  # the first problem is the one to tell
                self._fail(case_id, Action.INTAKE, actor, found.sha256, str(problem))
            raise
        with self._writing(case_id, Action.INTAKE, actor, **facts) as writing:
            writing.connection.execute(
                "INSERT INTO evidence (sha256, size_bytes, media_type, format) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (found.sha256, found.size_bytes, found.media_type, found.format),
            )
            writing.connection.execute(
                "INSERT INTO items (case_id, sha256, name, name_key, added_utc, added_by) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (case_id, found.sha256, name, name.casefold(), writing.utc, actor),
            )
            writing.end(case_id, Action.INTAKE, found.sha256)
            writing.log(case_id, actor, Action.INTAKE, facts)
            return writing.item(case_id, found.sha256)

    def item(self, case_id: str, prefix: str, *, viewer: str | None = None) -> Item:
        """The item of a case whose SHA-256 begins with these digits, four or more.

        Where the store takes the hash of an item to be reviewed, its first digits will do as well.

        Args:
            viewer: see ``items``.

        Raises:
            CaseError: there is no such case; no item, or several, begin so.
        """
        with self._reading(case_id) as connection:
            return find_item(connection, case_id, prefix, viewer and person_key(viewer))

    def items(
        self,
        case_id: str,
        *,
        search: str = "",
        outcome: str | None = None,
        viewer: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Page:
        """A stretch of a case's items, in the order they were filed.

        Args:
            search: part of the name, or start of the hash.
            outcome: of the newest run.
            viewer: whose eyes the list is for: results that a blind case keeps from that person are hidden, and are
                not found by their outcome. None hides nothing.

        Raises:
            CaseError: there is no such case.
        """
        with self._reading(case_id) as connection:
            return queries.items(
                connection,
                case_id,
                search=plain(search).strip().casefold(),
                outcome=outcome,
                viewer=viewer and person_key(viewer),
                offset=offset,
                limit=limit,
            )

    def open_evidence(
        self, sha256: str, *, name: str = "", max_bytes: int | None = None, step: Step | None = None
    ) -> EvidenceFile:
        """Take kept evidence in again; its hash is checked on the way.

        Args:
            name: under which it was filed; the first digits of the hash where empty.
            max_bytes: see ``open_evidence``; that of the default settings where None.

        Raises:
            CaseError: it is missing, unreadable or damaged; this is logged.
        """
        path = self._evidence.path(sha256)
        try:
            evidence_file = open_evidence(path, max_bytes=max_bytes or Settings().max_bytes, step=step)
        except UsageError:
            evidence_file = None
        if evidence_file is None or evidence_file.evidence.sha256 != sha256:
            self.verify_evidence(sha256)  # says and logs what is wrong
            raise CaseError(f"The stored file {sha256[:12]} cannot be read; try again.")
        named = dataclasses.replace(evidence_file.evidence, name=printable_name(name) or sha256[:12])
        return dataclasses.replace(evidence_file, evidence=named)

    def verify_evidence(self, sha256: str, step: Step | None = None) -> None:
        """Hash kept evidence anew.

        Raises:
            CaseError: it is missing, unreadable or damaged; this is logged.
        """
        try:
            self._evidence.check(sha256, step)
        except CaseError as problem:
            with contextlib.suppress(CaseError), self._transaction() as writing:
                parameters = {"sha256": sha256, "reason": str(problem)}
                writing.log(STORE, SELF, f"{Action.EVIDENCE_CHECK} failed", parameters)
            raise
