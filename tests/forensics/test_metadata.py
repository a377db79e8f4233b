import pytest
from PIL import Image

from faceloupe.forensics import metadata
from tests.forensics import files
from tests.forensics.conftest import source


def dated(taken: str, changed: str) -> bytes:
    exif = Image.Exif()
    exif[0x0132] = changed
    exif.get_ifd(0x8769)[0x9003] = taken
    return files.saved("JPEG", exif=exif.tobytes())


def test_every_block_of_a_file_is_listed_with_its_place():
    content = files.saved(
        "JPEG", exif=files.exif({"Software": "A"}), xmp=files.xmp({"xmp:CreatorTool": "B"}), comment=b"C"
    )
    content = files.segment(0xED, b"Photoshop 3.0\0" + files.resources(files.iptc({"Credit": "D"})), content)
    facts = {fact.name: fact.value for fact in metadata.examine(source(content)).facts}
    expected = {"EXIF: Software": "A", "XMP: xmp:CreatorTool": "B", "JPEG comment: comment": "C", "IPTC: Credit": "D"}
    assert expected.items() <= facts.items()


@pytest.mark.parametrize(
    ("taken", "changed", "contradict"),
    [
        ("2024:05:01 10:00:00", "2024:05:01 09:59:59", True),
        ("2024:05:01 10:00:00", "2024:05:01 10:00:00", False),
        ("2024:05:01 10:00:00", "2025:01:01 00:00:00", False),
        ("0000:00:00 00:00:00", "2024:05:01 10:00:00", False),
        ("2024:05:01 10:00:00", "yesterday", False),
    ],
)
def test_a_change_before_the_picture_was_taken_is_found(taken, changed, contradict):
    findings = metadata.examine(source(dated(taken, changed))).findings
    assert [finding.id for finding in findings] == ["metadata.changed-before-taken"] * contradict


def test_a_position_is_named_and_shown_on_request_only():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    content = files.saved("JPEG", exif=exif.tobytes())
    hidden = {fact.name for fact in metadata.examine(source(content)).facts}
    assert "Position (GPS)" in hidden
    assert "EXIF: GPSLatitudeRef" not in hidden
    assert "EXIF: GPSLatitudeRef" in {fact.name for fact in metadata.examine(source(content, with_position=True)).facts}
