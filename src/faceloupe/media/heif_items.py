"""Pictures in AVIF and HEIC files besides the main one (ISO/IEC 23008-12): gain maps, depth maps, bursts."""

import io
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from faceloupe.media import boxes
from faceloupe.media.evidence import EmbeddedContent

_CODINGS = {b"hvc1": "HEVC", b"av01": "AV1", b"jpeg": "JPEG", b"avc1": "AVC", b"vvc1": "VVC", b"j2k1": "JPEG 2000"}
_DERIVED = {b"grid", b"iovl", b"iden", b"tmap"}  # computed from other items
_TONE_MAPPED = b"tmap"  # ISO 21496-1: computed from the base picture and the gain map, in this order
_GROUPS = {b"brst": "a picture of a burst", b"ster": "a picture of a stereo pair"}
_AUXILIARY = {  # end of the URN of an auxiliary picture -> what it is
    "hdrgainmap": "a gain map",
    "auxiliary:depth": "a depth map",
    "auxid:2": "a depth map",
    "aux:disparity": "a depth map",
}
_SHOWN_WITH_MAIN = ("auxiliary:alpha", "auxid:1")


@dataclass(frozen=True, slots=True)
class _Items:
    """The items that the boxes of a file describe.

    Attributes:
        primary: id of the main picture.
        types: id -> type of the item.
        extents: id -> positions of its data in the file.
        made_of: id -> ids of the items that it is made of.
        thumbnails: ids of the thumbnails.
        auxiliary: id -> URN that states the kind of an auxiliary picture.
        groups: id -> kind of the group that the item belongs to.
    """

    primary: int
    types: dict[int, bytes]
    extents: dict[int, list[boxes.Extent]]
    made_of: dict[int, list[int]]
    thumbnails: set[int]
    auxiliary: dict[int, str]
    groups: dict[int, bytes]

    def parts(self, item: int) -> list[int]:
        """Return the ids of all items that an item is made of, directly or indirectly; the first is the item itself."""
        parts, queue = {item: None}, [item]
        for part in queue:
            added = [other for other in dict.fromkeys(self.made_of.get(part, ())) if other not in parts]
            parts.update(dict.fromkeys(added))
            queue += added
        return queue


def embedded_pictures(content: bytes) -> dict[int, EmbeddedContent]:
    """List the pictures that viewers do not show, in the order of their data; thumbnails are left out.

    Args:
        content: bytes of an AVIF or HEIC file.

    Returns:
        Id of the item -> description; empty if the boxes cannot be read.
    """
    try:
        items = _read(memoryview(content))
    except (IndexError, struct.error):
        return {}
    return {} if items is None else dict(sorted(_embedded(items), key=lambda item: item[1].offset))


Edit = tuple[int, bytes]  # offset, and the bytes to write there


def as_main_picture(content: bytes, item: int) -> tuple[Edit, ...]:
    """Return the edits that make an item the main picture.

    The edits set it as the primary item, clear its hidden flag, and disable its references as an auxiliary picture of
    another item.

    Args:
        content: bytes of an AVIF or HEIC file.
        item: id of the item.

    Returns:
        The edits; empty if the boxes cannot be read, or have no room for the id.
    """
    try:
        return tuple(_edits(content, item))
    except (IndexError, OverflowError):
        return ()


def _edits(content: bytes, item: int) -> list[Edit]:
    file, edits = io.BytesIO(content), list[Edit]()
    whole = [box for box in boxes.file_boxes(file, 0, len(content)) if box[0] == b"meta"]
    for _, start, size in whole[:1]:
        for kind, at, length in boxes.file_boxes(file, start + boxes.FULL, start + size):
            if kind == b"pitm":
                edits.append((at + boxes.FULL, item.to_bytes(4 if content[at] else 2)))
            elif kind == b"iinf":
                edits += _unhidden(file, content, (at + boxes.FULL + (4 if content[at] else 2), at + length), item)
            elif kind == b"iref":
                of_id = 4 if content[at] else 2
                edits += [
                    (body - 4, b"skip")
                    for reference, body, _ in boxes.file_boxes(file, at + boxes.FULL, at + length)
                    if reference == b"auxl" and int.from_bytes(content[body : body + of_id]) == item
                ]
    return edits


def _unhidden(file: io.BytesIO, content: bytes, within: tuple[int, int], item: int) -> list[Edit]:
    edits = []
    for kind, body, _ in boxes.file_boxes(file, *within):
        of_id = 2 if content[body] < 3 else 4
        if kind == b"infe" and int.from_bytes(content[body + boxes.FULL : body + boxes.FULL + of_id]) == item:
            edits.append((body + boxes.FULL - 1, bytes([content[body + boxes.FULL - 1] & ~1])))
    return edits


def _embedded(items: _Items) -> Iterator[tuple[int, EmbeddedContent]]:
    gain_maps = {
        inputs[-1] for item, inputs in items.made_of.items() if items.types.get(item) == _TONE_MAPPED and inputs
    }
    used = {part for inputs in items.made_of.values() for part in inputs} | set(items.parts(items.primary))
    for item, kind in items.types.items():
        urn = items.auxiliary.get(item, "")
        is_picture = kind in _CODINGS or (kind in _DERIVED and kind != _TONE_MAPPED)
        is_shown = (item in used and item not in gain_maps) or urn.endswith(_SHOWN_WITH_MAIN)
        if not is_picture or is_shown or item in items.thumbnails:
            continue
        parts = items.parts(item)
        data = [extent for part in parts for extent in items.extents.get(part, ()) if extent.in_file]
        if data:
            name = "a gain map" if item in gain_maps else _name(urn, items.groups.get(item))
            codings = {_CODINGS[items.types[part]] for part in parts if items.types.get(part) in _CODINGS}
            size = sum(extent.length for extent in data)
            kind_of_coding = f"{name} ({', '.join(sorted(codings))})"
            yield item, EmbeddedContent(kind_of_coding, min(extent.offset for extent in data), size)


def _name(urn: str, group: bytes | None) -> str:
    if urn:
        known = next((name for ending, name in _AUXILIARY.items() if urn.endswith(ending)), None)
        return known or f"an auxiliary picture, {urn.rpartition(':')[2]}"
    return _GROUPS.get(group or b"", "a further picture")


def _read(content: memoryview) -> _Items | None:
    meta = next((body[boxes.FULL :] for kind, body in boxes.walk(content) if kind == b"meta"), None)
    if meta is None:
        return None
    parts = dict(reversed(list(boxes.walk(meta))))
    if not parts.keys() >= {b"pitm", b"iinf", b"iloc"}:
        return None
    extents: dict[int, list[boxes.Extent]] = defaultdict(list)
    for extent in boxes.extents(parts[b"iloc"]):
        extents[extent.item].append(extent)
    made_of: dict[int, list[int]] = defaultdict(list)
    thumbnails = set()
    for kind, item, other in _references(parts[b"iref"]) if b"iref" in parts else ():
        if kind == b"dimg":
            made_of[item].append(other)
        elif kind == b"thmb":
            thumbnails.add(item)
    return _Items(
        boxes.uint(parts[b"pitm"], boxes.FULL, 4 if parts[b"pitm"][0] else 2),
        dict(_types(parts[b"iinf"])),
        extents,
        made_of,
        thumbnails,
        dict(_auxiliary(parts[b"iprp"])) if b"iprp" in parts else {},
        dict(_groups(parts[b"grpl"])) if b"grpl" in parts else {},
    )


def _types(body: memoryview) -> Iterator[tuple[int, bytes]]:
    first = boxes.FULL + (2 if body[0] == 0 else 4)
    for kind, entry in boxes.walk(body[first:]):
        if kind == b"infe" and entry[0] >= 2:  # earlier versions have no item type
            of_id = 2 if entry[0] == 2 else 4
            start = boxes.FULL + of_id + 2
            yield boxes.uint(entry, boxes.FULL, of_id), bytes(entry[start : start + 4])


def _references(body: memoryview) -> Iterator[tuple[bytes, int, int]]:
    of_id = 4 if body[0] else 2
    for kind, entry in boxes.walk(body[boxes.FULL :]):
        of = boxes.uint(entry, 0, of_id)
        for number in range(boxes.uint(entry, of_id, 2)):
            yield kind, of, boxes.uint(entry, of_id + 2 + number * of_id, of_id)


def _auxiliary(body: memoryview) -> Iterator[tuple[int, str]]:
    inner = list(boxes.walk(body))
    properties = [box for kind, entry in inner if kind == b"ipco" for box in boxes.walk(entry)]
    for item, number in (stated for kind, entry in inner if kind == b"ipma" for stated in boxes.associations(entry)):
        if 1 <= number <= len(properties) and properties[number - 1][0] == b"auxC":
            urn = bytes(properties[number - 1][1][boxes.FULL :]).partition(b"\0")[0]
            yield item, urn.decode("ascii", "replace")


def _groups(body: memoryview) -> Iterator[tuple[int, bytes]]:
    for kind, entry in boxes.walk(body):
        for number in range(boxes.uint(entry, boxes.FULL + 4, 4)):
            yield boxes.uint(entry, boxes.FULL + 8 + 4 * number, 4), kind
