"""A text file of chain heads beside the database, which reveals that the newest entries of a chain were removed.

A line is ``chain number sha256``. It is written after the commit, so a process that dies in between leaves the file
behind the log, never ahead of it. Therefore a head that the log lacks was removed from the log.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from faceloupe.cases.audit_log import Head

_LINE = re.compile(r"(\S+) (\d{1,18}) ([0-9a-f]{64})")


class AnchorFile:
    """The file of chain heads. All threads and processes may append to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Create the file for a new store; in an existing store, a missing file must be detected as lost."""
        self._path.touch()

    def append(self, heads: Iterable[Head]) -> None:
        """Append the heads of committed entries.

        Write errors are ignored: the entries are already committed, and the database also stores the heads.
        """
        # The line break comes first, so that a line cut off by a full disk does not damage the next one.
        text = "".join(f"\n{head.chain} {head.seq} {head.sha256}" for head in heads)
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, text.encode())  # one call, so that appends of several processes do not mix
            finally:
                os.close(descriptor)

    def read(self) -> dict[str, dict[int, str]] | None:
        """Return chain -> number -> SHA-256; None if the file is missing or unreadable.

        If a number occurs with different hashes, none can be trusted, and its hash is empty.
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
