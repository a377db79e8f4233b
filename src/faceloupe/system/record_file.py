"""Private JSON files that hold a list of records each, such as API keys and people with a password."""

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
    """A list of records in a JSON file that only its owner may read.

    Any thread and any process may change it, one at a time; the others see the change immediately.
    """

    def __init__(self, path: Path, decoder: msgspec.json.Decoder[tuple[Record, ...]], *, title: str) -> None:
        """Set the path of the file; neither the file nor its folder needs to exist.

        Args:
            path: path of the file.
            decoder: decoder of the file content.
            title: name of the records in error messages, such as "API keys".
        """
        self._path, self._decoder, self._title = path, decoder, title
        self._lock = threading.Lock()
        self._last_read: tuple[tuple[int, int, int] | None, tuple[Record, ...]] = (None, ())

    def read(self) -> tuple[Record, ...]:
        """Return the records in file order; empty if there is no file.

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
        """Change the records while no other thread or process can change them.

        Yields:
            The records, to be changed in place. They are written only if the block succeeds.

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
