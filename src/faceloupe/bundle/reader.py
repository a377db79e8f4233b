"""Reading of ZIPs from untrusted sources: the structure is checked first, and nothing is unpacked to disk."""

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from faceloupe.bundle.format import CHUNK, is_name
from faceloupe.errors import BundleError, UsageError
from faceloupe.media.evidence_file import printable_name

# Exceptions that ``zipfile`` raises on damaged or manipulated archives.
_DAMAGE = (
    *(zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, OSError),
    struct.error,
)
_FOLDERS = ("reports/", "pictures/", "evidence/")  # of members
_ENCRYPTED = 0x1  # flag bit of a member


class Archive:
    """The members of a bundle.

    Attributes:
        sizes: name of a member -> its size in bytes, as the ZIP states it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Open a bundle.

        Args:
            stream: seekable stream of the whole file.

        Raises:
            UsageError: the file is not a ZIP.
            BundleError: the ZIP is damaged, or does not have the structure of a bundle.
        """
        stream.seek(0)
        head = stream.read(2)
        try:
            self._zip = zipfile.ZipFile(stream)
        except _DAMAGE as problem:
            if head != b"PK":
                raise UsageError(
                    "The file is not a ZIP file; give a bundle as the page Report or `faceloupe case export` makes it."
                ) from None
            raise BundleError(f"The ZIP is damaged or cut short: {_error_text(problem)}.") from None
        self._members = {info.filename: info for info in self._zip.infolist()}
        seen: set[str] = set()
        for info in self._zip.infolist():
            reason = _refusal_reason(info, seen)
            if reason:
                raise BundleError(f"The ZIP has a member {_shown(info.orig_filename)} that {reason}.")
            seen.add(info.filename.casefold())
        self.sizes = {name: info.file_size for name, info in self._members.items()}
        length = stream.seek(0, os.SEEK_END)
        if sum(self.sizes.values()) > length:  # members overlap
            raise BundleError("The members of the ZIP are larger than the ZIP itself.")

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a member in chunks.

        Raises:
            BundleError: the member is missing or damaged.
        """
        if name not in self._members:
            raise BundleError(f"{name} is missing.")
        try:
            with self._zip.open(self._members[name]) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except _DAMAGE as problem:
            raise BundleError(f"{name} is damaged: {_error_text(problem)}.") from None

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a member with their line breaks, without holding the whole member in memory.

        Raises:
            BundleError: see ``chunks``.
        """
        rest: list[bytes] = []
        for chunk in self.chunks(name):
            first, *more = chunk.split(b"\n")
            rest.append(first)
            for line in more:
                yield b"".join(rest) + b"\n"
                rest = [line]
        if last := b"".join(rest):
            yield last

    def read(self, name: str) -> bytes:
        """Return the whole content of a member.

        Raises:
            BundleError: see ``chunks``.
        """
        return b"".join(self.chunks(name))


def _refusal_reason(info: zipfile.ZipInfo, seen: set[str]) -> str:
    """Return why a member cannot belong to a bundle; empty if it can."""
    name = info.orig_filename
    reasons = {
        "is a folder; a bundle has none, so this ZIP was packed again": name in _FOLDERS,
        "has a name that no bundle uses": not is_name(name),  # absolute, with "..", a backslash, a drive letter, ...
        "occurs twice": info.filename.casefold() in seen,
        "is a link or another special file": stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG),
        "is encrypted": bool(info.flag_bits & _ENCRYPTED),
        "is compressed; members of a bundle are never compressed": info.compress_type != zipfile.ZIP_STORED
        or info.compress_size != info.file_size,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _shown(name: str) -> str:
    return repr(printable_name(name)[:100])


def _error_text(problem: Exception) -> str:
    return printable_name(str(problem)).rstrip(".")[:200] or type(problem).__name__
