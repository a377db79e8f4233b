"""The case store: evidence, runs and the log, and on top of them what people see, write, decide and sign."""

from collections.abc import Sequence

from faceloupe.cases import policy, queries
from faceloupe.cases.audit_log import Action
from faceloupe.cases.records import Case, Confidence, Decision, Note, SignOff, name_of, person_key, text_of
from faceloupe.cases.runs import Runs
from faceloupe.cases.transaction import PolicyViolation
from faceloupe.errors import UsageError
from faceloupe.types import Outcome

_PAGE = 1000  # items marked as seen at a time


class CaseStore(Runs):
    """All cases of a data folder. Any thread of any process may use it; each call is a transaction of its own.

    What is said about an item is kept apart from what a run found in it, and nothing changes a run.
    """

    def add_note(self, case_id: str, text: str, *, author: str, sha256: str | None = None) -> Note:
        """Write a note on an item, or on the case where there is no hash.

        Raises:
            UsageError: nobody is named, or nothing is said.
            CaseError: there is no such case or item, or the store cannot be written.
        """
        author, text = name_of(author, "author"), text_of(text, "note")
        with self._writing(case_id, Action.NOTE, author, sha256=sha256, text=text) as writing:
            item = writing.item(case_id, sha256) if sha256 is not None else None
            writing.connection.execute(
                "INSERT INTO notes (case_id, item_id, utc, author, text) VALUES (?, ?, ?, ?, ?)",
                (case_id, item and item.id, writing.utc, author, text),
            )
            writing.log(case_id, author, Action.NOTE, {"sha256": item and item.sha256, "text": text})
        return Note(writing.utc, author, text)

    def decide(
        self, case_id: str, sha256: str, *, outcome: str, reason: str, confidence: str, examiner: str
    ) -> Decision:
        """Enter an examiner's own view of an item. A later one does not replace it: both stay.

        Args:
            outcome: one of the five words of ``Outcome``.
            confidence: low, medium or high.

        Raises:
            UsageError: a word is none of these, nobody is named, or no reason is given.
            CaseError: there is no such case or item, the examiner has signed what is decided here, or the store cannot
                be written.
        """
        outcome, confidence = _word(outcome, Outcome, "outcome"), _word(confidence, Confidence, "confidence")
        examiner, reason = name_of(examiner, "examiner"), text_of(reason, "reason")
        facts = {"outcome": outcome, "reason": reason, "confidence": confidence}
        key = person_key(examiner)
        with self._writing(case_id, Action.DECISION, examiner, sha256=sha256, **facts) as writing:
            item = writing.item(case_id, sha256)
            policy.refuse_reviewer_as_examiner(writing.connection, case_id, item, examiner)
            seen = bool(policy.seen_runs(writing.connection, case_id, key, item.sha256))
            writing.connection.execute(
                "INSERT INTO decisions"
                " (item_id, utc, examiner, examiner_key, outcome, reason, confidence, score_seen_before)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (item.id, writing.utc, examiner, key, outcome, reason, confidence, seen),
            )
            facts |= {"sha256": item.sha256, "score_seen_before": seen}
            writing.log(case_id, examiner, Action.DECISION, facts)
        return Decision(writing.utc, examiner, outcome, reason, confidence, score_seen_before=seen)

    def sign_off(self, case_id: str, *, reviewer: str, sha256: str | None = None) -> SignOff:
        """Sign a decided item, or the case where there is no hash, as a second person.

        Raises:
            UsageError: nobody is named.
            CaseError: there is no such case or item, the item is not decided, the reviewer is the case's examiner or
                has decided it (compared without case, width and spaces), or the store cannot be written.
        """
        reviewer = name_of(reviewer, "reviewer")
        with self._writing(case_id, Action.SIGN_OFF, reviewer, sha256=sha256) as writing:
            item = writing.item(case_id, sha256) if sha256 is not None else None
            policy.refuse_examiner_as_reviewer(writing.connection, case_id, item, reviewer)
            writing.connection.execute(
                "INSERT INTO sign_offs (case_id, item_id, utc, reviewer, reviewer_key) VALUES (?, ?, ?, ?, ?)",
                (case_id, item and item.id, writing.utc, reviewer, person_key(reviewer)),
            )
            writing.log(case_id, reviewer, Action.SIGN_OFF, {"sha256": item and item.sha256})
        return SignOff(writing.utc, reviewer)

    def may_see_score(self, case_id: str, sha256: str, examiner: str) -> bool:
        """Whether an examiner may see what the runs of an item found: always, but in a blind case after deciding it.

        Raises:
            CaseError: there is no such case or item.
        """
        item = self.item(case_id, sha256)
        with self._reading(case_id) as connection:
            return policy.may_see(connection, case_id, item.id, person_key(examiner))

    def withheld_in(self, sha256: str, examiner: str) -> Case | None:
        """The blind case that keeps what can be found in some evidence from a person; None where none does.

        Args:
            examiner: empty for somebody who is not named, and so is not known to have decided anything.
        """
        with self._database.transaction(write=False) as connection:
            return queries.blind_case_of(connection, sha256, person_key(examiner))

    def withheld(self, examiner: str) -> frozenset[str]:
        """SHA-256 of all evidence that ``withheld_in`` finds a case for."""
        with self._database.transaction(write=False) as connection:
            return queries.withheld_hashes(connection, person_key(examiner))

    def view_score(self, case_id: str, sha256: str, *, examiner: str) -> None:
        """Log that an examiner is shown what the newest run of an item found; call it before showing.

        One and the same result is logged once per examiner: looking again adds no knowledge.

        Raises:
            UsageError: nobody is named.
            CaseError: there is no such case or item, the case is blind and the examiner has not decided the item, or
                the store cannot be written.
        """
        if not self.view_scores(case_id, [sha256], examiner=examiner):
            with self._writing(case_id, Action.SCORE_VIEWED, name_of(examiner, "examiner"), sha256=sha256):
                raise PolicyViolation("The case is blind: the score is shown once the examiner has entered a decision.")

    def view_scores(self, case_id: str, hashes: Sequence[str], *, examiner: str) -> tuple[str, ...]:
        """The same for many items at once, such as a list.

        Returns:
            The hashes of the items whose results the examiner may see, and is now taken to have seen.
        """
        examiner = name_of(examiner, "examiner")
        key = person_key(examiner)
        with self._reading(case_id) as connection:  # most calls find nothing new, and need not wait for the writer
            sight = policy.sight(connection, case_id, hashes, key)
        if sight.new:
            with self._writing(case_id, Action.SCORE_VIEWED, examiner) as writing:
                sight = policy.sight(writing.connection, case_id, hashes, key)
                for sha256, run in sight.new:
                    writing.log(case_id, examiner, Action.SCORE_VIEWED, {"sha256": sha256, "run": run})
        return sight.allowed

    def view_all(self, case_id: str, *, examiner: str) -> None:
        """The same for every item of a case, such as before a report of it is handed out.

        Raises:
            CaseError: there is no such case, or the store cannot be written.
        """
        for offset in range(0, self.case(case_id).items, _PAGE):
            items = self.items(case_id, viewer=examiner, offset=offset, limit=_PAGE).items
            self.view_scores(case_id, [item.sha256 for item in items if item.outcome], examiner=examiner)

    def notes(self, case_id: str, sha256: str | None = None) -> tuple[Note, ...]:
        """The notes on an item, or on the case itself; the oldest first.

        Raises:
            CaseError: there is no such case or item.
        """
        item = self.item(case_id, sha256) if sha256 is not None else None
        with self._reading(case_id) as connection:
            return queries.notes(connection, case_id, item and item.id)

    def decisions(self, case_id: str, sha256: str) -> tuple[Decision, ...]:
        """The decisions on an item, the oldest first.

        Raises:
            CaseError: there is no such case or item.
        """
        item = self.item(case_id, sha256)
        with self._reading(case_id) as connection:
            return queries.decisions(connection, item.id)

    def sign_offs(self, case_id: str, sha256: str | None = None) -> tuple[SignOff, ...]:
        """The signatures under an item, or under the case itself; the oldest first.

        Raises:
            CaseError: there is no such case or item.
        """
        item = self.item(case_id, sha256) if sha256 is not None else None
        with self._reading(case_id) as connection:
            return queries.sign_offs(connection, case_id, item and item.id)

    def changes_since(self, case_id: str, utc: str) -> int:
        """How many items were filed and decisions made after a time, such as that of a signature under the case.

        Raises:
            CaseError: there is no such case.
        """
        with self._reading(case_id) as connection:
            return queries.changes_since(connection, case_id, utc)

    def undecided(self, case_id: str) -> int:
        """How many items of a case have no decision.

        Raises:
            CaseError: there is no such case.
        """
        with self._reading(case_id) as connection:
            return queries.undecided(connection, case_id)


def _word(text: str, words: type[Outcome] | type[Confidence], what: str) -> str:
    try:
        return words(text.strip().lower()).value
    except ValueError:
        raise UsageError(f"The {what} must be one of {', '.join(words)}, not {text!r}.") from None
