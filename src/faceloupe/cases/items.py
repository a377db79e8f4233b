"""The evidence of the cases."""

import contextlib
import dataclasses

from faceloupe.cases import queries
from faceloupe.cases.audit_log import STORE, Action
from faceloupe.cases.blobs import BlobStore
from faceloupe.cases.case_log import SELF, CaseLog
from faceloupe.cases.records import (
    Case,
    Item,
    Neighbors,
    Page,
    ReviewState,
    SimilarItem,
    Unfinished,
    name_of,
    person_key,
    plain,
    reason_of,
)
from faceloupe.cases.transaction import find_item
from faceloupe.config import Settings
from faceloupe.errors import CaseError, UsageError
from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name
from faceloupe.media.similarity import NEAR_BITS
from faceloupe.types import Step


class Items:
    """The part of the store that holds the evidence. Nothing of it is ever changed."""

    def __init__(self, log: CaseLog, evidence: BlobStore) -> None:
        """Use the log of the store, and the folder of its evidence."""
        self._log, self._evidence = log, evidence

    def file(self, case_id: str, evidence_file: EvidenceFile, *, actor: str, step: Step | None = None) -> Item:
        """Keep the bytes of a file, and file them to a case. The same bytes are one item, under its first name.

        Args:
            case_id: of the case.
            evidence_file: the file.
            actor: who files it.
            step: called with the share that is kept, 0..1; what it raises ends the work.

        Raises:
            EvidenceError: the file is gone, or not what it was when it was hashed.
            CaseError: there is no such case, or the store cannot be written.
        """
        actor, evidence = name_of(actor, "actor"), evidence_file.evidence
        name = printable_name(evidence.name)
        facts = {"sha256": evidence.sha256, "name": name, "size_bytes": evidence.size_bytes}
        with self._log.write_case(case_id, Action.INTAKE, actor, **facts) as transaction:
            transaction.begin(case_id, Action.INTAKE, actor, evidence.sha256, name)
        try:
            with evidence_file.open() as stream:
                self._evidence.keep(stream, evidence.sha256, evidence.size_bytes, step)
            with self._log.write_case(case_id, Action.INTAKE, actor, **facts) as transaction:
                transaction.connection.execute(
                    "INSERT INTO evidence (sha256, size_bytes, media_type, format) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (evidence.sha256, evidence.size_bytes, evidence.media_type, evidence.format),
                )
                transaction.connection.execute(
                    "INSERT INTO items (case_id, sha256, name, name_key, added_utc, added_by) VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (case_id, evidence.sha256, name, name.casefold(), transaction.utc, actor),
                )
                transaction.end(case_id, Action.INTAKE, evidence.sha256)
                transaction.log(case_id, actor, Action.INTAKE, facts)
                return transaction.item(case_id, evidence.sha256)
        except BaseException as problem:
            with contextlib.suppress(CaseError):  # the first problem is the one to tell
                self._log.fail(case_id, Action.INTAKE, actor, evidence.sha256, reason_of(problem))
            raise

    def get(self, case_id: str, prefix: str, *, viewer: str | None = None) -> Item:
        """Return the item of a case whose SHA-256 begins with these digits, four or more.

        Where the store takes the hash of an item to be reviewed, its first digits will do as well.

        Args:
            case_id: of the case.
            prefix: first digits of the hash.
            viewer: see ``page``.

        Raises:
            CaseError: there is no such case; no item, or several, begin so.
        """
        with self._log.read_case(case_id) as connection:
            return find_item(connection, case_id, prefix, viewer and person_key(viewer))

    def page(
        self,
        case_id: str,
        *,
        search: str = "",
        outcome: str | None = None,
        state: ReviewState | None = None,
        viewer: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Page:
        """Return a page of a case's items, in the order they were filed.

        Args:
            case_id: of the case.
            search: part of the name, or start of the hash.
            outcome: of the run that says what was found.
            state: how far the review is.
            viewer: whose eyes the list is for: results that a blind case, this one or another, keeps from that person
                are hidden, and are not found by their outcome. None hides nothing.
            offset: number of the first item, from 0.
            limit: of how many there are at most.

        Raises:
            CaseError: there is no such case.
        """
        with self._log.read_case(case_id) as connection:
            return queries.items(
                connection,
                case_id,
                search=plain(search).strip().casefold(),
                outcome=outcome,
                state=state,
                viewer=viewer and person_key(viewer),
                offset=offset,
                limit=limit,
            )

    def newest_case(self, sha256: str) -> Case | None:
        """Return the newest case to which some evidence is filed; None where it is in no case."""
        with self._log.read() as connection:
            return queries.newest_case_of(connection, sha256)

    def similar(self, sha256: str, *, image_hash: str = "") -> tuple[SimilarItem, ...]:
        """Return the items of all cases that are the same file, or an image much like it; never of a blind case.

        Images filed before their perceptual hashes were kept are known by their bytes alone.

        Args:
            sha256: of the evidence, which need not be in a case.
            image_hash: its perceptual hash; that of the store where empty.

        Returns:
            The same file first, then the most similar ones.
        """
        with self._log.read() as connection:
            return queries.similar_items(connection, sha256, image_hash, NEAR_BITS)

    def neighbors(self, case_id: str, sha256: str) -> Neighbors:
        """Return what comes before and after an item of a case.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            return queries.neighbors(connection, case_id, find_item(connection, case_id, sha256).id)

    def open_evidence(
        self, sha256: str, *, name: str = "", max_bytes: int | None = None, step: Step | None = None
    ) -> EvidenceFile:
        """Open kept evidence; its hash is checked on the way.

        Args:
            sha256: of the evidence.
            name: under which it was filed; the first digits of the hash where empty.
            max_bytes: see ``open_evidence``; that of the default settings where None.
            step: called with the share that is hashed, 0..1; what it raises ends the work.

        Raises:
            CaseError: it is missing, unreadable or damaged; this is logged.
        """
        path, max_bytes = self._evidence.path(sha256), max_bytes or Settings().max_bytes
        try:
            evidence_file: EvidenceFile | None = open_evidence(path, max_bytes=max_bytes, step=step)
        except UsageError:
            evidence_file = None
        if evidence_file is None or evidence_file.evidence.sha256 != sha256:
            self.verify_evidence(sha256)  # raises and logs what is wrong
            raise CaseError(f"The stored file {sha256[:12]} cannot be read; try again.")
        named = dataclasses.replace(evidence_file.evidence, name=printable_name(name) or sha256[:12])
        return dataclasses.replace(evidence_file, evidence=named)

    def verify_evidence(self, sha256: str, step: Step | None = None) -> None:
        """Hash kept evidence again.

        Args:
            sha256: of the evidence.
            step: called with the share that is hashed, 0..1; what it raises ends the work.

        Raises:
            CaseError: it is missing, unreadable or damaged; this is logged.
        """
        try:
            self._evidence.check(sha256, step)
        except CaseError as problem:
            with contextlib.suppress(CaseError), self._log.write(STORE) as transaction:
                parameters = {"sha256": sha256, "reason": str(problem)}
                transaction.log(STORE, SELF, f"{Action.EVIDENCE_CHECK} failed", parameters)
            raise

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Return work that was begun and of which no end is recorded: it is going on, or its process died."""
        with self._log.read() as connection:
            return queries.unfinished(connection, self._evidence.holds)
