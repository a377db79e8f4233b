"""Decoding an image in a process of its own."""

import mmap
import os
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from faceloupe.config import Settings
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.image import decodable
from faceloupe.media.sandbox import protocol
from faceloupe.media.sandbox.client import Worker
from faceloupe.types import Picture

T = TypeVar("T")


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
        request = {"kind": kind, "format": format_name}
        with Worker(request, evidence, settings=settings, sha256=evidence_file.evidence.sha256, check=check) as worker:
            return received(worker, settings.max_pixels)
    finally:
        os.close(evidence)


def _luma(worker: Worker, max_pixels: int) -> np.ndarray:
    try:
        height, width = _size(worker.receive(), max_pixels)
    except protocol.ProtocolError as problem:
        raise worker.protocol_error(problem) from None
    return _pixels(worker, height * width).reshape(height, width)


def _size(promised: protocol.Message, max_pixels: int) -> tuple[int, int]:
    """Height and width of the promised pixels.

    Raises:
        ProtocolError: they are missing, or too large.
    """
    width, height = (promised.number(side, least=1, most=max_pixels) for side in ("width", "height"))
    if width * height > max_pixels:
        raise protocol.ProtocolError("too many pixels")
    return height, width


def _picture(worker: Worker, max_pixels: int) -> Picture:
    try:
        promised = worker.receive()
        height, width = _size(promised, max_pixels)
        notes, shown = promised.texts("notes"), promised.shown()
        unshown, damage, coarse = (promised.text(name) for name in ("unshown", "damage", "coarse"))
        embedded = promised.embedded()
    except protocol.ProtocolError as problem:
        raise worker.protocol_error(problem) from None
    rgb = _pixels(worker, 3 * width * height).reshape(height, width, 3)
    return Picture(rgb, notes, shown, unshown=unshown, damage=damage, coarse=coarse, embedded=embedded)


def _pixels(worker: Worker, size: int) -> np.ndarray:
    """(size,) uint8, as the decoder writes them to memory that both share."""
    shared = protocol.memory(size)
    try:
        worker.send({}, descriptors=[shared])
        worker.receive()
        if protocol.freeze(shared):  # nobody can change it from here on, so that it need not be copied
            pixels = np.frombuffer(mmap.mmap(shared, 0, protocol.SHARED, mmap.PROT_READ), np.uint8)
        else:
            worker.close()
            with mmap.mmap(shared, 0) as writable:
                pixels = np.frombuffer(writable.read(), np.uint8)
    finally:
        os.close(shared)
    return pixels
