"""What a bundle is: a ZIP whose members are listed, with their hashes, in a signed manifest.

```
manifest.json         format, created_utc, tool_version, case_id, log { entries, head_sha256 }, with_evidence,
                      withheld_runs, members [ { name, size, sha256 } ] of all but itself and its signature, by name
manifest.sig          Ed25519 signature over the bytes of manifest.json, 64 bytes
public_key.pem        of the key that signed
case.json             the case, its own notes and signatures, see ``report.case_schema.CaseHeader``
items.jsonl           an item a line, canonical JSON: ``report.case_schema.ItemRecord`` without the reports of its runs
log.jsonl             the log of the case: an entry a line, canonical JSON
items.csv             a row for each item: the run that says what was found, the newest decision, who signed it
report.html, .pdf     the case report as documents; left out where there are too many items, or withheld runs
reports/<sha256>.json each run's report, as it was filed
pictures/<sha256>.png the pictures of the runs
evidence/<sha256>     the evidence, where it was asked for
```

In format 1, which earlier releases wrote, ``case.json`` is the whole case report, see ``cases.case_record``: with the
items, the reports of their runs, and the log once more. There is no ``items.jsonl``, and a report is named by its run.

Members are stored, never compressed: a byte of the file is a byte of a member, and no ZIP can swell when it is read.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from faceloupe.errors import BundleError

FORMAT, FORMATS = "2", ("1", "2")  # that is written; that are read
MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "public_key.pem"
CASE, ITEMS, LOG = "case.json", "items.jsonl", "log.jsonl"
TABLE, PAGE, DOCUMENT = "items.csv", "report.html", "report.pdf"
UNLISTED = (MANIFEST, SIGNATURE)
CHUNK = 1024 * 1024  # bytes read at a time

_SHA256 = "[0-9a-f]{64}"
_NAME = re.compile(
    "|".join(re.escape(name) for name in (*UNLISTED, PUBLIC_KEY, CASE, ITEMS, LOG, TABLE, PAGE, DOCUMENT))
    + rf"|reports/([0-9a-f]{{12}}|{_SHA256})\.json|pictures/{_SHA256}\.png|evidence/{_SHA256}"
)


def is_name(name: str) -> bool:
    """Tell whether a member of a bundle can have this name: no other can be meant by it, on any system."""
    return _NAME.fullmatch(name) is not None


def report_name(key: str) -> str:
    """Return the name of the member with a report: of the SHA-256 of its text, in format 1 of the id of its run."""
    return f"reports/{key}.json"


def picture_name(sha256: str) -> str:
    """Return the name of the member with a picture."""
    return f"pictures/{sha256}.png"


def evidence_name(sha256: str) -> str:
    """Return the name of the member with some evidence."""
    return f"evidence/{sha256}"


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the manifest lists it; ``size`` in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a bundle.

    Attributes:
        format: of the bundle, one of ``FORMATS``.
        log_entries: how many the log had.
        log_head_sha256: hash of the last of them.
        with_evidence: whether the evidence is in the bundle.
        withheld_runs: how many a blind case keeps from whom it was exported for.
        members: all but the manifest and its signature, by name.
    """

    created_utc: str
    tool_version: str
    case_id: str
    log_entries: int
    log_head_sha256: str
    with_evidence: bool
    withheld_runs: int
    members: tuple[Member, ...]
    format: str = FORMAT

    def to_bytes(self) -> bytes:
        """Return the text of ``manifest.json``."""
        content = {
            "format": self.format,
            "created_utc": self.created_utc,
            "tool_version": self.tool_version,
            "case_id": self.case_id,
            "log": {"entries": self.log_entries, "head_sha256": self.log_head_sha256},
            "with_evidence": self.with_evidence,
            "withheld_runs": self.withheld_runs,
            "members": [asdict(member) for member in self.members],
        }
        return text(content)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Read a manifest.

        Raises:
            BundleError: this is not a manifest of this format, to the last byte.
        """
        values = parsed(content, MANIFEST)
        form = values.get("format") if isinstance(values, dict) else None
        if form not in FORMATS:
            raise BundleError(f"{MANIFEST} has the format {form!r}; this version reads the formats 1 and 2.")
        try:
            manifest = cls(
                created_utc=values["created_utc"],
                tool_version=values["tool_version"],
                case_id=values["case_id"],
                log_entries=values["log"]["entries"],
                log_head_sha256=values["log"]["head_sha256"],
                with_evidence=values["with_evidence"],
                withheld_runs=values["withheld_runs"],
                members=tuple(Member(**member) for member in values["members"]),
                format=form,
            )
            whole = manifest.to_bytes() == content and manifest._typed()
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise BundleError(f"{MANIFEST} does not have the form of a manifest.")
        return manifest

    def _typed(self) -> bool:
        texts = (self.created_utc, self.tool_version, self.case_id, self.log_head_sha256)
        numbers = (self.log_entries, self.withheld_runs, *(member.size for member in self.members))
        named = (*(member.name for member in self.members), *(member.sha256 for member in self.members))
        return all(isinstance(text, str) for text in (*texts, *named)) and all(
            type(number) is int for number in numbers
        )


def text(values: Any) -> bytes:
    """Return JSON values as the text of a member that is one JSON document.

    Raises:
        ValueError, TypeError: there is no such text of the values.
    """
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parsed(content: bytes, name: str) -> Any:
    """Return the values of a member that is JSON.

    Args:
        content: of the member.
        name: of the member, for the sentence.

    Raises:
        BundleError: it is not JSON.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise BundleError(f"{name} is not valid JSON.") from None
