"""The format of a bundle: a ZIP whose members are listed, with their hashes, in a signed manifest.

```
manifest.json         format, created_utc, tool_version, case_id, log { entries, head_sha256 }, with_evidence,
                      withheld_runs, members [ { name, size, sha256 } ]: all except itself and its signature, by name
manifest.sig          Ed25519 signature over the bytes of manifest.json, 64 bytes
public_key.pem        public key of the signer
case.json             the case with its own notes and sign-offs, see ``report.case_schema.CaseHeader``
items.jsonl           one item per line, canonical JSON: ``report.case_schema.ItemRecord`` without the runs' reports
log.jsonl             the log of the case: one entry per line, canonical JSON
items.csv             one row per item: the run with its finding, the newest decision, and who signed it off
report.html, .pdf     the case report as documents; missing if there are too many items, or withheld runs
reports/<sha256>.json the reports of the runs, as filed
pictures/<sha256>.png the pictures of the runs
evidence/<sha256>     the evidence, if it was requested
```

In format 1, written by earlier releases, ``case.json`` is the whole case report, see ``cases.case_record``: it includes
the items, the reports of their runs, and a second copy of the log. There is no ``items.jsonl``, and the file name of a
report is the id of its run.

Members are stored without compression, so a bundle cannot expand when it is read.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from faceloupe.errors import BundleError

FORMAT, FORMATS = "2", ("1", "2")  # format that is written; formats that are read
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
    """Return whether a member of a bundle can have this name; all these names are unambiguous on every system."""
    return _NAME.fullmatch(name) is not None


def report_name(key: str) -> str:
    """Return the name of the member with a report; ``key`` is the SHA-256 of its text, or its run id in format 1."""
    return f"reports/{key}.json"


def picture_name(sha256: str) -> str:
    """Return the name of the member with a picture."""
    return f"pictures/{sha256}.png"


def evidence_name(sha256: str) -> str:
    """Return the name of the member with an evidence file."""
    return f"evidence/{sha256}"


@dataclass(frozen=True, slots=True)
class Member:
    """A member as listed in the manifest; ``size`` is in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a bundle.

    Attributes:
        created_utc: time of creation.
        tool_version: version of FaceLoupe that wrote the bundle.
        case_id: id of the case.
        log_entries: number of entries in the log.
        log_head_sha256: hash of the last entry.
        with_evidence: whether the bundle includes the evidence.
        withheld_runs: number of runs that a blind case withholds from the person who exported it.
        members: all members except the manifest and its signature, sorted by name.
        format: format of the bundle, one of ``FORMATS``.
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
        """Parse a manifest.

        Raises:
            BundleError: the format is not supported, or the content differs from what ``to_bytes`` writes, if only by a
                byte.
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
    """Return the text of a member that is a single JSON document.

    Raises:
        ValueError, TypeError: the values cannot be written as JSON.
    """
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parsed(content: bytes, name: str) -> Any:
    """Parse a member, or a part of a member, as JSON.

    Args:
        content: bytes to parse.
        name: name of the member, for the error message.

    Raises:
        BundleError: the content is not valid JSON.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise BundleError(f"{name} is not valid JSON.") from None
