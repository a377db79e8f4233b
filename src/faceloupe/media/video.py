"""Videos: the facts that a container states, and frames with exact timestamps, decoded one at a time."""

import math
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from functools import lru_cache, partial
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.stream import VideoStream

from faceloupe.errors import EvidenceError
from faceloupe.media.boxes import file_boxes
from faceloupe.media.color import Encoding, from_cicp
from faceloupe.media.evidence import Shown
from faceloupe.media.frame_source import DAMAGED, LUMA_SHAPE, DecodedFrame, FrameSource, VideoFacts, decoder_errors
from faceloupe.media.packet_scan import Scan, index_by_number, packets_of, scan_packets

KEYS_APART_S = Fraction(1, 2)  # least distance of the key frames that ``walk`` yields with ``keys_only``
DEMUXERS = {
    "MP4": "mov",
    "QuickTime": "mov",
    "HEIC": "mov",
    "Matroska": "matroska",
    "MPEG": "mpeg",
    "MPEG-4": "m4v",
    "AVI": "avi",
    "MPEG-TS": "mpegts",
    "ASF": "asf",
    "FLV": "flv",
    "Ogg": "ogg",
    "MXF": "mxf",
    "DV": "dv",
    "IVF": "ivf",
    "H.264": "h264",
    "H.265": "hevc",
    "MJPEG": "mjpeg",
}
_SEQUENCE_HEADER = b"\x00\x00\x01\xb3"  # MPEG video without a container
_SEEKABLE = {"mov", "matroska"}  # the others guess the position of a frame in the file from its time
_BARE = {"mpegvideo", "m4v", "h264", "hevc", "mjpeg"}  # streams without a container, and so without times
_TIMELESS = {"avi", *_BARE}  # these store no times; those made up by FFmpeg are wrong if frames are reordered
_BUFFER_BYTES = 1 << 20
_WORTH_A_SEEK = 8  # skipped frames that justify a seek, which discards about as many in the decoder
_CONVERTED_TRANSFERS = {8, 9, 10, 16, 17, 18}  # ITU-T H.273: linear, logarithmic, PQ, SMPTE 428, HLG
_CONVERTED_PRIMARIES = {8, 9, 10, 11, 12}  # film, BT.2020, XYZ, P3; players do not convert those of television
_MOST_STRETCHED = 10  # largest plausible ratio of a pixel's sides
_HEAD_SEARCHED, _MOST_DESCRIPTION = 1 << 16, 64 << 20  # bytes that are searched for signs of encryption
_ENCRYPTED_MP4 = re.compile(rb"stsd.{12}(?:encv|drmi|drmv)", re.DOTALL)  # the first sample entry of a track
_ENCRYPTED_MATROSKA = re.compile(rb"\x50\x33\x81\x01.{0,16}\x50\x35", re.DOTALL)  # a ContentEncoding of type encryption
_ENCRYPTED = "The video is encrypted ({}); decrypt it with its key, or get a copy without protection."
_CODECS_WITH_PARAMETERS = {"h264": "H.264", "hevc": "H.265"}
_HEADLESS = (
    "The {} file holds {} video, but not what its decoding starts from (its parameters and a key frame); "
    "get the recording from an earlier point on."
)


class Video(FrameSource):
    """A video file, opened for examination.

    The container's data about its frames is read in one pass that decodes almost nothing. ``walk`` decodes frames, one
    walk at a time. If a decoder reports a frame as corrupt, that frame and the frames up to the next key frame count as
    unreadable, because the pixels that a decoder substitutes for lost data are not evidence. Damage that the decoder
    does not notice remains unknown.
    """

    def __init__(
        self,
        stream: BinaryIO,
        format_name: str,
        *,
        max_pixels: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Open a video.

        Args:
            stream: seekable; it belongs to the caller, who must not move it during a walk.
            format_name: format detected from its first bytes, see ``media.formats``. No other demuxer is tried, because
                some demuxers open further files that their input names.
            max_pixels: largest width times height.
            check: called for every packet, now and in walks; a ``FaceLoupeError`` that it raises ends the work.

        Raises:
            EvidenceError: the file has no video or no frames, or is too large, encrypted, or damaged beyond reading.
        """
        super().__init__(format_name, check)
        stream.seek(0)
        raw = format_name == "MPEG" and stream.read(4) == _SEQUENCE_HEADER
        self._file, self._demuxer = stream, "mpegvideo" if raw else DEMUXERS[format_name]
        self._max_pixels = max_pixels
        with decoder_errors(format_name):
            self._refuse_encrypted()
            with self._opened() as (container, video):
                scan = scan_packets(container, video, self._check, timeless=self._demuxer in _TIMELESS)
            with self._opened() as (container, video):
                first, stamps = self._first_frame(container, video, go_on=scan.index is None)
                self._index = scan.index or index_by_number(
                    stamps, scan.order, video, timeless=self._demuxer in _TIMELESS
                )
                self._turn = _orientation(first)
                self._aspect = _pixel_aspect(video)
                self._encoding, unshown = _encoding(first)
                self._check_size(*self._shown_size(first))  # the container may have stated another size
                self.facts = self._describe(container, video, first, scan, unshown)

    def _decode(self, targets: list[int], *, every: bool, keys_only: bool) -> Generator[DecodedFrame]:
        return self._walk_keys(targets) if keys_only else self._walk(deque(targets), every)

    def _walk_keys(self, targets: list[int]) -> Generator[DecodedFrame]:
        """Decode only key frames, and skip those that cannot be decoded."""
        if not targets:
            return
        first, last = (int(self._index.ticks[target]) for target in (targets[0], targets[-1]))
        apart, due = KEYS_APART_S / self._index.time_base, first
        with decoder_errors(self._format_name), self._opened() as (container, video):
            video.codec_context.skip_frame = "NONKEY"
            for packet in packets_of(container, video, self._check):
                if packet.size:
                    if not packet.is_keyframe or packet.pts is None or not due <= packet.pts <= last:
                        continue
                    due = packet.pts + math.ceil(apart)
                try:
                    frames = video.codec_context.decode(packet)
                except MemoryError:
                    raise
                except av.FFmpegError:
                    continue
                for frame in frames:
                    index = self._index.find(frame.pts)
                    if index is not None and not frame.is_corrupt and targets[0] <= index <= targets[-1]:
                        size, pixels = self._shown_size(frame), partial(self._shown, frame)
                        yield DecodedFrame(index, self.time(index), _luma(frame), False, size, pixels)

    def _walk(self, pending: deque[int], every: bool) -> Generator[DecodedFrame]:
        seeking = self._demuxer in _SEEKABLE and not self._index.counted
        reached = -1  # index of the last frame that was passed
        with decoder_errors(self._format_name):
            while pending:
                key = self._index.key_before(pending[0]) if seeking else 0
                with closing(self._decoded(key)) as decoded:
                    for index, frame, sound in decoded:
                        if key and (index > pending[0] or (index == pending[0] and not sound)):
                            seeking = False  # late seek or damage: decode from the start instead
                            break
                        if index <= reached:
                            continue
                        reached = index
                        wanted = self._take(pending, index, sound)
                        if sound and (wanted or (every and pending)):
                            size, pixels = self._shown_size(frame), partial(self._shown, frame)
                            yield DecodedFrame(index, self.time(index), _luma(frame), wanted, size, pixels)
                        if not pending:
                            return
                        far = self._index.key_before(pending[0]) > index + _WORTH_A_SEEK
                        if far and wanted and seeking and not every:  # one seek per target: it may land before its key
                            break
                    else:  # the stream has ended
                        seeking = False
                        if not key:
                            self._take(pending, self.count, False)

    def _take(self, pending: deque[int], index: int, sound: bool) -> bool:
        """Remove the targets up to a frame from the queue, and return whether that frame is a target.

        The removed targets count as unreadable, except that frame if it is sound.
        """
        wanted = False
        while pending and pending[0] <= index:
            target = pending.popleft()
            wanted = target == index
            if not (wanted and sound):
                self.unreadable.append(target)
        return wanted

    def _decoded(self, key: int) -> Generator[tuple[int, av.VideoFrame, bool]]:
        """Yield index, frame, and whether the frame is sound, from the key frame ``key`` on; 0 is the start."""
        with self._opened() as (container, video):
            if key:
                # Some decoders read settings for the whole stream from its first packet, such as the version of x264.
                with suppress(av.FFmpegError):
                    video.codec_context.decode(next(packets_of(container, video, self._check)))
                container.seek(int(self._index.ticks[key]), stream=video)
            for number, (frame, sound) in enumerate(self._frames(container, video)):
                index = number if self._index.counted else self._index.find(frame.pts)
                if index is not None and index < self.count:
                    yield index, frame, sound and math.prod(self._shown_size(frame)) <= self._max_pixels

    def _frames(self, container: InputContainer, video: VideoStream) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield frames in display order, and whether nothing was damaged since the last key frame."""
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
        """Return the first sound frame, and the timestamps of the frames up to it; with ``go_on``, of all frames.

        Raises:
            EvidenceError: there is no sound frame.
        """
        first, stamps = None, []
        for frame, sound in self._frames(container, video):
            stamps.append(frame.pts)
            if first is None and sound:
                first = frame
            if first is not None and not go_on:
                break
        self.damaged_packets = 0
        if first is None:
            codec = video.codec_context
            if codec.name in _CODECS_WITH_PARAMETERS and not codec.extradata:
                raise EvidenceError(_HEADLESS.format(self._format_name, _CODECS_WITH_PARAMETERS[codec.name]))
            raise EvidenceError(DAMAGED.format(self._format_name))
        return first, stamps

    def _refuse_encrypted(self) -> None:
        """Refuse a video whose container states encryption.

        Raises:
            EvidenceError: the container states that the video is encrypted.
        """
        if self._demuxer == "mov" and _ENCRYPTED_MP4.search(_description(self._file)):
            raise EvidenceError(_ENCRYPTED.format("Common Encryption or FairPlay"))
        self._file.seek(0)
        if self._demuxer == "matroska" and _ENCRYPTED_MATROSKA.search(self._file.read(_HEAD_SEARCHED)):
            raise EvidenceError(_ENCRYPTED.format("WebM Encryption"))

    def _shown_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Return the width and height of a frame, upright and with square pixels."""
        width, height = _square(frame.width, frame.height, self._aspect)
        return (height, width) if self._turn[0] % 2 else (width, height)

    def _shown(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as a player shows it: (H, W, 3) uint8 RGB, square pixels, sRGB, upright."""
        quarters, mirrored = self._turn
        with decoder_errors("video"):
            width, height = _square(frame.width, frame.height, self._aspect)
            rgb = frame.to_ndarray(width=width, height=height, format="rgb24", interpolation="BICUBIC")
            if self._encoding is not None:
                rgb = self._encoding.to_srgb(np.ascontiguousarray(rgb))
            turned = np.rot90(rgb, -quarters)
            return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        """Open the container at its start, and its video stream for decoding."""
        self._file.seek(0)
        with av.open(
            self._file,
            "r",
            format=self._demuxer,
            container_options={"protocol_whitelist": "none"},  # files that the video refers to are not opened
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
        ) as container:
            video = _main_stream(container, self._format_name)
            context = video.codec_context
            self._check_size(context.width, context.height)
            # With frame threads, the frames lost to damage, and sometimes the pixels, would depend on the number of
            # processors. The MPEG-1 and MPEG-2 decoders refuse frames with missing slices only if slice threads are on.
            slices = context.codec.canonical_name in ("mpeg1video", "mpeg2video")
            context.thread_type, context.thread_count = ("SLICE", 2) if slices else ("NONE", 1)
            # Frames may grow in mid-stream. The limit is doubled, because frames are decoded in whole blocks.
            context.options = {"max_pixels": str(2 * self._max_pixels + 65536), "err_detect": "explode"}
            yield container, video

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise EvidenceError(f"The video is {width} x {height} pixels; the limit is {self._max_pixels:,} pixels.")

    def _describe(
        self, container: InputContainer, video: VideoStream, first: av.VideoFrame, scan: Scan, unshown: str
    ) -> VideoFacts:
        index, (quarters, mirrored), streams = self._index, self._turn, _video_streams(container)
        steps = np.diff(index.ticks)
        span = index.time(self.count - 1)
        rate = video.average_rate or None
        if span and (rate is None or abs(rate * span - (self.count - 1)) >= 1):
            rate = (self.count - 1) / span
        (width, height), aspect = self._shown_size(first), self._aspect
        turned = [f"turned {90 * quarters} degrees clockwise"] * bool(quarters) + ["mirrored left to right"] * mirrored
        encoding = self._encoding
        shown = Shown(
            orientation=", ".join(turned) or None,
            color=encoding.color if encoding else None,
            transfer=encoding.transfer if encoding else None,
            pixel_aspect=f"{aspect.numerator}:{aspect.denominator} to square pixels" if aspect != 1 else None,
        )
        ends = int(index.ticks[0]) * index.time_base + span + (1 / rate if rate else 0)
        # Only for Matroska: other containers announce a number of frames, or their duration is an estimate.
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
            "analyzed.": scan.hidden_by_edit_list,
            "The file has no usable timestamps; they were derived from the order of the frames.": index.counted
            or self._demuxer in _BARE,
            f"Its pixels are not square ({aspect.numerator}:{aspect.denominator}); it was resampled to square ones, "
            "as players do.": aspect != 1,
            "The video is interlaced, so a frame may show two moments.": first.interlaced_frame,
            "Transparency was ignored; the stored colors were analyzed.": alpha,
            f"The colors were converted as the file states: {shown.color}.": shown.color is not None,
            f"The brightness was converted as the file states: {shown.transfer}.": shown.transfer is not None,
            f"The colors that the file states were not applied: {unshown}.": bool(unshown),
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
            shown=shown,
            unshown=unshown,
        )


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """Return the video streams except cover pictures, which containers store as video of one frame."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _main_stream(container: InputContainer, file_format: str) -> VideoStream:
    streams = _video_streams(container)
    if not streams:
        content = "sound, but no video" if container.streams.audio else "no video"
        raise EvidenceError(f"The {file_format} file contains {content}; give the file that contains the video.")
    main = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    if main.codec_context is None:
        raise EvidenceError("The video uses a codec that cannot be decoded here; export it as H.264.")
    return main


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Return the clockwise quarter turns that show a frame upright, and whether it is then mirrored left to right."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return 0, False
    across, down, _, across_y, down_y = (int(value) for value in np.frombuffer(memoryview(data), np.int32)[:5])
    mirrored = across * down_y < down * across_y
    return round(math.atan2(down, -across if mirrored else across) / (math.pi / 2)) % 4, mirrored


def _pixel_aspect(video: VideoStream) -> Fraction:
    """Return the ratio of a pixel's width to its height; 1 if no plausible ratio is stated."""
    aspect = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio
    if not aspect or not 1 / _MOST_STRETCHED <= aspect <= _MOST_STRETCHED:
        return Fraction(1)
    return Fraction(aspect)


def _square(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Return the size of a frame after its pixels are made square, which never reduces width or height."""
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))


def _encoding(frame: av.VideoFrame) -> tuple[Encoding | None, str]:
    """Return the color encoding to convert from, and why the colors cannot be converted.

    The encoding is None if no conversion is needed or possible. The reason is empty unless conversion is impossible.
    """
    if frame.color_trc not in _CONVERTED_TRANSFERS and frame.color_primaries not in _CONVERTED_PRIMARIES:
        return None, ""
    try:
        return from_cicp(frame.color_primaries, frame.color_trc), ""
    except ValueError as problem:
        return None, f"{problem} is not known"


def _description(stream: BinaryIO) -> bytes:
    """Return the content of the ``moov`` box of an MP4 or QuickTime file; empty if there is none."""
    for kind, start, size in file_boxes(stream, 0, stream.seek(0, os.SEEK_END)):
        if kind == b"moov":
            stream.seek(start)
            return stream.read(min(size, _MOST_DESCRIPTION))
    return b""


@lru_cache
def _has_luma(pixel_format: str) -> bool:
    """Return whether the first plane of a pixel format holds 8-bit luma and nothing else."""
    shape = av.VideoFormat(pixel_format)
    return shape.is_planar and not shape.is_rgb and shape.components[0].bits == 8


@lru_cache
def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = LUMA_SHAPE
    down, across = np.ix_(np.arange(rows) * height // rows, np.arange(columns) * width // columns)
    return down, across


def _luma(frame: av.VideoFrame) -> np.ndarray:
    if not _has_luma(frame.format.name):
        return frame.reformat(LUMA_SHAPE[1], LUMA_SHAPE[0], "gray").to_ndarray()
    plane = frame.planes[0]
    stored = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    luma: np.ndarray = stored[_grid(frame.height, frame.width)]
    return luma
