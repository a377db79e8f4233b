"""Truncated or damaged videos: all readable frames are read, and concealed frames are not shown."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from faceloupe.errors import EvidenceError
from tests.clips import numbered, read_number, write_clip
from tests.media.test_video import BIDIRECTIONAL, FORMATS, KINDS, opened, walked


@pytest.mark.parametrize("keep", [0.4, 0.8, 0.99])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"container_options": {"movflags": "faststart"}}),
        ("a.mkv", {}),
        ("a.webm", {"codec": "libvpx"}),
        ("a.ts", {}),
        ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("a.mpg", {"codec": "mpeg1video"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_of_a_cut_file_the_part_that_is_there_is_read(tmp_path, name, options, keep):
    path = write_clip(tmp_path / name, numbered(60), **options)
    video = opened(path.read_bytes()[: int(keep * path.stat().st_size)], FORMATS[path.suffix])
    frames = walked(video)
    assert 5 < len(frames) <= 60
    assert all(read_number(rgb) == round(video.time(index) * 25) for index, rgb in frames.items())
    assert len(video.unreadable) <= 3
    if path.suffix == ".mp4" and keep < 0.9:
        assert any("announces 60 frames" in note for note in video.facts.notes)


def test_a_matroska_file_that_was_cut_says_how_much_is_missing(tmp_path):
    content = write_clip(tmp_path / "a.mkv", numbered(150)).read_bytes()
    assert opened(content, "Matroska").facts.notes == ()
    (note,) = opened(content[: len(content) // 2], "Matroska").facts.notes
    assert re.fullmatch(r"The file announces 6\.0 s, but its video ends after [1-4]\.\d s\.", note)


@pytest.mark.parametrize("filler", [b"\x00", b"\xff", b"\xa5"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {"options": BIDIRECTIONAL}),
        ("mpeg4.mp4", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("mjpeg.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("mpeg2.mov", {"codec": "mpeg2video"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("every", [False, True])
def test_damage_in_the_middle_costs_what_it_touches_and_nothing_concealed_is_shown(
    tmp_path, name, options, filler, every
):
    path = write_clip(tmp_path / name, numbered(100), **options)
    whole = walked(opened(path))
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + len(content) // 2
    content[middle : middle + 3000] = filler * 3000
    video = opened(bytes(content), "MP4")
    frames = walked(video, every=every)
    assert 0 < len(video.unreadable) < 40
    assert sorted([*frames, *video.unreadable]) == list(range(100))
    assert all(np.array_equal(rgb, whole[index]) for index, rgb in frames.items())


@pytest.mark.parametrize("cut", range(40, 100, 5))
@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_of_a_clip_that_was_interrupted_nothing_concealed_is_shown(tmp_path, codec, cut):
    path = write_clip(tmp_path / "a.ts", numbered(40), codec=codec)
    whole, content = walked(opened(path)), path.read_bytes()
    shown = walked(opened(content[: len(content) * cut // 100], "MPEG-TS"))
    assert shown
    assert all(np.array_equal(rgb, whole[index]) for index, rgb in shown.items())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that lends single processors")
def test_what_damage_costs_does_not_depend_on_the_processors_of_the_machine(tmp_path):
    content = write_clip(tmp_path / "a.avi", numbered(60), codec="mpeg4", options={"bf": "2"}).read_bytes()
    random, before = np.random.default_rng(0), os.sched_getaffinity(0)
    for _ in range(10):
        damaged = bytearray(content)
        for position in random.integers(len(content) // 8, len(content), 20):
            damaged[position] ^= 1 << random.integers(8)
        seen = []
        try:
            for processors in (before, {min(before)}):
                os.sched_setaffinity(0, processors)
                video = opened(bytes(damaged), "AVI")
                frames = walked(video)
                seen.append((video.unreadable, {index: rgb.tobytes() for index, rgb in frames.items()}))
        finally:
            os.sched_setaffinity(0, before)
        assert seen[0] == seen[1]


def test_asking_for_one_lost_frame_names_it(tmp_path):
    path = write_clip(tmp_path / "a.mov", numbered(60), codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    video = opened(bytes(content), "QuickTime")
    walked(video)
    lost = video.unreadable
    assert 0 < len(lost) < 4
    assert list(walked(video, [10, *lost, 50])) == [10, 50]
    assert video.unreadable == lost
    assert video.damaged_packets >= 1


@pytest.mark.parametrize("seed", range(18))
def test_flipped_bytes_never_escape_as_anything_but_an_evidence_error(tmp_path, capfd, seed):
    name, options = [KINDS[position] for position in (0, 2, 5, 8, 12, 17)][seed % 6]
    random = np.random.default_rng(seed)
    content = bytearray(write_clip(tmp_path / name, numbered(12, (64, 48)), **options).read_bytes())
    for position in random.integers(12, len(content), 24):
        content[position] = random.integers(256)
    capfd.readouterr()
    try:
        video = opened(bytes(content), FORMATS[Path(name).suffix])
        frames = walked(video)
    except EvidenceError:
        return
    finally:
        assert capfd.readouterr() == ("", "")
    assert sorted([*frames, *video.unreadable]) == list(range(video.count))
