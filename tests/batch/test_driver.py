import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from faceloupe.batch import api
from faceloupe.batch.api import BatchSpec, run_batch
from faceloupe.batch.executors.pool import GIVEN_UP
from faceloupe.batch.executors.ray import _files_of
from faceloupe.batch.executors.worker import AnalysisWorker
from faceloupe.batch.readers import Reader
from faceloupe.batch.table import COLUMNS
from faceloupe.batch.tasks import Task, WorkerConfig
from faceloupe.config import EFFORTS, Settings, weights_folder
from faceloupe.errors import Cancelled, FaceLoupeError, UsageError, WeightsError
from faceloupe.models.record import read_registry
from faceloupe.types import Outcome
from tests.batch.conftest import read
from tests.conftest import GENERATED, OTHER_MODEL, PHOTOGRAPH
from tests.forensics.files import png_text, saved


def paths(tmp_path) -> list[str]:
    return [row["path"].removeprefix(f"{tmp_path}/in/") for row in read(tmp_path / "out.csv")]


def length(path) -> int:
    return path.stat().st_size if path.exists() else 0


def workers() -> list[int]:
    """Ids of the workers of this process: forks of the one that has loaded the networks."""
    return [worker for template in children(os.getpid()) for worker in children(template)]


def children(parent: int) -> list[int]:
    """Ids of the processes of the local engine that a process has started."""
    command = ["pgrep", "-P", str(parent), "-f", "faceloupe.batch.executors.local_worker"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # its status 1 says that there is none
    return [int(pid) for pid in done.stdout.split()]


def everything(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_every_input_has_one_row_in_order(batch, folder, tmp_path):
    batch_progress = batch(folder)
    assert paths(tmp_path) == everything(folder)
    assert (batch_progress.done, batch_progress.outcomes[Outcome.AUTHENTIC], batch_progress.resumed) == (60, 60, 0)


def test_rows_are_the_same_however_many_workers_there_are(batch, folder, tmp_path):
    (folder / "0" / "copy").write_bytes((folder / "2" / "002.bin").read_bytes())
    (folder / "0" / "SLOW").write_bytes((folder / "2" / "005.bin").read_bytes())
    for workers in (1, 2, 5):
        batch(folder, workers=workers, out=f"{workers}.csv")
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes() == (tmp_path / "5.csv").read_bytes()


def test_a_file_that_ends_its_worker_has_a_row_that_says_so_and_the_others_are_examined(batch, folder, tmp_path):
    for name in ("0/SEGV", "1/KILL", "1/EXIT", "2/SEGV"):
        (folder / name).write_bytes(name.encode())
    batch_progress = batch(folder)
    assert paths(tmp_path) == everything(folder)
    assert (batch_progress.outcomes[Outcome.ERROR], batch_progress.outcomes[Outcome.AUTHENTIC]) == (4, 60)
    errors = {row["path"][-6:]: row for row in read(tmp_path / "out.csv") if row["outcome"] == "error"}
    assert sorted(errors) == ["0/SEGV", "1/EXIT", "1/KILL", "2/SEGV"]
    assert {row["reason"] for row in errors.values()} == {GIVEN_UP}
    assert all(row["sha256"] for row in errors.values())


def test_workers_that_are_killed_from_outside_cost_no_row(batch, folder, tmp_path):
    (folder / "SLOW").write_bytes(b"slow")
    killed = []

    def kill(_):
        if len(killed) < 2:
            for pid in workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    batch_progress = batch(folder, progress=kill)
    assert len(killed) == 2
    assert paths(tmp_path) == everything(folder)
    assert batch_progress.outcomes[Outcome.AUTHENTIC] == 61


def test_a_batch_without_weights_says_so(batch, folder):
    with pytest.raises(FaceLoupeError, match="are missing"):
        batch(folder, work="tests.batch.workers:Unready")


def test_workers_that_never_start_end_the_batch(batch, folder):
    with pytest.raises(FaceLoupeError, match="failed to start"):
        batch(folder, work="tests.batch.workers:Stillborn")


def test_no_worker_outlives_the_batch(batch, folder):
    seen: set[int] = set()
    batch(folder, progress=lambda _: seen.update(workers()))
    assert len(seen) >= 2
    until = time.monotonic() + 10
    while any(lives(process) for process in seen) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [process for process in seen if lives(process)]


def lives(process: int) -> bool:
    """Whether a process is running; a zombie is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_empty_folder_leaves_the_header(batch, tmp_path):
    (tmp_path / "in").mkdir()
    assert batch(tmp_path / "in").done == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines() == [",".join(COLUMNS)]


def test_a_file_that_vanishes_or_cannot_be_read_has_a_row(batch, folder, tmp_path):
    (folder / "0" / "loop").symlink_to(folder / "0" / "loop")
    (folder / "1" / "gone").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "2" / "pipe")

    (folder / "2" / "000 SLOW").write_bytes(b"slow")

    def vanish(batch_progress):
        if batch_progress.done >= 42:  # folders 0 and 1 are done, so the names of 2 are known
            (folder / "2" / "059.bin").unlink(missing_ok=True)

    expected = everything(folder)
    batch_progress = batch(folder, workers=1, progress=vanish)
    assert paths(tmp_path) == expected
    assert batch_progress.outcomes[Outcome.ERROR] == 4
    rows = {row["path"].rpartition("/")[2]: row for row in read(tmp_path / "out.csv")}
    for name in ("loop", "gone", "pipe", "059.bin"):
        assert (rows[name]["outcome"], rows[name]["sha256"], rows[name]["score"]) == ("error", "", "")
        assert rows[name]["reason"].endswith(".")


def test_a_copy_is_marked_with_the_first_of_its_bytes_and_not_examined_again(batch, folder, tmp_path):
    shutil.copy(folder / "2" / "002.bin", folder / "0" / "SLOW")
    shutil.copy(folder / "2" / "002.bin", folder / "1" / "again")
    batch_progress = batch(folder)
    rows = {row["path"]: row for row in read(tmp_path / "out.csv")}
    first = rows[f"{folder}/0/SLOW"]
    assert first["duplicate_of"] == ""
    for name in ("1/again", "2/002.bin"):
        copy = rows[f"{folder}/{name}"]
        assert copy == first | {"path": copy["path"], "duplicate_of": first["path"]}
    assert batch_progress.duplicates == 2


def test_copies_of_a_file_that_went_before_it_was_examined_are_examined(batch, folder, tmp_path):
    shutil.copy(folder / "2" / "002.bin", folder / "0" / "0 GONE")
    shutil.copy(folder / "2" / "002.bin", folder / "0" / "00 GONE too")
    shutil.copy(folder / "2" / "002.bin", folder / "1" / "again")
    batch_progress = batch(folder, workers=1)
    rows = {row["path"]: row for row in read(tmp_path / "out.csv")}
    assert paths(tmp_path) == everything(folder)
    for name in ("0 GONE", "00 GONE too"):
        gone = rows[f"{folder}/0/{name}"]
        assert (gone["outcome"], gone["reason"], gone["sha256"]) == ("error", "It is gone.", "")
    first, last = rows[f"{folder}/1/again"], rows[f"{folder}/2/002.bin"]
    assert (first["outcome"], first["duplicate_of"]) == ("authentic", "")
    assert last == first | {"path": last["path"], "duplicate_of": first["path"]}
    assert (batch_progress.outcomes[Outcome.ERROR], batch_progress.duplicates) == (2, 1)


@pytest.mark.slow
def test_the_examiner_says_where_a_file_is_not_what_was_hashed_any_more(settings, tmp_path):
    changed = tmp_path / "changed.png"
    changed.write_bytes(b"another content")
    examine = AnalysisWorker(WorkerConfig(settings, weights_folder()))
    for path in (changed, tmp_path / "gone.png"):
        task = Task(path.name, str(path), sha256="0" * 64, media_type="image", index=0)
        ((_, result),) = examine(iter([task]))
        assert (result.media_type, result.outcome) == ("", Outcome.ERROR)


def test_reports_never_lie_among_the_inputs(batch, folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    for path, reports in ((folder, folder), (folder / "1", folder), (tmp_path / "link" / "0", folder)):
        with pytest.raises(UsageError, match="the folder for the reports"):
            batch(path, reports=reports, resume=True)
    assert not (tmp_path / "out.csv").exists()


def test_a_copy_of_a_file_that_ends_its_worker_ends_no_other(batch, folder, tmp_path):
    (folder / "0" / "SEGV").write_bytes(b"bad")
    (folder / "1" / "SEGV too").write_bytes(b"bad")
    assert batch(folder).outcomes[Outcome.ERROR] == 2


def test_what_is_in_the_table_is_not_done_again(batch, folder, tmp_path):
    batch(folder)
    whole = (tmp_path / "out.csv").read_bytes()
    cut = whole.splitlines(keepends=True)[:31]
    (tmp_path / "out.csv").write_bytes(b"".join(cut) + b"half a row,")
    batch_progress = batch(folder, resume=True)
    assert (batch_progress.done, batch_progress.resumed) == (60, 30)
    assert (tmp_path / "out.csv").read_bytes() == whole
    assert batch(folder, resume=True, work="tests.batch.workers:Light").resumed == 60
    assert (tmp_path / "out.csv").read_bytes() == whole


def test_files_that_came_and_went_between_two_runs_are_neither_dropped_nor_repeated(batch, folder, tmp_path):
    batch(folder)
    before = paths(tmp_path)
    (folder / "0" / "000.bin").unlink()
    (folder / "0" / "new").write_bytes(b"new")
    batch(folder, resume=True)
    assert paths(tmp_path) == [*before, "0/new"]


def test_a_table_of_another_model_is_not_resumed(batch, folder, tmp_path):
    batch(folder)
    path = tmp_path / "out.csv"
    path.write_bytes(path.read_bytes().replace(b"faceloupe-mobilenet", b"another-mobilenet"))
    with pytest.raises(UsageError, match="started with another-mobilenet"):
        batch(folder, resume=True)


@pytest.mark.parametrize("effort", ["quick", "thorough"])
def test_the_workers_make_the_effort_that_every_row_states(batch, folder, tmp_path, effort):
    (folder / "copy").write_bytes((folder / "0" / "000.bin").read_bytes())
    batch(folder, settings=Settings(effort=effort), work="tests.batch.workers:Telling")
    rows = read(tmp_path / "out.csv")
    assert {(row["effort"], row["reason"]) for row in rows} == {(effort, f"{effort} {EFFORTS[effort]}")}
    assert len([row for row in rows if row["duplicate_of"]]) == 1


def test_a_row_states_no_effort_where_another_model_was_named(batch, folder, tmp_path):
    batch(folder, settings=Settings(model=OTHER_MODEL), work="tests.batch.workers:Telling")
    assert {(row["effort"], row["model_id"]) for row in read(tmp_path / "out.csv")} == {("", OTHER_MODEL)}


def test_a_table_of_another_effort_is_not_resumed(batch, folder, tmp_path):
    batch(folder, settings=Settings(effort="quick"))
    before = (tmp_path / "out.csv").read_bytes()
    with pytest.raises(UsageError, match=r"started with .*\(effort quick\).* this is .*\(effort thorough\)"):
        batch(folder, settings=Settings(effort="thorough"), resume=True)
    assert (tmp_path / "out.csv").read_bytes() == before
    assert batch(folder, settings=Settings(effort="quick"), resume=True).resumed == 60


@pytest.mark.parametrize("effort", ["quick", "standard"])
def test_workers_elsewhere_are_sent_the_weights_of_the_effort(monkeypatch, effort):
    records = read_registry(weights_folder())
    ensemble = next(record for record in records.values() if record.members)
    monkeypatch.setitem(EFFORTS, "standard", ensemble.id)
    monkeypatch.setitem(EFFORTS, "quick", ensemble.members[0])
    sent = _files_of(WorkerConfig(Settings(effort=effort), weights_folder()))
    named = ensemble.members if effort == "standard" else ensemble.members[:1]
    assert {name for name in sent if name.endswith(".safetensors")} == {records[entry].weights_file for entry in named}


@pytest.mark.slow
def test_a_batch_killed_twenty_times_has_the_rows_of_one_that_was_not(batch, folder, tmp_path):
    for number in range(500):
        (folder / "1" / f"{number}").write_bytes(f"many {number}".encode())
    for number in range(24):
        (folder / f"{number % 3}" / f"SLOW {number:02}").write_bytes(f"slow {number // 2}".encode())
    (folder / "1" / "SEGV").write_bytes(b"bad")
    batch(folder)
    command = [sys.executable, "-m", "tests.batch.killed", str(tmp_path / "killed.csv"), str(folder), "--resume"]
    chance, sizes = random.Random(0), []
    for _ in range(20):
        before = length(tmp_path / "killed.csv")
        work = subprocess.Popen(command)
        while work.poll() is None and length(tmp_path / "killed.csv") <= before:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.03))
        assert work.poll() is None, "it was done before it was killed"
        work.kill()
        work.wait()
        sizes.append(length(tmp_path / "killed.csv"))
    subprocess.run(command, check=True, timeout=120)
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
    assert sizes == sorted(set(sizes))


def test_a_batch_can_be_cancelled_and_resumed(batch, folder, tmp_path):
    done = []
    for number in range(10):
        (folder / "2" / f"SLOW {number}").write_bytes(f"slow {number}".encode())
    with pytest.raises(Cancelled):
        batch(
            folder,
            progress=lambda batch_progress: done.append(batch_progress.done),
            cancel=lambda: bool(done) and done[-1] > 0,
        )
    assert 0 < len(read(tmp_path / "out.csv")) < 70
    batch(folder, resume=True)
    assert paths(tmp_path) == everything(folder)


def test_progress_tells_how_many_there_are_and_ends_with_all_of_them(batch, folder):
    reported = []
    batch(folder, progress=reported.append)
    assert (reported[-1].done, reported[-1].total, reported[-1].share) == (60, 60, 1.0)
    assert [progress.done for progress in reported] == sorted(progress.done for progress in reported)


def test_each_file_is_parsed_once_for_what_it_holds_and_all_of_it_is_counted(batch, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for number in range(3):
        content = GENERATED.read_bytes() + PHOTOGRAPH.read_bytes()
        (tmp_path / "in" / f"{number}.jpg").write_bytes(content + b"%d" % number)
    real, parsed, reported = Reader.open_container, Counter[str](), []

    def open_container(reader, task, *limit):
        if task.embedded is None:
            parsed[task.shown] += 1
        return real(reader, task, *limit)

    monkeypatch.setattr(Reader, "open_container", open_container)
    batch(tmp_path / "in", embedded=True, progress=reported.append)
    assert set(parsed.values()) == {1}
    assert (reported[-1].done, reported[-1].total) == (6, 6)


def test_nothing_is_counted_any_more_once_a_batch_was_cancelled(batch, folder, monkeypatch):
    listed, cancelled, threads = [], threading.Event(), set()
    real = api.inputs

    def inputs(*arguments, **others):
        counting = threading.current_thread().name == "counting inputs"
        for task in real(*arguments, **others):
            if counting:
                threads.add(threading.current_thread())
                cancelled.wait(30)
                listed.append(task)
            yield task

    def cancel() -> bool:
        return bool(threads)

    monkeypatch.setattr(api, "inputs", inputs)
    with pytest.raises(Cancelled):
        batch(folder, progress=lambda _: None, cancel=cancel)
    cancelled.set()
    for thread in threads:
        thread.join(30)
    assert len(listed) == 1


def test_reports_are_kept_under_the_hash_in_the_table(batch, folder, tmp_path):
    batch(folder, reports=tmp_path / "reports")
    stored = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert stored == sorted(f"{row['sha256']}.json" for row in read(tmp_path / "out.csv"))
    with pytest.raises(UsageError, match="not empty"):
        batch(folder, out="other.csv", reports=tmp_path / "reports")


def test_the_tables_own_files_are_no_inputs(batch, folder, tmp_path):
    batch(tmp_path, reports=tmp_path / "reports")
    assert len(read(tmp_path / "out.csv")) == 60


def test_copies_that_a_killed_run_left_are_removed(batch, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / f"faceloupe-batch-{gone.pid}-abc"
    left.mkdir()
    (left / "faceloupe-video").write_bytes(b"a video out of a ZIP")
    batch(folder)
    assert not left.exists()


def test_parquet_holds_the_same_with_types(batch, folder, tmp_path):
    batch(folder)
    batch(folder, out="out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    rows = read(tmp_path / "out.csv")
    assert [row["path"] for row in table] == [row["path"] for row in rows]
    assert [row["score"] for row in table] == [float(row["score"]) for row in rows]
    assert {type(row["faces"]) for row in table} == {int}
    assert {row["duration_s"] for row in table} == {None}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.csv", "out.parquet"]
    with pytest.raises(UsageError, match="already exists"):
        batch(folder, out="out.parquet")


def test_a_number_of_workers_that_is_impossible_is_refused(batch, folder):
    for count in (0, -1, 10**6):
        with pytest.raises(UsageError, match="number of workers"):
            batch(folder, workers=count, out=f"{count}.csv")


def test_weights_that_are_missing_are_named_before_anything_is_begun(batch, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(WeightsError):
        batch(folder)
    assert not (tmp_path / "out.csv").exists()


def test_every_row_states_what_its_file_claims_about_its_origin(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "claimed.png").write_bytes(png_text({"parameters": "=1+1\nSteps: 20, Sampler: Euler a"}))
    (tmp_path / "in" / "plain.jpg").write_bytes(saved("JPEG"))
    (tmp_path / "in" / "text.jpg").write_text("not a picture", encoding="utf-8")
    spec = BatchSpec((str(tmp_path / "in"),), tmp_path / "out.csv")
    run_batch(spec, Settings(effort="quick"))
    claims = {Path(row["path"]).name: (row["provenance"], row["generator"]) for row in read(tmp_path / "out.csv")}
    assert claims == {
        "claimed.png": ("none", "a Stable Diffusion web UI"),
        "plain.jpg": ("none", ""),
        "text.jpg": ("", ""),
    }
    assert list(read(tmp_path / "out.csv")[0])[-2:] == ["provenance", "generator"]
