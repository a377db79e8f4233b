"""Reviews: score views, notes, decisions and signatures."""

from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection

from faceloupe.cases import policy, queries
from faceloupe.cases.audit_log import Action
from faceloupe.cases.case_log import CaseLog
from faceloupe.cases.records import Case, Confidence, Decision, Note, SignOff, name_of, person_key, plain, text_of
from faceloupe.cases.transaction import PolicyViolation, Transaction, find_item
from faceloupe.errors import UsageError
from faceloupe.types import Outcome

_PAGE = 1000  # items whose views are logged in one transaction
_BLIND = "This is evidence of a blind case: the score is shown once the examiner has decided it there."


class Reviews:
    """The part of the store that holds the statements of people about the evidence."""

    def __init__(self, log: CaseLog) -> None:
        """Use the log of the store."""
        self._log = log

    def add_note(self, case_id: str, text: str, *, author: str, sha256: str | None = None) -> Note:
        """Add a note to an item, or to the case if ``sha256`` is None.

        Raises:
            UsageError: the name or the text is empty.
            CaseError: there is no such case or item, or the store cannot be written.
        """
        author, text = name_of(author, "author"), text_of(text, "note")
        with self._log.write_case(case_id, Action.NOTE, author, sha256=sha256, text=text) as transaction:
            item = transaction.item(case_id, sha256) if sha256 is not None else None
            transaction.connection.execute(
                "INSERT INTO notes (case_id, item_id, utc, author, text) VALUES (?, ?, ?, ?, ?)",
                (case_id, item.id if item else None, transaction.utc, author, text),
            )
            transaction.log(case_id, author, Action.NOTE, {"sha256": item.sha256 if item else None, "text": text})
        return Note(transaction.utc, author, text)

    def decide(
        self,
        case_id: str,
        sha256: str,
        *,
        outcome: str,
        reason: str,
        confidence: str,
        examiner: str,
        name_checked: bool = False,
    ) -> Decision:
        """Record an examiner's decision on an item; earlier decisions are kept.

        Args:
            case_id: id of the case.
            sha256: SHA-256 of the item.
            outcome: a value of ``Outcome``.
            reason: the examiner's reason; not empty.
            confidence: a value of ``Confidence``.
            examiner: name of the examiner.
            name_checked: whether the examiner has signed in with a personal password.

        Raises:
            UsageError: ``outcome`` or ``confidence`` is not such a value, or the name or the reason is empty.
            CaseError: there is no such case or item, the examiner has signed the item or the case as its reviewer, or
                the store cannot be written.
        """
        outcome, confidence = _word(outcome, Outcome, "outcome"), _word(confidence, Confidence, "confidence")
        examiner, reason = name_of(examiner, "examiner"), text_of(reason, "reason")
        facts: dict[str, str | bool] = {"outcome": outcome, "reason": reason, "confidence": confidence}
        key = person_key(examiner)
        with self._log.write_case(case_id, Action.DECISION, examiner, sha256=sha256, **facts) as transaction:
            item = transaction.item(case_id, sha256)
            policy.refuse_reviewer_as_examiner(transaction.connection, case_id, item, examiner)
            seen = bool(policy.seen_runs(transaction.connection, key, item.sha256))
            transaction.connection.execute(
                "INSERT INTO decisions"
                " (item_id, utc, examiner, examiner_key, outcome, reason, confidence, score_seen_before, name_checked)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (item.id, transaction.utc, examiner, key, outcome, reason, confidence, seen, name_checked),
            )
            facts |= {"sha256": item.sha256, "score_seen_before": seen}
            facts |= _checked(name_checked)
            transaction.log(case_id, examiner, Action.DECISION, facts)
        return Decision(
            transaction.utc, examiner, outcome, reason, confidence, score_seen_before=seen, name_checked=name_checked
        )

    def sign_off(
        self,
        case_id: str,
        *,
        reviewer: str,
        sha256: str | None = None,
        open_reason: str = "",
        name_checked: bool = False,
    ) -> SignOff:
        """Sign a decided item, or the case if ``sha256`` is None, as a second person.

        Args:
            case_id: id of the case.
            reviewer: name of the reviewer.
            sha256: SHA-256 of the item; None for the whole case.
            open_reason: why a case is signed although some of its items have no decision; ignored if all have one.
            name_checked: whether the reviewer has signed in with a personal password.

        Raises:
            UsageError: the name is empty.
            CaseError: there is no such case or item, the item is not decided, items of the case are not decided and
                ``open_reason`` is empty, the reviewer is the examiner of the case or made the decision (names are
                compared by ``records.person_key``), or the store cannot be written.
        """
        reviewer, reason = name_of(reviewer, "reviewer"), plain(open_reason).strip()
        with self._log.write_case(case_id, Action.SIGN_OFF, reviewer, sha256=sha256) as transaction:
            item = transaction.item(case_id, sha256) if sha256 is not None else None
            policy.refuse_examiner_as_reviewer(transaction.connection, case_id, item, reviewer)
            open_items = policy.open_items(transaction.connection, case_id, reason) if item is None else None
            why = None if open_items is None else reason
            signed = SignOff(transaction.utc, reviewer, open_items, why, name_checked=name_checked)
            facts: dict[str, object] = (
                {"open_items": open_items, "open_reason": reason} if open_items is not None else {}
            )
            facts |= _checked(name_checked)
            transaction.connection.execute(
                "INSERT INTO sign_offs"
                " (case_id, item_id, utc, reviewer, reviewer_key, open_items, open_reason, name_checked)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(case_id, item.id if item else None, transaction.utc, reviewer, person_key(reviewer)),
                    *(signed.open_items, signed.open_reason, name_checked),
                ),
            )
            transaction.log(case_id, reviewer, Action.SIGN_OFF, {"sha256": item.sha256 if item else None, **facts})
        return signed

    def may_see_score(self, case_id: str, sha256: str, examiner: str) -> bool:
        """Return whether an examiner may see the results of an item; see ``policy.may_see``.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            return policy.may_see(connection, find_item(connection, case_id, sha256).sha256, person_key(examiner))

    def withholding_case(self, sha256: str, examiner: str) -> Case | None:
        """Return the blind case that withholds the results of some evidence from a person; None if there is none.

        Args:
            sha256: SHA-256 of the evidence.
            examiner: name of the person; empty for an unnamed person, who counts as having decided nothing.
        """
        with self._log.read() as connection:
            return queries.blind_case_of(connection, sha256, person_key(examiner))

    def withheld(self, examiner: str) -> frozenset[str]:
        """Return the SHA-256 of all evidence for which ``withholding_case`` returns a case."""
        with self._log.read() as connection:
            return queries.withheld_hashes(connection, person_key(examiner))

    def view_score(self, case_id: str, sha256: str, *, examiner: str) -> None:
        """Log that an examiner sees the result of an item; call this before showing the result.

        Each result is logged once per examiner, because seeing it again adds no knowledge.

        Raises:
            UsageError: the name is empty.
            CaseError: there is no such case or item, a blind case withholds the result from the examiner, or the store
                cannot be written.
        """
        if not self.view_scores(case_id, [sha256], examiner=examiner):
            with self._log.write_case(case_id, Action.SCORE_VIEWED, name_of(examiner, "examiner"), sha256=sha256):
                raise PolicyViolation(_BLIND)

    def view_run(self, case_id: str, sha256: str, run_id: str, *, examiner: str) -> None:
        """Do the same as ``view_score`` for a given run of an item, such as one of a segment.

        Raises:
            UsageError: the name is empty.
            CaseError: see ``view_score``.
        """
        examiner = name_of(examiner, "examiner")
        views, key = [policy.ResultView(sha256, run_id)], person_key(examiner)
        with self._log.read_case(case_id) as connection:
            if policy.may_see(connection, sha256, key) and not policy.unseen(connection, views, key):
                return
        with self._log.write_case(case_id, Action.SCORE_VIEWED, examiner, sha256=sha256) as transaction:
            transaction.item(case_id, sha256)
            if not policy.may_see(transaction.connection, sha256, key):
                raise PolicyViolation(_BLIND)
            _log_views(transaction, case_id, examiner, policy.unseen(transaction.connection, views, key))

    def view_scores(self, case_id: str, hashes: Sequence[str], *, examiner: str) -> tuple[str, ...]:
        """Do the same as ``view_score`` for many items at once, such as a list.

        Returns:
            The hashes of the items whose results the examiner may see; these now count as seen.
        """
        examiner = name_of(examiner, "examiner")
        key = person_key(examiner)
        # Most calls log nothing, and need not wait for the write lock.
        with self._log.read_case(case_id) as connection:
            visibility = policy.visibility(connection, case_id, hashes, key)
        if visibility.new:
            with self._log.write_case(case_id, Action.SCORE_VIEWED, examiner) as transaction:
                visibility = policy.visibility(transaction.connection, case_id, hashes, key)
                _log_views(transaction, case_id, examiner, visibility.new)
        return visibility.allowed

    def view_all(self, case_id: str, *, examiner: str) -> None:
        """Do the same as ``view_score`` for every item of a case, for example before a report of it is downloaded.

        Raises:
            CaseError: there is no such case, or the store cannot be written.
        """
        with self._log.read_case(case_id) as connection:
            items = queries.all_items(connection, case_id, person_key(examiner))
            hashes = [item.sha256 for item in items if item.outcome]
        for offset in range(0, len(hashes), _PAGE):
            self.view_scores(case_id, hashes[offset : offset + _PAGE], examiner=examiner)

    def record_export(
        self, case_id: str, *, actor: str, parameters: Mapping[str, object], views: Sequence[policy.ResultView] = ()
    ) -> None:
        """Log an export, and that its author has seen the exported results.

        Args:
            case_id: id of the case.
            actor: name of the person who exported it.
            parameters: JSON values that describe the export, such as the name and the SHA-256 of the bundle.
            views: the exported results; those already logged as seen are skipped.

        Raises:
            CaseError: there is no such case, or the log cannot be written.
        """
        actor = name_of(actor, "actor")
        with self._log.write_case(case_id, Action.EXPORT, actor) as transaction:
            _log_views(transaction, case_id, actor, policy.unseen(transaction.connection, views, person_key(actor)))
            transaction.log(case_id, actor, Action.EXPORT, parameters)

    def notes(self, case_id: str, sha256: str | None = None) -> tuple[Note, ...]:
        """Return the notes on an item, or on the case itself if ``sha256`` is None; oldest first.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            return queries.notes(connection, case_id, _item_id(connection, case_id, sha256))

    def decisions(self, case_id: str, sha256: str) -> tuple[Decision, ...]:
        """Return the decisions on an item, oldest first.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            return queries.decisions(connection, find_item(connection, case_id, sha256).id)

    def sign_offs(self, case_id: str, sha256: str | None = None) -> tuple[SignOff, ...]:
        """Return the signatures under an item, or under the case itself if ``sha256`` is None; oldest first.

        Raises:
            CaseError: there is no such case or item.
        """
        with self._log.read_case(case_id) as connection:
            return queries.sign_offs(connection, case_id, _item_id(connection, case_id, sha256))

    def changes_since(self, case_id: str, utc: str) -> int:
        """Count the items filed and the decisions made after a time, such as the time of a signature under the case.

        Raises:
            CaseError: there is no such case.
        """
        with self._log.read_case(case_id) as connection:
            return queries.changes_since(connection, case_id, utc)

    def undecided(self, case_id: str) -> int:
        """Count the items of a case that have no decision.

        Raises:
            CaseError: there is no such case.
        """
        with self._log.read_case(case_id) as connection:
            return queries.undecided(connection, case_id)


def _log_views(transaction: Transaction, case_id: str, person: str, views: Iterable[policy.ResultView]) -> None:
    for view in views:
        transaction.log(case_id, person, Action.SCORE_VIEWED, {"sha256": view.sha256, "run": view.run_id})


def _checked(name_checked: bool) -> dict[str, bool]:
    """Return the log parameter for a checked name; empty if unchecked, as in entries of earlier versions."""
    return {"name_checked": True} if name_checked else {}


def _item_id(connection: Connection, case_id: str, sha256: str | None) -> int | None:
    """Return the id of an item in the store; None if ``sha256`` is None, which stands for the case itself."""
    return None if sha256 is None else find_item(connection, case_id, sha256).id


def _word(text: str, choices: type[Outcome] | type[Confidence], what: str) -> str:
    try:
        return choices(text.strip().lower()).value
    except ValueError:
        raise UsageError(f"The {what} is one of {', '.join(choices)}, not {text!r}.") from None
