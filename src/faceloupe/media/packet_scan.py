"""Timestamps of a video, collected from its packets without decoding."""

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

_VP8_SHOWN = 0x10  # bit in the first byte of a shown VP8 frame; other frames only serve prediction


@dataclass(frozen=True, slots=True)
class Scan:
    """Result of reading the packets of a stream.

    Attributes:
        index: index of the frames; None if their timestamps are not reliable.
        order: decoding times, in the order of storage.
        packets: number of packets with a frame that is shown or hidden by an edit list.
        hidden_by_edit_list: number of packets that an edit list hides.
    """

    index: FrameIndex | None
    order: "array[int]"
    packets: int
    hidden_by_edit_list: int


def packets_of(
    container: InputContainer, video: VideoStream, check: Callable[[], None]
) -> "Iterator[av.Packet[VideoStream] | av.Packet[Stream]]":
    """Yield the packets of a stream as far as the container can be read, then an empty packet to flush the decoder."""
    try:
        for packet in container.demux(video):
            check()
            yield packet
    except MemoryError:
        raise
    except av.FFmpegError:
        yield av.Packet()


def scan_packets(container: InputContainer, video: VideoStream, check: Callable[[], None], *, timeless: bool) -> Scan:
    """Read the timestamps of all packets without decoding them.

    Raises:
        EvidenceError: there are no frames, or the timestamps have no unit.
    """
    shown, order, keys = array("q"), array("q"), array("q")
    packets, hidden_by_edit_list, reliable = 0, 0, True
    vp8 = video.codec_context.codec.canonical_name == "vp8"
    for packet in packets_of(container, video, check):
        if not packet.size or (vp8 and not memoryview(packet)[0] & _VP8_SHOWN):
            continue
        packets += 1
        if packet.is_discard:
            hidden_by_edit_list += 1
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
    return Scan(index, order, packets, hidden_by_edit_list)


def _time_base(video: VideoStream) -> Fraction:
    """Return the seconds per tick of the timestamps."""
    if video.time_base is None:
        raise EvidenceError("The video has timestamps without a unit; export it as MP4.")
    return video.time_base


def index_by_number(stamps: list[int | None], order: "array[int]", video: VideoStream, *, timeless: bool) -> FrameIndex:
    """Return an index that identifies frames by their number.

    The times come from the decoder, from the decoding times of the packets, or from the frame rate, whichever fits
    first.

    Args:
        stamps: timestamps of the decoded frames, in display order.
        order: decoding times of the packets.
        video: the stream.
        timeless: whether the demuxer made up the timestamps.

    Raises:
        EvidenceError: there are neither usable times nor a frame rate.
    """
    for times in ([] if timeless else stamps, sorted(order)):
        if len(times) == len(stamps) and None not in times and np.all(np.diff(np.array(times, np.int64)) > 0):
            return FrameIndex(np.array(times, np.int64), np.empty(0, np.int64), _time_base(video), counted=True)
    if not video.average_rate:
        raise EvidenceError("The video has neither timestamps nor a frame rate; export it as MP4.")
    return FrameIndex(np.arange(len(stamps)), np.empty(0, np.int64), 1 / video.average_rate, counted=True)
