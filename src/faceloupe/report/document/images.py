"""Pictures prepared for print, reduced to the resolution that paper can show."""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from faceloupe.errors import EvidenceError
from faceloupe.report.document.blocks import Picture

Fetch = Callable[[str], bytes]  # SHA-256 of a PNG -> its bytes

WIDTH_MM, HEIGHT_MM = 174.0, 85.0  # size of the largest picture; at this height it often fits below the outcome
_PX_PER_MM = 7.0  # about 180 dots per inch
_QUALITY = 90  # quality of the JPEGs in the document


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The pictures of a run.

    Attributes:
        digests: file name -> SHA-256.
        fetch: returns the bytes of a picture by its SHA-256.
    """

    digests: Mapping[str, str]
    fetch: Fetch

    def get(self, name: str) -> bytes | None:
        """Return the bytes of a picture by its name; None if the run has no picture of that name.

        Raises:
            EvidenceError: the bytes do not match the hash in the record.
        """
        if name not in self.digests:
            return None
        content = self.fetch(self.digests[name])
        if hashlib.sha256(content).hexdigest() != self.digests[name]:
            raise EvidenceError(f"{name} is not the picture that the record names; run the analysis again.")
        return content


def fitted(content: bytes, alt: str) -> Picture:
    """Return a PNG of the record as large as fits on a page; ``alt`` describes the picture."""
    image = _opened(content)
    return _printed(image, alt, min(WIDTH_MM / image.width, HEIGHT_MM / image.height))


def side_by_side(contents: Mapping[str, bytes], width_mm: float) -> tuple[Picture, ...]:
    """Return PNGs of the record with the same millimeters per pixel.

    Args:
        contents: description of each picture -> its bytes.
        width_mm: printed width of the widest picture, millimeters.
    """
    images = {alt: _opened(content) for alt, content in contents.items()}
    widest = max(image.width for image in images.values())
    return tuple(_printed(image, alt, width_mm / widest) for alt, image in images.items())


def drawing(content: bytes, alt: str) -> Picture:
    """Return a PNG that was made for this document, at full width."""
    width, height = Image.open(io.BytesIO(content)).size
    return Picture(content, "image/png", WIDTH_MM, WIDTH_MM * height / width, alt)


def _opened(content: bytes) -> Image.Image:
    """Decode a picture and lay it on white if it has transparency."""
    image = Image.open(io.BytesIO(content))
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    with_alpha = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), with_alpha).convert("RGB")


def _printed(image: Image.Image, alt: str, scale: float) -> Picture:
    """Return an image at its printed size.

    Args:
        image: the image, which is reduced in place to the print resolution.
        alt: description of the image.
        scale: millimeters per pixel.
    """
    width_mm, height_mm = image.width * scale, image.height * scale
    image.thumbnail((round(width_mm * _PX_PER_MM), round(height_mm * _PX_PER_MM)))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_QUALITY, subsampling=0)
    return Picture(stream.getvalue(), "image/jpeg", width_mm, height_mm, alt)
