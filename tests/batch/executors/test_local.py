"""Workers that are forked from one process that has loaded the networks."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.batch.executors.local import _ENVIRONMENT, WORK
from faceloupe.batch.tasks import WorkerConfig
from faceloupe.config import Settings, weights_folder
from tests.batch.conftest import read
from tests.conftest import GENERATED, PHOTOGRAPH


def test_rows_of_forked_workers_are_those_of_one_process(batch, tmp_path, settings):
    (tmp_path / "in").mkdir()
    for number, path in enumerate((GENERATED, PHOTOGRAPH)):
        shutil.copy(path, tmp_path / "in" / f"{number}{path.suffix}")
    batch(tmp_path / "in", work=WORK, workers=2)
    alone = Networks.load(settings)
    for row in read(tmp_path / "out.csv"):
        report = analyze(Path(row["path"]), alone, explain=False)
        assert row["outcome"] == report.outcome
        assert float(row["score"]) == pytest.approx(report.score, abs=1e-6)


def test_loading_the_networks_starts_no_thread_so_that_forking_is_safe():
    code = (
        "import pickle, sys; from pathlib import Path; config = pickle.loads(sys.stdin.buffer.read()); "
        "from faceloupe.batch.executors.worker import AnalysisWorker; AnalysisWorker(config); "
        "print(len(list(Path('/proc/self/task').iterdir())))"
    )
    for effort in ("quick", "standard"):
        config = WorkerConfig(Settings(effort=effort), weights_folder())
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(config),
            env={**os.environ, **_ENVIRONMENT},
            capture_output=True,
            check=True,
            timeout=300,
        )
        assert done.stdout.split() == [b"1"], effort
