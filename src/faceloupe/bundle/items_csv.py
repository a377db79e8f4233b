"""``items.csv``: a row for each item of a case."""

from typing import Any

from faceloupe.report.document.exhibits import finding_run

COLUMNS = ("name", "sha256", "size_bytes", "media_type", "format", "added_utc", "runs", "run", "outcome", "score")
COLUMNS += ("log10_lr", "faces", "reason", "model_id", "weights_sha256", "tool_version", "decision", "decided_by")
COLUMNS += ("confidence", "signed_by")


def row(item: dict[str, Any]) -> tuple[object, ...]:
    """The row of an item: the run that says what was found, its newest decision, and who signed that one last.

    Args:
        item: see ``cases.case_record``.
    """
    identity = tuple(item[name] for name in ("name", "sha256", "size_bytes", "media_type", "format", "added_utc"))
    found: tuple[object, ...] = (None,) * 9
    run = finding_run(item["runs"])
    if run is not None:
        report = run["report"]
        found = (
            run["id"],
            *(report[name] for name in ("outcome", "score", "log10_lr")),
            len(report["faces"]),
            report["reason"],
            report["model"]["id"],
            report["model"]["weights_sha256"],
            report["tool"]["version"],
        )
    said: tuple[object, ...] = (None,) * 4
    if item["decisions"]:
        decision = item["decisions"][-1]
        signed = [one["reviewer"] for one in item["sign_offs"] if one["utc"] >= decision["utc"]]
        said = (decision["outcome"], decision["examiner"], decision["confidence"], signed[-1] if signed else None)
    return (*identity, len(item["runs"]), *found, *said)
