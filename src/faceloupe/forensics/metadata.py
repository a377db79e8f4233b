"""Metadata: all statements of a file about itself, and dates that contradict each other."""

from datetime import datetime

from faceloupe.forensics.rates import rates_of
from faceloupe.forensics.results import Fact, Finding, LensResult, Severity, quoted
from faceloupe.forensics.source import LensSource
from faceloupe.media.statements import Statement

_MOST_FACTS = 400
_TAKEN, _CHANGED = "DateTimeOriginal", "DateTime"
_RULE = "metadata.changed-before-taken"


def examine(source: LensSource) -> LensResult:
    """List the statements of a file about itself.

    Raises:
        EvidenceError: the file cannot be read.
    """
    metadata = source.metadata
    facts = [
        Fact(f"{entry.structure}: {quoted(entry.key)}", quoted(entry.value, entry.size))
        for entry in metadata.statements
    ]
    if (left := len(facts) - _MOST_FACTS) > 0:
        facts[_MOST_FACTS:] = [Fact("Not listed", f"{left:,} further statements")]
    if metadata.has_position and not source.with_position:
        facts.append(Fact("Position (GPS)", "EXIF states one; it is shown on request only"))
    if metadata.thumbnail:
        facts.append(Fact("EXIF thumbnail", f"{len(metadata.thumbnail):,} bytes"))
    if metadata.profile:
        facts.append(Fact("ICC color profile", f"{len(metadata.profile):,} bytes"))
    taken, changed = (_date(metadata.statements, key) for key in (_TAKEN, _CHANGED))
    findings = []
    if taken and changed and changed < taken:
        text = f"EXIF states that the file was changed ({changed}) before the picture was taken ({taken})."
        findings.append(Finding(_RULE, Severity.NOTICE, text, rates_of(_RULE)))
    return LensResult(tuple(facts), tuple(findings), problem=" ".join(metadata.problems))


def _date(statements: tuple[Statement, ...], key: str) -> datetime | None:
    """Read a date of EXIF (EXIF 2.32, 4.6.5); None if it is missing or not a date."""
    for statement in statements:
        if statement.structure == "EXIF" and statement.key == key:
            try:
                return datetime.strptime(statement.value.strip(), "%Y:%m:%d %H:%M:%S")
            except ValueError:
                return None
    return None
