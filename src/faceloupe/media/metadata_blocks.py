"""Metadata blocks that several containers share: EXIF, XMP, IPTC and the image resources of Photoshop."""

from collections.abc import Iterator
from xml.etree import ElementTree

import defusedxml.ElementTree
from defusedxml import DefusedXmlException
from PIL import ExifTags, Image

from faceloupe.media.statements import LARGEST_BLOCK, MOST_BLOCKS, Collector, decoded

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PREFIXES = {  # namespace -> the prefix that its specification uses
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#": "stEvt",
    "http://ns.adobe.com/xap/1.0/sType/ResourceRef#": "stRef",
    "http://ns.adobe.com/xmp/note/": "xmpNote",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://www.tc260.org.cn/ns/AIGC/1.0/": "TC260",
}
_DATASETS = {  # of the IPTC Information Interchange Model, record 2
    5: "ObjectName",
    25: "Keywords",
    40: "SpecialInstructions",
    55: "DateCreated",
    60: "TimeCreated",
    62: "DigitalCreationDate",
    65: "OriginatingProgram",
    80: "By-line",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "CopyrightNotice",
    120: "Caption-Abstract",
}
_MAKER_NOTE, _USER_COMMENT, _GPS, _EXIF_FOLDER, _INTEROP = 0x927C, 0x9286, 0x8825, 0x8769, 0xA005
_PRIVATE_TAGS = {0x02BC, 0x83BB, 0x8649, 0x8773}  # XMP, IPTC, Photoshop's resources and the color profile in a TIFF
_CODINGS = {b"ASCII\0\0\0": "ascii", b"UNICODE\0": "utf-16", b"JIS\0\0\0\0\0": "iso2022_jp"}


def exif(data: bytes, collector: Collector) -> None:
    """Read an EXIF block that starts at its TIFF header."""
    collector.run_reader("EXIF", lambda: _exif_folders(data, collector))


def _exif_folders(data: bytes, collector: Collector) -> None:
    exif = Image.Exif()
    exif.load(data)
    collector.has_position = collector.has_position or _GPS in exif
    folders = [(dict(exif), ExifTags.TAGS)]
    for folder in (_EXIF_FOLDER, _INTEROP):
        folders.append((exif.get_ifd(folder), ExifTags.TAGS))
    if collector.with_position:
        folders.append((exif.get_ifd(_GPS), ExifTags.GPSTAGS))
    for values, names in folders:
        for tag, value in values.items():
            if tag not in (_EXIF_FOLDER, _GPS, _INTEROP, *_PRIVATE_TAGS):
                collector.add("EXIF", names.get(tag, f"0x{tag:04X}"), _exif_value(tag, value))
    preview = exif.get_ifd(ExifTags.IFD.IFD1)
    start, size = preview.get(0x0201), preview.get(0x0202)
    if isinstance(start, int) and isinstance(size, int) and 0 < size < LARGEST_BLOCK:
        collector.thumbnail = data[start : start + size]


def _exif_value(tag: int, value: object) -> str:
    if isinstance(value, bytes):
        if tag == _USER_COMMENT:
            return _user_comment(value)
        if 0x9C9B <= tag <= 0x9C9F:  # tags of Windows, in UTF-16
            return value.decode("utf-16-le", "replace").rstrip("\0")
        text = decoded(value)
        if tag == _MAKER_NOTE or not text.isprintable():
            return text if text.isascii() and text.isprintable() and len(text) < 200 else f"{len(value):,} bytes"
        return text
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value[:64]) + (", ..." if len(value) > 64 else "")
    return str(value).rstrip("\0")


def _user_comment(value: bytes) -> str:
    """Return the user comment (EXIF 2.32, 4.6.5).

    The first eight bytes name its encoding. UTF-16 can have either byte order.
    """
    coding, text = _CODINGS.get(value[:8]), value[8:]
    if coding == "utf-16" and not text.startswith((b"\xff\xfe", b"\xfe\xff")):
        coding = "utf-16-be" if text[::2].count(0) >= text[1::2].count(0) else "utf-16-le"
    if coding:
        return text.decode(coding, "replace").rstrip("\0")
    return decoded(text if value[:8] == bytes(8) else value)


def xmp(data: bytes, collector: Collector) -> None:
    """Read an XMP packet."""
    if len(data) > LARGEST_BLOCK:
        collector.problem(f"The XMP data is larger than {LARGEST_BLOCK >> 20} MiB and was not read.")
        return
    try:
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # a zero byte may be half of the last character in UTF-16
        packet = data if wide else data.strip(b"\0 \r\n\t")
        tree = defusedxml.ElementTree.fromstring(packet, forbid_dtd=True)
    except (DefusedXmlException, ElementTree.ParseError, ValueError, LookupError):
        collector.problem("The XMP data is damaged or contains forbidden markup and was not read.")
        return
    for key, value in _properties(tree):
        collector.add("XMP", key, value)


def _properties(tree: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each property in packet order; a list yields a pair for each of its members."""
    waiting = [(tree, "")]
    while waiting:
        element, owner = waiting.pop()
        name = owner if element.tag.startswith(_RDF) else _name(element.tag)
        for attribute, value in element.attrib.items():
            if not attribute.startswith((_RDF, "{http://www.w3.org/XML/1998/namespace}")):
                yield _name(attribute), value
            elif attribute == f"{_RDF}resource":
                yield name, value
        if name and element.text and (text := element.text.strip()):
            yield name, text
        waiting += [(child, name) for child in reversed(element)]


def _name(tag: str) -> str:
    namespace, _, local = tag.removeprefix("{").rpartition("}")
    return f"{_PREFIXES.get(namespace, namespace)}:{local}" if namespace else local


def photoshop(data: bytes, collector: Collector) -> None:
    """Read the image resources of Photoshop, one of which holds IPTC."""
    offset = 0
    for _ in range(MOST_BLOCKS):
        if data[offset : offset + 4] != b"8BIM" or offset + 12 > len(data):
            return
        kind = int.from_bytes(data[offset + 4 : offset + 6])
        offset += 6 + (data[offset + 6] + 2) // 2 * 2  # skips the name
        size = int.from_bytes(data[offset : offset + 4])
        body = data[offset + 4 : offset + 4 + size]
        offset += 4 + (size + 1) // 2 * 2
        if kind == 0x0404:
            iptc(body, collector)


def iptc(data: bytes, collector: Collector) -> None:
    """Read the datasets of IPTC, record 2."""
    offset = 0
    for _ in range(MOST_BLOCKS):
        if data[offset : offset + 1] != b"\x1c" or offset + 5 > len(data):
            return
        record, dataset, size = data[offset + 1], data[offset + 2], int.from_bytes(data[offset + 3 : offset + 5])
        if size & 0x8000:  # an extended dataset, which no file needs
            return
        if record == 2 and dataset in _DATASETS:
            collector.add("IPTC", _DATASETS[dataset], decoded(data[offset + 5 : offset + 5 + size]))
        offset += 5 + size
