"""A still is decoded to the pixels that people see: its colors, its orientation, its damage."""

import io
import itertools
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from faceloupe.errors import EvidenceError
from faceloupe.installation import ROOT
from faceloupe.media import boxes, color, evidence_file, image, jpeg
from faceloupe.media.evidence import Shown
from tests.conftest import GENERATED
from tests.media import icc
from tests.media.stored import gamma, hlg, png, pq
from tests.media.test_image import decode, encode, gradient

TRIALS = Path(os.environ.get("FACELOUPE_TRAINING_DATA") or ROOT.parent / "shared" / "data") / "trials"


def noise(seed: int, mode: str = "RGB") -> Image.Image:
    """Smooth colors of all kinds, which survive compression."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC).convert(mode)


def chromaticities(values=color.SRGB_PRIMARIES) -> bytes:
    return struct.pack(">8I", *(round(value * 1e5) for value in values))


def with_segment(content: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment at its beginning."""
    return content[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + content[2:]


def difference(first: np.ndarray, other: Image.Image | np.ndarray) -> int:
    return int(np.abs(first.astype(int) - np.asarray(other).astype(int)).max())


@pytest.mark.parametrize("order", ["".join(order) for order in itertools.permutations("rgb")])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_channels_that_a_profile_exchanges_back_are_the_original(order, seed, kind):
    original = noise(seed)
    stored = Image.fromarray(np.asarray(original)[..., ["rgb".index(letter) for letter in order]])
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(encode(stored, kind, icc_profile=icc.permuted(order), **options))
    assert difference(picture.rgb, original) <= 2
    assert (picture.shown.color is None) == (order == "rgb")


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "HEIF"])
def test_a_profile_is_applied_in_lossy_formats_too(kind):
    original = noise(1)
    stored = Image.fromarray(np.asarray(original)[..., ::-1])
    picture = decode(encode(stored, kind, quality=95, icc_profile=icc.permuted("bgr")))
    assert np.abs(picture.rgb.astype(int) - np.asarray(original).astype(int)).mean() < 4
    assert "ICC profile" in picture.shown.color


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_a_profile_of_srgb_changes_no_pixel_and_needs_no_note(kind):
    plain, profiled = (decode(encode(noise(2), kind, **options)) for options in ({}, {"icc_profile": icc.srgb()}))
    assert np.array_equal(plain.rgb, profiled.rgb)
    assert profiled.notes == plain.notes
    assert profiled.shown == Shown()


def test_a_gray_profile_is_applied():
    values = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    picture = decode(encode(values, "PNG", icc_profile=icc.gray(1.0)))
    light = np.arange(256) / 255
    stored = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    expected = np.round(255 * stored)
    assert difference(picture.rgb[..., 1].ravel(), expected) <= 2
    assert any("gray" in note for note in picture.notes)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_cmyk_profile_is_applied(kind):
    inks = [(0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0), (0, 255, 0, 0)]
    stored = Image.merge("CMYK", [Image.new("L", (64, 64), value) for value in inks[2]])
    naive = decode(encode(stored, kind))
    assert naive.rgb.mean(axis=(0, 1)) == pytest.approx([0, 255, 255], abs=3)
    assert any("without a color profile" in note for note in naive.notes)
    cyan = decode(encode(stored, kind, icc_profile=icc.cmyk()))
    assert cyan.rgb.min() >= 250  # that ink is none, says the profile
    assert cyan.shown.color == 'ICC profile "ink" to sRGB'
    assert not any("without a color profile" in note for note in cyan.notes)


def test_transparency_is_kept_while_colors_are_converted():
    stored = Image.new("RGBA", (8, 8), (0, 0, 255, 255))
    stored.paste((0, 0, 255, 0), (0, 0, 4, 8))
    picture = decode(encode(stored, "PNG", icc_profile=icc.permuted("bgr")))
    assert (picture.rgb[:, :4] == 128).all()
    assert difference(picture.rgb[:, 4:], np.full((8, 4, 3), (255, 0, 0))) <= 1


BROKEN = {
    "cut": icc.permuted("bgr")[:300],
    "text": b"not a profile at all, but some text",
    "no curves": icc.built(b"RGB ", {}),
    "wrong space": icc.cmyk(),
    "gray for color": icc.gray(2.2),
    "named colors": icc.built(b"RGB ", {}, kind=b"nmcl"),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("profile", BROKEN.values(), ids=BROKEN)
def test_a_profile_that_cannot_be_applied_is_reported_and_changes_nothing(profile, kind):
    picture = decode(encode(noise(3), kind, icc_profile=profile))
    assert np.array_equal(picture.rgb, decode(encode(noise(3), kind)).rgb)
    assert "profile" in picture.unshown
    assert any("were not applied" in note for note in picture.notes)
    assert picture.shown == Shown()


def test_a_profile_whose_parts_are_missing_is_reported():
    part = b"ICC_PROFILE\0" + bytes((1, 2)) + icc.permuted("bgr")
    assert "incomplete" in decode(with_segment(encode(noise(3), "JPEG"), 0xE2, part)).unshown
    broken = b"name\0\0" + b"no zlib"
    assert "incomplete" in decode(png(noise(3), iCCP=broken)).unshown


def test_gamma_without_chromaticities_is_for_a_screen_of_2_2():
    values = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, 2))
    picture = decode(png(values, gAMA=gamma(1.0)))
    assert difference(picture.rgb[..., 0].ravel(), np.round(255 * (np.arange(256) / 255) ** (1 / 2.2))) <= 1
    assert picture.shown.transfer == "gAMA 1.00000 to sRGB"


def test_gamma_and_chromaticities_are_a_color_space():
    original = noise(4)
    swapped = (
        color.SRGB_PRIMARIES[:2] + color.SRGB_PRIMARIES[6:] + color.SRGB_PRIMARIES[4:6] + color.SRGB_PRIMARIES[2:4]
    )
    light = color._srgb(np.asarray(original)[..., ::-1] / 255)
    stored = Image.fromarray((255 * light**0.5).round().astype(np.uint8))
    picture = decode(png(stored, gAMA=gamma(0.5), cHRM=chromaticities(swapped)))
    assert difference(picture.rgb, original) <= 3
    assert (picture.shown.color, picture.shown.transfer) == ("stated primaries (cHRM) to sRGB", "gAMA 0.50000 to sRGB")


PLAIN_CHUNKS = {
    "sRGB": {"sRGB": b"\0"},
    "sRGB over gAMA": {"sRGB": b"\0", "gAMA": gamma(1.0), "cHRM": chromaticities()},
    "as the specification writes it": {"gAMA": gamma(0.45455), "cHRM": chromaticities()},
    "gamma of a screen": {"gAMA": gamma(0.45455)},
    "cHRM alone": {"cHRM": chromaticities((0.3457, 0.3585, *color.SRGB_PRIMARIES[2:]))},
    "gamma of nothing": {"gAMA": gamma(0.0)},
    "cICP of sRGB over all": {"cICP": bytes((1, 13, 0, 1)), "gAMA": gamma(1.0)},
}


@pytest.mark.parametrize("chunks", PLAIN_CHUNKS.values(), ids=PLAIN_CHUNKS)
def test_chunks_that_say_srgb_change_nothing(chunks):
    picture = decode(png(noise(5), **chunks))
    assert np.array_equal(picture.rgb, np.asarray(noise(5)))
    assert (picture.notes, picture.shown) == ((), Shown())


def test_cicp_goes_before_a_profile_and_a_profile_before_gamma():
    profile = b"x\0\0" + zlib.compress(icc.permuted("bgr"))
    stored = noise(6)
    first = decode(png(stored, cICP=bytes((1, 13, 0, 1)), iCCP=profile, gAMA=gamma(1.0)))
    assert np.array_equal(first.rgb, np.asarray(stored))
    second = decode(png(stored, iCCP=profile, gAMA=gamma(1.0)))
    assert difference(second.rgb, np.asarray(stored)[..., ::-1]) <= 2


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ({"cICP": bytes((9, 16, 9, 1))}, "matrix 9"),
        ({"cICP": bytes((9, 16, 0, 0))}, "range 0"),
        ({"cICP": bytes((3, 16, 0, 1))}, "color primaries 3"),
        ({"gAMA": gamma(0.6), "cHRM": bytes(32)}, "cHRM"),
    ],
    ids=["matrix", "range", "reserved", "no area"],
)
def test_colors_of_a_png_that_viewers_take_differently_are_reported(chunks, message):
    picture = decode(png(noise(7), **chunks))
    assert message in picture.unshown
    assert np.array_equal(picture.rgb, np.asarray(noise(7)))


@pytest.mark.parametrize(("make", "transfer"), [(pq, 16), (hlg, 18)], ids=["PQ", "HLG"])
def test_hdr_pngs_are_shown_as_the_picture_they_were_made_from(make, transfer):
    original = noise(8)
    picture = decode(png(make(original), cICP=bytes((9, transfer, 0, 1))))
    assert np.abs(picture.rgb.astype(int) - np.asarray(original).astype(int)).mean() < 2.5
    assert picture.shown.color == "BT.2020 primaries to sRGB"
    assert picture.shown.transfer.startswith(make.__name__.upper())


def nclx(content: bytes, primaries: int, transfer: int) -> bytes:
    """The same AVIF or HEIC file, with other colors stated."""
    offset = content.index(b"colrnclx") + 8
    return content[:offset] + struct.pack(">HH", primaries, transfer) + content[offset + 4 :]


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize(("make", "transfer"), [(pq, 16), (hlg, 18)], ids=["PQ", "HLG"])
def test_hdr_stills_are_shown_as_the_picture_they_were_made_from(kind, make, transfer):
    original = noise(9)
    options = {"subsampling": "4:4:4"} if kind == "AVIF" else {"chroma": 444}
    content = encode(make(original), kind, quality=100, **options)
    picture = decode(nclx(content, 9, transfer))
    assert np.abs(picture.rgb.astype(int) - np.asarray(original).astype(int)).mean() < 5
    assert picture.shown.transfer.startswith(make.__name__.upper())
    assert decode(nclx(content, 1, 13)).shown == Shown()
    if kind == "AVIF":  # libheif refuses what is reserved
        assert "color primaries 3" in decode(nclx(content, 3, transfer)).unshown


@pytest.mark.parametrize(
    ("make", "few"),
    [
        (lambda image: png(pq(image), cICP=bytes((9, 16, 0, 1))), True),
        (lambda image: png(hlg(image), cICP=bytes((9, 18, 0, 1))), True),
        (lambda image: png(image, gAMA=gamma(1.0)), True),
        (lambda image: png(image, cICP=bytes((1, 8, 0, 1))), True),
        (lambda image: png(image, cICP=bytes((12, 13, 0, 1))), False),
        (lambda image: png(image, gAMA=gamma(1 / 1.8)), False),
        (lambda image: encode(image, "PNG", icc_profile=icc.permuted("bgr")), False),
        (lambda image: encode(image, "PNG"), False),
    ],
    ids=["PQ", "HLG", "gAMA 1", "linear", "Display P3", "gAMA 1/1.8", "channels exchanged", "sRGB"],
)
def test_a_picture_whose_eight_bits_leave_few_levels_is_reported(make, few):
    ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(8, 0))
    picture = decode(make(ramp))
    assert bool(picture.coarse) == few
    if few:
        levels = int(re.search(r"leaves (\d+) of 256 levels", picture.coarse)[1])
        assert len(np.unique(picture.rgb[..., 1])) <= levels < 210


def test_xmp_turns_nothing_and_a_difference_is_noted():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        options = {"tiffinfo": {700: xmp}} if kind == "TIFF" else {"xmp": xmp}
        if kind == "PNG":
            content = png(gradient(), iTXt=b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        else:
            content = encode(gradient(), kind, **options)
        picture = decode(content)
        assert picture.rgb.shape == (48, 64, 3), kind
        assert [note for note in picture.notes if "XMP" in note], kind
        assert picture.shown.orientation is None, kind


def test_exif_wins_over_a_contradicting_xmp():
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b"<tiff:Orientation>1</tiff:Orientation>"
    picture = decode(encode(gradient(), "JPEG", exif=exif, xmp=xmp))
    assert picture.rgb.shape == (64, 48, 3)
    assert picture.shown.orientation == "turned 90 degrees clockwise"
    agreeing = decode(encode(gradient(), "JPEG", exif=exif, xmp=xmp.replace(b"1", b"6")))
    assert not any("XMP" in note for note in agreeing.notes)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 8])
def test_the_turn_of_a_container_is_applied_and_told(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = decode(encode(gradient(), "PNG", exif=exif))
    stored = gradient()
    stored.info["exif"] = exif.tobytes()
    options = {"exif": exif} if kind == "AVIF" else {}
    picture = decode(encode(stored, kind, quality=95, **options))
    assert np.abs(picture.rgb.astype(int) - expected.rgb.astype(int)).mean() < 4
    assert picture.shown.orientation == expected.shown.orientation


def test_a_jpeg_without_its_end_marker_is_examined_with_a_note():
    whole = GENERATED.read_bytes()
    assert whole.endswith(b"\xff\xd9")
    picture = decode(whole[:-2])
    assert np.array_equal(picture.rgb, decode(whole).rgb)
    assert picture.notes == ("The JPEG data has no end marker, but the picture is complete.",)
    for missing in (12, 500, 50_000):
        with pytest.raises(EvidenceError, match="damaged, incomplete"):
            decode(whole[:-missing])


def test_a_preview_in_the_metadata_is_not_the_end_of_the_picture():
    whole = with_segment(GENERATED.read_bytes(), 0xE5, encode(gradient(), "JPEG"))
    assert decode(whole).notes == decode(GENERATED.read_bytes()).notes
    assert "no end marker" in decode(whole[:-2]).notes[-1]
    with pytest.raises(EvidenceError, match="damaged, incomplete"):
        decode(whole[:-3000])


def restarting() -> tuple[bytes, list[int]]:
    """A JPEG with a restart marker behind each row of blocks, and where those are."""
    content = encode(Image.open(GENERATED).convert("RGB").resize((512, 512)), "JPEG", quality=90, restart_marker_rows=1)
    start = jpeg._first_scan(content).start
    return content, [at for at in range(start, len(content) - 1) if content[at] == 255 and 208 <= content[at + 1] < 216]


@pytest.mark.parametrize("length", [24, 60, 200])
@pytest.mark.parametrize("filler", [0x00, 0x55, 0xEE])
@pytest.mark.parametrize("row", [5, 12, 20])
def test_overwritten_data_within_a_row_is_named(row, filler, length):
    """The decoder often says nothing: it finds its way by the next restart marker."""
    content, rows = restarting()
    damaged = bytearray(content)
    damaged[rows[row] + 40 : rows[row] + 40 + length] = bytes((filler,)) * length
    picture = decode(bytes(damaged))
    assert picture.damage
    assert "JPEG data is damaged" in picture.notes[-1]
    assert decode(content).damage == ""


def test_what_libjpeg_says_is_named():
    content, rows = restarting()
    damaged = bytearray(content)
    damaged[rows[8] + 10 : rows[8] + 30] = b"\xff\x00" * 10
    assert "bad Huffman code" in decode(bytes(damaged)).damage
    lost = content[: rows[8] + 60] + content[rows[9] :]
    assert "premature end" in decode(lost).damage


@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str
)
@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("value", ["white", "black", "#808080", "#c81e1e"])
def test_flat_pictures_are_not_called_damaged(value, mode, subsampling, options):
    flat = Image.new("RGB", (900, 700), value)
    flat.paste(noise(10), (300, 300))
    picture = decode(encode(flat.convert(mode), "JPEG", subsampling=subsampling, **options))
    assert picture.damage == ""


def test_a_heic_whose_data_ends_early_is_refused():
    whole = encode(noise(11).resize((512, 384)), "HEIF", quality=80)
    assert decode(whole).rgb.shape == (384, 512, 3)
    for missing in (1, 200, len(whole) // 3):
        with pytest.raises(EvidenceError, match="damaged, incomplete"):
            decode(whole[:-missing])


def test_boxes_are_read_as_they_were_written():
    content = encode(gradient(), "HEIF")
    assert boxes.read(content) == boxes.MainPicture(cicp=boxes.read(content).cicp)
    assert boxes.read(nclx(content, 12, 13)).cicp == (12, 13)
    assert boxes.read(b"") == boxes.MainPicture()
    assert not boxes.read(content[:-1]).whole


@pytest.mark.parametrize("seed", range(60))
def test_broken_boxes_chunks_and_profiles_never_escape(seed):
    random = np.random.default_rng(seed)
    sources = (
        lambda: encode(gradient(), "HEIF"),
        lambda: encode(gradient(), "AVIF"),
        lambda: png(gradient(), cICP=bytes((9, 16, 0, 1)), gAMA=gamma(1.0), cHRM=chromaticities()),
        lambda: encode(gradient(), "JPEG", icc_profile=icc.cmyk()[:4000]),
        lambda: encode(gradient("CMYK"), "JPEG", icc_profile=icc.cmyk()),
    )
    content = bytearray(sources[seed % 5]())
    for position in random.integers(12, len(content), 6):
        content[position] = random.integers(256)
    try:
        picture = image.decode(
            evidence_file.evidence_from_bytes(bytes(content), "x", max_bytes=10**8), max_bytes=10**8, max_pixels=10**7
        )
    except EvidenceError:
        return
    assert picture.rgb.dtype == np.uint8


def test_what_was_done_is_the_same_without_isolation():
    from faceloupe.config import Settings
    from faceloupe.media.sandbox.image import decode as isolated

    exif = Image.Exif()
    exif[0x0112] = 8
    contents = [
        encode(noise(12), "JPEG", exif=exif, icc_profile=icc.permuted("gbr")),
        encode(noise(12), "PNG", icc_profile=BROKEN["text"]),
        png(noise(12), cICP=bytes((9, 16, 0, 1))),
    ]
    for content in contents:
        plain = decode(content)
        other = isolated(
            evidence_file.evidence_from_bytes(content, "x", max_bytes=10**8), settings=Settings(effort="quick")
        )
        assert np.array_equal(plain.rgb, other.rgb)
        facts = [(picture.notes, picture.shown, picture.unshown, picture.damage) for picture in (plain, other)]
        assert facts[0] == facts[1]


def trial(name: str) -> bytes:
    if not (TRIALS / name).is_file():
        pytest.skip("the files of other tools' users are not here")
    return (TRIALS / name).read_bytes()


def test_a_phone_photo_that_was_cut_is_refused():
    with pytest.raises(EvidenceError, match="damaged, incomplete"):
        decode(trial("06_truncated_iphone.heic"))


def test_profiles_are_converted_relative_to_white_with_the_black_point():
    """The same as LittleCMS by way of Pillow's plainest call."""
    stored = noise(13)
    picture = decode(encode(stored, "PNG", icc_profile=icc.permuted("gbr")))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc.permuted("gbr")))
    expected = ImageCms.profileToProfile(
        stored, profile, ImageCms.createProfile("sRGB"), renderingIntent=1, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION
    )
    assert np.array_equal(picture.rgb, np.asarray(expected))
