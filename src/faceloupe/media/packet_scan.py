"""Timestamps gathered from the packets of a video, without decoding them."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from faceloupe.errors import EvidenceError
from faceloupe.media.frame_index import FrameIndex

_VP8_SHOWN = 0x10  # in the first byte of a VP8 frame; others are only stored to predict from


@dataclass(frozen=True, slots=True)
class Scan:
    """What the packets of a stream tell: an index where their timestamps can be relied on, and how many there are.

    ``order`` holds the times of decoding, in the order of storing; ``left_out`` counts what an edit list hides.
    """

    index: FrameIndex | None
    order: "array[int]"
    packets: int
    left_out: int


def packets_of(
    container: InputContainer, video: VideoStream, check: Callable[[], None]
) -> "Iterator[av.Packet[VideoStream] | av.Packet[Stream]]":
    """Yield the packets of a stream as far as the container can be read, then an empty one that flushes the decoder."""
    try:
        for packet in container.demux(video):
            check()
            yield packet
    except MemoryError:
        raise
    except av.FFmpegError:
        yield av.Packet()


def scan_packets(container: InputContainer, video: VideoStream, check: Callable[[], None], *, timeless: bool) -> Scan:
    """Read the timestamps of all packets; nothing is decoded."""
    shown, order, keys = array("q"), array("q"), array("q")
    packets, left_out, reliable = 0, 0, True
    vp8 = video.codec_context.codec.canonical_name == "vp8"
    for packet in packets_of(container, video, check):
        if not packet.size or (vp8 and not memoryview(packet)[0] & _VP8_SHOWN):
            continue
        packets += 1
        if packet.is_discard:
            left_out += 1
            continue
        pts, dts = packet.pts, packet.dts
        if pts is None or (timeless and pts != dts) or (dts is not None and order and dts < order[-1]):
            reliable = False
        else:
            shown.append(pts)
            if packet.is_keyframe:
                keys.append(pts)
        if dts is not None:
            order.append(dts)
    if not packets:
        raise EvidenceError("The video contains no frames, only their description; get a complete copy.")
    ticks = np.unique(np.array(shown, np.int64))
    index = None
    if reliable and 0 < len(ticks) == len(shown):
        index = FrameIndex(ticks, np.searchsorted(ticks, np.unique(np.array(keys, np.int64))), _time_base(video))
    return Scan(index, order, packets, left_out)


def _time_base(video: VideoStream) -> Fraction:
    """Return the seconds per tick of the timestamps."""
    if video.time_base is None:
        raise EvidenceError("The video has timestamps without a unit; export it as MP4.")
    return video.time_base


def index_by_number(stamps: list[int | None], order: "array[int]", video: VideoStream, *, timeless: bool) -> FrameIndex:
    """Return an index for frames told by their number: times from the decoder, the order of storing, or the frame rate.

    Args:
        stamps: timestamps of the decoded frames, in order of display.
        order: times of decoding of the packets.
        video: the stream.
        timeless: whether the timestamps were made up by the demuxer.
    """
    for times in ([] if timeless else stamps, sorted(order)):
        if len(times) == len(stamps) and None not in times and np.all(np.diff(np.array(times, np.int64)) > 0):
            return FrameIndex(np.array(times, np.int64), np.empty(0, np.int64), _time_base(video), counted=True)
    if not video.average_rate:
        raise EvidenceError("The video has neither timestamps nor a frame rate; export it as MP4.")
    return FrameIndex(np.arange(len(stamps)), np.empty(0, np.int64), 1 / video.average_rate, counted=True)
