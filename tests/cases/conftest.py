"""A store in a temporary folder, with a clock that ticks a second a look."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from faceloupe.cases.records import Case, Item
from faceloupe.cases.store import CaseStore
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes
from faceloupe.report.schema import Report

PICTURE = b"\x89PNG\r\n\x1a\n of a kind"


def ticking():
    """A clock."""
    seconds = itertools.count()
    return lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds))


def upload(content: bytes = b"content", name: str = "face.jpg") -> EvidenceFile:
    return evidence_from_bytes(content, name, max_bytes=10**8)


_RECORDED = json.loads((Path(__file__).parents[1] / "report" / "recorded" / "image-0.4.0.json").read_text())


def report_of(sha256: str, outcome: str = "manipulated", score: float | None = 0.9, **fields: Any) -> Report:
    """A recorded report with another hash and another result."""
    result = {"evidence": _RECORDED["evidence"] | {"sha256": sha256}, "outcome": outcome, "score": score, "faces": []}
    return Report.from_json(json.dumps(_RECORDED | result | fields, ensure_ascii=False))


def filed(store: CaseStore, case: Case, content: bytes = b"content", name: str = "face.jpg", **result: Any) -> Item:
    """An item with a run."""
    item = store.items.file(case.id, upload(content, name), actor="Clerk")
    store.runs.begin(case.id, item.sha256, actor="Clerk")
    store.runs.add(case.id, item.sha256, report_of(item.sha256, **result), {"boxes.png": PICTURE}, actor="Clerk")
    return store.items.get(case.id, item.sha256)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder) -> CaseStore:
    return CaseStore(folder, clock=ticking())


@pytest.fixture
def case(store) -> Case:
    return store.create_case("Doe v. Roe", examiner="Ann")


@pytest.fixture
def blind(store) -> Case:
    return store.create_case("Blind", examiner="Ann", blind=True)


def actions(store: CaseStore, chain: str) -> list[str]:
    """The actions in the log of a case."""
    return [entry.action for entry in store.log.entries(chain)]
