"""Decoders in processes of their own: the same pixels, and no harm done by one that is taken over."""

import io
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceloupe.config import Settings
from faceloupe.errors import Cancelled, EvidenceError
from faceloupe.installation import ROOT
from faceloupe.media import image
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes, open_evidence
from faceloupe.media.sandbox import client
from faceloupe.media.sandbox.image import decode
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.media.video import Video
from tests.clips import numbered, read_number, write_clip
from tests.conftest import GENERATED, skimage_picture
from tests.media.sandbox.hostile_server import DESCRIBED, MARK, TRICKS, WALKED
from tests.media.test_image import encode, gradient
from tests.media.test_video import kinds

SETTINGS = Settings()
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not know these limits")
STILLS = {
    "JPEG": GENERATED.read_bytes,
    "PNG": lambda: skimage_picture("chelsea.png").read_bytes(),
    "progressive": lambda: encode(gradient(), "JPEG", progressive=True),
    "CMYK": lambda: encode(gradient("CMYK"), "JPEG"),
    "LAB": lambda: encode(gradient("LAB"), "TIFF"),
    "16 bits": lambda: encode(Image.fromarray(np.arange(3072, dtype=np.uint16).reshape(48, 64) * 21), "PNG"),
    "TIFF": lambda: encode(gradient(), "TIFF", compression="tiff_deflate"),
    "palette": lambda: encode(gradient().convert("P"), "GIF"),
    "BMP": lambda: encode(gradient(), "BMP"),
    "WebP": lambda: encode(gradient("RGBA"), "WEBP"),
    "AVIF": lambda: encode(gradient(), "AVIF"),
    "HEIC": lambda: encode(gradient(), "HEIF"),
    "EXIF": lambda: encode(gradient(), "TIFF", tiffinfo={0x0112: 6}),
}


def taken(content: bytes) -> EvidenceFile:
    return evidence_from_bytes(content, "x", max_bytes=SETTINGS.max_bytes)


def processes() -> dict[int, int]:
    """Return the parent's process id of every running process, by process id; zombies are left out."""
    result = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            result[int(stat.parent.name)] = int(parent)
    return result


def descendants(ancestor: int) -> set[int]:
    known, result = processes(), {ancestor}
    while more := {item for item, parent in known.items() if parent in result} - result:
        result |= more
    return result - {ancestor}


def eventually(holds) -> bool:
    """Whether the condition becomes true within a few seconds."""
    until = time.monotonic() + 10
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.02)
    return held


@pytest.fixture
def hostile(monkeypatch):
    """Decoders that execute the commands after a picture's bytes."""
    client.stop()
    monkeypatch.setattr(client, "_MODULE", "tests.media.sandbox.hostile_server")
    yield lambda trick: taken(encode(gradient(), "PNG") + MARK + trick.encode())
    client.stop()


@pytest.mark.parametrize("make", STILLS.values(), ids=STILLS)
def test_a_still_has_the_pixels_and_notes_that_it_has_without_isolation(make):
    evidence_file = taken(make())
    limits = {"max_bytes": SETTINGS.max_bytes, "max_pixels": SETTINGS.max_pixels}
    plain, isolated = image.decode(evidence_file, **limits), decode(evidence_file, settings=SETTINGS)
    assert np.array_equal(isolated.rgb, plain.rgb)
    assert isolated.notes == plain.notes
    assert not isolated.rgb.flags.writeable


@kinds
def test_a_video_has_the_facts_times_and_pixels_that_it_has_without_isolation(tmp_path, name, options):
    evidence_file = open_evidence(write_clip(tmp_path / name, numbered(30), **options), max_bytes=10**8)
    format_name = evidence_file.evidence.format
    with (
        evidence_file.open() as stream,
        evidence_file.open() as other,
        IsolatedVideo(evidence_file, other, settings=SETTINGS) as isolated,
    ):
        plain = Video(stream, format_name, max_pixels=10**8)
        assert isolated.facts == plain.facts
        assert [isolated.time(index) for index in range(30)] == [plain.time(index) for index in range(30)]
        assert isolated.index_at(0.5) == plain.index_at(0.5)
        for wanted, every in ((range(30), True), ([3, 17], True), ([29], False), ([2, 20], False), ([], True)):
            mine, theirs = isolated.walk(wanted, every=every), plain.walk(wanted, every=every)
            for ours, reference in zip(mine, theirs, strict=True):
                assert (ours.index, ours.time, ours.wanted) == (reference.index, reference.time, reference.wanted)
                assert np.array_equal(ours.luma, reference.luma)
                assert np.array_equal(ours.rgb(), reference.rgb())
        assert (isolated.unreadable, isolated.damaged_packets) == ([], 0)


def test_what_a_damaged_middle_takes_is_told_as_without_isolation(tmp_path):
    path = write_clip(tmp_path / "a.mov", numbered(60), codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    evidence_file = taken(bytes(content))
    plain = Video(io.BytesIO(content), "QuickTime", max_pixels=10**8)
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=SETTINGS) as isolated:
        for video in (plain, isolated):
            assert len(list(video.walk(range(60), every=False))) < 60
        assert isolated.unreadable == plain.unreadable != []
        assert isolated.damaged_packets == plain.damaged_packets


def test_a_walk_that_is_left_half_way_does_not_disturb_the_next(tmp_path):
    evidence_file = open_evidence(write_clip(tmp_path / "a.mp4", numbered(60)), max_bytes=10**8)
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=SETTINGS) as video:
        for stop in (1, 5, 30):
            walk = video.walk(range(60), every=True)
            seen = [read_number(next(walk).rgb()) for _ in range(stop)]
            assert seen == list(range(stop))
        late = next(video.walk([40], every=False))
        assert [decoded_frame.index for decoded_frame in video.walk([50], every=False)] == [50]
        with pytest.raises(RuntimeError, match="before the next frame"):
            late.rgb()
        with pytest.raises(IndexError):
            video.walk([60], every=False)


SENTENCES = {
    "crash": r"crashed its decoder \(SIGSEGV\)",
    "abort": r"crashed its decoder \(SIGABRT\)",
    "leave": r"crashed its decoder \(it ended early\)",
    "raise": r"crashed its decoder \(an unexpected error\)",
    "hang": "at the limit of 1 s",
    "spin": "at the limit of 1 s",
    "greed": "more memory than a decoder may use",
    "hoard": "more memory than a decoder may use",
    **dict.fromkeys(("noise", "flood", "nesting", "infinity", "bool", "vast", "control", "novel"), "invalid data"),
    **dict.fromkeys(("embedded", "unknown", "other"), "invalid data"),
}


@on_linux
@pytest.mark.parametrize(("trick", "message"), SENTENCES.items(), ids=SENTENCES)
def test_whatever_a_decoder_does_costs_one_file_and_one_sentence(hostile, trick, message):
    settings = replace(SETTINGS, max_decoder_s=1.0 if trick in ("hang", "spin") else 30.0, max_decoder_bytes=2**28)
    with pytest.raises(EvidenceError, match=message) as caught:
        decode(hostile(trick), settings=settings)
    assert "\n" not in str(caught.value)
    assert decode(taken(encode(gradient(), "PNG")), settings=settings).rgb.shape == (48, 64, 3)
    assert eventually(lambda: len(descendants(os.getpid())) == 2)  # the server, a spare


@pytest.mark.parametrize("trick", [*DESCRIBED, *WALKED])
def test_no_answer_of_a_decoder_about_a_video_is_taken_on_trust(hostile, tmp_path, trick):
    clip = write_clip(tmp_path / "a.mp4", numbered(4)).read_bytes()
    evidence_file = taken(clip + MARK + trick.encode())

    def walked() -> None:
        with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=SETTINGS) as video:
            assert trick in WALKED
            list(video.walk([1], every=True))

    with pytest.raises(EvidenceError, match="invalid data"):
        walked()
    with taken(clip).open() as stream, IsolatedVideo(taken(clip), stream, settings=SETTINGS) as video:
        assert [read_number(decoded_frame.rgb()) for decoded_frame in video.walk(range(4), every=True)] == [0, 1, 2, 3]


def test_a_decoder_that_reads_nothing_and_never_stops_to_answer_is_given_up(hostile, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_END_S", 0.5)
    evidence_file = taken(write_clip(tmp_path / "a.mp4", numbered(4)).read_bytes() + MARK + b"deaf")
    with (
        pytest.raises(EvidenceError, match="invalid data"),
        evidence_file.open() as stream,
        IsolatedVideo(evidence_file, stream, settings=SETTINGS) as video,
    ):
        list(video.walk([1], every=True))


@on_linux
@pytest.mark.parametrize("trick", ["read", "list", "write", "connect", "execute", "signal"])
def test_a_decoder_that_is_taken_over_can_reach_nothing(hostile, trick):
    with pytest.raises(EvidenceError, match=r"refused: \d+") as caught:
        decode(hostile(trick), settings=SETTINGS)
    assert trick not in ("connect",) or "refused: 111" not in str(caught.value)  # nobody listens: it got there
    assert not Path("/tmp/faceloupe-was-here").exists()


@on_linux
def test_a_decoder_has_no_privileges_and_no_network_that_this_process_may_leave():
    decode(taken(encode(gradient(), "PNG")), settings=SETTINGS)
    children = [os.getpid()]

    def settled() -> bool:  # the one that decoded is gone
        children[:] = [item for item, parent in processes().items() if parent == client._server._process.pid]
        return len(children) == 1

    assert eventually(settled)
    (spare,) = children
    assert eventually(lambda: "CapEff:\t0000000000000000" in Path(f"/proc/{spare}/status").read_text())
    facts = dict(line.split(":\t", 1) for line in Path(f"/proc/{spare}/status").read_text().splitlines())
    assert (int(facts["CapPrm"], 16), facts["NoNewPrivs"]) == (0, "1")
    limits = Path(f"/proc/{spare}/limits").read_text()
    assert re.search(r"Max file size +0 +0 ", limits)
    assert re.search(r"Max core file size +0 +0 ", limits)
    allowed = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True, check=False).returncode == 0
    assert (os.readlink(f"/proc/{spare}/ns/net") != os.readlink("/proc/self/ns/net")) == allowed


def test_every_trick_is_tried():
    assert set(TRICKS) == {*SENTENCES, "read", "list", "write", "connect", "execute", "signal"}


def test_cancelling_ends_a_decoder_that_hangs(hostile):
    def cancel() -> None:
        if time.monotonic() - began > 0.5:
            raise Cancelled("stopped")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        decode(hostile("hang"), settings=SETTINGS, check=cancel)
    assert eventually(lambda: len(descendants(os.getpid())) == 2)


def test_the_log_names_the_file_by_its_hash_and_quotes_nothing_of_it(hostile, caplog):
    evidence_file = hostile("raise")
    with caplog.at_level(logging.WARNING), pytest.raises(EvidenceError):
        decode(evidence_file, settings=SETTINGS)
    (record,) = caplog.records
    assert evidence_file.evidence.sha256 in record.getMessage()
    assert "ZeroDivisionError" in record.getMessage()
    assert "division by zero" not in record.getMessage()


@on_linux
def test_decoders_end_with_a_parent_that_is_killed_and_leave_nothing(tmp_path):
    evidence = tmp_path / "x.png"
    evidence.write_bytes(encode(gradient(), "PNG") + MARK + b"hang")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from faceloupe.config import Settings\n"
        "from faceloupe.media.evidence_file import open_evidence\n"
        "from faceloupe.media.sandbox import client, image\n"
        "client._MODULE = 'tests.media.sandbox.hostile_server'\n"
        "image.decode(open_evidence(Path(sys.argv[1]), max_bytes=10**8), settings=Settings())\n"
    )
    before = {folder: set(os.listdir(folder)) for folder in ("/tmp", "/dev/shm")}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", code, str(evidence)], env=environment)
    try:
        assert eventually(lambda: len(descendants(parent.pid)) == 3)
        born = descendants(parent.pid)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert eventually(lambda: not born & set(processes()))
    left = {name for folder in before for name in set(os.listdir(folder)) - before[folder]}
    assert not [name for name in left if "faceloupe" in name]


def test_many_threads_decode_at_once(tmp_path):
    intakes = [taken(encode(Image.new("RGB", (40 + number, 30)), "PNG")) for number in range(24)]
    widths: list[int] = []
    threads = [
        threading.Thread(
            target=lambda evidence_file=evidence_file: widths.append(
                decode(evidence_file, settings=SETTINGS).rgb.shape[1]
            )
        )
        for evidence_file in intakes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(widths) == [40 + number for number in range(24)]


def test_a_forked_process_starts_its_own_server():
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from faceloupe.config import Settings\n"
        "from faceloupe.media.evidence_file import open_evidence\n"
        "from faceloupe.media.sandbox import client, image\n"
        "intake = open_evidence(Path(sys.argv[1]), max_bytes=10**8)\n"
        "image.decode(intake, settings=Settings())\n"
        "process = os.fork()\n"
        "image.decode(intake, settings=Settings())\n"
        "client.stop()\n"
        "if process == 0: os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(GENERATED)], capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"


def test_a_server_that_was_lost_is_started_again():
    content = encode(gradient(), "PNG")
    decode(taken(content), settings=SETTINGS)
    client._server._process.kill()
    client._server._process.wait()
    assert decode(taken(content), settings=SETTINGS).rgb.shape == (48, 64, 3)
