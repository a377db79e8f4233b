"""The live view: frames scored as they come, and the stretch that is kept of it."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from faceloupe.analysis.live import KEPT_S, LiveView, join_frames
from faceloupe.analysis.pipeline import analyze
from faceloupe.errors import EvidenceError
from faceloupe.media.evidence_file import evidence_from_bytes
from tests.clock import Clock
from tests.conftest import GENERATED

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock():
    return Clock(100.0)


@pytest.fixture
def view(analyzer, clock):
    return LiveView(analyzer, clock=clock)


def jpeg(left: int | None) -> bytes:
    """A camera frame with a portrait at a position, or without a person."""
    frame = Image.new("RGB", (640, 480), "gray")
    if left is not None:
        frame.paste(Image.open(GENERATED).convert("RGB").resize((400, 400)), (left, 40))
    stream = io.BytesIO()
    frame.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def watched(view, clock, count, *, fps=10.0):
    """Frames of a face that moves."""
    frames = []
    for number in range(count):
        frames.append(view.look(jpeg(40 + 4 * number), START + timedelta(seconds=number / fps)))
        clock.now += 1.0 / fps
    return frames


def test_a_face_that_moves_keeps_its_id_and_its_score_is_that_of_its_mean_logit(view, clock, analyzer):
    frames = watched(view, clock, 6)
    assert [len(frame.faces) for frame in frames] == [1] * 6
    assert {frame.faces[0].id for frame in frames} == {1}
    single = [LiveView(analyzer).look(frame.content, START).faces[0].score for frame in frames]
    assert frames[0].faces[0].score == single[0]
    assert min(single) <= frames[-1].faces[0].score <= max(single)
    assert frames[-1].faces[0].score > 0.5


def test_what_was_seen_longer_ago_than_the_window_does_not_count(view, clock, analyzer):
    watched(view, clock, 3)
    clock.now += 60.0
    last = view.look(jpeg(60), START)
    assert last.faces[0].score == LiveView(analyzer).look(last.content, START).faces[0].score


def test_without_a_face_there_is_no_score(view):
    assert view.look(jpeg(None), START).faces == ()


def test_the_rate_is_that_of_the_frames_and_not_told_too_early(view, clock):
    watched(view, clock, 5)
    assert view.rate is None
    watched(view, clock, 15)
    assert view.rate == pytest.approx(10.0)


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", jpeg(None)[:500], GENERATED.with_name("photograph.png").read_bytes()]
)
def test_what_is_not_a_whole_jpeg_is_refused(view, content):
    with pytest.raises(EvidenceError):
        view.look(content, START)


def test_only_the_last_seconds_are_in_memory(view, clock):
    watched(view, clock, 4)
    clock.now += KEPT_S
    stored = view.look(jpeg(50), START)
    assert view.last_frames() == (stored,)


def test_a_stretch_is_the_very_frames_named_by_their_hashes_and_is_analyzed_as_a_video(view, clock, analyzer):
    frames = watched(view, clock, 12)
    segment = join_frames(view.last_frames())
    rest = segment.content
    for number, frame in enumerate(frames, 1):
        assert rest.startswith(frame.content)
        digest = hashlib.sha256(rest[: len(frame.content)]).hexdigest()
        assert f"{number} {frame.taken.isoformat()} {digest} {len(frame.content)}" in segment.note.splitlines()
        rest = rest[len(frame.content) :]
    assert rest == b""
    assert "quality 0.9" in segment.note
    evidence_file = evidence_from_bytes(segment.content, segment.name, max_bytes=10**8)
    analysis = analyze(evidence_file, analyzer)
    assert evidence_file.evidence.media_type == "video"
    assert len(analysis.video.frames) == 12
    assert [track.outcome for track in analysis.tracks] != []


def test_there_is_nothing_to_keep_before_the_first_frame(view):
    with pytest.raises(EvidenceError, match="start the camera"):
        join_frames(view.last_frames())
