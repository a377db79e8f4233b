"""Comparison of a model with earlier results: it scores every decided item again and lists the outcomes that changed.

Results are not filed. Blind cases and items whose results are hidden from the examiner are left out. The case log
records that the examiner saw the results of the other items.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.cases.records import Case, Item, ReviewState, name_of
from faceloupe.cases.store import CaseStore
from faceloupe.errors import Cancelled, FaceLoupeError, UsageError
from faceloupe.types import Cancel, Outcome, Progress

_PAGE = 1000  # items per page


class ItemChange(msgspec.Struct, frozen=True):
    """An item whose outcome or score was compared.

    Attributes:
        case_id, case_name, sha256, name: the item and its case.
        decision: outcome in the examiner's newest decision.
        model_before: id of the model of the run that is the item's current finding; empty if there is no run.
        outcome_before, score_before: results of that run; None if there is no run or no score.
        outcome: outcome by the new model; None if the item could not be analyzed.
        score: score by the new model, 0..1; None if there is none.
        problem: why the item could not be analyzed; empty if it was.
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
        """Whether both outcomes exist and differ."""
        return None not in (self.outcome, self.outcome_before) and self.outcome != self.outcome_before

    @property
    def contradicts(self) -> bool:
        """Whether the new outcome is a verdict that the examiner's decision contradicts."""
        verdicts = {Outcome.MANIPULATED.value, Outcome.AUTHENTIC.value}
        return {self.outcome, self.decision} == verdicts


class Regression(msgspec.Struct, frozen=True):
    """The comparison of all decided items.

    Attributes:
        model_id, weights_sha256: the new model.
        items: the items compared.
        blind_cases: number of blind cases that were left out.
    """

    model_id: str
    weights_sha256: str
    items: tuple[ItemChange, ...]
    blind_cases: int

    @property
    def flips(self) -> tuple[ItemChange, ...]:
        """The items whose outcome changed."""
        return tuple(item for item in self.items if item.flipped)


def compare(
    store: CaseStore,
    networks: Networks,
    *,
    examiner: str,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Regression:
    """Score every decided item of the cases that are not blind, and compare the result with the item's current finding.

    Args:
        store: the case store; only log entries that the results were seen are written to it.
        networks: the networks that score.
        examiner: name of the person who receives the result.
        progress: called with the name of the item and the share done, 0..1.
        cancel: see ``pipeline.analyze``.

    Raises:
        UsageError: no item is decided, or the examiner's name is empty.
        CaseError: the store cannot be read or written.
        Cancelled: ``cancel`` returned True.
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
    """Log that the examiner sees these results, and yield those that the examiner may still see."""
    for case_id, changes in groupby(items, key=lambda item: item.case_id):
        by_hash = {item.sha256: item for item in changes}
        for sha256 in store.reviews.view_scores(case_id, list(by_hash), examiner=examiner):
            yield by_hash[sha256]


def _decided(store: CaseStore, case: Case, examiner: str) -> Iterator[Item]:
    """Yield the decided items of a case whose results the examiner may see."""
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
    except FaceLoupeError as problem:  # concerns only this item, for example damaged evidence
        return msgspec.structs.replace(before, problem=str(problem))
    return msgspec.structs.replace(before, outcome=analysis.outcome.value, score=analysis.score)


def as_dict(regression: Regression) -> dict[str, object]:
    """Return the result as JSON values: every item, and whether its outcome flipped."""
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
    """Return the result as a plain-text table: the flips, and the items that could not be analyzed."""
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
