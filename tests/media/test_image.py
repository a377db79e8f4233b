import io
import struct
import zlib

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from faceloupe.errors import EvidenceError
from faceloupe.media import evidence_file, image
from tests.conftest import GENERATED, skimage_picture

LIMITS = {"max_bytes": 10**8, "max_pixels": 10**8}


def decode(content: bytes, **limits):
    limits = LIMITS | limits
    return image.decode(evidence_file.evidence_from_bytes(content, "x", max_bytes=limits["max_bytes"]), **limits)


def encode(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def gradient(mode="RGB") -> Image.Image:
    across = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))
    return Image.fromarray(np.stack([across, across[:, ::-1], np.full_like(across, 90)], 2)).convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_decode_to_the_stored_pixels(kind):
    picture = gradient()
    if kind == "GIF":
        picture = picture.convert("P")
    assert np.array_equal(decode(encode(picture, kind)).rgb, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "HEIF"])
def test_lossy_formats_decode_close_to_the_original(kind):
    pillow_heif.register_heif_opener()
    rgb = decode(encode(gradient(), kind, quality=95)).rgb
    assert rgb.shape == (48, 64, 3)
    assert np.abs(rgb.astype(int) - np.asarray(gradient()).astype(int)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_stated_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encode(gradient(), "PNG", exif=exif))
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation](np.asarray(gradient()))
    assert np.array_equal(picture.rgb, upright)
    assert any("orientation" in note for note in picture.notes) == (orientation != 1)


def test_sixteen_bit_gray_keeps_its_brightness():
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    picture = decode(encode(Image.fromarray(values), "PNG"))
    assert np.array_equal(picture.rgb[..., 0], np.round(values / 257.0).astype(np.uint8))
    assert "257" in picture.notes[0]


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA"])
def test_every_common_mode_becomes_rgb_and_says_how(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    picture = decode(encode(gradient(mode), kind))
    assert picture.rgb.shape == (48, 64, 3)
    assert picture.notes


def test_transparency_is_laid_over_mid_gray():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (decode(encode(clear, "PNG")).rgb == 128).all()


def test_sixteen_bit_color_says_that_it_was_cut():
    values = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    _, content = cv2.imencode(".png", values[..., ::-1])
    picture = decode(content.tobytes())
    assert np.array_equal(picture.rgb, (values >> 8).astype(np.uint8))
    assert "high byte" in picture.notes[0]


def test_an_orientation_that_does_not_exist_is_not_said_to_be_applied():
    exif = Image.Exif()
    exif[0x0112] = 9
    assert decode(encode(gradient(), "PNG", exif=exif)).notes == ()


def test_tiff_orientation_is_applied_and_noted():
    picture = decode(encode(gradient(), "TIFF", tiffinfo={0x0112: 6}))
    assert picture.rgb.shape == (64, 48, 3)
    assert any("orientation" in note for note in picture.notes)


def test_plain_rgb_needs_no_note():
    assert decode(encode(gradient(), "PNG")).notes == ()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    def never(*_):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    with pytest.raises(EvidenceError, match="100000 x 100000"):
        decode(png_header(100_000, 100_000))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"not a picture\n", "neither a supported image"),
        (GENERATED.read_bytes()[:900], "damaged, incomplete"),
        (GENERATED.read_bytes()[:-5000], "damaged, incomplete"),
        (png_header(10, 10), "damaged, incomplete"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomavc1", "video"),
    ],
    ids=["empty", "text", "truncated early", "truncated late", "no pixel data", "video"],
)
def test_what_cannot_be_decoded_is_refused_in_one_sentence(content, message):
    with pytest.raises(EvidenceError, match=message) as caught:
        decode(content)
    assert "\n" not in str(caught.value)


def test_a_file_over_the_byte_limit_is_refused():
    with pytest.raises(EvidenceError, match="limit"):
        decode(GENERATED.read_bytes(), max_bytes=1000)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("TIFF", "3 pictures"), *((kind, "as a video") for kind in ("GIF", "PNG", "WEBP", "AVIF"))],
)
def test_several_pictures_in_one_file_are_refused_not_judged_by_the_first(kind, reason):
    frames = [gradient(), gradient().rotate(180), gradient().rotate(90)]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(EvidenceError, match=reason):
        decode(content)


def test_a_multi_picture_jpeg_is_judged_by_its_main_picture():
    content = encode(gradient(), "MPO", save_all=True, append_images=[gradient().rotate(180)])
    picture = decode(content)
    assert picture.rgb.shape == (48, 64, 3)
    assert "2 pictures" in picture.notes[0]


def test_floating_point_pixels_are_refused():
    with pytest.raises(EvidenceError, match="no defined brightness"):
        decode(encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"))


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_never_escape_as_anything_but_an_evidence_error(seed):
    random = np.random.default_rng(seed)
    source = [encode(gradient(), kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP")][seed % 5]
    content = bytearray(source)
    for position in random.integers(12, len(content), 12):
        content[position] = random.integers(256)
    try:
        picture = decode(bytes(content))
    except EvidenceError:
        return
    assert picture.rgb.dtype == np.uint8


def test_a_real_photograph_decodes():
    assert decode(skimage_picture("chelsea.png").read_bytes()).rgb.shape == (300, 451, 3)


def test_a_cut_jpeg_with_a_false_end_marker_is_distinguished_from_a_whole_one():
    whole = GENERATED.read_bytes()
    for share in (0.5, 0.8, 0.97):
        with pytest.raises(EvidenceError, match="damaged, incomplete"):
            decode(whole[: int(len(whole) * share)] + b"\xff\xd9")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_whole_jpeg_of_any_kind_is_not_called_cut(mode, options):
    picture = Image.open(GENERATED).convert(mode).resize((333, 257))
    assert decode(encode(picture, "JPEG", quality=60, **options)).rgb.shape == (257, 333, 3)
    assert decode(encode(picture, "JPEG", **options) + b"trailing bytes").rgb.shape == (257, 333, 3)


@pytest.mark.filterwarnings("ignore:.*EXIF:UserWarning")
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_broken_metadata_does_not_make_whole_pixels_damaged(kind):
    picture = decode(encode(gradient(), kind, exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff broken"))
    assert picture.rgb.shape == (48, 64, 3)


def test_a_tiff_that_stores_white_as_zero_is_no_negative():
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    stored = encode(Image.fromarray(65535 - values), "TIFF", tiffinfo={262: 0})
    assert np.abs(decode(stored).rgb[..., 0].astype(int) - np.round(values / 257)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_color_is_laid_over_mid_gray(mode):
    clear = Image.new(mode, (8, 8), 200 if mode == "L" else (200, 10, 10))
    picture = decode(encode(clear, "PNG", transparency=200 if mode == "L" else (200, 10, 10)))
    assert (picture.rgb == 128).all()
    assert "Transparent areas" in picture.notes[0]


def test_a_preview_page_of_a_tiff_is_not_a_second_picture():
    preview = gradient().resize((16, 12))
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    content = encode(gradient(), "TIFF", save_all=True, append_images=[preview])
    assert np.array_equal(decode(content).rgb, np.asarray(gradient()))


def test_the_limit_holds_for_the_page_that_is_decoded():
    preview, full = gradient().resize((16, 12)), gradient()
    full.encoderinfo = {"tiffinfo": {254: 0}}
    first = encode(preview, "TIFF", tiffinfo={254: 1}, save_all=True, append_images=[full])
    assert decode(first).rgb.shape == (48, 64, 3)
    with pytest.raises(EvidenceError, match="64 x 48 pixels"):
        decode(first, max_pixels=1000)


def test_a_preview_without_its_picture_is_reported_as_a_preview():
    picture = decode(encode(gradient(), "TIFF", tiffinfo={254: 1}))
    assert picture.notes == (
        "The file marks its picture as a reduced preview; the full picture was not found and not analyzed.",
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_with_odd_metadata_is_turned(orientation):
    exif = Image.Exif()
    exif[0x0112], exif[0x0100] = orientation, 8
    plain = encode(gradient(), "PNG", exif=exif)
    odd = exif.tobytes().replace(struct.pack(">HH", 0x0100, 4), struct.pack(">HH", 0x0100, 1))  # a number called bytes
    with Image.open(io.BytesIO(encode(gradient(), "PNG", exif=odd))) as opened:
        if orientation > 1:
            with pytest.raises(struct.error):
                ImageOps.exif_transpose(opened)
    assert np.array_equal(decode(encode(gradient(), "PNG", exif=odd)).rgb, decode(plain).rgb)


def test_big_tiff_is_read():
    assert np.array_equal(decode(encode(gradient(), "TIFF", big_tiff=True)).rgb, np.asarray(gradient()))
