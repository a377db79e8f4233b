"""Lists of records in a private file, changed by several threads and processes."""

import stat
import subprocess
import sys

import msgspec
import pytest

from faceloupe.errors import UsageError
from faceloupe.installation import ROOT
from faceloupe.system.record_file import RecordFile

COUNT = 20


def record_file(path):
    return RecordFile(path, msgspec.json.Decoder(tuple[int, ...]), title="numbers")


def add(path, first):
    for number in range(first, first + COUNT):
        with record_file(path).change() as numbers:
            numbers.append(number)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "numbers.json"


def test_processes_that_change_it_at_once_lose_nothing_of_each_other(path):
    command = "import sys; from pathlib import Path; from tests.system import test_record_file as records\n"
    command += "records.add(Path(sys.argv[1]), int(sys.argv[2]))"
    processes = [
        subprocess.Popen([sys.executable, "-c", command, str(path), first], cwd=ROOT) for first in ("0", "100")
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert sorted(record_file(path).read()) == [*range(COUNT), *range(100, 100 + COUNT)]


def test_only_the_owner_can_read_it(path):
    add(path, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_change_is_seen_at_once_by_whoever_read_it_before(path):
    reader = record_file(path)
    assert reader.read() == ()
    for expected in (1, 2):
        with record_file(path).change() as numbers:
            numbers[:] = [expected]
        assert reader.read() == (expected,)


def test_a_change_that_fails_leaves_the_file_as_it_was_and_the_next_one_need_not_wait(path):
    add(path, 0)
    with pytest.raises(ZeroDivisionError), record_file(path).change() as numbers:
        numbers.extend(1 // divisor for divisor in (1, 0))
    with record_file(path).change() as numbers:
        assert numbers == list(range(COUNT))


@pytest.mark.parametrize("content", [b"[", b"{}", b'["1"]', b"\xff"])
def test_damage_is_named_and_never_written_over(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"The numbers in .* cannot be read"):
        record_file(path).read()
    with pytest.raises(UsageError, match="restore the file"), record_file(path).change() as numbers:
        numbers.append(1)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "data").write_text("a file")
    with (
        pytest.raises(UsageError, match="cannot be written"),
        record_file(tmp_path / "data" / "below" / "numbers.json").change(),
    ):
        pass
