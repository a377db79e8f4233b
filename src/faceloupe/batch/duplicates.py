"""Duplicates, found in the order of the inputs, so that the result does not depend on the speed of the workers.

Exact duplicates (the same SHA-256) are looked up in a table on disk, so memory does not grow with the batch. Near
duplicates are looked up among the perceptual hashes of the first ``MOST_HASHES`` images, which take 24 bytes of memory
each.
"""

import sqlite3

import numpy as np

from faceloupe.batch.table import Place, Row
from faceloupe.media.similarity import NEAR_BITS

MOST_HASHES = 1_000_000  # about 24 MB, and one millisecond per look-up
_FIRST_HASHES = 1024


class DuplicateIndex:
    """An index of the rows written so far, by the content of their files."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a private temporary file, deleted on close
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
        """Add a row to the index if it is the first row with its content."""
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
        """Return the place of the first row with this SHA-256; None if there is none."""
        cursor = self._database.execute("SELECT offset, length FROM seen WHERE sha256 = ?", (bytes.fromhex(sha256),))
        row = cursor.fetchone()
        return Place(*row) if row else None

    def near(self, perceptual_hash: str) -> Place | None:
        """Return the place of the first row with the most similar hash; None if none is within ``NEAR_BITS``."""
        if not perceptual_hash or not self._count:
            return None
        differing = np.bitwise_count(self._hashes[: self._count] ^ np.uint64(int(perceptual_hash, 16)))
        nearest = int(differing.argmin())
        return Place(*self._places[nearest].tolist()) if differing[nearest] <= NEAR_BITS else None


class ExistingRows:
    """The paths of the inputs that already have rows, with the number of rows; on disk like ``DuplicateIndex``."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE written (path TEXT PRIMARY KEY, times INTEGER) WITHOUT ROWID")

    def close(self) -> None:
        """Close and delete the temporary database."""
        self._database.close()

    def add(self, path: str) -> None:
        """Count a row with this path."""
        self._database.execute(
            "INSERT INTO written VALUES (?, 1) ON CONFLICT (path) DO UPDATE SET times = times + 1", (path,)
        )

    def match(self, path: str) -> bool:
        """Match an input with a row of the same path, and return whether an unmatched row was left."""
        done = self._database.execute("UPDATE written SET times = times - 1 WHERE path = ? AND times > 0", (path,))
        return done.rowcount > 0
