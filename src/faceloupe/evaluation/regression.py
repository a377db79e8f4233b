"""Every decided item of the cases scored again by another model, and the outcomes that changed.

No result is filed. Blind cases are left out, and items whose results they keep from whoever compares; the log tells who
saw the results of the others.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.cases.records import Case, Item, ReviewState, name_of
from faceloupe.cases.store import CaseStore
from faceloupe.errors import Cancelled, FaceLoupeError, UsageError
from faceloupe.types import Cancel, Outcome, Progress

_PAGE = 1000  # items read at a time


class ItemChange(msgspec.Struct, frozen=True):
    """An item whose outcome or score was compared.

    Attributes:
        case_id, case_name, sha256, name: of the item.
        decision: outcome word of the examiner's newest decision.
        model_before: id of the model of the run that says what was found; empty where there is none.
        outcome_before, score_before: of that run; None where there is none, or no score.
        outcome: by the model that was compared; None where the item could not be analyzed.
        score: likewise, 0..1.
        problem: why it could not be analyzed; empty where it was.
    """

    case_id: str
    case_name: str
    sha256: str
    name: str
    decision: str
    model_before: str
    outcome_before: str | None
    score_before: float | None
    outcome: str | None = None
    score: float | None = None
    problem: str = ""

    @property
    def flipped(self) -> bool:
        """Whether there are two outcomes and they differ."""
        return None not in (self.outcome, self.outcome_before) and self.outcome != self.outcome_before

    @property
    def contradicts(self) -> bool:
        """Whether the new outcome is a verdict that the examiner's decision contradicts."""
        verdicts = {Outcome.MANIPULATED.value, Outcome.AUTHENTIC.value}
        return {self.outcome, self.decision} == verdicts


class Regression(msgspec.Struct, frozen=True):
    """What became of all decided items.

    Attributes:
        model_id, weights_sha256: of the model that was compared.
        items: that were compared.
        blind_cases: that were left out.
    """

    model_id: str
    weights_sha256: str
    items: tuple[ItemChange, ...]
    blind_cases: int

    @property
    def flips(self) -> tuple[ItemChange, ...]:
        """Items with another outcome than before."""
        return tuple(item for item in self.items if item.flipped)


def compare(
    store: CaseStore,
    networks: Networks,
    *,
    examiner: str,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Regression:
    """Score every decided item of the cases that are not blind, and hold it against what was found in it before.

    Args:
        store: of the cases; nothing is written to it but that the results of the items were seen.
        networks: that score.
        examiner: name of the person whom the result is for.
        progress: called with the name of the item and the share done, 0..1.
        cancel: see ``pipeline.analyze``.

    Raises:
        UsageError: no item is decided, or nobody is named.
        CaseError: the store cannot be read or written.
        Cancelled: ``cancel`` said so.
    """
    cases, examiner = store.cases(), name_of(examiner, "examiner")
    pairs = [(case, item) for case in cases if not case.blind for item in _decided(store, case, examiner)]
    if not pairs:
        raise UsageError("No item of a case that is not blind is decided, so there is nothing to compare.")
    items = []
    for number, (case, item) in enumerate(pairs):
        if progress:
            progress(item.name, number / len(pairs))
        items.append(_compared(store, case, item, networks, cancel))
    record = networks.scorer.record
    seen = tuple(_seen(store, items, examiner))
    return Regression(record.id, record.weights_sha256, seen, sum(case.blind for case in cases))


def _seen(store: CaseStore, items: Sequence[ItemChange], examiner: str) -> Iterator[ItemChange]:
    """Log that a person sees these results, and return those that the person may see by now."""
    for case_id, changes in groupby(items, key=lambda item: item.case_id):
        by_hash = {item.sha256: item for item in changes}
        for sha256 in store.reviews.view_scores(case_id, list(by_hash), examiner=examiner):
            yield by_hash[sha256]


def _decided(store: CaseStore, case: Case, examiner: str) -> Iterator[Item]:
    """Return the decided items of a case whose results a person may see."""
    for state in (ReviewState.DECIDED, ReviewState.SIGNED):
        offset, total = 0, 1
        while offset < total:
            page = store.items.page(case.id, state=state, viewer=examiner, offset=offset, limit=_PAGE)
            yield from (item for item in page.items if item.decision is not None and not item.hidden)
            offset, total = offset + _PAGE, page.total


def _compared(store: CaseStore, case: Case, item: Item, networks: Networks, cancel: Cancel | None) -> ItemChange:
    before = ItemChange(case.id, case.name, item.sha256, item.name, item.decision or "", "", item.outcome, item.score)
    try:
        run = store.runs.finding(case.id, item.sha256)
        if run is not None:
            before = msgspec.structs.replace(before, model_before=store.runs.report(run.id).model.id)
        limit = networks.settings.max_bytes
        evidence_file = store.items.open_evidence(item.sha256, name=item.name, max_bytes=limit)
        analysis = analyze(evidence_file, networks, explain=False, cancel=cancel)
    except Cancelled:
        raise
    except FaceLoupeError as problem:  # of this item, such as damaged evidence: the others are compared all the same
        return msgspec.structs.replace(before, problem=str(problem))
    return msgspec.structs.replace(before, outcome=analysis.outcome.value, score=analysis.score)


def as_dict(regression: Regression) -> dict[str, object]:
    """Return the result as JSON values: every item, and which of them flipped."""
    items = [
        msgspec.to_builtins(item) | {"flipped": item.flipped, "contradicts_decision": item.contradicts}
        for item in regression.items
    ]
    return {
        "schema_version": "1",
        "model_id": regression.model_id,
        "weights_sha256": regression.weights_sha256,
        "blind_cases_left_out": regression.blind_cases,
        "compared": len(items),
        "flips": len(regression.flips),
        "items": items,
    }


def table(regression: Regression) -> str:
    """Return the result as a table to read: the flips, and what could not be analyzed."""
    flips, failed = regression.flips, [item for item in regression.items if item.problem]
    lines = [
        f"Model      {regression.model_id} (weights {regression.weights_sha256[:8]})",
        f"Compared   {len(regression.items):,} decided items; {regression.blind_cases:,} blind cases left out",
        f"Flips      {len(flips):,}, of these {sum(item.contradicts for item in flips):,} against the decision",
    ]
    if flips:
        lines += ["", f"{'Case':<12}  {'SHA-256':<12}  {'Before':<14}  {'Now':<14}  {'Decision':<14}  Name"]
    lines += [
        f"{item.case_id:<12}  {item.sha256[:12]:<12}  {item.outcome_before or '-':<14}  {item.outcome or '-':<14}  "
        f"{item.decision:<14}  {item.name}"
        for item in flips
    ]
    lines += [f"Not analyzed: {item.name}: {item.problem}" for item in failed]
    return "\n".join(lines)
