"""Small video clips, written for tests: each frame can carry its number, to be read back from the decoded picture."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_BITS = 8
_TICKS = 90_000  # a second, where the frames are given times
_QUIET = {
    "libx265": {"x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}
_QUIET["libvpx-vp9"] = _QUIET["libvpx"]


def numbered(count: int, size: tuple[int, int] = (160, 120)) -> list[np.ndarray]:
    """Frames that show their number, 0 to 255, as eight upright bars over a faint texture.

    Args:
        count: of frames.
        size: width and height, pixels.

    Returns:
        (H, W, 3) uint8 RGB each.
    """
    width, height = size
    texture = np.random.default_rng(0).integers(0, 40, (height, width, 3)).astype(np.uint8)
    bits = np.arange(width) * _BITS // width
    return [texture + (200 * (number >> bits & 1)).astype(np.uint8)[None, :, None] for number in range(count)]


def read_number(rgb: np.ndarray) -> int:
    """The number that an upright frame of ``numbered`` shows."""
    bars = np.array_split(rgb.mean(axis=(0, 2)), _BITS)
    return sum(1 << bit for bit, bar in enumerate(bars) if bar.mean() > 120)


def write_clip(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    fps: Fraction | int = 25,
    times: Sequence[Fraction] | None = None,
    gop: int = 12,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    audio: str | None = None,
    container_format: str | None = None,
) -> Path:
    """Write a clip in the container that the ending of ``path`` names.

    Args:
        path: of the file.
        frames: (H, W, 3) uint8 RGB each, as they are stored; none for a file without video.
        codec: FFmpeg's name of the encoder.
        fps: frames per second.
        times: of each frame, seconds, in multiples of 1/90000; evenly spaced by default.
        gop: largest distance of two key frames.
        pix_fmt: FFmpeg's name of the pixel format.
        options: of the encoder.
        container_options: of the container.
        rotation: clockwise turn that the container asks a player for, degrees.
        mirrored: whether it asks to mirror the turned picture left to right.
        audio: encoder of one second of silence; none by default.
        container_format: FFmpeg's name of the container, where the ending of ``path`` names another one.

    Returns:
        The path.
    """
    with av.open(str(path), "w", format=container_format, container_options=container_options or {}) as container:
        if len(frames):
            video = container.add_stream(codec, rate=fps, options=_QUIET.get(codec, {}) | (options or {}))
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt, video.gop_size = pix_fmt, gop
            if rotation or mirrored:
                video.set_display_rotation(-rotation, hflip=mirrored)
            if times is not None:
                video.codec_context.time_base = Fraction(1, _TICKS)
        sound = container.add_stream(audio, rate=48_000, layout="stereo") if audio else None
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = int(times[number] * _TICKS), Fraction(1, _TICKS)
            container.mux(video.encode(frame))
        if len(frames):
            container.mux(video.encode(None))
        if sound:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 48_000), np.float32), format="fltp", layout="stereo")
            silence.sample_rate, silence.pts = 48_000, 0
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


def repeated(source: Path, times: int, path: Path) -> Path:
    """A clip played over and over, by copying its packets: hours cost no encoding."""
    with av.open(str(source)) as reading:
        packets = [packet for packet in reading.demux(video=0) if packet.size]
        stream = reading.streams.video[0]
        length = round(len(packets) / stream.average_rate / stream.time_base)
        with av.open(str(path), "w") as writing:
            copy = writing.add_stream_from_template(stream)
            stamps = [(packet.pts, packet.dts) for packet in packets]
            for turn in range(times):
                for packet, (pts, dts) in zip(packets, stamps, strict=True):
                    packet.stream, packet.time_base = copy, stream.time_base
                    packet.pts, packet.dts = pts + turn * length, dts + turn * length
                    writing.mux(packet)
    return path
