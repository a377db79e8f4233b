"""A text file of chain heads beside the database: it tells when the last entries were taken away.

A line is ``chain number sha256``. It is written after the commit: a process that dies between the two leaves the file
behind the log, never ahead of it. So a head that the log lacks was removed from the log.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from faceloupe.cases.audit_log import Head

_LINE = re.compile(r"(\S+) (\d{1,18}) ([0-9a-f]{64})")


class AnchorFile:
    """The file. Any thread of any process may append to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Make the file where there is none. An old store without it stays without: that is to be seen."""
        self._path.touch()

    def append(self, heads: Iterable[Head]) -> None:
        """Note heads whose entries are committed.

        What cannot be written is left out: the entries are kept, and the database notes the head as well.
        """
        # The line break comes first: where a full disk cut a line off, the next one is still whole.
        text = "".join(f"\n{head.chain} {head.seq} {head.sha256}" for head in heads)
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, text.encode())  # one call: appends of several processes do not mix
            finally:
                os.close(descriptor)

    def read(self) -> dict[str, dict[int, str]] | None:
        """Chain -> number -> SHA-256; None where the file is gone or unreadable.

        Where a number was noted with two hashes, none can be right: it is empty.
        """
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        noted: dict[str, dict[int, str]] = {}
        for line in filter(None, map(_LINE.fullmatch, text.splitlines())):
            chain, number, sha256 = line[1], int(line[2]), line[3]
            hashes = noted.setdefault(chain, {})
            hashes[number] = sha256 if hashes.get(number, sha256) == sha256 else ""
        return noted
