"""Decoding of an image in a separate process."""

import mmap
import os
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from faceloupe.config import Settings
from faceloupe.media.evidence import Picture
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.image import decodable
from faceloupe.media.sandbox import protocol
from faceloupe.media.sandbox.client import Worker

T = TypeVar("T")
_LARGEST_FILE = 2**40  # bytes


class Decode(Protocol):
    """Signature of ``decode``."""

    def __call__(self, evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None]) -> Picture:
        """Decode an image."""


def decode(evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None] = lambda: None) -> Picture:
    """Decode an image from the bytes that were hashed; see ``media.image.decode``.

    Args:
        evidence_file: an image.
        settings: settings with the limits.
        check: called while waiting for the decoder; an exception that it raises ends the work.

    Raises:
        EvidenceError: see ``media.image.decode``; or the decoder crashed, hung, or needed too much memory.
    """
    return _decoded("still", evidence_file, _picture, settings, check)


def decode_luma(
    evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Decode only the first component of a JPEG; see ``media.luma.read``.

    Args:
        evidence_file: a JPEG picture.
        settings: settings with the limits.
        check: called while waiting for the decoder; an exception that it raises ends the work.

    Returns:
        (H, W) uint8.

    Raises:
        EvidenceError: see ``media.luma.read``; or the decoder crashed, hung, or needed too much memory.
    """
    return _decoded("luma", evidence_file, _luma, settings, check)


def _decoded(
    kind: str,
    evidence_file: EvidenceFile,
    received: Callable[[Worker, int], T],
    settings: Settings,
    check: Callable[[], None],
) -> T:
    content, format_name = decodable(evidence_file, max_bytes=settings.max_bytes)
    evidence = protocol.shared_memory_with(content)
    try:
        request = protocol.Request(kind, format_name)
        with Worker(request, evidence, settings=settings, sha256=evidence_file.evidence.sha256, check=check) as worker:
            return received(worker, settings.max_pixels)
    finally:
        os.close(evidence)


def _luma(worker: Worker, max_pixels: int) -> np.ndarray:
    promised, _ = worker.receive(protocol.Size)
    return _pixels(worker, promised, max_pixels, 1).reshape(promised.height, promised.width)


def _picture(worker: Worker, max_pixels: int) -> Picture:
    promised, _ = worker.receive(protocol.Still)
    for piece in promised.embedded:
        if not (0 <= piece.offset <= _LARGEST_FILE and 1 <= piece.size <= _LARGEST_FILE):
            raise worker.protocol_error(protocol.ProtocolError("content that no file has room for"))
    rgb = _pixels(worker, promised, max_pixels, 3).reshape(promised.height, promised.width, 3)
    return Picture(
        rgb,
        promised.notes,
        promised.shown,
        unshown=promised.unshown,
        damage=promised.damage,
        coarse=promised.coarse,
        embedded=promised.embedded,
    )


def _pixels(worker: Worker, promised: protocol.Size, max_pixels: int, channels: int) -> np.ndarray:
    """Return the pixels that the decoder writes to shared memory, (height * width * channels,) uint8."""
    if promised.width * promised.height > max_pixels:
        raise worker.protocol_error(protocol.ProtocolError("too many pixels"))
    shared = protocol.memory(promised.width * promised.height * channels)
    try:
        worker.send(protocol.Done(), descriptors=[shared])
        worker.receive(protocol.Done)
        if protocol.freeze(shared):  # nobody can change the memory any more, so no copy is needed
            pixels = np.frombuffer(mmap.mmap(shared, 0, protocol.SHARED, mmap.PROT_READ), np.uint8)
        else:
            worker.close()
            with mmap.mmap(shared, 0) as writable:
                pixels = np.frombuffer(writable.read(), np.uint8)
    finally:
        os.close(shared)
    return pixels
