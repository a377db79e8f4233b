import hashlib
import io
import os
import subprocess
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from faceloupe.batch.inputs import entries, listed, refuse_missing, shown, with_embedded
from faceloupe.batch.readers import Reader
from faceloupe.config import Settings
from faceloupe.errors import UsageError
from tests.conftest import GENERATED, PHOTOGRAPH

ODD_NAMES = ["a,b.jpg", 'quo"te.jpg', "line\nbreak.jpg", "=1+1.jpg", "@x.jpg", "\t.jpg", "ünï.jpg", "-", "bang!.jpg"]


def names(*paths: Path, **others: object) -> list[str]:
    return [task.shown for task in listed(map(str, paths), **others)]


def test_folders_are_listed_wholly_and_by_name(tmp_path):
    for name in ("b/2.jpg", "b/1.jpg", "a.jpg", "c/d/e.jpg", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    expected = [f"{tmp_path}/{name}" for name in (".hidden", "a.jpg", "b/1.jpg", "b/2.jpg", "c/d/e.jpg")]
    assert names(tmp_path) == names(tmp_path) == expected


def test_what_is_given_twice_is_listed_twice_in_the_order_given(tmp_path):
    for name in "ab":
        (tmp_path / name).touch()
    assert names(tmp_path / "b", tmp_path) == [f"{tmp_path}/{name}" for name in "bab"]


def test_every_name_is_listed_whatever_it_holds(tmp_path):
    for name in ODD_NAMES:
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"\xff\xfe.jpg")).touch()
    names_below = [name.removeprefix(f"{tmp_path}/") for name in names(tmp_path)]
    assert sorted(names_below) == sorted([*ODD_NAMES, r"\xff\xfe.jpg"])


def test_the_path_of_bytes_that_are_no_text_still_leads_to_the_file(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"here")
    (task,) = listed([str(tmp_path)])
    assert Path(task.path).read_bytes() == b"here"
    assert shown(task.path) == f"{tmp_path}/\\xff.jpg"


def test_links_to_folders_are_named_and_not_followed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "file.jpg").touch()
    tasks = list(listed([str(tmp_path)]))
    assert [entry.shown for entry in tasks] == [f"{tmp_path}/a/file.jpg", f"{tmp_path}/a/up"]
    assert [bool(entry.problem) for entry in tasks] == [False, True]


def test_links_that_lead_in_a_circle_are_inputs_like_any_other(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert names(tmp_path) == [f"{tmp_path}/a", f"{tmp_path}/b"]


def test_a_link_to_a_folder_that_is_named_is_followed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert names(tmp_path / "link") == [f"{tmp_path}/link/x.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every folder")
def test_a_folder_that_cannot_be_read_is_an_input_with_its_problem(tmp_path):
    (tmp_path / "shut").mkdir(mode=0)
    (task,) = listed([str(tmp_path)])
    assert "Permission denied" in task.problem


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    assert names(tmp_path) == [f"{tmp_path}/pipe"]


def test_folders_deeper_than_calls_can_be_nested(tmp_path):
    at, depth = os.open(tmp_path, os.O_RDONLY), 1500
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    names_below = names(tmp_path)
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # pytest's own clearing up is recursive
    assert names_below == [str(tmp_path) + "/d" * depth + "/x"]


def test_a_list_has_one_path_a_line_or_separates_by_nuls():
    assert list(entries(io.BytesIO(b"a b\nc\r\n\nd"))) == ["a b", "c", "d"]
    assert list(entries(io.BytesIO(b"a\nb\0c\0"))) == ["a\nb", "c"]
    assert list(entries(io.BytesIO(b""))) == []
    many = [f"folder/{number}" for number in range(50_000)]
    assert list(entries(io.BytesIO("\n".join(many).encode()))) == many
    assert list(entries(io.BytesIO("\0".join(many).encode()))) == many


def test_a_list_may_name_folders_and_what_is_not_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").touch()
    names_below = names("-", stdin=io.BytesIO(f"{tmp_path}/a\n{tmp_path}/none\n".encode()))
    assert names_below == [f"{tmp_path}/a/x.jpg", f"{tmp_path}/none"]


def test_a_path_that_is_not_there_is_a_typing_error_on_the_command_line(tmp_path):
    with pytest.raises(UsageError, match="no file or folder"):
        refuse_missing([str(tmp_path / "none")])


def test_the_output_is_no_input(tmp_path):
    for name in ("a.jpg", "out.csv"):
        (tmp_path / name).touch()
    out = (tmp_path / "out.csv").stat()
    assert names(tmp_path, skip=lambda format_name: format_name.st_ino == out.st_ino) == [f"{tmp_path}/a.jpg"]


@pytest.mark.slow
def test_a_folder_of_a_hundred_thousand_names_is_listed_once_each(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(100_000):
        os.close(os.open(tmp_path / "in" / f"{number:06}", os.O_CREAT))
    names_below = names(tmp_path / "in")
    assert names_below == [f"{tmp_path}/in/{number:06}" for number in range(100_000)]


def test_the_limit_of_the_caller_holds_for_what_files_hold_besides_their_picture(tmp_path):
    (tmp_path / "two.jpg").write_bytes(GENERATED.read_bytes() + PHOTOGRAPH.read_bytes())
    limit = PHOTOGRAPH.stat().st_size - 1
    with closing(Reader(10**8)) as reader:
        whole, own = with_embedded(listed([str(tmp_path)]), Settings(max_bytes=10**8))
        assert reader.identify(own).sha256 == hashlib.sha256(PHOTOGRAPH.read_bytes()).hexdigest()
        assert reader.sendable(own).content == PHOTOGRAPH.read_bytes()
    with closing(Reader(limit)) as reader:
        assert "cannot be taken out" in reader.identify(own).problem
        assert reader.sendable(own).content is None
        assert reader.identify(whole).problem == ""


def test_what_files_hold_besides_their_picture_are_inputs_of_their_own(tmp_path):
    first, second = GENERATED.read_bytes(), PHOTOGRAPH.read_bytes()
    (tmp_path / "two.jpg").write_bytes(first + second)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "two.jpg", "two.jpg")
    tasks = list(with_embedded(listed([str(tmp_path)]), Settings()))
    inner, zipped = f"{tmp_path}/two.jpg", f"{tmp_path}/z.zip!two.jpg"
    assert [task.shown for task in tasks] == [inner, f"{inner}!{len(first)}", zipped, f"{zipped}!{len(first)}"]
    reader = Reader(10**8)
    for task in (tasks[1], tasks[3]):
        taken = reader.take(reader.identify(task))
        assert taken.evidence_file.content == second
        assert taken.evidence_file.evidence.origin.offset == len(first)
    reader.close()
