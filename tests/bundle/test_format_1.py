"""``case.json`` of format 1, read in pieces, equals the file read at once; other texts are refused."""

import json
import tracemalloc

import pytest

from faceloupe.bundle import format, format_1
from faceloupe.bundle.format_1 import Item, LogEntry, Rest, parts
from faceloupe.errors import BundleError


def text_of(value) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def read(text: bytes):
    return list(parts(text.splitlines(keepends=True)))


def made_up(items, entries):
    return {"kind": "case", "items": items, "notes": [], "log": {"entries": entries, "head_sha256": "0"}}


def test_a_bundle_is_read_as_it_is_read_whole(made_in_format_1):
    text = made_in_format_1.members[format.CASE]
    whole, pieces = json.loads(text), read(text)
    assert [json.loads(part.text) for part in pieces if isinstance(part, Item)] == whole["items"]
    assert [json.loads(part.text) for part in pieces if isinstance(part, LogEntry)] == whole["log"]["entries"]
    whole["items"] = whole["log"]["entries"] = []
    assert (type(pieces[-1]), json.loads(pieces[-1].text)) == (Rest, whole)


@pytest.mark.parametrize("items", [[], [{"a": 1}], [{"a": 1}, {"b": [{"c": {}}]}]], ids=range(3))
@pytest.mark.parametrize(
    "entries", [[], [{"seq": 1}], [{"seq": 1}, {"text": '  "items": [\n  ],\n    }'}]], ids=range(3)
)
def test_any_number_of_items_and_entries_is_read(items, entries):
    pieces = read(text_of(made_up(items, entries)))
    values = [(type(part), json.loads(part.text)) for part in pieces]
    expected = [*((Item, item) for item in items), *((LogEntry, entry) for entry in entries)]
    assert values == [*expected, (Rest, made_up([], []))]


WHOLE = text_of(made_up([{"a": 1}], [{"seq": 1}]))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        json.dumps(made_up([], [])).encode(),  # on one line
        WHOLE + b"\n",
        WHOLE.replace(b'"a": 1', b'"a": '),
        WHOLE[: len(WHOLE) // 2],
        WHOLE.replace(b'  "notes": [],', b'  "items": [],\n  "notes": [],'),
        WHOLE.replace(b'  "items": [\n', b'  "items": [{"b": 2}],\n  "items": [\n'),
        WHOLE.replace(b'  "notes": [],', b'  "notes": [{"text": 1}],\n  "notes": [],'),
        WHOLE.replace(b'    {\n      "a"', b'    3,\n    {\n      "a"'),
        b"[" * 100_000,
    ],
    ids=range(13),
)
def test_what_is_not_laid_out_as_a_case_report_is_refused(text):
    with pytest.raises(BundleError, match=format.CASE):
        read(text)


def test_the_memory_does_not_grow_with_the_items():
    def lines(items):
        head, tail = text_of(made_up([], [])).split(b"[]", 1)
        yield from head.splitlines(keepends=True)[:-1]
        yield format_1._ITEMS
        item = b"    " + text_of({"text": "x" * 10_000}).replace(b"\n", b"\n    ")
        for number in range(items):
            yield from (item + (b"\n" if number == items - 1 else b",\n")).splitlines(keepends=True)
        yield b"  ]" + tail.split(b"\n", 1)[0] + b"\n"
        yield from tail.split(b"\n", 1)[1].splitlines(keepends=True)

    peaks = []
    for items in (10, 1000):
        tracemalloc.start()
        count = sum(isinstance(part, Item) for part in parts(lines(items)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == items
    assert peaks[1] < peaks[0] + 100_000, peaks
