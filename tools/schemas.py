"""Write the JSON Schema files of ``docs/schema`` from the types that read and write the files.

python -m tools.schemas
"""

import inspect
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from faceloupe.bundle.format import FORMATS
from faceloupe.report.case_schema import CaseHeader, CaseRecord, ItemRecord
from faceloupe.report.schema import Count, ImageReport, VideoReport
from faceloupe.types import Outcome

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schema"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
NumberCell = Annotated[str, Meta(pattern=r"^(-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)?$")]


class MemberForm(Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the bundle, which is a ZIP file; ``size`` is in bytes."""

    name: str
    size: Count
    sha256: Sha256


class LogForm(Struct, frozen=True, forbid_unknown_fields=True):
    """The log of the case: its number of entries, and the hash of the last entry."""

    entries: Count
    head_sha256: Sha256 | None


class BundleManifest(Struct, frozen=True, forbid_unknown_fields=True):
    """``manifest.json`` of a bundle, which lists all members except itself and its signature, sorted by name.

    Attributes:
        tool_version: version of FaceLoupe that wrote the bundle.
        with_evidence: whether the bundle includes the evidence files.
        withheld_runs: number of analyses that a blind case withholds from the person who exported it.
    """

    format: Literal[FORMATS]
    created_utc: str
    tool_version: str
    case_id: str
    log: LogForm
    with_evidence: bool
    withheld_runs: Count
    members: tuple[MemberForm, ...]


class BatchRow(Struct, frozen=True):
    """A row of the CSV table of a batch; the fields are its columns, as text, and unknown values are empty.

    Text that a spreadsheet would run as a formula starts with an apostrophe; numbers do not.
    """

    path: str
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
    media_type: str
    outcome: Outcome
    score: NumberCell
    log10_lr: NumberCell
    faces: Annotated[str, Meta(pattern="^[0-9]*$")]
    reason: str
    duration_s: NumberCell
    model_id: str
    weights_sha256: str
    tool_version: str
    duplicate_of: str
    near_duplicate_of: str
    perceptual_hash: str
    effort: str
    provenance: str
    generator: str


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by file name."""
    made = {
        "report.json": _schema("The report of an analysis, schema version 1", ImageReport, VideoReport),
        "case.json": _schema("The record of a case, schema version 1", CaseRecord),
        "bundle.json": _schema("The manifest of a bundle, formats 1 and 2", BundleManifest),
        "bundle-case.json": _schema("case.json of a bundle of format 2", CaseHeader),
        "bundle-item.json": _schema("A line of items.jsonl of a bundle of format 2", ItemRecord),
        "batch-row.json": _schema("A row of the table of a batch", BatchRow),
    }
    made["case.json"]["$defs"]["RunRecord"]["properties"]["report"] = {"$ref": "report.json"}
    run = made["bundle-item.json"]["$defs"]["RunRecord"]
    run["description"] = "An analysis of an item; its report is the member ``reports/<report_sha256>.json``."
    del run["properties"]["report"]
    run["required"].remove("report")
    return made


def text(schema: dict[str, Any]) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema(title: str, *forms: type[Struct]) -> dict[str, Any]:
    references, definitions = msgspec.json.schema_components(forms, ref_template="#/$defs/{name}")
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    body = references[0] if len(references) == 1 else {"anyOf": list(references)}
    return {"$schema": _DIALECT, "title": title, **body, "$defs": definitions}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / name).write_text(text(schema), encoding="utf-8")
