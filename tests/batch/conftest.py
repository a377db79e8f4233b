"""Batches with light workers, and folders of files for them."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from faceloupe.batch.api import BatchSpec, run_batch
from faceloupe.batch.driver import BatchProgress
from faceloupe.batch.executors.local import LocalEngine
from faceloupe.config import Settings

LIGHT = "tests.batch.workers:Light"


@pytest.fixture
def batch(tmp_path, settings: Settings) -> Callable[..., BatchProgress]:
    """Carries out a batch with light workers; the table is ``out.csv``."""

    def carry(
        *paths: Path,
        workers: int = 2,
        work: str = LIGHT,
        out: str = "out.csv",
        settings: Settings = settings,
        **others: object,
    ) -> BatchProgress:
        spec_fields = {name: others.pop(name) for name in ("resume", "reports", "embedded") if name in others}
        spec = BatchSpec(tuple(map(str, paths)), tmp_path / out, **spec_fields)
        return run_batch(spec, settings, make_engine=partial(LocalEngine, workers=workers, work=work), **others)

    return carry


@pytest.fixture
def folder(tmp_path) -> Path:
    """Sixty different small files in three folders."""
    for number in range(60):
        path = tmp_path / "in" / f"{number % 3}" / f"{number:03}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"file {number}".encode())
    return tmp_path / "in"


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))
