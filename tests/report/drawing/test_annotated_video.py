"""The annotated copy keeps every frame and its time, and is there whole or not at all."""

import resource
from contextlib import contextmanager
from fractions import Fraction

import av
import msgspec
import numpy as np
import pytest
from PIL import ImageDraw

from faceloupe.config import Settings
from faceloupe.errors import Cancelled, EvidenceError, UsageError
from faceloupe.media.evidence_file import open_evidence
from faceloupe.media.video import Video
from faceloupe.report.drawing.annotated_video import LONGEST_SIDE, TrackBox, box_at, track_boxes, write_annotated
from faceloupe.types import Segment
from tests.clips import numbered, read_number, write_clip
from tests.ui.reports import report

UNEVEN = [Fraction(number * number + 7 * number, 90) for number in range(30)]


def examined(path):
    """A clip as evidence, and a report as if frames 0, 10 and 20 had been analyzed."""
    report_values = report({1: [0.2, 0.9, 0.9]}, step_s=0.4)
    return open_evidence(path, max_bytes=10**8), report_values


def times(path):
    """Exact times of the frames of a file, as its container states them."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", numbered(30, (160, 120)))


@pytest.fixture
def target(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "copy.mp4"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_the_copy_has_every_frame_at_its_time(tmp_path, target, name):
    source = write_clip(tmp_path / name, numbered(30, (160, 120)), codec="mpeg4" if name == "clip.avi" else "libx264")
    evidence_file, result = examined(source)
    write_annotated(evidence_file, result, target, settings=Settings())
    with evidence_file.open() as stream, Video(stream, evidence_file.evidence.format, max_pixels=10**8) as video:
        assert times(target) == [video.time(index) for index in range(video.count)]
    with av.open(str(target)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [read_number(picture[90:118]) for picture in pictures] == list(range(30))


def test_uneven_times_are_kept_exactly(tmp_path, target):
    source = write_clip(tmp_path / "clip.mp4", numbered(30, (160, 120)), times=UNEVEN)
    write_annotated(*examined(source), target, settings=Settings())
    assert times(target) == UNEVEN


def test_of_a_stretch_only_its_frames_are_copied_at_their_own_times(clip, target):
    evidence_file, result = examined(clip)
    write_annotated(
        evidence_file, msgspec.structs.replace(result, segment=Segment(0.4, 0.8)), target, settings=Settings()
    )
    assert times(target) == [Fraction(index, 25) for index in range(10, 21)]


def test_a_large_picture_is_shrunk_to_even_sides_above_a_strip(tmp_path, target):
    source = write_clip(tmp_path / "clip.mp4", numbered(3, (1602, 902)))
    write_annotated(*examined(source), target, settings=Settings())
    with av.open(str(target)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (LONGEST_SIDE, 720 + 64)
        assert not container.streams.audio


def test_the_box_of_a_track_is_drawn_where_it_is(tmp_path, target):
    gray = [np.full((120, 160, 3), 128, np.uint8)] * 30
    source = write_clip(tmp_path / "clip.mp4", gray)
    write_annotated(*examined(source), target, settings=Settings())
    with av.open(str(target)) as container:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    # Half way from frame 0 to frame 10 the box has gone half of its way, from x 10..60 to 20..70.
    changed = np.abs(pictures[5][30:58, :, :] - 128).max(2).mean(0) > 40
    assert set(np.flatnonzero(changed)) <= {*range(12, 19), *range(62, 69)}
    assert changed[14:17].any()
    assert changed[64:67].any()
    assert np.abs(pictures[25][:118] - 128).max() < 40  # after the last sighting there is no box


def test_the_words_are_those_of_the_language(tmp_path, target, monkeypatch):
    drawn: list[str] = []
    text = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, xy, label, **more: (drawn.append(label), text(self, xy, label, **more)),
    )
    source = write_clip(tmp_path / "clip.mp4", numbered(3, (640, 480)))
    write_annotated(*examined(source), target, settings=Settings(), language="de")
    assert "Beschriftete Kopie, kein Beweismittel. Wert der Spur 1" in drawn
    assert "0,000 s, Einzelbild 0" in drawn
    assert any(label.endswith(", hier 0,20") for label in drawn)
    assert not [label for label in drawn if "frame" in label or "here" in label]


def test_between_two_sightings_the_box_is_interpolated_and_the_score_is_not():
    seen = track_boxes(report({1: [0.2, 0.6]}))[1]
    half = box_at(seen, 5, 0.25)
    assert half.box == pytest.approx((15.0, 10.0, 65.0, 60.0))
    assert half.score == 0.2
    assert box_at(seen, 10, 0.5) == seen[1]
    assert box_at(seen, 11, 0.55) is None


def test_no_box_is_drawn_in_a_long_gap_or_before_a_track_begins():
    seen = [TrackBox(position, 10 * position, 0.4 * position, (0.0, 0.0, 9.0, 9.0), 0.5) for position in (1, 5, 10)]
    assert box_at(seen, 9, 0.36) is None
    assert box_at(seen, 30, 1.2) is not None  # four frames that were looked at lie apart
    assert box_at(seen, 70, 2.8) is None


@contextmanager
def room_for(count):
    """Limit the size of files, which has the same effect on a writer as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("missing", [1, 10_000])
def test_a_full_disk_is_reported_in_one_sentence_and_leaves_nothing(clip, target, missing):
    evidence_file, result = examined(clip)
    write_annotated(evidence_file, result, target, settings=Settings())
    size = target.stat().st_size
    target.unlink()
    with room_for(size - missing), pytest.raises(UsageError, match=r"copy\.mp4 cannot be written .*; free some space"):
        write_annotated(evidence_file, result, target, settings=Settings())
    assert list(target.parent.iterdir()) == []


def test_cancelling_leaves_nothing(clip, target):
    shares = []

    def cancel():
        return len(shares) > 5

    with pytest.raises(Cancelled):
        write_annotated(
            *examined(clip), target, settings=Settings(), progress=lambda *step: shares.append(step), cancel=cancel
        )
    assert shares[-1] == ("Frame 5 of about 30", 5 / 30)
    assert list(target.parent.iterdir()) == []


def test_nothing_is_overwritten(clip, target):
    target.write_bytes(b"a result")
    with pytest.raises(UsageError, match="not overwritten"):
        write_annotated(*examined(clip), target, settings=Settings())
    assert target.read_bytes() == b"a result"


def test_a_video_that_is_no_longer_what_was_examined_is_not_copied(clip, target):
    evidence_file, result = examined(clip)
    clip.write_bytes(clip.read_bytes() + b"more")
    with pytest.raises(EvidenceError, match="changed"):
        write_annotated(evidence_file, result, target, settings=Settings())
    assert list(target.parent.iterdir()) == []


def test_without_h264_the_copy_still_has_exact_times(clip, target, monkeypatch):
    monkeypatch.setattr("faceloupe.report.drawing.annotated_video.av.codecs_available", {"mjpeg"})
    write_annotated(*examined(clip), target, settings=Settings())
    assert times(target) == [Fraction(index, 25) for index in range(30)]
