"""Duplicates, found in the order of the inputs, so that no mark depends on which worker was faster.

Exact ones (the same SHA-256) are looked up in a table on disk, so that memory does not grow with them. Near ones are
looked up among the perceptual hashes of earlier stills, 20 bytes each in memory, for the first ``MOST_HASHES`` of them.
"""

import sqlite3

import numpy as np

from faceloupe.batch.table import Place, Row
from faceloupe.media.similarity import NEAR_BITS

MOST_HASHES = 1_000_000  # 20 MB, and a millisecond a look-up
_FIRST_HASHES = 1024


class DuplicateIndex:
    """What was written so far, by content."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a private temporary file, gone when closed
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (sha256 BLOB PRIMARY KEY, offset, length) WITHOUT ROWID")
        self._hashes = np.zeros(_FIRST_HASHES, np.uint64)
        self._places = np.zeros((_FIRST_HASHES, 2), np.int64)
        self._count = 0

    def close(self) -> None:
        """Close and delete the temporary database."""
        self._database.close()

    def add(self, row: Row, position: Place) -> None:
        """Remember a row, if it is the first of its content."""
        if not row.sha256 or row.duplicate_of:
            return
        entry = (bytes.fromhex(row.sha256), *position)
        self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", entry)
        if row.perceptual_hash and self._count < MOST_HASHES:
            if self._count == len(self._hashes):
                self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
                self._places = np.concatenate([self._places, np.zeros_like(self._places)])
            self._hashes[self._count] = int(row.perceptual_hash, 16)
            self._places[self._count] = position
            self._count += 1

    def exact(self, sha256: str) -> Place | None:
        """Return the first row of the same bytes; None where there is none."""
        cursor = self._database.execute("SELECT offset, length FROM seen WHERE sha256 = ?", (bytes.fromhex(sha256),))
        row = cursor.fetchone()
        return Place(*row) if row else None

    def near(self, perceptual_hash: str) -> Place | None:
        """Return the row of the still most like one, the first of several; None where none is within ``NEAR_BITS``."""
        if not perceptual_hash or not self._count:
            return None
        differing = np.bitwise_count(self._hashes[: self._count] ^ np.uint64(int(perceptual_hash, 16)))
        nearest = int(differing.argmin())
        return Place(*self._places[nearest].tolist()) if differing[nearest] <= NEAR_BITS else None


class Written:
    """The inputs that a table holds already, each as often as it stands there; on disk like ``DuplicateIndex``."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE written (path TEXT PRIMARY KEY, times INTEGER) WITHOUT ROWID")

    def close(self) -> None:
        """Close and delete the temporary database."""
        self._database.close()

    def add(self, path: str) -> None:
        """Note a path that the table holds."""
        self._database.execute(
            "INSERT INTO written VALUES (?, 1) ON CONFLICT (path) DO UPDATE SET times = times + 1", (path,)
        )

    def take(self, path: str) -> bool:
        """Whether there is a row for the input that no other input has been matched with; it is matched now."""
        done = self._database.execute("UPDATE written SET times = times - 1 WHERE path = ? AND times > 0", (path,))
        return done.rowcount > 0
