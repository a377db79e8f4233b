"""Animated GIF, PNG, WebP and AVIF files: their frames as a browser shows them, decoded one at a time."""

import io
from collections.abc import Callable, Generator
from fractions import Fraction
from functools import partial
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from faceloupe.errors import EvidenceError
from faceloupe.media.frame_index import FrameIndex
from faceloupe.media.frame_source import DAMAGED, LUMA_SHAPE, DecodedFrame, FrameSource, VideoFacts, decoder_errors
from faceloupe.media.image import shown_frame

_PILLOW_NAMES = {"GIF": "GIF", "PNG": "PNG", "WebP": "WEBP", "AVIF": "AVIF"}
_MOST_FRAMES = 20_000
_TICKS = 1000  # per second
_SHORTEST_MS, _DEFAULT_MS = 11, 100  # browsers show frames of 10 ms or less for 100 ms


class Animation(FrameSource):
    """An animated picture file."""

    def __init__(
        self, stream: BinaryIO, format_name: str, *, max_pixels: int, check: Callable[[], None] = lambda: None
    ) -> None:
        """Open an animation, and decode it once to read the times of its frames.

        Args:
            stream: the open file.
            format_name: format detected from its first bytes: GIF, PNG, WebP or AVIF.
            max_pixels: largest width times height.
            check: called for every frame, now and in walks; a ``FaceLoupeError`` that it raises ends the work.

        Raises:
            EvidenceError: the animation is too large, has no frames, or is damaged beyond reading.
        """
        super().__init__(format_name, check)
        stream.seek(0)
        self._content = stream.read()
        with decoder_errors(format_name):
            image = self._opened()
            width, height = image.size
            if width * height > max_pixels:
                raise EvidenceError(f"The video is {width} x {height} pixels; the limit is {max_pixels:,} pixels.")
            self._first = 1 if getattr(image, "default_image", False) else 0  # skips a PNG's separate default picture
            starts, whole = self._starts(image)
            if len(starts) < 2:
                raise EvidenceError(DAMAGED.format(format_name))
            self._index = FrameIndex(np.array(starts[:-1], np.int64), np.arange(1), Fraction(1, _TICKS), counted=True)
            self.facts = self._described(image.mode, starts, whole)

    def _decode(self, targets: list[int], *, every: bool, keys_only: bool) -> Generator[DecodedFrame]:
        return self._walk(targets, every or keys_only)

    def _walk(self, targets: list[int], every: bool) -> Generator[DecodedFrame]:
        if not targets:
            return
        wanted, image = frozenset(targets), self._opened()
        for index in range(targets[-1] + 1):
            self._check()
            try:
                image.seek(index + self._first)
                if index not in wanted and not every:
                    continue
                image.load()
                frame = image.copy()
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - a damaged frame, and all that depend on it, can raise anything
                self.damaged_packets += 1
                self.unreadable += [target for target in targets if target >= index]
                return
            luma = cv2.resize(np.asarray(frame.convert("L")), LUMA_SHAPE[::-1], interpolation=cv2.INTER_AREA)
            yield DecodedFrame(index, self.time(index), luma, index in wanted, frame.size, partial(self._shown, frame))

    def _shown(self, frame: Image.Image) -> np.ndarray:
        with decoder_errors(self._format_name):
            return shown_frame(frame, self._content, self._format_name)[0]

    def _opened(self) -> Image.Image:
        return Image.open(io.BytesIO(self._content), formats=[_PILLOW_NAMES[self._format_name]])

    def _starts(self, image: Image.Image) -> tuple[list[int], bool]:
        """Return the start of each frame and the end of the last, in ms, and whether all frames could be read."""
        starts = [0]
        frames = getattr(image, "n_frames", 1)
        for number in range(self._first, min(frames, _MOST_FRAMES + self._first)):
            self._check()
            try:
                image.seek(number)
                if self._format_name in ("WebP", "AVIF"):
                    image.load()  # the duration of a frame is known after decoding
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - see ``_walk``
                return starts, False
            lasts = int(image.info.get("duration") or 0)
            starts.append(starts[-1] + (lasts if lasts >= _SHORTEST_MS else _DEFAULT_MS))
        return starts, frames <= _MOST_FRAMES

    def _described(self, mode: str, starts: list[int], whole: bool) -> VideoFacts:
        image = self._opened()
        image.seek(self._first)
        image.load()
        _, notes, shown, unshown = shown_frame(image, self._content, self._format_name)
        steps, duration_s = np.diff(starts), Fraction(starts[-1], _TICKS)
        lost = () if whole else (f"Not all of its frames could be read; {self.count} were.",)
        return VideoFacts(
            container=self._format_name.lower(),
            codec=self._format_name.lower(),
            pixel_format=mode,
            width=image.width,
            height=image.height,
            rotation=0,
            duration_s=float(duration_s),
            frame_rate=self.count / duration_s,
            frame_count=self.count,
            variable_frame_rate=int(steps.max() - steps.min()) > 1,
            audio=(),
            start_s=0.0,
            notes=(*notes, *lost),
            shown=shown,
            unshown=unshown,
        )
