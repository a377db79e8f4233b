"""Pictures made fit for print: a drawing in a document need not have more pixels than paper shows."""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from faceloupe.errors import EvidenceError
from faceloupe.report.document.blocks import Picture

Fetch = Callable[[str], bytes]  # SHA-256 of a PNG -> its bytes

WIDTH_MM, HEIGHT_MM = 174.0, 85.0  # the largest picture; that high, it often fits below the outcome
_PX_PER_MM = 7.0  # about 180 dots per inch
_QUALITY = 90  # of the JPEGs that they become


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The pictures of a run.

    Attributes:
        digests: name -> SHA-256.
        fetch: gives the bytes of a picture by its SHA-256.
    """

    digests: Mapping[str, str]
    fetch: Fetch

    def get(self, name: str) -> bytes | None:
        """Return the file of that name; None where the run has none.

        Raises:
            EvidenceError: its bytes are not those whose hash the record holds.
        """
        if name not in self.digests:
            return None
        content = self.fetch(self.digests[name])
        if hashlib.sha256(content).hexdigest() != self.digests[name]:
            raise EvidenceError(f"{name} is not the picture that the record names; run the analysis again.")
        return content


def fitted(content: bytes, alt: str) -> Picture:
    """Return a PNG of the record as large as fits on a page, with ``alt`` saying what it shows."""
    image = _opened(content)
    return _printed(image, alt, min(WIDTH_MM / image.width, HEIGHT_MM / image.height))


def side_by_side(contents: Mapping[str, bytes], width_mm: float) -> tuple[Picture, ...]:
    """Return PNGs of the record at the same millimeters per pixel.

    Args:
        contents: what each shows -> the file.
        width_mm: printed width of the widest, millimeters.
    """
    images = {alt: _opened(content) for alt, content in contents.items()}
    widest = max(image.width for image in images.values())
    return tuple(_printed(image, alt, width_mm / widest) for alt, image in images.items())


def drawing(content: bytes, alt: str) -> Picture:
    """Return a PNG made for this very document, over the full width."""
    width, height = Image.open(io.BytesIO(content)).size
    return Picture(content, "image/png", WIDTH_MM, WIDTH_MM * height / width, alt)


def _opened(content: bytes) -> Image.Image:
    """Return the picture, on white."""
    image = Image.open(io.BytesIO(content))
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    with_alpha = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), with_alpha).convert("RGB")


def _printed(image: Image.Image, alt: str, scale: float) -> Picture:
    """Return an image at the size it is printed at.

    Args:
        image: is reduced to the resolution of print.
        alt: what the image shows.
        scale: millimeters per pixel.
    """
    width_mm, height_mm = image.width * scale, image.height * scale
    image.thumbnail((round(width_mm * _PX_PER_MM), round(height_mm * _PX_PER_MM)))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_QUALITY, subsampling=0)
    return Picture(stream.getvalue(), "image/jpeg", width_mm, height_mm, alt)
