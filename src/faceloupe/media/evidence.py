"""Facts about an examined file, and its picture as a viewer shows it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Origin:
    """The file from which evidence was extracted.

    Attributes:
        name: name of that file.
        sha256: SHA-256 of that file.
        kind: kind of the extracted content, see ``EmbeddedContent``.
        offset: start of the content in that file, bytes.
        size: size of the content in that file, bytes.
        method: how the bytes of the evidence were made from the bytes of that file, as text.
    """

    name: str
    sha256: str
    kind: str
    offset: int
    size: int
    method: str

    @property
    def sentence(self) -> str:
        """The origin as a sentence for people."""
        return (
            f"Taken out of {self.name} (SHA-256 {self.sha256}): {self.kind}, {self.size:,} bytes from byte "
            f"{self.offset:,}; {self.method}."
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Identity of an input file, established before the file is decoded.

    ``width`` and ``height`` are the size of the picture as it is meant to be seen (orientation applied), in pixels;
    None if the file could not be decoded. Times are in seconds, rates in frames per second; None for still images.
    ``origin`` is None for a file that was not extracted from another file.
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
    """Conversions that show a file as a viewer does, as text; None where there was no conversion.

    Attributes:
        orientation: how the picture was turned or mirrored.
        color: how its colors were converted.
        transfer: how its brightness was converted, if this was separate from the colors.
        pixel_aspect: ratio of width to height of its stored pixels, if they are not square.
    """

    orientation: str | None = None
    color: str | None = None
    transfer: str | None = None
    pixel_aspect: str | None = None


AS_STORED = Shown()


@dataclass(frozen=True, slots=True)
class EmbeddedContent:
    """Content of a picture file besides its picture that viewers do not show.

    Attributes:
        kind: description as text.
        offset: start of the content, bytes from the start of the file.
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
        notes: how ``rgb`` was made from the stored pixels, one sentence each; empty for plain 8-bit RGB.
        shown: the conversions in ``notes`` as separate values.
        unshown: color conversion that a viewer may apply and that could not be applied here; empty if there is none. No
            verdict can rest on these pixels.
        damage: what is missing from its data or damaged; empty if nothing is known. No verdict ``authentic`` can rest
            on these pixels.
        coarse: why the picture has fewer levels than an ordinary picture; empty if it has enough. No verdict
            ``authentic`` can rest on these pixels.
        embedded: content of the file besides its picture.
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
