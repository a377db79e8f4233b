"""``case.json`` read an item and an entry at a time: a case can hold more of them than the memory.

The text is that of ``cases.case_record``: line and indentation tell where every value ends.
JSON escapes line breaks within texts, so that no line can pass for another.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from faceloupe.bundle import format
from faceloupe.errors import BundleError

_ITEMS, _LOG, _ENTRIES = b'  "items": [\n', b'  "log": {\n', b'    "entries": [\n'


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the case."""

    value: Any


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of its log."""

    value: Any


@dataclass(frozen=True, slots=True)
class Rest:
    """All the rest, comes last: the case report without its items and entries."""

    value: dict[str, Any]


def parts(lines: Iterable[bytes]) -> Iterator[Item | LogEntry | Rest]:
    """The parts of a case report.

    Args:
        lines: of ``case.json``, with their line breaks.

    Raises:
        BundleError: this is no JSON, or not laid out as a case report is.
    """
    lines, rest, last_member = iter(lines), [], b""
    for line in lines:
        if line.startswith(b'  "'):
            last_member = line
        if line == _ITEMS or (line == _ENTRIES and last_member == _LOG):
            kind, indent = (Item, 2) if line == _ITEMS else (LogEntry, 4)
            comma = yield from _values(lines, kind, indent)
            line = line.removesuffix(b"\n") + b"]" + comma
        rest.append(line)
    text = b"".join(rest)
    value = format.parsed(text, format.CASE)
    try:
        # To the last byte, so that nothing stands in it twice, to be read by one program and passed over by another.
        whole = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() == text
        whole = whole and value["items"] == [] and value["log"]["entries"] == []
    except (KeyError, TypeError, ValueError, RecursionError):
        whole = False
    if not whole:
        raise _formless()
    yield Rest(value)


def _values(lines: Iterator[bytes], kind: type[Item | LogEntry], indent: int) -> Iterator[Any]:
    """The values of an array, up to the line that ends it, of which the end is returned."""
    bracket = b" " * indent + b"]"
    brace = b" " * (indent + 2) + b"}"
    text: list[bytes] = []
    for line in lines:
        if not text and line in (bracket + b"\n", bracket + b",\n"):
            return line.removeprefix(bracket)
        last = line in (brace + b"\n", brace + b",\n")
        text.append(brace if last else line)
        if last:
            yield kind(format.parsed(b"".join(text), format.CASE))
            text = []
    raise _formless()


def _formless() -> BundleError:
    return BundleError(f"{format.CASE} does not have the form of a case report.")
