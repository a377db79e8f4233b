"""``case.json`` of format 1, read one item or log entry at a time, because a case may be larger than memory.

``cases.case_record`` lays out the text: lines and indentation show where every value ends. JSON escapes line breaks in
strings, so a string cannot imitate such a line.
"""

import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from faceloupe.bundle import format
from faceloupe.errors import BundleError

_ITEMS, _LOG, _ENTRIES = b'  "items": [\n', b'  "log": {\n', b'    "entries": [\n'


@dataclass(frozen=True, slots=True)
class Item:
    """The JSON text of one item of the case."""

    text: bytes


@dataclass(frozen=True, slots=True)
class LogEntry:
    """The JSON text of one entry of the log."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Rest:
    """The JSON text of the case record without its items and log entries; it comes last."""

    text: bytes


def parts(lines: Iterable[bytes]) -> Iterator[Item | LogEntry | Rest]:
    """Split a case record into its parts.

    Args:
        lines: lines of ``case.json``, with their line breaks.

    Raises:
        BundleError: the text is not JSON, or is not laid out like a case record.
    """
    remaining, last_member = iter(lines), b""
    rest: list[bytes] = []
    for line in remaining:
        if line.startswith(b'  "'):
            last_member = line
        if line == _ITEMS or (line == _ENTRIES and last_member == _LOG):
            comma = yield from _values(remaining, Item if line == _ITEMS else LogEntry)
            line = line.removesuffix(b"\n") + b"]" + comma
        rest.append(line)
    text = b"".join(rest)
    value = format.parsed(text, format.CASE)
    try:
        # Compare every byte, so that no key can occur twice, of which different programs would read different values.
        whole = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() == text
        whole = whole and value["items"] == [] and value["log"]["entries"] == []
    except (KeyError, TypeError, ValueError, RecursionError):
        whole = False
    if not whole:
        raise _formless()
    yield Rest(text)


def _values(lines: Iterator[bytes], kind: type[Item] | type[LogEntry]) -> Generator[Item | LogEntry, None, bytes]:
    """Yield the values of an array, and return the rest of the line after its closing bracket."""
    indent = 2 if kind is Item else 4
    bracket = b" " * indent + b"]"
    brace = b" " * (indent + 2) + b"}"
    text: list[bytes] = []
    for line in lines:
        if not text and line in (bracket + b"\n", bracket + b",\n"):
            return line.removeprefix(bracket)
        last = line in (brace + b"\n", brace + b",\n")
        text.append(brace if last else line)
        if last:
            value = b"".join(text)
            format.parsed(value, format.CASE)
            yield kind(value)
            text = []
    raise _formless()


def _formless() -> BundleError:
    return BundleError(f"{format.CASE} does not have the form of a case report.")
