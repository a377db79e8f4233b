"""Video: what a container states, and its frames with their exact timestamps, decoded one at a time."""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from typing import BinaryIO, Self

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.media.frame_index import FrameIndex, Scan, index_by_number, packets_of, scan_packets

LUMA_SHAPE = (36, 64)
_DEMUXERS = {
    "MP4": "mov",
    "QuickTime": "mov",
    "Matroska": "matroska",
    "MPEG": "mpeg",
    "AVI": "avi",
    "MPEG-TS": "mpegts",
}
_SEQUENCE_HEADER = b"\x00\x00\x01\xb3"  # MPEG video without a container around it
_SEEKABLE = {"mov", "matroska"}  # the others find a frame by guessing from its time where it may be in the file
_TIMELESS = {"avi", "mpegvideo"}  # these store no times; FFmpeg makes some up, wrong ones where frames are reordered
_BUFFER_BYTES = 1 << 20
_WORTH_A_SEEK = 8  # frames skipped; a seek throws away about as many that the decoder holds already
_HDR_TRANSFERS = {16, 18}  # PQ and HLG, ITU-T H.273
_DAMAGED = "The {} data is damaged, incomplete or of an unsupported variant; get a complete copy."


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What is known of a video before a face is looked for.

    Attributes:
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the video codec.
        pixel_format: FFmpeg's name of how the decoded pixels are stored.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        rotation: clockwise turn that was applied to show the picture upright, degrees: 0, 90, 180 or 270.
        duration_s: from the first frame to the end of the last, seconds, by the timestamps; the last frame is taken to
            last as long as one does on average. None where a single frame leaves it open.
        frame_rate: average, frames per second: what the container states where its timestamps agree, else what they
            give. None where neither tells.
        frame_count: frames that the container holds, each with a timestamp.
        variable_frame_rate: whether the time between frames varies by more than rounding.
        audio: FFmpeg's names of the codecs of the audio streams.
        start_s: timestamp of the first frame in the container, seconds.
        notes: what was done or left undone, one sentence each.
    """

    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    duration_s: float | None
    frame_rate: Fraction | None
    frame_count: int
    variable_frame_rate: bool
    audio: tuple[str, ...]
    start_s: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One decoded frame. It holds the frame's memory: keep few, and none longer than its walk goes on.

    Attributes:
        index: place in the order of display, from 0.
        time: seconds since the first frame, exact.
        luma: ``LUMA_SHAPE`` uint8, a coarse gray copy as stored (not turned upright), 0..255.
        wanted: whether it was asked for; else it was decoded on the way.
    """

    index: int
    time: Fraction
    luma: np.ndarray
    wanted: bool
    _pixels: Callable[[], np.ndarray] = field(repr=False)

    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright, converted now.

        Raises:
            EvidenceError: its colors cannot be converted.
        """
        return self._pixels()


class Video:
    """A video file, opened to be examined.

    What the container states about its frames is read in one pass that decodes next to nothing. Frames are decoded by
    ``walk``, one walk at a time. A frame that its decoder calls corrupt, and those after it up to the next key frame,
    count as unreadable: what a decoder puts in place of lost data is not evidence. (Damage that the decoder itself does
    not notice cannot be told.)

    Attributes:
        facts: what is known of the video.
        unreadable: of the last walk so far, the indices of wanted frames that could not be decoded.
        damaged_packets: of the last walk so far, how often the decoder refused a packet.
    """

    def __init__(
        self,
        stream: BinaryIO,
        found: str,
        *,
        max_pixels: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Open a video.

        Args:
            stream: seekable; it stays the caller's, who must not move it during a walk.
            found: the format its first bytes show: MP4, QuickTime, Matroska, MPEG, AVI or MPEG-TS. No other demuxer is
                tried, as some open further files that their input names.
            max_pixels: largest width times height.
            check: called for every packet, now and in walks; what it raises of our own errors ends the work.

        Raises:
            EvidenceError: no video, no frames, too large, or damaged beyond reading.
        """
        stream.seek(0)
        raw = found == "MPEG" and stream.read(4) == _SEQUENCE_HEADER
        self._file, self._found, self._demuxer = stream, found, "mpegvideo" if raw else _DEMUXERS[found]
        self._max_pixels, self._check = max_pixels, check
        self._walking: Generator[DecodedFrame] | None = None
        self.unreadable: list[int] = []
        self.damaged_packets = 0
        with _guarded(found):
            with self._opened() as (container, video):
                scan = scan_packets(container, video, self._check, timeless=self._demuxer in _TIMELESS)
            with self._opened() as (container, video):
                first, stamps = self._first_frame(container, video, go_on=scan.index is None)
                self._index = scan.index or index_by_number(
                    stamps, scan.order, video, timeless=self._demuxer in _TIMELESS
                )
                self._size = (first.width, first.height)
                self._check_size(*self._size)  # the container may have stated another one
                self._turn = _orientation(first)
                self.facts = self._describe(container, video, first, scan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End an unfinished walk; the stream stays open."""
        if self._walking is not None:
            self._walking.close()

    @property
    def index(self) -> FrameIndex:
        """The timestamps of all frames."""
        return self._index

    @property
    def count(self) -> int:
        """Number of frames in the container."""
        return len(self._index.ticks)

    def time(self, index: int) -> Fraction:
        """Seconds from the first frame to that one, exact."""
        return self._index.time(index)

    def index_at(self, seconds: float | Fraction) -> int:
        """Index of the frame on screen so many seconds after the first; the first or last one beyond the ends."""
        return self._index.at(seconds)

    def walk(self, wanted: Iterable[int], *, every: bool) -> Iterator[DecodedFrame]:
        """Decode the wanted frames, in order of display. A new walk ends the one before.

        Args:
            wanted: indices of frames.
            every: yield also what is decoded on the way, which then is every frame from the key frame before the first
                wanted one to the last wanted one; else what can be skipped is skipped, and only wanted ones are given.

        Raises:
            IndexError: there is no such frame.
            EvidenceError: while it is walked: the file can no longer be read.
        """
        targets = sorted(set(wanted))
        if targets and not 0 <= targets[0] <= targets[-1] < self.count:
            raise IndexError(f"frames 0 to {self.count - 1} exist; {targets[0]} to {targets[-1]} were asked for")
        self.close()
        self.unreadable, self.damaged_packets = [], 0
        self._walking = self._walk(deque(targets), every)
        return self._walking

    def _walk(self, pending: deque[int], every: bool) -> Generator[DecodedFrame]:
        seeking = self._demuxer in _SEEKABLE and not self._index.counted
        reached = -1  # the last frame that was passed
        with _guarded(self._found):
            while pending:
                key = self._index.key_before(pending[0]) if seeking else 0
                with closing(self._decoded(key)) as decoded:
                    for index, frame, sound in decoded:
                        if key and (index > pending[0] or (index == pending[0] and not sound)):
                            seeking = False  # too late a seek, or damage: decoding from the very start tells
                            break
                        if index <= reached:
                            continue
                        reached = index
                        wanted = self._take(pending, index, sound)
                        if sound and (wanted or (every and pending)):
                            upright = partial(_upright, frame, *self._turn)
                            yield DecodedFrame(index, self.time(index), _luma(frame), wanted, upright)
                        if not pending:
                            return
                        far = self._index.key_before(pending[0]) > index + _WORTH_A_SEEK
                        if far and wanted and seeking and not every:  # once a target: a seek may land short of its key
                            break
                    else:  # the stream has ended
                        seeking = False
                        if not key:
                            self._take(pending, self.count, False)

    def _take(self, pending: deque[int], index: int, sound: bool) -> bool:
        """Take the targets up to that frame out of the queue: all lost but that very one, if it is one and sound."""
        wanted = False
        while pending and pending[0] <= index:
            target = pending.popleft()
            wanted = target == index
            if not (wanted and sound):
                self.unreadable.append(target)
        return wanted

    def _decoded(self, key: int) -> Generator[tuple[int, av.VideoFrame, bool]]:
        """Index, frame, and whether it can be relied on, from that key frame on; from the start for 0."""
        with self._opened() as (container, video):
            if key:
                # Some decoders read once, at the start, how to read all that follows (which x264 wrote it, for one).
                with suppress(av.FFmpegError):
                    video.codec_context.decode(next(packets_of(container, video, self._check)))
                container.seek(int(self._index.ticks[key]), stream=video)
            for number, (frame, sound) in enumerate(self._frames(container, video)):
                index = number if self._index.counted else self._index.find(frame.pts)
                if index is not None and index < self.count:
                    yield index, frame, sound and (frame.width, frame.height) == self._size

    def _frames(self, container: InputContainer, video: VideoStream) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Frames in order of display, and whether nothing was damaged since the last key frame."""
        sound = True
        for packet in packets_of(container, video, self._check):
            try:
                frames = video.codec_context.decode(packet)
            except MemoryError:
                raise
            except av.FFmpegError:
                self.damaged_packets += 1
                sound = False
                continue
            for frame in frames:
                sound = not frame.is_corrupt and (sound or frame.key_frame)
                yield frame, sound

    def _first_frame(
        self, container: InputContainer, video: VideoStream, *, go_on: bool
    ) -> tuple[av.VideoFrame, list[int | None]]:
        """The first frame that can be relied on, and the timestamps of all decoded until then, or to the end."""
        first, stamps = None, []
        for frame, sound in self._frames(container, video):
            stamps.append(frame.pts)
            if first is None and sound:
                first = frame
            if first is not None and not go_on:
                break
        self.damaged_packets = 0
        if first is None:
            raise EvidenceError(_DAMAGED.format(self._found))
        return first, stamps

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        """The container at its start, and its video stream, ready to be decoded."""
        self._file.seek(0)
        with av.open(
            self._file,
            "r",
            format=self._demuxer,
            container_options={"protocol_whitelist": "none"},  # nothing that the file refers to is opened
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
        ) as container:
            video = _main_stream(container, self._found)
            context = video.codec_context
            self._check_size(context.width, context.height)
            # Frames decoded side by side would make what damage costs, and now and then their pixels, depend on the
            # processors of the machine. MPEG-1 and 2 refuse what lacks slices only where slices are decoded so.
            slices = context.codec.canonical_name in ("mpeg1video", "mpeg2video")
            context.thread_type, context.thread_count = ("SLICE", 2) if slices else ("NONE", 1)
            # Frames may grow in mid stream. Twice the limit, as they are decoded in whole blocks.
            context.options = {"max_pixels": str(2 * self._max_pixels + 65536), "err_detect": "explode"}
            yield container, video

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise EvidenceError(f"The video is {width} x {height} pixels; the limit is {self._max_pixels:,} pixels.")

    def _describe(self, container: InputContainer, video: VideoStream, first: av.VideoFrame, scan: Scan) -> VideoFacts:
        index, (quarters, mirrored), streams = self._index, self._turn, _video_streams(container)
        steps = np.diff(index.ticks)
        span = index.time(self.count - 1)
        rate = video.average_rate or None
        if span and (rate is None or abs(rate * span - (self.count - 1)) >= 1):
            rate = (self.count - 1) / span
        width, height = self._size[::-1] if quarters % 2 else self._size
        aspect = video.sample_aspect_ratio or 1
        ends = int(index.ticks[0]) * index.time_base + span + (1 / rate if rate else 0)
        # Of Matroska alone: others announce frames, or estimate.
        announced = (container.duration or 0) / av.time_base if "matroska" in container.format.name else 0
        alpha = any(part.is_alpha for part in first.format.components) or video.metadata.get("alpha_mode") == "1"
        notes = {
            f"The rotation stated in the file ({90 * quarters} degrees clockwise) was applied.": quarters,
            "The mirroring stated in the file was applied.": mirrored,
            f"The file contains {len(streams)} video streams; the main one was analyzed.": len(streams) > 1,
            f"The file announces {video.frames} frames but contains {scan.packets}.": video.frames > scan.packets,
            f"The file announces {announced:.1f} s, but its video ends after {float(ends):.1f} s.": announced
            > ends + 1,
            "The file contains frames that its edit list leaves out; the frames that a player shows were "
            "analyzed.": scan.left_out,
            "The file has no usable timestamps; they were derived from the order of the frames.": index.counted,
            f"Its pixels are not square ({aspect.numerator}:{aspect.denominator}) and were not resized.": aspect != 1,
            "The video is interlaced, so a frame may show two moments.": first.interlaced_frame,
            "Transparency was ignored; the stored colors were analyzed.": alpha,
            "Its brightness range (HDR) was not adapted to a standard screen.": first.color_trc in _HDR_TRANSFERS,
        }
        return VideoFacts(
            container=container.format.name,
            codec=video.codec_context.codec.canonical_name,
            pixel_format=first.format.name,
            width=width,
            height=height,
            rotation=90 * quarters,
            duration_s=float(span + 1 / rate) if rate else None,
            frame_rate=rate,
            frame_count=self.count,
            variable_frame_rate=len(steps) > 0 and int(steps.max() - steps.min()) > 1,
            audio=tuple(
                stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
                for stream in container.streams.audio
            ),
            start_s=float(int(index.ticks[0]) * index.time_base),
            notes=tuple(text for text, holds in notes.items() if holds),
        )


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """All but cover pictures, which containers keep as video of one frame."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _main_stream(container: InputContainer, found: str) -> VideoStream:
    streams = _video_streams(container)
    if not streams:
        content = "sound, but no video" if container.streams.audio else "no video"
        raise EvidenceError(f"The {found} file contains {content}; give the file that contains the video.")
    main = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    if main.codec_context is None:
        raise EvidenceError("The video uses a codec that cannot be decoded here; export it as H.264.")
    return main


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Quarter turns clockwise that show a frame upright, and whether it is mirrored left to right after them."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    across, down, _, across_y, down_y = (int(value) for value in np.frombuffer(data, np.int32)[:5])
    mirrored = across * down_y < down * across_y
    return round(math.atan2(down, -across if mirrored else across) / (math.pi / 2)) % 4, mirrored


def _upright(frame: av.VideoFrame, quarters: int, mirrored: bool) -> np.ndarray:
    with _guarded("video"):
        turned = np.rot90(frame.to_ndarray(format="rgb24"), -quarters)
        return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


@lru_cache
def _has_luma(pixel_format: str) -> bool:
    """Whether the first plane of such frames holds 8-bit brightness and nothing else."""
    shape = av.VideoFormat(pixel_format)
    return shape.is_planar and not shape.is_rgb and shape.components[0].bits == 8


@lru_cache
def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = LUMA_SHAPE
    return np.ix_(np.arange(rows) * height // rows, np.arange(columns) * width // columns)


def _luma(frame: av.VideoFrame) -> np.ndarray:
    if not _has_luma(frame.format.name):
        return frame.reformat(LUMA_SHAPE[1], LUMA_SHAPE[0], "gray").to_ndarray()
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[_grid(frame.height, frame.width)]


@contextmanager
def _guarded(found: str) -> Iterator[None]:
    """Around the steps of a decoder: on a hostile file it raises anything, and each means that it cannot be read."""
    try:
        yield
    except (FaceLoupeError, MemoryError):
        raise
    except Exception as problem:
        raise EvidenceError(_DAMAGED.format(found)) from problem
