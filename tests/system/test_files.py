"""Files are written completely or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faceloupe.system.files import creating, process_runs, replacing

WRITERS = {"replacing": replacing, "creating": creating}
KILLED = """
import os, signal, sys
from pathlib import Path
from faceloupe.system import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=[False, True], ids=["links", "no links"])
def without_links(request, monkeypatch):
    """A file system with hard links, and one without."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if request.param:
        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.usefixtures("without_links")
def test_a_finished_file_is_whole_and_alone(tmp_path, name):
    path = tmp_path / "file"
    with WRITERS[name](path) as temporary:
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def write(writer, path: Path, fill) -> None:
    with writer(path) as temporary:
        fill(temporary)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("problem", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_failed_file_leaves_nothing(tmp_path, name, problem):
    def fail_halfway(temporary):
        temporary.write_bytes(b"half")
        raise problem

    with pytest.raises(type(problem)):
        write(WRITERS[name], tmp_path / "file", fail_halfway)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path, name):
    def fill_the_disk(temporary):
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(b"x")

    with pytest.raises(OSError, match="No space left"):
        write(WRITERS[name], tmp_path / "file", fill_the_disk)
    assert list(tmp_path.iterdir()) == []


def test_replacing_keeps_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def look_and_fill(temporary):
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"

    with pytest.raises(TypeError):
        write(replacing, path, lambda temporary: temporary.write_bytes("no bytes"))
    write(replacing, path, look_and_fill)
    assert path.read_bytes() == b"new"


@pytest.mark.usefixtures("without_links")
def test_creating_never_replaces_what_came_meanwhile(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileExistsError):
        write(creating, path, lambda _: path.write_bytes(b"theirs"))
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", WRITERS)
def test_a_killed_writer_leaves_no_file_of_that_name(tmp_path, name):
    killed = subprocess.run([sys.executable, "-c", KILLED, name, str(tmp_path / "file")], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_umask_decides_who_may_read(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with creating(tmp_path / "a"), replacing(tmp_path / "b"), creating(tmp_path / "key", mode=0o600):
            pass
    finally:
        os.umask(before)
    assert [Path(tmp_path, name).stat().st_mode & 0o777 for name in ("a", "b", "key")] == [mode, mode, 0o600]


def test_a_process_runs_until_it_is_waited_for():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_runs(process.pid)
    process.communicate(b"\n", timeout=60)
    assert not process_runs(process.pid)
    assert process_runs(1)
    assert not process_runs(2**70)
