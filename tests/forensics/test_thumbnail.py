import io

import numpy as np
import pytest
from PIL import Image

from faceloupe.errors import EvidenceError
from faceloupe.forensics import thumbnail
from tests.conftest import GENERATED, PHOTOGRAPH
from tests.forensics import files
from tests.forensics.conftest import source


def with_thumbnail(picture: bytes, preview: bytes, *, raw: bool = False) -> bytes:
    """A JPEG of a picture, with a thumbnail of another one, or these very bytes, in its EXIF (EXIF 2.32, 4.5.3)."""
    if not raw:
        preview = files.preview(preview, quality=75)
    # TIFF, big-endian: an empty IFD0 at 8, IFD1 at 14 with offset and length of the thumbnail, which lies at 44.
    tags = b"\x02\x01\x00\x04\x00\x00\x00\x01" + (44).to_bytes(4, "big")
    tags += b"\x02\x02\x00\x04\x00\x00\x00\x01" + len(preview).to_bytes(4, "big")
    tiff = (
        b"MM\x00\x2a" + (8).to_bytes(4, "big") + b"\x00\x00" + (14).to_bytes(4, "big") + b"\x00\x02" + tags + bytes(4)
    )
    stream = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(stream, "JPEG", exif=b"Exif\x00\x00" + tiff + preview)
    return stream.getvalue()


def fired(content: bytes) -> bool:
    return thumbnail.DIFFERS in {finding.id for finding in thumbnail.examine(source(content)).findings}


def test_the_thumbnail_of_another_picture_is_named_and_its_own_is_not():
    generated, photograph = GENERATED.read_bytes(), PHOTOGRAPH.read_bytes()
    assert fired(with_thumbnail(generated, photograph))
    assert not fired(with_thumbnail(generated, generated))


def test_a_picture_without_a_thumbnail_has_no_finding():
    result = thumbnail.examine(source(files.saved("JPEG")))
    assert [(fact.name, fact.value) for fact in result.facts] == [("EXIF thumbnail", "none")]
    assert result.findings == ()


def test_a_thumbnail_that_is_not_a_picture_is_reported_in_one_sentence():
    with pytest.raises(EvidenceError):
        thumbnail.examine(source(with_thumbnail(GENERATED.read_bytes(), b"\xff\xd8 not a picture", raw=True)))


@pytest.mark.parametrize("quarters", range(4))
def test_turns_and_bars_do_not_make_another_picture(quarters):
    picture = np.random.default_rng(1).integers(0, 255, (12, 18, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    small = np.zeros((120, 160, 3), np.uint8)
    small[7:113] = np.asarray(Image.fromarray(picture).resize((160, 106)))
    assert thumbnail.correlation(small, np.rot90(picture, quarters)) > 0.9


def test_a_flat_picture_is_like_a_flat_thumbnail_alone():
    flat = np.full((40, 60, 3), 90, np.uint8)
    noise = np.random.default_rng(2).integers(0, 255, (40, 60, 3), np.uint8)
    assert thumbnail.correlation(flat, flat) == 1.0
    assert thumbnail.correlation(flat, noise) == 0.0


@pytest.mark.shared
@pytest.mark.parametrize("name", ["IMG_0003.jpg", "P1000827.jpg"])
def test_thumbnails_of_cameras_show_their_picture(name, shared_data):
    assert not fired((shared_data / "formats" / name).read_bytes())
