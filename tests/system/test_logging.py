import hashlib
import io
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from faceloupe.batch.executors.worker import AnalysisWorker
from faceloupe.batch.tasks import Task, WorkerConfig
from faceloupe.cli import main
from faceloupe.config import weights_folder
from faceloupe.system import temp
from faceloupe.system.logging import log_handler, trace
from faceloupe.types import Outcome
from tests.conftest import GENERATED

SECRET = "the password is hunter2, of /home/kim/evidence.jpg"  # pragma: allowlist secret


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """A separate logger with the log's handler, and the folder of the log."""
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    logger, handler = logging.Logger("faceloupe.test"), log_handler("test")
    logger.addHandler(handler)
    yield logger, tmp_path / "data" / "log"
    handler.close()


def fail() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as problem:
        raise OSError(13, SECRET, SECRET) from problem


def test_a_trace_says_where_and_what_type_and_repeats_no_words(logged):
    logger, folder = logged
    logger.addHandler(logging.StreamHandler(io.StringIO()))  # formats exceptions in full, and keeps that in the record
    logger.handlers.reverse()
    try:
        fail()
    except OSError:
        logger.exception("A job failed")
    (line,) = (folder / "test.log").read_text().splitlines()
    for part in ("A job failed", "test_logging.py", "fail", "PermissionError 13", "ValueError"):
        assert part in line
    for part in SECRET.split():
        assert part in ("is", "of") or part not in line


def test_a_trace_ends_where_exceptions_cause_each_other_in_a_circle():
    first, other = ValueError(), KeyError()
    first.__cause__, other.__cause__ = other, first
    assert trace(first) == "ValueError | KeyError"


def test_old_logs_are_let_go_of(logged):
    logger, folder = logged
    for _ in range(80):
        logger.warning("x" * 100_000)
    files = sorted(path for path in folder.iterdir() if path.suffix != ".lock")
    assert len(files) == 6
    assert sum(path.stat().st_size for path in files) < 7_000_000


def test_processes_that_share_a_log_rotate_it_together(logged):
    logger, folder = logged
    other = logging.Logger("faceloupe.test")  # it keeps the file open, as another process would
    other.addHandler(log_handler("test"))
    for number in range(120):
        (logger, other)[number % 2].warning("%d %s", number, "x" * 25_000)
    other.handlers[0].close()
    files = [folder / "test.log", *(folder / f"test.log.{number}" for number in range(1, 6))]
    assert all(path.stat().st_size <= 1_000_000 for path in files if path.exists())
    lines = [line for path in reversed(files) if path.exists() for line in path.read_text().splitlines()]
    assert [int(line.rpartition(" x")[0].rpartition(" ")[2]) for line in lines] == list(range(120))


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, capfd):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "file"))
    logger = logging.Logger("faceloupe.test")
    logger.addHandler(log_handler("test"))
    logger.warning("lost")
    assert capfd.readouterr() == ("", "")


def test_what_nobody_foresaw_is_reported_in_one_sentence_and_stands_in_the_log(tmp_path, capsys, monkeypatch, caplog):
    def fails(*_, **__):
        raise RuntimeError(SECRET)

    monkeypatch.setattr("faceloupe.cli.main.open_evidence", fails)
    assert main.main(["analyze", str(GENERATED)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "unexpected error occurred (RuntimeError)" in shown.err
    assert "hunter2" not in shown.err
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]


def test_what_nobody_foresaw_in_a_batch_is_one_row_and_stands_in_the_log(settings, monkeypatch, caplog):
    def fails(*_, **__):
        raise RuntimeError(SECRET)

    monkeypatch.setattr("faceloupe.analysis.pipeline.analyze", fails)
    sha256 = hashlib.sha256(GENERATED.read_bytes()).hexdigest()
    task = Task("shown.jpg", str(GENERATED), sha256=sha256, media_type="image", index=0)
    ((_, result),) = AnalysisWorker(WorkerConfig(settings, weights_folder()))(iter([task]))
    assert result.outcome is Outcome.ERROR
    assert "analyzed (RuntimeError)" in result.reason
    assert "hunter2" not in result.reason
    (record,) = caplog.records
    assert record.exc_info[0] is RuntimeError
    assert sha256 in record.getMessage()


def test_what_a_killed_process_left_is_deleted_at_the_next_start_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = temp.folder("copies")
    code = "import os; from faceloupe.system import temp; print(temp.folder('copies'), flush=True); os._exit(9)"
    environment = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin"}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == 9, killed.stderr
    left = Path(killed.stdout.strip())
    (left / "copy.mp4").write_bytes(b"x")
    others = [tmp_path / name for name in ("faceloupe-notes", "faceloupe-copies-x-y", "else-copies-1-a")]
    for other in others:
        other.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / f"{left.name.rsplit('-', 1)[0]}-link"
    link.symlink_to(target)
    assert temp.remove_leftovers() == [left.name]
    assert mine.is_dir()
    assert not left.exists()
    assert all(path.is_dir() for path in (*others, target, link))
