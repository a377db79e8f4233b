"""What is known of a file that is examined, and its picture as a viewer shows it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that evidence was taken out of.

    Attributes:
        name: of that file.
        sha256: of that file.
        kind: of the content, see ``EmbeddedContent``; ``offset`` and ``size`` likewise.
        method: how its bytes were made from those of that file, as text.
    """

    name: str
    sha256: str
    kind: str
    offset: int
    size: int
    method: str

    @property
    def sentence(self) -> str:
        """The same for people."""
        return (
            f"Taken out of {self.name} (SHA-256 {self.sha256}): {self.kind}, {self.size:,} bytes from byte "
            f"{self.offset:,}; {self.method}."
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Identity of an input file, established before anything decoded it.

    ``width`` and ``height`` are those of the picture as it is meant to be seen (orientation applied), in pixels; None
    where the file could not be decoded. Times are in seconds, rates in frames per second; None for still images.
    ``origin`` is None for a file that was given as such.
    """

    name: str
    sha256: str
    size_bytes: int
    media_type: str
    format: str | None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    frame_count: int | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What was done to show a file as a viewer would, as text; None where nothing was.

    Attributes:
        orientation: how it was turned or mirrored.
        color: what its colors were converted from.
        transfer: how its brightness was encoded, where that was converted by itself.
        pixel_aspect: the shape of its stored pixels, width to height, where they are not square.
    """

    orientation: str | None = None
    color: str | None = None
    transfer: str | None = None
    pixel_aspect: str | None = None


AS_STORED = Shown()


@dataclass(frozen=True, slots=True)
class EmbeddedContent:
    """Content that lies in a picture file besides its picture, and that viewers do not show.

    Attributes:
        kind: what it is, as text.
        offset: where it starts, bytes from the start of the file.
        size: bytes.
    """

    kind: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image, as a viewer shows it.

    Attributes:
        rgb: (H, W, 3) uint8, sRGB, 0..255, upright.
        notes: what was done to the stored pixels to arrive there, one sentence each; empty for plain 8-bit RGB.
        shown: the same as facts.
        unshown: the color treatment that a viewer may apply and that could not be applied here; empty where none is.
            No verdict can rest on these pixels.
        damage: what its data lacks; empty where nothing is known. No verdict ``authentic`` can rest on these pixels.
        coarse: why fewer levels are left than an ordinary picture has; empty where they are not few. Likewise.
        embedded: what else the file holds besides its picture.
    """

    rgb: np.ndarray
    notes: tuple[str, ...] = ()
    shown: Shown = AS_STORED
    unshown: str = ""
    damage: str = ""
    coarse: str = ""
    embedded: tuple[EmbeddedContent, ...] = ()

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(f"a picture is (H, W, 3) uint8, got {self.rgb.shape} {self.rgb.dtype}")
