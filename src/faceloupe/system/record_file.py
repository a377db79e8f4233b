"""Lists of records in one private JSON file each, such as API keys and people with a password."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from filelock import FileLock

from faceloupe.config import private_folder
from faceloupe.errors import UsageError
from faceloupe.system.files import replacing

Record = TypeVar("Record")


class RecordFile(Generic[Record]):
    """A list of records in a JSON file that its owner alone may read.

    Any thread and any process may change it, one at a time; the others see the change at once.
    """

    def __init__(self, path: Path, decoder: msgspec.json.Decoder[tuple[Record, ...]], *, title: str) -> None:
        """Name the file; neither it nor its folder need exist.

        Args:
            path: of the file.
            decoder: reads its content.
            title: the records as error messages call them, such as "API keys".
        """
        self._path, self._decoder, self._title = path, decoder, title
        self._lock = threading.Lock()
        self._last_read: tuple[tuple[int, int, int] | None, tuple[Record, ...]] = (None, ())

    def read(self) -> tuple[Record, ...]:
        """Return the records in the order of the file; none where there is no file.

        Raises:
            UsageError: the file cannot be read or is damaged.
        """
        with self._lock:
            try:
                status = self._path.stat()
                state = status.st_ino, status.st_size, status.st_mtime_ns
                if state != self._last_read[0]:
                    self._last_read = state, self._decoder.decode(self._path.read_bytes())
            except FileNotFoundError:
                self._last_read = None, ()
            except (OSError, msgspec.MsgspecError) as problem:
                raise UsageError(
                    f"The {self._title} in {self._path} cannot be read ({problem}); restore the file."
                ) from None
            return self._last_read[1]

    @contextmanager
    def change(self) -> Iterator[list[Record]]:
        """Have the records changed while nobody else changes them.

        Yields:
            The records, to be changed in place. When the block ends well, they are written; else nothing is.

        Raises:
            UsageError: the file is damaged, or cannot be read or written.
        """
        lock = FileLock(f"{self._path}.lock")
        try:
            private_folder(self._path.parent)
            lock.acquire()
        except OSError as problem:
            raise self._unwritable(problem) from problem
        try:
            records = list(self.read())
            yield records
            self._write(records)
        finally:
            lock.release()

    def _write(self, records: list[Record]) -> None:
        content = msgspec.json.format(msgspec.json.encode(records))
        try:
            with replacing(self._path) as temporary:
                os.chmod(temporary, 0o600)
                temporary.write_bytes(content)
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def _unwritable(self, problem: OSError) -> UsageError:
        return UsageError(f"{self._path} cannot be written ({problem.strerror}); check the folder.")
