import io
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from faceloupe.errors import Cancelled, EvidenceError
from faceloupe.media.formats import sniff
from faceloupe.media.frame_index import FrameIndex
from faceloupe.media.frame_source import LUMA_SHAPE
from faceloupe.media.video import Video
from tests.clips import numbered, read_number, write_clip
from tests.conftest import GENERATED

FORMATS = {".mp4": "MP4", ".mov": "QuickTime", ".mkv": "Matroska", ".webm": "Matroska", ".avi": "AVI", ".mpg": "MPEG"}
FORMATS |= {".vob": "MPEG", ".m1v": "MPEG", ".m2v": "MPEG", ".ts": "MPEG-TS"}
FORMATS |= {".3gp": "MP4", ".flv": "FLV", ".asf": "ASF", ".ogv": "Ogg", ".ivf": "IVF", ".mxf": "MXF"}
FORMATS |= {".h264": "H.264", ".hevc": "H.265", ".m4v": "MPEG-4", ".mjpeg": "MJPEG"}
BIDIRECTIONAL = {"bf": "3", "b-pyramid": "normal"}
KINDS = [
    ("a.mp4", {"options": BIDIRECTIONAL}),
    ("a.mov", {"options": BIDIRECTIONAL}),
    ("a.mkv", {"options": BIDIRECTIONAL}),
    ("open_gop.mp4", {"options": BIDIRECTIONAL | {"x264-params": "open-gop=1"}}),
    ("hevc.mp4", {"codec": "libx265"}),
    ("vp8.webm", {"codec": "libvpx"}),
    ("vp9.webm", {"codec": "libvpx-vp9"}),
    ("mpeg4.mp4", {"codec": "mpeg4", "options": {"bf": "2"}}),
    ("mpeg4.avi", {"codec": "mpeg4"}),
    ("reordered.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
    ("h264.avi", {"options": BIDIRECTIONAL}),
    ("mjpeg.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ("mpeg1.mpg", {"codec": "mpeg1video", "options": {"bf": "2"}}),
    ("mpeg2.vob", {"codec": "mpeg2video", "options": {"bf": "2"}}),
    ("h264.vob", {"options": BIDIRECTIONAL}),
    ("raw.m1v", {"codec": "mpeg1video"}),
    ("raw.m2v", {"codec": "mpeg2video", "options": {"bf": "2"}}),
    ("a.ts", {"options": BIDIRECTIONAL}),
    ("ffv1.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p"}),
    ("deep.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
    ("rgb.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}),
    ("a.3gp", {}),
    ("a.flv", {"options": BIDIRECTIONAL}),
    ("wmv2.asf", {"codec": "wmv2"}),
    ("vp8.ogv", {"codec": "libvpx"}),
    ("vp8.ivf", {"codec": "libvpx"}),
    ("mpeg2.mxf", {"codec": "mpeg2video", "options": {"bf": "2"}}),
    ("raw.h264", {"options": BIDIRECTIONAL}),
    ("raw.hevc", {"codec": "libx265"}),
    ("raw.m4v", {"codec": "mpeg4", "options": {"bf": "2"}, "container_format": "m4v"}),
    ("a.mjpeg", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
]
kinds = pytest.mark.parametrize(("name", "options"), KINDS, ids=[name for name, _ in KINDS])


def opened(content: bytes | Path, format_name: str | None = None, **options) -> Video:
    if isinstance(content, Path):
        content, format_name = content.read_bytes(), format_name or FORMATS[content.suffix]
    return Video(io.BytesIO(content), format_name, **({"max_pixels": 10**7} | options))


def walked(video: Video, wanted=None, every=False) -> dict[int, np.ndarray]:
    return {
        decoded_frame.index: decoded_frame.rgb()
        for decoded_frame in video.walk(wanted or range(video.count), every=every)
    }


@kinds
def test_every_frame_has_its_number_and_its_exact_time(tmp_path, name, options):
    video = opened(write_clip(tmp_path / name, numbered(40), **options))
    coarse = Fraction(1, 1000) if name.endswith(("mkv", "webm")) else 0  # what these containers round times to
    seen = []
    for decoded_frame in video.walk(range(40), every=True):
        assert read_number(decoded_frame.rgb()) == decoded_frame.index
        assert abs(decoded_frame.time - Fraction(decoded_frame.index, 25)) <= coarse
        assert decoded_frame.time == video.time(decoded_frame.index)
        assert video.index_at(decoded_frame.time) == video.index_at(float(decoded_frame.time)) == decoded_frame.index
        assert decoded_frame.wanted
        assert decoded_frame.luma.shape == LUMA_SHAPE
        assert decoded_frame.luma.dtype == np.uint8
        seen.append(decoded_frame.index)
    assert seen == list(range(40))
    assert (video.unreadable, video.damaged_packets) == ([], 0)
    facts = video.facts
    assert (facts.frame_count, facts.width, facts.height, facts.rotation) == (40, 160, 120, 0)
    assert facts.frame_rate == 25
    assert facts.duration_s == pytest.approx(1.6)
    assert not facts.variable_frame_rate


@kinds
def test_frames_that_were_sought_equal_those_decoded_from_the_start(tmp_path, name, options):
    video = opened(write_clip(tmp_path / name, numbered(60), **options))
    whole = walked(video, every=True)
    for wanted in ([59], [13, 47], [0, 30, 31], [25], [11, 12, 36], [3, 58]):
        some = walked(video, wanted)
        assert list(some) == wanted
        assert all(np.array_equal(some[index], whole[index]) for index in wanted)
        assert video.unreadable == []


def test_coarse_gray_follows_the_picture_in_every_pixel_format(tmp_path):
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:60, :80] = 255
    for pix_fmt in ("yuv420p", "yuv444p", "yuv420p10le", "gray", "bgra"):
        clip = write_clip(tmp_path / "a.mkv", [picture] * 2, codec="ffv1", pix_fmt=pix_fmt)
        luma = next(opened(clip).walk([0], every=False)).luma
        assert luma[:16, :30].min() > 200, pix_fmt
        assert max(luma[20:].max(), luma[:, 34:].max()) < 40, pix_fmt


def test_on_the_way_every_frame_since_the_key_frame_is_seen_and_distinguished_from_the_wanted_ones(tmp_path):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(60), gop=12, options={"sc_threshold": "0"}))
    seen = [(decoded_frame.index, decoded_frame.wanted) for decoded_frame in video.walk([30, 50], every=True)]
    assert seen == [(index, index in (30, 50)) for index in range(24, 51)]


def test_what_can_be_skipped_is_not_decoded(tmp_path, monkeypatch):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(200), gop=10))
    passed = []
    decoded = Video._frames
    monkeypatch.setattr(Video, "_frames", lambda *given: (passed.append(0) or each for each in decoded(*given)))
    assert list(walked(video, [5, 105, 195])) == [5, 105, 195]
    assert len(passed) <= 3 * 10


def test_a_seek_that_comes_out_too_late_is_made_good_from_the_start(tmp_path):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(60), gop=12))
    false_keys = np.arange(video.count)
    video._index = FrameIndex(video._index.ticks, false_keys, video._index.time_base)
    assert [read_number(rgb) for rgb in walked(video, [17, 50]).values()] == [17, 50]
    video._index = FrameIndex(
        video._index.ticks + 1, false_keys, video._index.time_base
    )  # no decoded frame is named so
    assert walked(video, [17, 50]) == {}
    assert video.unreadable == [17, 50]


def test_a_new_walk_ends_the_one_before_and_walks_repeat(tmp_path):
    with opened(write_clip(tmp_path / "a.mp4", numbered(30))) as video:
        first = video.walk(range(30), every=True)
        assert next(first).index == 0
        assert list(walked(video, [20])) == [20]
        assert list(first) == []
        assert list(walked(video)) == list(walked(video)) == list(range(30))
        unfinished = video.walk([3, 4], every=False)
        next(unfinished)
    assert list(unfinished) == []


def test_a_frame_outlives_the_walk(tmp_path):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(40)))
    frames = list(video.walk(range(40), every=False))
    assert [read_number(decoded_frame.rgb()) for decoded_frame in frames] == list(range(40))


def test_frames_that_do_not_exist_cannot_be_asked_for(tmp_path):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(3)))
    for wanted in ([3], [-1]):
        with pytest.raises(IndexError, match="0 to 2"):
            video.walk(wanted, every=False)
    assert list(video.walk([], every=True)) == []


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_stated_rotation_is_applied(tmp_path, ending, rotation, mirrored):
    upright = numbered(20)
    stored = [np.rot90(rgb[:, ::-1] if mirrored else rgb, rotation // 90) for rgb in upright]
    video = opened(write_clip(tmp_path / f"a.{ending}", stored, rotation=rotation, mirrored=mirrored))
    assert (video.facts.width, video.facts.height, video.facts.rotation) == (160, 120, rotation)
    assert any("rotation" in note for note in video.facts.notes) == (rotation != 0)
    assert any("mirroring" in note for note in video.facts.notes) == mirrored
    for index, rgb in walked(video).items():
        assert rgb.shape == (120, 160, 3)
        assert read_number(rgb) == index
        assert np.abs(rgb.astype(int) - upright[index]).mean() < 12


def test_a_variable_frame_rate_keeps_every_timestamp(tmp_path):
    gaps = [Fraction(1, 30), Fraction(1, 15), Fraction(1, 2), Fraction(7, 90000) * 100]
    times = [sum((gaps[n % 4] for n in range(index)), Fraction(0)) for index in range(30)]
    video = opened(write_clip(tmp_path / "a.mp4", numbered(30), times=times))
    assert video.facts.variable_frame_rate
    assert [video.time(index) for index in range(30)] == times
    assert {index: read_number(rgb) for index, rgb in walked(video).items()} == {index: index for index in range(30)}
    assert [video.index_at(moment) for moment in (-1, 0, times[7] - Fraction(1, 10**6), times[7], 1e30)] == [
        0,
        0,
        6,
        7,
        29,
    ]
    assert abs(video.facts.frame_rate * times[-1] - 29) < 1


def test_times_count_from_the_first_frame_and_the_start_is_reported(tmp_path):
    times = [5 + Fraction(index, 25) for index in range(5)]
    video = opened(write_clip(tmp_path / "a.mkv", numbered(5), times=times))
    assert video.facts.start_s == 5
    assert video.time(4) == Fraction(4, 25)


@pytest.mark.parametrize(
    ("count", "fps", "duration"),
    [(1, 25, 0.04), (5, 1, 5), (30, Fraction(30000, 1001), 1.001), (10, Fraction(1, 10), 100)],
    ids=["one frame", "1 fps", "NTSC", "a frame every 10 s"],
)
def test_unusual_rates_are_exact(tmp_path, count, fps, duration):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(count), fps=fps))
    assert (video.count, video.facts.frame_rate, video.facts.variable_frame_rate) == (count, fps, False)
    assert video.facts.duration_s == pytest.approx(duration)
    assert [video.time(index) for index in range(count)] == [index / Fraction(fps) for index in range(count)]
    assert list(walked(video)) == list(range(count))


def test_a_picture_of_8_by_8_pixels_is_read(tmp_path):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(3, (8, 8))))
    assert [rgb.shape for rgb in walked(video).values()] == [(8, 8, 3)] * 3
    assert next(video.walk([0], every=False)).luma.shape == LUMA_SHAPE


def test_transparency_is_noted(tmp_path):
    video = opened(write_clip(tmp_path / "a.mkv", numbered(3), codec="ffv1", pix_fmt="yuva420p"))
    assert [read_number(rgb) for rgb in walked(video).values()] == [0, 1, 2]
    assert any("Transparency" in note for note in video.facts.notes)


def test_sound_is_named_and_does_not_disturb(tmp_path):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(25), audio="aac"))
    assert video.facts.audio == ("aac",)
    assert (video.facts.codec, video.facts.pixel_format, video.facts.notes) == ("h264", "yuv420p", ())
    assert list(walked(video)) == list(range(25))


def test_a_container_that_knows_neither_length_nor_count_is_measured(tmp_path):
    video = opened(write_clip(tmp_path / "a.mkv", numbered(50), container_options={"live": "1"}))
    assert (video.count, video.facts.duration_s) == (50, pytest.approx(2))


def test_a_clip_that_starts_between_frames_of_an_edit_list_shows_what_a_player_shows(tmp_path):
    content = write_clip(tmp_path / "a.mp4", numbered(40), gop=40, options={"bf": "0"}).read_bytes()
    offset = content.index(b"elst") + 8
    assert content[offset : offset + 4] == (1).to_bytes(4, "big")  # one edit: length, start, rate
    edited = bytearray(content)
    edited[offset + 8 : offset + 12] = (10 * 512).to_bytes(4, "big")  # starts at frame 10; 512 ticks a frame
    video = opened(bytes(edited), "MP4")
    assert [read_number(rgb) for rgb in walked(video).values()] == list(range(10, 40))
    assert any("edit list" in note for note in video.facts.notes)


def test_a_vp8_frame_that_is_never_shown_is_no_frame(tmp_path):
    path = write_clip(tmp_path / "a.webm", numbered(20), codec="libvpx", gop=20)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content[content.index(packets[7])] &= ~0x10
    video = opened(bytes(content), "Matroska")
    assert video.count == len(walked(video)) == 19
    assert video.unreadable == []


def test_frames_of_another_size_in_mid_stream_are_shown_in_theirs(tmp_path):
    first = write_clip(tmp_path / "1.ts", numbered(10)).read_bytes()
    times = [10 + Fraction(index, 25) for index in range(10)]
    second = write_clip(tmp_path / "2.ts", numbered(10, (320, 240)), times=times).read_bytes()
    video = opened(first + second, "MPEG-TS")
    shown = walked(video)
    assert [rgb.shape for rgb in shown.values()] == [(120, 160, 3)] * 10 + [(240, 320, 3)] * 10
    assert [read_number(rgb) for rgb in shown.values()] == [*range(10), *range(10)]
    assert video.unreadable == []


def test_pixels_over_the_limit_are_refused_before_a_frame_is_decoded(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", numbered(2))

    def never(*_):
        raise AssertionError("frames were decoded")

    opened(path, max_pixels=160 * 120)
    monkeypatch.setattr(Video, "_frames", never)
    with pytest.raises(EvidenceError, match="160 x 120 pixels; the limit is 19,199"):
        opened(path, max_pixels=160 * 120 - 1)


def audio_only(tmp_path) -> bytes:
    return write_clip(tmp_path / "a.mp4", [], audio="aac").read_bytes()


def two_videos(path: Path, disposition: av.stream.Disposition) -> bytes:
    """A clip of two frames in front, and another stream of one larger frame."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mjpeg", rate=1) for _ in range(2)]
        streams[1].disposition = disposition
        for stream, size in zip(streams, (32, 64), strict=True):
            stream.width, stream.height, stream.pix_fmt = size, size, "yuvj420p"
        for stream, count in zip(streams, (2, 1), strict=True):
            for rgb in [np.zeros((stream.height, stream.width, 3), np.uint8)] * count:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb)))
            container.mux(stream.encode(None))
    return path.read_bytes()


def test_a_cover_picture_is_no_second_video_and_of_two_videos_the_main_one_is_read(tmp_path):
    cover = opened(two_videos(tmp_path / "a.mp4", av.stream.Disposition.attached_pic), "MP4")
    assert (cover.facts.width, cover.count, cover.facts.notes) == (32, 2, ())
    second = opened(two_videos(tmp_path / "a.mkv", av.stream.Disposition.default), "Matroska")
    assert (second.facts.width, second.count) == (64, 1)
    assert any("2 video streams" in note for note in second.facts.notes)


@pytest.mark.parametrize(
    ("x264", "message"),
    [("sar=128/117", "not square (128:117)"), ("interlaced=1", "interlaced"), ("transfer=smpte2084", "PQ to sRGB")],
)
def test_what_is_unusual_about_the_picture_is_noted(tmp_path, x264, message):
    video = opened(write_clip(tmp_path / "a.mp4", numbered(3), options={"x264-params": x264}))
    assert [message in note for note in video.facts.notes] == [True]


def cover_only(tmp_path) -> bytes:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=48_000, layout="stereo")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(cover.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), format="fltp", layout="stereo")
        silence.sample_rate = 48_000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return (tmp_path / "a.mp4").read_bytes()


def no_frames(tmp_path) -> bytes:
    options = {"movflags": "frag_keyframe+empty_moov"}
    content = write_clip(tmp_path / "a.mp4", numbered(5), container_options=options).read_bytes()
    return content[: content.index(b"moof") - 4]


def no_description(tmp_path) -> bytes:
    content = write_clip(tmp_path / "a.mp4", numbered(50)).read_bytes()
    return content[: content.index(b"moov") - 4]


def overwritten(tmp_path) -> bytes:
    content = write_clip(tmp_path / "a.mp4", numbered(50)).read_bytes()
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    return content[:start] + b"\xa5" * (end - start) + content[end:]


def unknown_codec(tmp_path) -> bytes:
    path = write_clip(tmp_path / "a.mov", numbered(5), codec="mjpeg", pix_fmt="yuvj420p")
    return path.read_bytes().replace(b"jpeg", b"zzzz")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (audio_only, "sound, but no video"),
        (cover_only, "sound, but no video"),
        (no_frames, "no frames"),
        (no_description, "damaged, incomplete"),
        (overwritten, "damaged, incomplete"),
        (unknown_codec, "cannot be decoded here"),
        (lambda _: GENERATED.read_bytes(), "damaged, incomplete"),
        (lambda _: b"", "damaged, incomplete"),
        (lambda _: b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomavc1", "MP4"),
    ],
    ids=["sound", "cover", "no frames", "no moov", "overwritten", "codec", "still", "empty", "head alone"],
)
def test_what_holds_no_readable_video_is_refused_in_one_sentence_and_in_silence(tmp_path, capfd, make, message):
    content = make(tmp_path)
    capfd.readouterr()
    with pytest.raises(EvidenceError, match=message) as caught:
        opened(content, "MP4")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("format_name", sorted({*FORMATS.values()} - {"MJPEG"}))  # which is pictures, wherever they lie
def test_each_format_is_read_by_its_own_demuxer_alone(tmp_path, format_name):
    paths = {".mp4": {}, ".mkv": {}, ".avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, ".ts": {}}
    for ending, options in paths.items():
        same = {"MP4": "mov", "QuickTime": "mov"}
        if same.get(format_name, format_name) == same.get(FORMATS[ending], FORMATS[ending]):
            continue
        content = write_clip(tmp_path / f"a{ending}", numbered(3), **options).read_bytes()
        with pytest.raises(EvidenceError):
            opened(content, format_name)
    playlist = b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n"
    with pytest.raises(EvidenceError):
        opened(playlist, format_name)


def test_metadata_that_is_no_text_does_not_matter(tmp_path):
    content = write_clip(tmp_path / "a.mp4", numbered(3)).read_bytes()
    assert opened(content.replace(b"VideoHandler", b"\xff\xfe\xfd" * 4), "MP4").count == 3


def test_the_index_of_two_hours_costs_a_few_megabytes():
    tracemalloc.start()
    index = FrameIndex(np.arange(432_000, dtype=np.int64) * 1001, np.arange(0, 432_000, 60), Fraction(1, 60_000))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 8_000_000
    assert index.time(431_999) == Fraction(431_999 * 1001, 60_000)
    assert index.at(float(index.time(400_001))) == 400_001
    assert index.find(400_001 * 1001) == 400_001
    assert (index.find(5), index.find(None)) == (None, None)
    assert (index.key_before(59), index.key_before(60), index.key_before(431_999)) == (0, 60, 431_940)


@pytest.mark.shared
def test_the_scanned_times_are_those_of_the_decoded_frames_in_every_clip_of_the_material(shared_data):
    clips = sorted(path for path in (shared_data / "videos").glob("*/*") if path.stat().st_size < 700_000)
    assert clips
    for path in clips:
        with path.open("rb") as stream:
            video = Video(stream, sniff(stream.read(64)), max_pixels=10**8)
            with av.open(str(path)) as container:
                decoded = [frame.time for frame in container.decode(video=0)]
            times = [float(video.time(index)) for index in range(video.count)]
            assert len(times) == len(decoded), path
            if all(a < b for a, b in pairwise(decoded)):  # else the container has no times of display
                assert np.allclose(times, np.subtract(decoded, decoded[0]), atol=1e-9), path


@pytest.mark.shared
def test_frames_sought_in_clips_of_an_old_encoder_are_those_decoded_from_the_start(shared_data):
    with (shared_data / "videos" / "ffpp_c23" / "Deepfakes__720_672.mp4").open("rb") as stream:
        video = Video(stream, "MP4", max_pixels=10**7)
        sought = walked(video, [40, 300, 520])
        assert list(sought) == [40, 300, 520]
        whole = {
            decoded_frame.index: decoded_frame.rgb() for decoded_frame in video.walk([0, 40, 300, 520], every=False)
        }
        linear = {g.index: g.rgb() for g in video.walk([0, 40, 300, 520], every=True) if g.wanted}
        assert all(np.array_equal(sought[index], linear[index]) for index in sought)
        assert all(np.array_equal(whole[index], linear[index]) for index in whole)


def test_reading_can_be_stopped_at_any_packet(tmp_path):
    path, calls = write_clip(tmp_path / "a.mp4", numbered(60)), []

    def stop_after(limit: int) -> None:
        calls.append(0)
        if len(calls) > limit:
            raise Cancelled("stopped")

    with path.open("rb") as stream, pytest.raises(Cancelled):
        Video(stream, "MP4", max_pixels=10**7, check=lambda: stop_after(20))
    calls.clear()
    with path.open("rb") as stream, Video(stream, "MP4", max_pixels=10**7, check=lambda: stop_after(100)) as video:
        with pytest.raises(Cancelled):
            list(video.walk(range(60), every=True))
        assert len(calls) == 101
