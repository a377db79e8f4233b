"""Case records for tests, made as a case store makes them: of real reports and the pictures that go with them."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from faceloupe.report.build import build, tool
from faceloupe.report.write import pictures_of

NAME, EXAMINER = "Portrait dispute", "A. Weber"
START = "2026-03-02T09:{minute:02}:00Z"
Pictures = dict[str, bytes]  # SHA-256 -> PNG


def sha256(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def run(analysis, pictures: Pictures, number: int = 1) -> dict[str, Any]:
    """A run; its pictures are put among the others."""
    named = {}
    for name, content in pictures_of(analysis).items():
        named[name] = sha256(content)
        pictures[named[name]] = content
    text = build(analysis).to_json()
    report = json.loads(text)
    return {
        "id": f"run-{number}",
        "created_utc": START.format(minute=10),
        "actor": EXAMINER,
        "report_sha256": sha256(text),
        "report": report,
        "pictures": named,
    }


def item(runs: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """An item of a case, with the identity that its runs found."""
    known = runs[-1]["report"]["evidence"] if runs else {}
    return {
        "sha256": known.get("sha256", sha256("never examined")),
        "name": known.get("name", "unseen.jpg"),
        "size_bytes": known.get("size_bytes", 14),
        "media_type": known.get("media_type", "image"),
        "format": known.get("format", "JPEG"),
        "added_utc": START.format(minute=5),
        "added_by": EXAMINER,
        "runs": list(runs),
        "notes": [],
        "decisions": [],
        "sign_offs": [],
    } | changes


def note(text: str, author: str = EXAMINER) -> dict[str, str]:
    return {"utc": START.format(minute=20), "author": author, "text": text}


def decision(outcome: str, reason: str, **changes: Any) -> dict[str, Any]:
    return {
        "utc": START.format(minute=25),
        "examiner": EXAMINER,
        "outcome": outcome,
        "reason": reason,
        "confidence": "moderate",
        "score_seen_before": True,
    } | changes


def sign_off(reviewer: str = "B. Lindqvist") -> dict[str, str]:
    return {"utc": START.format(minute=40), "reviewer": reviewer}


def chain(actions: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """A log of these actions and their parameters."""
    entries, previous = [], None
    for seq, (action, parameters) in enumerate(actions, 1):
        entry = {
            "seq": seq,
            "utc": START.format(minute=seq % 60),
            "actor": EXAMINER,
            "action": action,
            "parameters": dict(parameters),
            "previous_sha256": previous,
        }
        previous = sha256(repr(entry))
        entries.append(entry | {"sha256": previous})
    return {"entries": entries, "head_sha256": previous, "verified": True}


def case(items: Sequence[dict[str, Any]], *, blind: bool = False, **changes: Any) -> dict[str, Any]:
    """A case record with copies of its arguments."""
    actions = [("case.create", {"name": NAME})]
    for item in items:
        actions.append(("evidence.add", {"sha256": item["sha256"], "name": item["name"]}))
        actions += [
            ("run.add", {"outcome": done["report"]["outcome"], "report_sha256": done["report_sha256"]})
            for done in item["runs"]
        ]
    return copy.deepcopy(
        {
            "schema_version": "1",
            "kind": "case",
            "created_utc": START.format(minute=45),
            "tool": msgspec.to_builtins(tool()),
            "case": {
                "id": "2026-0302-7f3a",
                "name": NAME,
                "created_utc": START.format(minute=0),
                "examiner": EXAMINER,
                "blind": blind,
            },
            "items": list(items),
            "notes": [],
            "sign_offs": [],
            "log": chain(actions),
        }
        | changes
    )
