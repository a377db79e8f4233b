"""Transformations that change nothing or little for someone who looks at a picture."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from tests.conftest import PHOTOGRAPH
from tests.media import icc
from tests.media.stored import gamma, hlg, png, pq

_PHONE = (1080, 1920)  # pixels of the drawn screen
_BAR = 120  # height of its bars, pixels
_SQUEEZED = 0.7


@dataclass(frozen=True, slots=True)
class Transformation:
    """One way to store or send a picture.

    Attributes:
        name: name in the journal and in the tables.
        description: description on the page.
        apply: maps an RGB picture to the bytes of a file.
    """

    name: str
    description: str
    apply: Callable[[Image.Image], bytes]


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Encode a picture; PNG is lossless."""
    stream = io.BytesIO()
    picture.save(stream, kind, **({"compress_level": 1} if kind == "PNG" else {}) | options)
    return stream.getvalue()


def _scaled(picture: Image.Image, width: float, height: float | None = None) -> Image.Image:
    size = round(picture.width * width), round(picture.height * (width if height is None else height))
    return picture.resize((max(size[0], 1), max(size[1], 1)), Image.Resampling.LANCZOS)


def _fitted(picture: Image.Image, longest: int) -> Image.Image:
    """Shrink to a longest side; never enlarge."""
    return _scaled(picture, min(1.0, longest / max(picture.size)))


def _tilted(picture: Image.Image, degrees: float) -> Image.Image:
    """Turn counterclockwise; the corners are filled with the median color."""
    fill = tuple(int(value) for value in np.median(np.asarray(picture), axis=(0, 1)))
    return picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=fill)


def _linear(picture: Image.Image) -> Image.Image:
    return Image.fromarray((255 * (np.asarray(picture) / 255) ** 2.2).round().astype(np.uint8))


def _screenshot(picture: Image.Image) -> bytes:
    """Draw the picture as wide as the screen of a phone, between two bars."""
    screen = Image.new("RGB", _PHONE, (18, 18, 18))
    room = _PHONE[0], _PHONE[1] - 2 * _BAR
    shown = ImageOps.contain(picture, room, Image.Resampling.BICUBIC)
    screen.paste(shown, ((room[0] - shown.width) // 2, _BAR + (room[1] - shown.height) // 2))
    draw = ImageDraw.Draw(screen)
    for top in (0, _PHONE[1] - _BAR):
        draw.rectangle((0, top, _PHONE[0], top + _BAR), fill=(246, 246, 246))
    draw.text((40, 40), "12:30", fill=(20, 20, 20), font_size=44)
    return encoded(screen)


def _pasted(picture: Image.Image) -> bytes:
    """Paste the picture into the middle of a photograph without faces that is twice as wide and high."""
    with Image.open(PHOTOGRAPH) as photograph:
        below = photograph.convert("RGB").crop((0, photograph.height // 2, photograph.width, photograph.height))
    scene = ImageOps.fit(below, (2 * picture.width, 2 * picture.height), Image.Resampling.LANCZOS)
    scene.paste(picture, (picture.width // 2, picture.height // 2))
    return encoded(scene)


def _messengers(picture: Image.Image) -> bytes:
    """Send a picture three times: each service shrinks and compresses it."""
    for longest, quality in ((1600, 80), (1280, 70), (960, 75)):
        picture = Image.open(io.BytesIO(encoded(_fitted(picture, longest), "JPEG", quality=quality)))
    return encoded(picture, "JPEG", quality=75)


def _channels_exchanged(picture: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(picture)[..., ::-1]), icc_profile=icc.permuted("bgr"))


TRANSFORMATIONS = (
    Transformation("jpeg 70", "JPEG, quality 70", lambda picture: encoded(picture, "JPEG", quality=70)),
    Transformation("mirror", "mirrored left to right", lambda picture: encoded(ImageOps.mirror(picture))),
    Transformation("half", "half as wide and high (Lanczos)", lambda picture: encoded(_scaled(picture, 0.5))),
    Transformation("double", "twice as wide and high", lambda picture: encoded(_scaled(picture, 2.0))),
    Transformation("squeezed", "0.7 times as wide", lambda picture: encoded(_scaled(picture, _SQUEEZED, 1.0))),
    Transformation(
        "border",
        "white border of a tenth of the longer side",
        lambda picture: encoded(ImageOps.expand(picture, max(picture.size) // 10, (255, 255, 255))),
    ),
    Transformation("screenshot", "shown on a drawn screen of 1080 x 1920 px, PNG", _screenshot),
    Transformation("pasted", "in the middle of a photograph of twice its size", _pasted),
    Transformation("messengers", "shrunk to 1600, 1280 and 960 px, JPEG 80, 70, 75, 75", _messengers),
    Transformation("tilt 5", "turned by 5 degrees", lambda picture: encoded(_tilted(picture, 5))),
    Transformation("tilt 30", "turned by 30 degrees", lambda picture: encoded(_tilted(picture, 30))),
    Transformation("turn 90", "on its side", lambda picture: encoded(picture.transpose(Image.Transpose.ROTATE_90))),
    Transformation("icc", "red and blue exchanged, exchanged back by an ICC profile", _channels_exchanged),
    Transformation("gama", "stored linear, with gAMA 1.0", lambda picture: png(_linear(picture), gAMA=gamma(1.0))),
    Transformation("pq", "BT.2020 and PQ by cICP", lambda picture: png(pq(picture), cICP=bytes((9, 16, 0, 1)))),
    Transformation("hlg", "BT.2020 and HLG by cICP", lambda picture: png(hlg(picture), cICP=bytes((9, 18, 0, 1)))),
)
