"""``items.csv``: one row for each item of a case."""

from faceloupe.report.case_schema import ItemRecord

COLUMNS: tuple[str, ...] = (
    *("name", "sha256", "size_bytes", "media_type", "format", "added_utc", "runs", "run", "outcome", "score"),
    *("log10_lr", "faces", "reason", "model_id", "weights_sha256", "tool_version", "decision", "decided_by"),
    *("confidence", "signed_by"),
)


def row(item: ItemRecord) -> tuple[object, ...]:
    """Return the row of an item: the run with its finding, its newest decision, and who last signed that decision off.

    Raises:
        ReportError: the report of a run cannot be read.
    """
    identity = (item.name, item.sha256, item.size_bytes, item.media_type, item.format, item.added_utc)
    finding: tuple[object, ...] = (None,) * 9
    run = item.finding_run
    if run is not None:
        report = run.report
        model = report.model
        finding = (run.id, report.outcome.value, report.score, report.log10_lr, len(report.faces), report.reason)
        finding += (model.id, model.weights_sha256, report.tool.version)
    review: tuple[object, ...] = (None,) * 4
    if item.decisions:
        decision = item.decisions[-1]
        reviewers = [sign_off.reviewer for sign_off in item.sign_offs if sign_off.utc >= decision.utc]
        reviewer = reviewers[-1] if reviewers else None
        review = (decision.outcome, decision.examiner, decision.confidence, reviewer)
    return (*identity, len(item.runs), *finding, *review)
