"""A copy of an examined video with its findings drawn in, for presentation and not for examination."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from faceloupe.config import Settings
from faceloupe.errors import Cancelled
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.frame_source import DecodedFrame
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.report.document.locales import texts_in
from faceloupe.report.drawing import glyphs
from faceloupe.report.drawing.overlays import COLORS
from faceloupe.report.numerals import decimal
from faceloupe.report.schema import Report
from faceloupe.report.timeline import analyzed_span
from faceloupe.report.write import publish_file
from faceloupe.types import Cancel, FrameStage, Outcome, Progress

LONGEST_SIDE = 1280  # longer side of the copied picture, pixels
_MAX_INTERPOLATED_GAP = 4  # analyzed frames from one sighting to the next, beyond which boxes are not interpolated
_STRIP, _STRIP_WORDS = 64, 22  # pixels: height of the strip below the picture, and of its line of text
_PAPER, _INK, _FAINT = "#202224", "#f0f0f0", "#7a7d80"
# H.264 without B-frames, which are stored out of order and would shift the times. If FFmpeg was built without H.264,
# Motion JPEG is used, because MPEG-4 cannot store all times exactly.
_ENCODERS = {"libx264": {"preset": "veryfast", "crf": "20", "bf": "0"}, "mjpeg": {"qmin": "2", "qmax": "5"}}
_PIXELS = {"libx264": "yuv420p", "mjpeg": "yuvj420p"}


@dataclass(frozen=True, slots=True)
class TrackBox:
    """A face in one of the frames that were analyzed.

    Attributes:
        position: position of the frame among the analyzed frames.
        index: index of the frame in the video.
        time_s: time of the frame, seconds.
        box: x0, y0, x1, y1, pixels of the frame.
        score: score of the face in this frame, 0..1; None if it was not scored.
    """

    position: int
    index: int
    time_s: float
    box: tuple[float, float, float, float]
    score: float | None


def track_boxes(report: Report) -> dict[int, list[TrackBox]]:
    """Return the boxes of each track by its id, in order of time."""
    seen: dict[int, list[TrackBox]] = {track.id: [] for track in report.tracks}
    for position, frame in enumerate(report.frames):
        for face in frame.faces:
            seen[face.id].append(TrackBox(position, frame.index, frame.time_s, face.box, face.score))
    return seen


def box_at(seen: list[TrackBox], index: int, time_s: float) -> TrackBox | None:
    """Return the box of a track in any frame, interpolated linearly between two sightings if necessary.

    A track lies within one shot, so that a box is never interpolated across a cut. The score is that of the last
    sighting.

    Returns:
        The box; None before the first sighting, after the last one, and in gaps where the face was missed in several
        analyzed frames.
    """
    following = bisect_right(seen, index, key=lambda box: box.index)
    if following == 0:
        return None
    last = seen[following - 1]
    if last.index == index:
        return last
    if following == len(seen) or seen[following].position - last.position > _MAX_INTERPOLATED_GAP:
        return None
    coming = seen[following]
    way = min(max((time_s - last.time_s) / (coming.time_s - last.time_s), 0.0), 1.0)
    x0, y0, x1, y1 = (start + (end - start) * way for start, end in zip(last.box, coming.box, strict=True))
    return TrackBox(last.position, index, time_s, (x0, y0, x1, y1), last.score)


def write_annotated(
    evidence_file: EvidenceFile,
    report: Report,
    path: Path,
    *,
    settings: Settings,
    language: str = "en",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Write an MP4 of the examined segment: every frame at its exact time, with the tracks and the score drawn in.

    The picture is shrunk to ``LONGEST_SIDE``. A strip below it shows the score of the decisive track. The copy has no
    sound. Frames that cannot be decoded are left out.

    Args:
        evidence_file: the file that was examined.
        report: the report of this file.
        path: path of the copy, which is written completely or not at all; nothing is overwritten.
        settings: settings with the limits.
        language: language of the text in the picture.
        progress: called with the stage and the share done, 0..1.
        cancel: called before each frame; True stops the work.

    Raises:
        UsageError: the copy cannot be written, or the file already exists.
        EvidenceError: the video has changed.
        Cancelled: ``cancel`` returned True.
    """

    def watched(frames: Iterable[DecodedFrame], count: int) -> Iterator[DecodedFrame]:
        for number, frame in enumerate(frames):
            if cancel and cancel():
                raise Cancelled("The annotated copy was cancelled.")
            if progress:
                progress(FrameStage(number, count), number / count)
            yield frame

    def fill(temporary: Path) -> None:
        with av.open(str(temporary), "w", format="mp4") as container:
            indices = _examined(video, report)
            stream, time_base = _stream(container, video, indices)
            painter = _Painter(report, video.facts.width, video.facts.height, language)
            stream.width, stream.height = painter.size
            for decoded_frame in watched(video.walk(indices, every=False), len(indices)):
                drawn = painter.paint(decoded_frame.rgb(), decoded_frame.index, float(decoded_frame.time))
                frame = av.VideoFrame.from_ndarray(drawn, format="rgb24")
                frame.pts, frame.time_base = int(decoded_frame.time / time_base), time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            evidence_file.check_unchanged(source)

    with evidence_file.open() as source, IsolatedVideo(evidence_file, source, settings=settings) as video:
        publish_file(fill, path)


def _examined(video: IsolatedVideo, report: Report) -> range:
    """Return the indices of the frames of the analyzed segment."""
    if report.segment is None:
        return range(video.count)
    return range(video.index_at(report.segment.start_s), video.index_at(report.segment.end_s) + 1)


def _stream(container: OutputContainer, video: IsolatedVideo, indices: range) -> tuple[VideoStream, Fraction]:
    """Return the output stream, and a time base in which the time of every frame is a whole number."""
    name = next(name for name in _ENCODERS if name in av.codecs_available)
    rate = (video.facts.frame_rate or Fraction(25)).limit_denominator(10_000)
    stream = container.add_stream(name, rate=rate, options=_ENCODERS[name])
    assert isinstance(stream, VideoStream)  # both are video encoders
    time_base = Fraction(1, lcm(*(video.time(index).denominator for index in indices)))
    stream.pix_fmt = _PIXELS[name]
    stream.codec_context.time_base = time_base
    stream.codec_context.colorspace = Colorspace.ITU601  # the color space that the conversion from RGB produces
    return stream, time_base


class _Painter:
    """Painter of the findings into the frames of one video."""

    def __init__(self, report: Report, width: int, height: int, language: str) -> None:
        self._texts = texts_in(language)
        self._scale = min(1.0, LONGEST_SIDE / max(width, height))
        self._picture = tuple(max(2, round(side * self._scale) // 2 * 2) for side in (width, height))
        self.size = self._picture[0], self._picture[1] + _STRIP
        self._tracks = {track.id: track.outcome for track in report.tracks}
        self._seen = track_boxes(report)
        self._font_px = max(12, max(self._picture) // 60)
        self._font = ImageFont.load_default(self._font_px)
        self._small = ImageFont.load_default(12)
        self._span = analyzed_span(report)
        self._strip = self._empty_strip(report)

    def paint(self, rgb: np.ndarray, index: int, time_s: float) -> np.ndarray:
        """Return the annotated copy of a frame.

        Args:
            rgb: (H, W, 3) uint8.
            index: index of the frame.
            time_s: time of the frame, seconds.

        Returns:
            (h, w, 3) uint8; width and height are ``size``.
        """
        canvas = Image.new("RGB", self.size)
        canvas.paste(Image.fromarray(cv2.resize(rgb, self._picture, interpolation=cv2.INTER_AREA)))
        pen = ImageDraw.Draw(canvas)
        for track, outcome in self._tracks.items():
            here = box_at(self._seen[track], index, time_s)
            if here is not None:
                self._box(pen, track, outcome, here)
        top = self._picture[1]
        canvas.paste(self._strip, (0, top))
        x = self._x(time_s)
        pen.line((x, top + 2, x, top + _STRIP - _STRIP_WORDS), fill=_INK, width=2)
        now = self._texts["copy_now"].format(time=decimal(time_s, 3, self._texts["language"]), index=index)
        if pen.textlength(now + self._texts["copy_warning"], font=self._small) + 30 < self.size[0]:
            pen.text((self.size[0] - 8, self.size[1] - 5), now, fill=_INK, font=self._small, anchor="rb")
        return np.asarray(canvas)

    def _box(self, pen: ImageDraw.ImageDraw, track: int, outcome: Outcome, here: TrackBox) -> None:
        color, line = COLORS[outcome], max(2, max(self._picture) // 400)
        x0, y0, x1, y1 = (value * self._scale for value in here.box)
        pen.rectangle((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)), outline=color, width=line)
        label = self._texts[f"outcome_{outcome}"]
        if outcome is not Outcome.NOT_APPLICABLE:
            key = "copy_unscored" if here.score is None else "copy_here"
            score = decimal(here.score or 0.0, 2, self._texts["language"])
            label = self._texts[key].format(outcome=label, score=score)
        unit = self._font_px
        number = f"{track}"
        number_width = pen.textlength(number, font=self._font)
        width = number_width + 2.2 * unit + pen.textlength(label, font=self._font)
        left = min(max(x0, 0), max(0, self._picture[0] - width))
        top = y0 - 1.5 * unit if y0 >= 1.5 * unit else min(y1, self._picture[1] - 1.5 * unit)
        ink = "black" if outcome is Outcome.INCONCLUSIVE else "white"  # white on amber cannot be read
        middle = top + 0.75 * unit
        pen.rectangle((left, top, left + width, top + 1.5 * unit), fill=color)
        pen.text((left + 0.4 * unit, middle), number, fill=ink, font=self._font, anchor="lm")
        glyphs.draw(pen, outcome, (left + number_width + 1.1 * unit, middle), 0.35 * unit, ink)
        pen.text((left + number_width + 1.8 * unit, middle), label, fill=ink, font=self._font, anchor="lm")

    def _x(self, time_s: float) -> float:
        begin, end = self._span
        return 8 + (time_s - begin) / max(end - begin, 1e-9) * (self.size[0] - 16)

    def _empty_strip(self, report: Report) -> Image.Image:
        """Return the strip without its playhead: the thresholds and the scores of the decisive track."""
        strip = Image.new("RGB", (self.size[0], _STRIP), _PAPER)
        pen = ImageDraw.Draw(strip)
        height = _STRIP - _STRIP_WORDS - 8
        for threshold in (report.model.thresholds.lower, report.model.thresholds.upper):
            y = 4 + height * (1.0 - threshold)
            pen.line((8, y, self.size[0] - 8, y), fill=_FAINT)
        message, decisive = self._texts["copy_warning"], report.decisive
        if decisive is not None:
            color = COLORS[decisive.outcome]
            boxes = self._seen[decisive.id]
            points = [(self._x(box.time_s), 4 + height * (1.0 - box.score)) for box in boxes if box.score is not None]
            pen.line(points, fill=color, width=2)
            for x, y in points:
                pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
            longer = f"{message}. {self._texts['copy_track'].format(id=decisive.id)}"
            message = longer if pen.textlength(longer, font=self._small) < 0.6 * self.size[0] else message
        pen.text((8, _STRIP - 5), message, fill=_INK, font=self._small, anchor="lb")
        return strip
