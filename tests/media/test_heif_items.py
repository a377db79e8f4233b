"""Pictures that a HEIC or AVIF file holds besides its main one are named, with the place and size of their data."""

import io
import struct

import pillow_heif
import pytest
from PIL import Image

from faceloupe.config import Settings
from faceloupe.media.embedded import find
from faceloupe.media.evidence import EmbeddedContent
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.media.heif_items import as_main_picture
from faceloupe.media.sandbox.image import decode
from tests.clips import numbered

APPLE_GAIN_MAP = "urn:com:apple:photo:2020:aux:hdrgainmap"


def box(kind: bytes, *parts: bytes, full: tuple[int, int] | None = None) -> bytes:
    """A box; a full one with its version and flags."""
    body = (b"" if full is None else struct.pack(">I", full[0] << 24 | full[1])) + b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def heif(
    items: dict[int, tuple[bytes, int]],
    *,
    references: tuple[tuple[bytes, int, tuple[int, ...]], ...] = (),
    urns: dict[int, str] | None = None,
    groups: tuple[tuple[bytes, tuple[int, ...]], ...] = (),
) -> tuple[bytes, dict[int, int]]:
    """A file of items without pixels, whose main one is 1.

    Args:
        items: id -> type, and bytes of data.
        references: kind, from, to.
        urns: id -> what kind of auxiliary picture it is.
        groups: kind, and ids.

    Returns:
        The file, and id -> place of its data.
    """
    urns = urns or {}
    entries = [box(b"infe", struct.pack(">HH4s", n, 0, kind), b"\0", full=(2, 0)) for n, (kind, _) in items.items()]
    properties = [box(b"auxC", urn.encode() + b"\0", full=(0, 0)) for urn in urns.values()]
    stated = [struct.pack(">HBB", item, 1, number) for number, item in enumerate(urns, 1)]

    def built(places: dict[int, int]) -> bytes:
        located = [struct.pack(">HHHII", n, 0, 1, places[n], size) for n, (_, size) in items.items()]
        parts = [
            box(b"pitm", struct.pack(">H", 1), full=(0, 0)),
            box(b"iloc", b"\x44\0", struct.pack(">H", len(items)), *located, full=(0, 0)),
            box(b"iinf", struct.pack(">H", len(items)), *entries, full=(0, 0)),
            box(
                b"iref",
                *(box(k, struct.pack(f">HH{len(to)}H", of, len(to), *to)) for k, of, to in references),
                full=(0, 0),
            ),
            box(b"iprp", box(b"ipco", *properties), box(b"ipma", struct.pack(">I", len(stated)), *stated, full=(0, 0))),
            box(b"grpl", *(box(k, struct.pack(f">II{len(to)}I", 99, len(to), *to), full=(0, 0)) for k, to in groups)),
        ]
        return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", *parts, full=(0, 0))

    position = len(built(dict.fromkeys(items, 0))) + 8
    places = {}
    for number, (_, size) in items.items():
        places[number] = position
        position += size
    return built(places) + box(b"mdat", bytes(sum(size for _, size in items.values()))), places


@pytest.mark.parametrize(
    ("urn", "kind"),
    [
        (APPLE_GAIN_MAP, "a gain map (HEVC)"),
        ("urn:mpeg:hevc:2015:auxid:2", "a depth map (HEVC)"),
        ("urn:mpeg:mpegB:cicp:systems:auxiliary:depth", "a depth map (HEVC)"),
        ("urn:com:apple:photo:2018:aux:portraiteffectsmatte", "an auxiliary picture, portraiteffectsmatte (HEVC)"),
    ],
)
def test_an_auxiliary_picture_is_named_by_its_urn(urn, kind):
    content, places = heif({1: (b"hvc1", 50), 2: (b"hvc1", 70)}, references=((b"auxl", 2, (1,)),), urns={2: urn})
    assert find(content, "HEIC") == (EmbeddedContent(kind, places[2], 70),)


def test_a_gain_map_of_iso_21496_is_the_second_picture_that_the_tone_mapped_one_is_made_of():
    content, places = heif(
        {1: (b"av01", 50), 2: (b"tmap", 9), 3: (b"av01", 30)},
        references=((b"dimg", 2, (1, 3)),),
        groups=((b"altr", (2, 1)),),
    )
    assert find(content, "AVIF") == (EmbeddedContent("a gain map (AV1)", places[3], 30),)


def test_each_picture_of_a_burst_is_named_but_for_the_one_that_is_shown():
    content, places = heif({n: (b"hvc1", 40 + n) for n in (1, 2, 3)}, groups=((b"brst", (1, 2, 3)),))
    assert find(content, "HEIC") == tuple(
        EmbeddedContent("a picture of a burst (HEVC)", places[number], 40 + number) for number in (2, 3)
    )


def test_what_is_shown_with_the_main_picture_and_its_small_copy_are_not_listed():
    content, _ = heif(
        {1: (b"grid", 8), 2: (b"hvc1", 40), 3: (b"hvc1", 40), 4: (b"hvc1", 9), 5: (b"hvc1", 20), 6: (b"Exif", 30)},
        references=((b"dimg", 1, (2, 3)), (b"thmb", 4, (1,)), (b"auxl", 5, (1,)), (b"cdsc", 6, (1,))),
        urns={5: "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"},
    )
    assert find(content, "HEIC") == ()


def test_a_tiled_gain_map_counts_all_of_its_tiles():
    content, places = heif(
        {1: (b"hvc1", 50), 2: (b"grid", 8), 3: (b"hvc1", 30), 4: (b"hvc1", 31)},
        references=((b"auxl", 2, (1,)), (b"dimg", 2, (3, 4))),
        urns={2: APPLE_GAIN_MAP},
    )
    assert find(content, "HEIC") == (EmbeddedContent("a gain map (HEVC)", places[2], 8 + 30 + 31),)


def test_the_second_picture_of_a_real_file_is_named_and_its_place_holds_hevc():
    pictures = pillow_heif.HeifFile()
    for rgb in numbered(2):
        pictures.add_from_pillow(Image.fromarray(rgb))
    stream = io.BytesIO()
    pictures.save(stream)
    content = stream.getvalue()
    evidence_file = evidence_from_bytes(content, "a.heic", max_bytes=10**7)
    (piece,) = decode(evidence_file, settings=Settings()).embedded
    assert piece.kind == "a further picture (HEVC)"
    data, units = content[piece.offset : piece.offset + piece.size], 0
    while data:  # units with their lengths before them, as ISO/IEC 14496-15 stores them
        size = int.from_bytes(data[:4])
        data, units = data[4 + size :], units + 1
        assert size > 0
    assert units > 0


def test_boxes_that_end_anywhere_are_no_trouble():
    content, _ = heif(dict.fromkeys((1, 2), (b"hvc1", 40)), references=((b"auxl", 2, (1,)),), urns={2: APPLE_GAIN_MAP})
    for end in range(len(content)):
        find(content[:end], "HEIC")
        find(content[:end] + b"\xff" * 8 + content[end + 8 :], "HEIC")


def test_what_cannot_be_made_the_main_picture_is_not_edited():
    content, _ = heif({1: (b"hvc1", 9), 2: (b"hvc1", 9)})
    assert as_main_picture(content, 2)
    assert as_main_picture(content, 2**16) == ()  # the box has two bytes for an id
    entry = content.rindex(b"infe") + 4
    assert as_main_picture(content[:entry], 2) == ()
