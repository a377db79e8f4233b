"""The annotated copies of videos that the app keeps for download."""

import os
import time
from pathlib import Path

from faceloupe.ui.jobs import tasks


def copies(folder: Path, count: int, *, age_s: float) -> list[Path]:
    """Copies of increasing age, the oldest first."""
    paths = [folder / f"{number}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"")
        os.utime(path, (made := time.time() - age_s + number, made))
    return paths


def test_the_oldest_copies_make_room_for_a_new_one(tmp_path):
    paths = copies(tmp_path, 10, age_s=3600.0)
    tasks._remove_old_copies(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths[3:])


def test_a_copy_that_may_still_be_offered_stays(tmp_path):
    paths = copies(tmp_path, 10, age_s=60.0)
    tasks._remove_old_copies(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_copy_that_another_job_removes_at_the_same_time_is_no_error(tmp_path, monkeypatch):
    paths = copies(tmp_path, 10, age_s=3600.0)
    unlink = Path.unlink

    def removed_already(path, missing_ok=False):
        unlink(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "glob", lambda *_: [*paths, tmp_path / "gone.mp4"])
    monkeypatch.setattr(Path, "unlink", removed_already)
    tasks._remove_old_copies(tmp_path)
    assert len(list(tmp_path.iterdir())) == 7
