"""Claims about which frames are looked at, and where scenes change."""

from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceloupe.errors import UsageError
from faceloupe.media.sampling import CutFinder, Sampler
from faceloupe.media.video import Video
from tests.clips import numbered, write_clip


def scene(seed: int, count: int, *, pan: float = 1.0, noise: float = 3.0) -> list[np.ndarray]:
    """Frames of one shot: a soft random picture that the camera pans over, with noise."""
    generator = np.random.default_rng(seed)
    wide = cv2.resize(
        generator.integers(0, 256, (8, 24, 3)).astype(np.uint8), (640, 120), interpolation=cv2.INTER_CUBIC
    )
    frames = []
    for number in range(count):
        start = round(number * pan) % 400
        frame = wide[:, start : start + 160].astype(np.float32) + generator.normal(0, noise, (120, 160, 1))
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


@contextmanager
def opened(path: Path):
    with path.open("rb") as stream, Video(stream, "MP4", max_pixels=10**7) as video:
        yield video


def looked_at(video: Video, **settings) -> tuple[list, Sampler]:
    sampler = Sampler(video, **({"frames": 0, "from_s": 0.0, "to_s": 0.0} | settings))
    return list(sampler.samples()), sampler


def test_frames_are_spread_over_the_whole_duration_never_the_first_ones(tmp_path):
    with opened(write_clip(tmp_path / "a.mp4", numbered(200), fps=25)) as video:
        samples, _ = looked_at(video, frames=10)
    assert [sample.index for sample in samples] == [10, 30, 50, 70, 90, 110, 130, 150, 170, 190]
    assert [sample.time_s for sample in samples] == pytest.approx([index / 25 for index in range(10, 200, 20)])


def test_a_clip_with_fewer_frames_than_the_budget_is_looked_at_whole_and_once(tmp_path):
    with opened(write_clip(tmp_path / "a.mp4", numbered(7))) as video:
        samples, _ = looked_at(video)
    assert [sample.index for sample in samples] == list(range(7))


def test_the_budget_grows_with_the_duration_up_to_a_bound(tmp_path):
    path = write_clip(tmp_path / "a.mp4", numbered(100), fps=1)
    with opened(path) as video:
        assert len(Sampler(video, frames=0, from_s=0, to_s=0).planned) == 100
        assert len(Sampler(video, frames=0, from_s=0, to_s=20).planned) == 20  # 32 moments fall on 20 frames
        assert len(Sampler(video, frames=40, from_s=0, to_s=0).planned) == 40
    path = write_clip(tmp_path / "b.mp4", numbered(400), fps=1)
    with opened(path) as video:
        assert len(Sampler(video, frames=0, from_s=0, to_s=0).planned) == 256


def test_a_stretch_is_looked_at_densely_and_nothing_outside_it(tmp_path):
    with opened(write_clip(tmp_path / "a.mp4", numbered(200), fps=25)) as video:
        samples, _ = looked_at(video, from_s=2.0, to_s=3.0, frames=25)
    assert [sample.index for sample in samples] == list(range(50, 75))


@pytest.mark.parametrize(("from_s", "to_s"), [(9.0, 0.0), (9.0, 12.0), (3.0, 2.0)])
def test_a_stretch_that_is_not_in_the_video_is_refused(tmp_path, from_s, to_s):
    with (
        opened(write_clip(tmp_path / "a.mp4", numbered(50), fps=25)) as video,
        pytest.raises(UsageError, match="lasts"),
    ):
        Sampler(video, frames=0, from_s=from_s, to_s=to_s)


def test_cuts_are_found_at_their_frames_and_pans_are_none(tmp_path):
    frames = scene(1, 40) + scene(2, 25, pan=4.0) + scene(3, 35)
    with opened(write_clip(tmp_path / "a.mp4", frames)) as video:
        samples, sampler = looked_at(video)
    assert [(cut.after, cut.before) for cut in sampler.cuts] == [(39, 40), (64, 65)]
    assert [sample.shot for sample in samples] == sorted(
        (sample.index >= 40) + (sample.index >= 65) for sample in samples
    )


def test_a_short_shot_between_two_evenly_spread_frames_is_looked_at_too(tmp_path):
    frames = scene(1, 84) + scene(2, 10) + scene(3, 106)  # planned with 5: 20, 60, 100, 140, 180
    with opened(write_clip(tmp_path / "a.mp4", frames)) as video:
        samples, sampler = looked_at(video, frames=5)
    assert sampler.planned == [20, 60, 100, 140, 180]
    assert {sample.shot for sample in samples} == {0, 1, 2}
    assert next(sample.index for sample in samples if sample.shot == 1) in range(84, 94)


def test_flicker_costs_at_most_as_many_frames_again(tmp_path):
    frames = [frame for seed in range(40) for frame in scene(seed, 6)]
    with opened(write_clip(tmp_path / "a.mp4", frames)) as video:
        samples, sampler = looked_at(video, frames=8)
    assert len(sampler.cuts) > 30
    assert 8 < len(samples) <= 16


def test_a_change_of_light_or_a_shaking_camera_is_no_cut():
    finder, generator = CutFinder(), np.random.default_rng(0)
    base = cv2.resize(generator.integers(0, 200, (6, 9)).astype(np.uint8), (80, 48), interpolation=cv2.INTER_CUBIC)
    for number in range(30):
        x, y = generator.integers(0, 8, 2)
        light = 0.6 + 0.4 * np.cos(number)
        assert not finder.is_cut((base[y : y + 36, x : x + 64] * light).astype(np.uint8))


def test_black_frames_are_no_cut_among_themselves():
    finder = CutFinder()
    assert not any(finder.is_cut(np.zeros((36, 64), np.uint8)) for _ in range(5))


def test_each_shot_that_lasts_a_second_is_looked_at_three_times(tmp_path):
    lengths = [400, 30, 26, 200, 27, 300, 5, 60]  # the short ones lie between frames that are spread over the time
    frames = [frame for seed, length in enumerate(lengths) for frame in scene(seed, length)]
    with opened(write_clip(tmp_path / "a.mp4", frames, options={"preset": "ultrafast"})) as video:
        samples, sampler = looked_at(video)
    assert len(sampler.cuts) == len(lengths) - 1
    looks = [sum(sample.shot == shot for sample in samples) for shot in range(len(lengths))]
    assert all(number >= 3 for number, length in zip(looks, lengths, strict=True) if length >= 25)
    assert len(samples) <= len(sampler.planned) + 3 * len(lengths)


def test_of_a_long_video_each_shot_is_looked_at_three_times_by_its_key_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("faceloupe.media.sampling._LINEAR_FRAMES", 100)
    monkeypatch.setattr("faceloupe.media.sampling._LINEAR_PIXELS", 0)
    lengths = [400, 60, 50, 300]
    frames = [frame for seed, length in enumerate(lengths) for frame in scene(seed, length, pan=0.2)]
    with opened(write_clip(tmp_path / "a.mp4", frames, gop=250)) as video:  # encoders put key frames at cuts
        samples, _ = looked_at(video)
    ends = np.cumsum(lengths)
    looks = np.bincount([int(np.searchsorted(ends, sample.index, side="right")) for sample in samples])
    assert looks.min() >= 3


def test_a_change_of_size_begins_a_shot_as_boxes_do_not_go_on_in_it(tmp_path):
    small = write_clip(tmp_path / "1.ts", numbered(20)).read_bytes()
    times = [10 + Fraction(index, 25) for index in range(20)]
    large = write_clip(tmp_path / "2.ts", numbered(20, (320, 240)), times=times).read_bytes()
    (tmp_path / "a.ts").write_bytes(small + large)
    with (tmp_path / "a.ts").open("rb") as stream, Video(stream, "MPEG-TS", max_pixels=10**7) as video:
        samples, _ = looked_at(video)
    assert {sample.shot for sample in samples if sample.rgb.shape[0] == 120}.isdisjoint(
        sample.shot for sample in samples if sample.rgb.shape[0] == 240
    )
