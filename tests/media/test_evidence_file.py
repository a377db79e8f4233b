import hashlib
import os
import stat

import pytest

from faceloupe.errors import Cancelled, EvidenceError, UsageError
from faceloupe.media import evidence_file
from faceloupe.media.formats import sniff
from tests.conftest import GENERATED


def test_the_hash_is_that_of_the_file_whatever_its_size_against_the_limit(tmp_path):
    content = os.urandom(3 * 1024 * 1024 + 17)
    path = tmp_path / "blob"
    path.write_bytes(content)
    for limit in (10, 4 * 1024 * 1024):
        taken = evidence_file.open_evidence(path, max_bytes=limit)
        assert taken.evidence.sha256 == hashlib.sha256(content).hexdigest()
        assert taken.evidence.size_bytes == len(content)
        assert (taken.content is None) == (limit < len(content))


def test_bytes_that_are_kept_are_the_bytes_that_were_hashed():
    taken = evidence_file.open_evidence(GENERATED, max_bytes=10**9)
    assert hashlib.sha256(taken.content).hexdigest() == taken.evidence.sha256


def test_upload_and_file_give_one_identity():
    from_file = evidence_file.open_evidence(GENERATED, max_bytes=10**9)
    from_bytes = evidence_file.evidence_from_bytes(GENERATED.read_bytes(), GENERATED.name, max_bytes=10**9)
    assert from_bytes == from_file


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WebP"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "AVI"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "WAVE"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00*", "TIFF"),
        (b"BM" + bytes(12) + b"\x28\x00\x00\x00", "BMP"),
        (b"BMW is a car maker", None),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "CR3"),
        (b"\x00\x00\x00\x14ftypcrx \x00\x00\x00\x01crx ", "CR3"),
        (b"GIF89a", "GIF"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", "AVIF"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomavc1", "MP4"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", "QuickTime"),
        (b"\x00\x00\x00\x20moov\x00\x00\x00\x6cmvhd", "QuickTime"),
        (b"\x00\x00\x00\x08wide\x00\x10\x00\x00mdat", "QuickTime"),
        (b"\x1aE\xdf\xa3", "Matroska"),
        (b"\x00\x00\x01\xba", "MPEG"),
        (b"G" + bytes(187) + b"G", "MPEG-TS"),
        (b"G" + bytes(187) + b"H", None),
        (b"GIF89a" + bytes(182) + b"G", "GIF"),
        (b"not a picture\n", None),
        (b"", None),
    ],
)
def test_the_type_is_read_from_the_content(head, expected):
    assert sniff(head) == expected


def test_a_video_is_distinguished_from_a_still_whatever_its_name(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomavc1")
    assert evidence_file.open_evidence(path, max_bytes=100).evidence.media_type == "video"


@pytest.mark.parametrize("name", ["missing.jpg", "folder", "pipe"])
def test_what_is_no_regular_file_is_refused_in_one_sentence(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(UsageError, match=name.removesuffix(".jpg")) as caught:
        evidence_file.open_evidence(tmp_path / name, max_bytes=100)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file_is_refused(tmp_path):
    path = tmp_path / "locked.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(UsageError, match="permissions"):
        evidence_file.open_evidence(path, max_bytes=100)


def test_the_input_is_never_changed():
    before = GENERATED.stat()
    evidence_file.open_evidence(GENERATED, max_bytes=10**9)
    after = GENERATED.stat()
    assert (before.st_mtime_ns, before.st_size, stat.S_IMODE(before.st_mode)) == (
        after.st_mtime_ns,
        after.st_size,
        stat.S_IMODE(after.st_mode),
    )


def test_a_name_in_a_report_holds_no_control_or_direction_marks():
    name = "a\nb\u202egpj.exe\x1b[0m\udcff"
    shown = evidence_file.printable_name(name)
    assert all(character.isprintable() for character in shown)
    shown.encode("utf-8")


MP4_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomavc1"


def test_a_video_on_disk_is_hashed_whole_and_read_where_it_lies(tmp_path):
    path = tmp_path / "clip.mp4"
    content = MP4_HEAD + os.urandom(3 * 1024 * 1024)
    path.write_bytes(content)
    taken = evidence_file.open_evidence(path, max_bytes=10)
    assert (taken.evidence.media_type, taken.content) == ("video", None)
    assert taken.evidence.sha256 == hashlib.sha256(content).hexdigest()
    with taken.open() as stream:
        assert stream.read() == content
        taken.check_unchanged(stream)


def test_an_uploaded_video_is_read_from_its_bytes():
    taken = evidence_file.evidence_from_bytes(MP4_HEAD, "clip.mp4", max_bytes=10**6)
    with taken.open() as stream:
        taken.check_unchanged(stream)
        assert stream.read() == MP4_HEAD


def test_an_upload_over_the_limit_can_not_be_opened():
    with pytest.raises(EvidenceError, match="by its path"):
        evidence_file.evidence_from_bytes(MP4_HEAD, "clip.mp4", max_bytes=3).open()


def test_a_file_that_changed_or_went_after_it_was_hashed_is_not_examined(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4_HEAD)
    taken = evidence_file.open_evidence(path, max_bytes=10)
    with taken.open() as stream:
        path.unlink()
        taken.check_unchanged(stream)  # deleted while it is open: still whole
    with pytest.raises(EvidenceError, match="restore it"):
        taken.open()
    path.write_bytes(MP4_HEAD + b"more")
    with pytest.raises(EvidenceError, match="changed during the analysis"):
        taken.open()


def test_bytes_that_are_not_those_that_were_hashed_are_found_out_though_size_and_time_are_the_same(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4_HEAD)
    taken = evidence_file.open_evidence(path, max_bytes=10)
    before = path.stat()
    path.write_bytes(MP4_HEAD[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(EvidenceError, match="changed during the analysis"):
        taken.open()


def test_a_further_name_of_a_file_is_no_change_of_it_unless_its_bytes_changed_too(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4_HEAD)
    taken = evidence_file.open_evidence(path, max_bytes=10)
    before = path.stat()
    os.link(path, tmp_path / "also.mp4")
    with taken.open() as stream:
        assert stream.read() == MP4_HEAD
        taken.check_unchanged(stream)
        path.write_bytes(MP4_HEAD[::-1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(EvidenceError, match="changed during the analysis"):
            taken.check_unchanged(stream)


def test_a_file_that_is_written_to_while_it_is_open_is_found_out(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4_HEAD)
    taken = evidence_file.open_evidence(path, max_bytes=10)
    with taken.open() as stream:
        with path.open("ab") as writer:
            writer.write(b"more")
        with pytest.raises(EvidenceError, match="changed during the analysis"):
            taken.check_unchanged(stream)


def test_hashing_tells_how_far_it_is_and_can_be_stopped(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4_HEAD + bytes(3 * 1024 * 1024))
    shares = []
    evidence_file.open_evidence(path, max_bytes=10, step=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def stop(share: float) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        evidence_file.open_evidence(path, max_bytes=10, step=stop)
