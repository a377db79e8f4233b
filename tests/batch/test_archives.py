import hashlib
import io
import struct
import zipfile
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from faceloupe.batch import archives
from faceloupe.batch.inputs import listed
from faceloupe.batch.readers import CHANGED, NESTED, Reader
from faceloupe.errors import EvidenceError
from faceloupe.samples import SAMPLES

PHOTO = SAMPLES[1].path


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def reader():
    with closing(Reader(2**28)) as opened:
        yield opened


def problems(path: Path) -> list[str]:
    with closing(Reader(2**28)) as reader:
        return [reader.identify(task).problem for task in listed([str(path)])]


def test_members_are_listed_under_the_zips_name(tmp_path):
    path = zipped(tmp_path / "a.zip", {"b/x.png": PHOTO.read_bytes(), "b/": b"", "a.jpg": b"a"})
    assert [task.shown for task in listed([str(path)])] == [f"{path}!b/x.png", f"{path}!a.jpg"]


def zip_with_name(path: Path, name: bytes, *, extra: bytes = b"") -> Path:
    """A ZIP with one member whose name consists of these bytes, in any encoding."""
    stand_in = "x" * len(name)
    member = zipfile.ZipInfo(stand_in)
    member.extra = extra
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"a")
    content = path.read_bytes().replace(stand_in.encode(), name)
    path.write_bytes(content)
    return path


def unicode_path(stored: bytes, name: str) -> bytes:
    body = b"\x01" + struct.pack("<I", zlib.crc32(stored)) + name.encode()
    return struct.pack("<HH", 0x7075, len(body)) + body


@pytest.mark.parametrize(
    ("stored", "extra", "expected"),
    [
        ("証拠.jpg".encode("cp932"), b"", r"\x8f\xd8\x8b\x92.jpg"),
        ("Müller.jpg".encode("cp850"), b"", r"M\x81ller.jpg"),
        ("Müller.jpg".encode(), b"", "Müller.jpg"),
        ("証拠.jpg".encode("cp932"), unicode_path("証拠.jpg".encode("cp932"), "証拠.jpg"), "証拠.jpg"),
        ("証拠.jpg".encode("cp932"), unicode_path(b"another.jpg", "wrong.jpg"), r"\x8f\xd8\x8b\x92.jpg"),
        (b"plain.jpg", b"", "plain.jpg"),
    ],
)
def test_a_members_name_is_read_as_its_encoding_says_or_shown_by_its_bytes(tmp_path, stored, extra, expected):
    path = zip_with_name(tmp_path / "a.zip", stored, extra=extra)
    (task,) = listed([str(path)])
    assert task.shown == f"{path}!{expected}"


def test_system_files_are_named_and_a_picture_with_such_a_name_is_examined(tmp_path, reader):
    members = {
        ".DS_Store": b"\x00\x00\x00\x01Bud1",
        "__MACOSX/._a.jpg": b"\x00\x05\x16\x07\x00\x02\x00\x00",
        "in/Thumbs.db": b"\xd0\xcf\x11\xe0",
        "in/desktop.ini": b"[.ShellClassInfo]",
        "Thumbs.db": PHOTO.read_bytes(),
        "notes.txt": b"words",
    }
    path = zipped(tmp_path / "a.zip", members)
    for name, content in members.items():
        target = tmp_path / "unpacked" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    packed = [reader.identify(task).system_file for task in listed([str(path)])]
    plain = {task.shown: reader.identify(task).system_file for task in listed([str(tmp_path / "unpacked")])}
    systems = ["macOS (.DS_Store", "macOS (AppleDouble", "Windows (Thumbs.db", "Windows (desktop.ini", "", ""]
    for name, of_zip, system in zip(members, packed, systems, strict=True):
        assert of_zip == plain[str(tmp_path / "unpacked" / name)]
        assert system in of_zip
        assert bool(system) == bool(of_zip)


def test_a_zip_is_known_by_its_content(tmp_path):
    path = zipped(tmp_path / "photo.jpg", {"x": b"a"})
    (tmp_path / "b.zip").write_bytes(PHOTO.read_bytes())
    assert [task.shown for task in listed([str(tmp_path)])] == [f"{tmp_path}/b.zip", f"{path}!x"]


def test_a_member_has_the_hash_of_its_own_bytes(tmp_path, reader):
    (packed,) = listed([str(zipped(tmp_path / "a.zip", {"x.png": PHOTO.read_bytes()}))])
    (plain,) = listed([str(PHOTO)])
    identified = [reader.identify(task) for task in (packed, plain)]
    assert [(task.sha256, task.media_type) for task in identified] == 2 * [
        (hashlib.sha256(PHOTO.read_bytes()).hexdigest(), "image")
    ]


def test_a_name_that_points_elsewhere_leads_nowhere(tmp_path, reader):
    (tmp_path / "in").mkdir()
    outside = tmp_path / "evil.png"
    path = zipped(tmp_path / "in" / "a.zip", {"../evil.png": PHOTO.read_bytes(), "/etc/evil": b"x"})
    tasks = list(listed([str(path)]))
    assert [task.shown for task in tasks] == [f"{path}!../evil.png", f"{path}!/etc/evil"]
    taken = reader.take(reader.identify(tasks[0]))
    assert taken.evidence_file.content == PHOTO.read_bytes()
    assert not outside.exists()
    assert list((tmp_path / "in").iterdir()) == [path]


def test_a_zip_inside_a_zip_is_not_opened(tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"x": b"a"}).read_bytes()
    assert problems(zipped(tmp_path / "a.zip", {"inner.zip": inner, "y": b"b"})) == [NESTED, ""]


def test_a_bomb_is_left_packed(tmp_path):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros.bmp", "w", force_zip64=True) as member,
    ):
        for _ in range(archives.HARMLESS_BYTES // 2**20 + 1):
            member.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    assert "was not unpacked" in problems(path)[0]


def test_a_member_that_is_larger_than_its_directory_says_is_never_read_further(tmp_path):
    path = zipped(tmp_path / "a.zip", {"x": bytes(10_000_000)})
    content = bytearray(path.read_bytes())
    start = content.rfind(b"PK\x01\x02")
    content[start + 24 : start + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    assert "damaged" in problems(path)[0]


def test_an_encrypted_member_is_named(tmp_path):
    path = zipped(tmp_path / "a.zip", {"x": b"a", "y": b"b"})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(mark) + at] |= 1
    path.write_bytes(content)
    first, second = problems(path)
    assert "encrypted" in first
    assert second == ""


def test_an_empty_zip_is_an_input_with_its_problem(tmp_path):
    assert problems(zipped(tmp_path / "a.zip", {})) == ["The ZIP contains no files."]


@pytest.mark.parametrize("keep", [4, 30, 0.5, 0.99])
def test_a_cut_zip_is_an_input_with_its_problem(tmp_path, keep):
    path = zipped(tmp_path / "a.zip", {"x.png": PHOTO.read_bytes()})
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    (texts,) = problems(path)
    assert texts.startswith("The ZIP is damaged")


def test_a_damaged_member_is_named_and_the_others_are_read(tmp_path):
    path = zipped(tmp_path / "a.zip", {"x": b"a" * 1000, "y": b"b"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    first, second = problems(path)
    assert "damaged" in first
    assert second == ""


def test_a_directory_too_large_for_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {f"{number}": b"" for number in range(100)})
    monkeypatch.setattr(archives, "MOST_DIRECTORY_BYTES", 1000)
    assert "directory" in problems(path)[0]


def test_a_directory_that_another_record_belittles_is_refused_too(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with monkeypatch.context() as patched:
        patched.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 50)  # so that it is written as ZIP64
        zipped(path, {f"{number}": b"" for number in range(100)})
    content = bytearray(path.read_bytes())
    locator = content.rindex(b"PK\x06\x07")
    decoy = bytearray(content[locator - 56 : locator])
    struct.pack_into("<Q", decoy, 40, 10)  # the directory's size
    struct.pack_into("<Q", content, locator + 8, 0)  # the locator points to the start, where the decoy lies
    path.write_bytes(decoy + content)
    monkeypatch.setattr(archives, "MOST_DIRECTORY_BYTES", 1000)
    with pytest.raises(EvidenceError, match="directory"):
        archives.Archive(str(path))


def test_a_member_whose_name_begins_with_nul_stops_no_other(tmp_path, reader):
    path = zipped(tmp_path / "a.zip", {"?first": b"hidden", "b.png": PHOTO.read_bytes()})
    path.write_bytes(path.read_bytes().replace(b"?first", b"\0first"))
    tasks = list(listed([str(path)]))
    assert [task.shown for task in tasks] == [f"{path}!", f"{path}!b.png"]
    assert [task.problem for task in map(reader.identify, tasks)] == ["", ""]


def test_a_member_that_asks_for_more_memory_than_there_is_has_a_row(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {"x": b"a"})

    def starve(*_):
        raise MemoryError

    monkeypatch.setattr(zipfile.ZipFile, "open", starve)
    assert "memory" in problems(path)[0]


def test_a_video_in_a_zip_is_spooled_and_the_copy_removed(tmp_path):
    clip = b"\0\0\0\x18ftypisom" + bytes(5000)
    path, spool = zipped(tmp_path / "a.zip", {"v.mp4": clip}), tmp_path / "spool"
    spool.mkdir()
    (listed_task,) = listed([str(path)])
    with closing(Reader(2**28, spool)) as reader:
        task = reader.identify(listed_task)
        assert task.media_type == "video"
        taken = reader.take(task)
    assert taken.evidence_file.evidence.name == "a.zip!v.mp4"
    with taken.evidence_file.open() as stream:
        assert stream.read() == clip
    assert (taken.spooled.stat().st_mode & 0o777) == 0o600
    taken.release()
    assert list(spool.iterdir()) == []


def test_what_changed_since_it_was_hashed_is_not_examined(tmp_path, reader):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"before")
    (listed_task,) = listed([str(path)])
    task = reader.identify(listed_task)
    path.write_bytes(b"after")
    with pytest.raises(EvidenceError, match=CHANGED[:30]):
        reader.take(task)


def test_a_file_that_is_nothing_but_a_magic_is_damaged(tmp_path):
    (tmp_path / "a").write_bytes(b"PK\x05\x06")
    assert problems(tmp_path / "a")[0].startswith("The ZIP is damaged")
    assert zipfile.is_zipfile(io.BytesIO(b"PK\x05\x06")) is False
