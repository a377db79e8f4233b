"""ZIPs as evidence: members are read in place and within limits, and are never unpacked under their own names.

Names from a ZIP are only displayed, so a name such as ``../../etc/passwd`` does no harm.
"""

import contextlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from typing import IO

from faceloupe.errors import EvidenceError

MAGICS = (b"PK\x03\x04", b"PK\x05\x06")  # start of the first member; end record of an empty ZIP
MOST_EXPANDED = 200  # largest ratio of unpacked to packed size: media are already compressed and hardly shrink
HARMLESS_BYTES = 64 * 1024 * 1024  # smaller members may have any ratio: an uncompressed bitmap may shrink a lot
MOST_MEMBER_BYTES = 8 * 1024**3
MOST_DIRECTORY_BYTES = 64 * 1024 * 1024  # the directory is held in memory; this is about 700,000 members
_ENCRYPTED, _NAMES_IN_UTF8 = 0x1, 0x800
_UNICODE_PATH = 0x7075
_BROKEN = (zipfile.BadZipFile, zlib.error, LZMAError, OSError, EOFError, ValueError, OverflowError, IndexError)


def is_archive(path: str) -> bool:
    """Return whether the content of a regular file begins like a ZIP; False if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(4) in MAGICS
    except (OSError, ValueError):
        return False


class _Stream(io.BufferedReader):
    """The bytes of a ZIP, with a size limit on its directory, which ``zipfile`` reads in one piece without a limit."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.opening = True

    def read(self, size: int | None = -1) -> bytes:
        if self.opening and size is not None and size > MOST_DIRECTORY_BYTES:
            raise EvidenceError(
                f"The directory of the ZIP has {size:,} bytes; the limit is {MOST_DIRECTORY_BYTES:,}. Unpack it first."
            )
        return super().read(size)


class Archive:
    """An open ZIP, whose directory is read once.

    Attributes:
        members: number of a file in the directory -> its name, see ``_name``; in the order of the directory, without
            folders.
    """

    def __init__(self, path: str) -> None:
        """Open a ZIP and read its directory.

        Raises:
            EvidenceError: the ZIP is damaged, or its directory is too large.
        """
        with contextlib.ExitStack() as undone:
            try:
                self._stream = undone.enter_context(_Stream(path))
                self._zip = zipfile.ZipFile(self._stream)
            except (*_BROKEN, NotImplementedError) as problem:
                raise EvidenceError(f"The ZIP is damaged ({_cause(problem)}); get a complete copy.") from problem
            undone.pop_all()
        self._stream.opening = False
        self._every = self._zip.infolist()
        # ``is_dir()`` fails on empty names, and ``zipfile`` makes a name empty that begins with NUL.
        self.members = {number: _name(entry) for number, entry in enumerate(self._every) if entry.filename[-1:] != "/"}

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._stream.close()

    def size(self, number: int) -> int:
        """Return the unpacked size of a member in bytes, as stated in the directory; reading stops at this size."""
        return self._every[number].file_size

    @contextlib.contextmanager
    def open(self, number: int) -> Iterator[IO[bytes]]:
        """Open a member for reading.

        Yields:
            The stream of its unpacked bytes.

        Raises:
            EvidenceError: the member is encrypted, damaged, too large, compressed in an unsupported way, or expands
                more than media do. Reading from the stream may raise it too.
        """
        member = self._every[number]
        if member.flag_bits & _ENCRYPTED:
            raise EvidenceError("The member of the ZIP is encrypted; unpack it with its password.")
        if member.file_size > MOST_MEMBER_BYTES:
            raise EvidenceError(
                f"The member of the ZIP unpacks to {member.file_size:,} bytes; the limit is {MOST_MEMBER_BYTES:,}. "
                "Unpack it first."
            )
        if member.file_size > max(HARMLESS_BYTES, MOST_EXPANDED * member.compress_size):
            raise EvidenceError(
                f"The member of the ZIP unpacks from {member.compress_size:,} bytes to {member.file_size:,}, which no "
                "image or video does; it was not unpacked."
            )
        try:
            with self._zip.open(member) as stream:
                yield stream
        except (NotImplementedError, RuntimeError) as problem:
            raise EvidenceError(f"The member of the ZIP uses an unsupported compression ({problem}).") from None
        except _BROKEN as problem:
            raise EvidenceError(f"The member of the ZIP is damaged ({_cause(problem)}).") from problem


def _name(member: zipfile.ZipInfo) -> str:
    r"""Return the name of a member, decoded as UTF-8 if the archive declares it or the bytes are valid UTF-8.

    The encoding of other names is unknown, because it depends on the computer that packed them. Their bytes beyond
    ASCII are shown as ``\x8f``.
    """
    if member.flag_bits & _NAMES_IN_UTF8 or member.filename.isascii():
        return member.filename
    stored = member.filename.encode("cp437")  # ``zipfile`` has decoded the bytes as cp437
    if name := _unicode_path(member.extra, stored):
        return name
    try:
        return stored.decode("utf-8")
    except UnicodeDecodeError:
        return stored.decode("ascii", "backslashreplace")


def _unicode_path(extra: bytes, stored: bytes) -> str:
    """Return the name in the extra field "Info-ZIP Unicode Path"; empty if it does not belong to the stored name."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        body, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and body[:1] == b"\x01" and body[1:5] == struct.pack("<I", zlib.crc32(stored)):
            return body[5:].decode("utf-8", "backslashreplace")
    return ""


def _cause(problem: BaseException) -> str:
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__


class LastArchive:
    """Opens ZIPs and keeps the last one open.

    Successive files are mostly in the same ZIP, and its directory may take long to read.
    """

    def __init__(self) -> None:
        self._last: tuple[tuple[object, ...], Archive] | None = None

    def __call__(self, path: str) -> Archive:
        """Return the open ZIP at a path.

        Raises:
            EvidenceError: the ZIP can no longer be read; see also ``Archive``.
        """
        try:
            state = os.stat(path)
        except OSError as problem:
            raise EvidenceError(f"The ZIP can no longer be read ({problem.strerror}).") from problem
        key = (path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        if self._last is None or key != self._last[0]:
            self.close()
            self._last = (key, Archive(path))
        return self._last[1]

    def close(self) -> None:
        """Close the open ZIP, if there is one."""
        if self._last is not None:
            self._last[1].close()
        self._last = None
