"""The evidence of the cases."""

import contextlib
import dataclasses

from faceloupe.cases import queries
from faceloupe.cases.audit_log import STORE, Action
from faceloupe.cases.blobs import BlobStore
from faceloupe.cases.case_log import SYSTEM_ACTOR, CaseLog
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
    """The part of the store that holds the evidence, which is never changed."""

    def __init__(self, log: CaseLog, evidence: BlobStore) -> None:
        """Use the log of the store and the folder of its evidence."""
        self._log, self._evidence = log, evidence

    def file(self, case_id: str, evidence_file: EvidenceFile, *, actor: str, step: Step | None = None) -> Item:
        """Store the bytes of a file and file them to a case; the same bytes are one item, under its first name.

        Args:
            case_id: id of the case.
            evidence_file: the file.
            actor: name of the person who files it.
            step: called with the share done, 0..1; an exception that it raises ends the work.

        Raises:
            EvidenceError: the file is missing, or has changed since it was hashed.
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
            with contextlib.suppress(CaseError):  # report the first error
                self._log.fail(case_id, Action.INTAKE, actor, evidence.sha256, reason_of(problem))
            raise

    def get(self, case_id: str, prefix: str, *, viewer: str | None = None) -> Item:
        """Return the item of a case whose SHA-256 begins with the given digits, four or more.

        Most methods of ``Reviews`` also accept the first digits of a hash.

        Args:
            case_id: id of the case.
            prefix: first digits of the hash.
            viewer: see ``page``.

        Raises:
            CaseError: there is no such case, or no item or several items match.
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
            case_id: id of the case.
            search: part of the name, or start of the hash.
            outcome: outcome of the run selected by ``case_schema.finding_run``; None for all.
            state: state of the review; None for all.
            viewer: name of the person who will see the list. Results that a blind case, this one or another, withholds
                from that person are hidden and do not match ``outcome``. None hides nothing.
            offset: index of the first item, from 0.
            limit: maximum number of items.

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
        """Return the newest case that contains the evidence; None if no case does."""
        with self._log.read() as connection:
            return queries.newest_case_of(connection, sha256)

    def similar(self, sha256: str, *, image_hash: str = "") -> tuple[SimilarItem, ...]:
        """Return the items of all cases, except blind ones, that are the same file or a similar image.

        Images that were filed before perceptual hashes were stored are only found if they are the same file.

        Args:
            sha256: SHA-256 of the evidence, which need not be in a case.
            image_hash: perceptual hash of the image; the stored hash if empty.

        Returns:
            The same file first, then the most similar ones.
        """
        with self._log.read() as connection:
            return queries.similar_items(connection, sha256, image_hash, NEAR_BITS)

    def neighbors(self, case_id: str, sha256: str) -> Neighbors:
        """Return the neighbors of an item in its case.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            return queries.neighbors(connection, case_id, find_item(connection, case_id, sha256).id)

    def open_evidence(
        self, sha256: str, *, name: str = "", max_bytes: int | None = None, step: Step | None = None
    ) -> EvidenceFile:
        """Open stored evidence and check its hash.

        Args:
            sha256: SHA-256 of the evidence.
            name: name under which it was filed; the first digits of the hash if empty.
            max_bytes: see ``evidence_file.open_evidence``; the default of ``Settings`` if None.
            step: called with the share hashed, 0..1; an exception that it raises ends the work.

        Raises:
            CaseError: the evidence is missing, unreadable or damaged; this is logged.
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
        """Hash stored evidence again, and check that it is unchanged.

        Args:
            sha256: SHA-256 of the evidence.
            step: called with the share hashed, 0..1; an exception that it raises ends the work.

        Raises:
            CaseError: the evidence is missing, unreadable or damaged; this is logged.
        """
        try:
            self._evidence.check(sha256, step)
        except CaseError as problem:
            with contextlib.suppress(CaseError), self._log.write(STORE) as transaction:
                parameters = {"sha256": sha256, "reason": str(problem)}
                transaction.log(STORE, SYSTEM_ACTOR, f"{Action.EVIDENCE_CHECK} failed", parameters)
            raise

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Return work whose start is recorded but not its end: it is still running, or its process died."""
        with self._log.read() as connection:
            return queries.unfinished(connection, self._evidence.holds)
