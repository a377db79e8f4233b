"""Pictures that move: every frame, its time, and its pixels as a browser shows them."""

import io

import numpy as np
import pytest
from PIL import Image

from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.animation import Animation
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.sandbox.video import IsolatedVideo
from tests.clips import numbered, read_number

FORMATS = {"GIF": "GIF", "PNG": "PNG", "WebP": "WEBP", "AVIF": "AVIF"}
every_format = pytest.mark.parametrize("format_name", FORMATS)


def animated(format_name: str, count: int = 6, durations: int | list[int] = 100, **options) -> bytes:
    first, *others = [Image.fromarray(rgb) for rgb in numbered(count)]
    stream = io.BytesIO()
    options = {"lossless": True} | options if format_name == "WebP" else options
    first.save(stream, FORMATS[format_name], save_all=True, append_images=others, duration=durations, **options)
    return stream.getvalue()


def opened(content: bytes, format_name: str) -> Animation:
    return Animation(io.BytesIO(content), format_name, max_pixels=10**7)


@every_format
def test_every_frame_has_its_number_and_its_time_also_from_the_sandbox(format_name):
    content = animated(format_name, 6, [100, 200, 100, 300, 100, 100])
    evidence_file = evidence_from_bytes(content, "a", max_bytes=10**7)
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=Settings()) as isolated:
        for video in (opened(content, format_name), isolated):
            shown = {
                frame.index: (read_number(frame.rgb()), float(frame.time))
                for frame in video.walk(range(6), every=False)
            }
            assert [number for number, _ in shown.values()] == list(range(6))
            assert [time for _, time in shown.values()] == pytest.approx([0.0, 0.1, 0.3, 0.4, 0.7, 0.8], abs=0.002)
            assert (video.facts.frame_count, video.facts.duration_s) == (6, pytest.approx(0.9, abs=0.002))


@every_format
def test_frames_on_the_way_are_distinguished_from_the_wanted_ones(format_name):
    video = opened(animated(format_name), format_name)
    assert [(frame.index, frame.wanted) for frame in video.walk([2, 4], every=True)] == [
        (index, index in (2, 4)) for index in range(5)
    ]
    assert [frame.index for frame in video.walk([2, 4], every=False)] == [2, 4]


def test_a_frame_without_a_duration_lasts_as_long_as_in_browsers():
    assert opened(animated("GIF", 4, 0), "GIF").facts.duration_s == pytest.approx(0.4)


def test_transparency_is_laid_over_mid_gray_as_in_pictures_that_do_not_move():
    pictures = [Image.new("RGBA", (40, 30), (255, 0, 0, alpha)) for alpha in (255, 0)]
    stream = io.BytesIO()
    pictures[0].save(stream, "PNG", save_all=True, append_images=pictures[1:], duration=100, blend=0)
    colors = [frame.rgb()[15, 20].tolist() for frame in opened(stream.getvalue(), "PNG").walk([0, 1], every=False)]
    assert colors == [[255, 0, 0], [128, 128, 128]]


@every_format
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_what_is_cut_short_is_shown_as_far_as_it_goes_or_refused(format_name, share):
    content = animated(format_name, 10)
    whole = [frame.rgb() for frame in opened(content, format_name).walk(range(10), every=False)]
    try:
        video = opened(content[: int(len(content) * share)], format_name)
    except EvidenceError:
        return
    frames = {frame.index: frame.rgb() for frame in video.walk(range(video.count), every=False)}
    assert sorted([*frames, *video.unreadable]) == list(range(video.count))
    assert all(np.array_equal(rgb, whole[index]) for index, rgb in frames.items())


def test_an_animation_over_the_limit_of_pixels_is_refused():
    with pytest.raises(EvidenceError, match="160 x 120 pixels; the limit is 100 pixels"):
        Animation(io.BytesIO(animated("GIF")), "GIF", max_pixels=100)


def test_the_pixels_are_those_of_the_decoded_frames():
    content = animated("WebP")
    with Image.open(io.BytesIO(content)) as image:
        image.seek(3)
        expected = np.asarray(image.convert("RGB"))
    (frame,) = opened(content, "WebP").walk([3], every=False)
    assert np.array_equal(frame.rgb(), expected)
