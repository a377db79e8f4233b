"""Decoding an image in a process of its own."""

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
    """See ``decode``."""

    def __call__(self, evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None]) -> Picture:
        """Decode an image."""


def decode(evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None] = lambda: None) -> Picture:
    """Decode an image from the bytes that were hashed; see ``media.image.decode``.

    Args:
        evidence_file: an image.
        settings: with the limits.
        check: called while the decoder is waited for; what it raises ends the work.

    Raises:
        EvidenceError: see there; or its decoder crashed, hung, or needed too much memory.
    """
    return _decoded("still", evidence_file, _picture, settings, check)


def decode_luma(
    evidence_file: EvidenceFile, *, settings: Settings, check: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Decode the first component of a JPEG alone; see ``media.luma.read``.

    Args:
        evidence_file: a JPEG picture.
        settings: with the limits.
        check: called while the decoder is waited for; what it raises ends the work.

    Returns:
        (H, W) uint8.

    Raises:
        EvidenceError: see there; or its decoder crashed, hung, or needed too much memory.
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
    evidence = protocol.filled(content)
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
    """(height * width * channels,) uint8, as the decoder writes them to memory that both share."""
    if promised.width * promised.height > max_pixels:
        raise worker.protocol_error(protocol.ProtocolError("too many pixels"))
    shared = protocol.memory(promised.width * promised.height * channels)
    try:
        worker.send(protocol.Done(), descriptors=[shared])
        worker.receive(protocol.Done)
        if protocol.freeze(shared):  # nobody can change it from here on, so that it need not be copied
            pixels = np.frombuffer(mmap.mmap(shared, 0, protocol.SHARED, mmap.PROT_READ), np.uint8)
        else:
            worker.close()
            with mmap.mmap(shared, 0) as writable:
                pixels = np.frombuffer(writable.read(), np.uint8)
    finally:
        os.close(shared)
    return pixels
