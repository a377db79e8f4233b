"""Readers for the file formats of checkpoints, which neither run nor trust anything in the file.

Every size that a file claims is checked against the actual size and against a limit before anything is read or
unpacked. A file that two programs could read differently is rejected.
"""

import io
import re
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

from faceloupe.media.evidence_file import printable_name
from faceloupe.models.pickles import ITEM_BYTES, Broken, Findings, Tensor, load

MAX_PICKLE_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 8 * 1024 * 1024  # of safetensors: about 80,000 tensors; the parsed header is several times larger
MAX_DIRECTORY_BYTES = 16 * 1024 * 1024  # of a ZIP archive: about 200,000 entries
LONGEST_TEXT = 200
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_SAFETENSORS_PREFIXES = {"BF": "bfloat", "F": "float", "C": "complex", "I": "int", "U": "uint"}
_KERAS = "a Keras model can hold code that loading runs"
_TAR = "PyTorch's archives of 2016 hold pickles that loading runs"


@dataclass(slots=True)
class Contents:
    """The contents of one file.

    Attributes:
        container: the kind of file.
        value: the value that loading would rebuild, in the types of ``pickles``; empty if unknown.
        metadata: metadata of the file, by name.
        findings: imports and calls that loading would make.
        programs: names of the archive entries that hold code.
        damage: why the file could not be read to its end, as the middle of a sentence; None if it could.
        unexamined: why the file was not examined; None if it was.
    """

    container: str
    value: Any = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    programs: tuple[str, ...] = ()
    damage: str | None = None
    unexamined: str | None = None


def cut(text: str) -> str:
    """Shorten text from a file, and make it printable."""
    return printable_name(text[:LONGEST_TEXT]) + ("…" if len(text) > LONGEST_TEXT else "")


def read(path: Path, size: int) -> Contents | None:
    """Return the contents of a file of ``size`` bytes, recognized by its first bytes; None if its kind is unknown.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(512)
        if head.startswith(b"\x89HDF\r\n\x1a\n"):
            return Contents("Keras/HDF5 file, recognized by its first bytes only", unexamined=f"not examined: {_KERAS}")
        if _is_tar(head):
            return Contents("tar archive, recognized by its first bytes only", unexamined=f"not examined: {_TAR}")
        if head.startswith(b"PK\x03\x04"):
            return _read_zip(stream, size)
        announced = int.from_bytes(head[:8], "little")
        pickled = head[:1] == b"\x80" and head[1:2] <= b"\x05"
        if head[8:9] == b"{" and (announced <= size - 8 or not pickled):
            return _read_safetensors(path, size, announced)
        stream.seek(0)
        return _read_pickles(stream.read(MAX_PICKLE_BYTES), size, certain=pickled)


def _is_tar(head: bytes) -> bool:
    """Return whether ``tarfile`` accepts the bytes as a header; torch asks it before it looks for a pickle.

    Old tar headers have a checksum but no magic number, so a pickle or a safetensors file can also be a valid header.
    """
    try:
        tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _read_safetensors(path: Path, size: int, announced: int) -> Contents:
    contents = Contents("safetensors file")
    if announced > min(size - 8, MAX_HEADER_BYTES):
        limit = "the file holds" if announced > size - 8 else f"the {MAX_HEADER_BYTES:,} that are examined"
        contents.damage = f"its header claims {announced:,} bytes, more than {limit}"
        return contents
    try:
        with safe_open(path, framework="numpy") as file:
            contents.metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            contents.value = {
                key: Tensor(_dtype(part.get_dtype()), tuple(part.get_shape())) for key, part in slices.items()
            }
    except SafetensorError as problem:
        contents.damage = cut(str(problem)).removeprefix("Error while deserializing header: ")
    return contents


def _dtype(name: str) -> str:
    """Return PyTorch's name of a safetensors type, such as float32 for F32."""
    return re.sub(r"^(BF|F|C|I|U)(?=\d)", lambda match: _SAFETENSORS_PREFIXES[match[1]], name).lower()


def _read_zip(stream: BinaryIO, size: int) -> Contents | None:
    contents = Contents("zip archive")
    try:
        _check_directory(stream, size)
        with zipfile.ZipFile(stream) as archive:
            entries = _entries(archive)
            top = archive.namelist()[0].partition("/")[0].casefold() if entries else ""  # as PyTorch takes it
            if "config.json" in entries and any(name.endswith(".h5") for name in entries):
                kind = "Keras archive, recognized by the names of its entries only"
                return Contents(kind, unexamined=f"not examined: {_KERAS}")
            if not any(f"{top}/{name}" in entries for name in ("data.pkl", "constants.pkl", ".data/extern_modules")):
                return None
            _read_archive(archive, entries, top, contents)
    except Broken as problem:
        contents.damage = str(problem)
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, struct.error):
        contents.damage = "its entries cannot be read"
    return contents


def _check_directory(stream: BinaryIO, size: int) -> None:
    """Check that the archive's directory is at the one position where all ZIP readers look for it.

    Raises:
        Broken: the directory is at another position, so that programs could see different entries, or it is too large.
    """
    stream.seek(max(0, size - 98))
    tail = stream.read().rjust(98, b"\0")
    signature, *_, length, start, comment = struct.unpack("<4s4H2LH", tail[-22:])
    end, sound = size - 22, signature == b"PK\x05\x06" and comment == 0
    if tail[-42:-38] == b"PK\x06\x07":  # the 64-bit form has its own record before this one
        (end,) = struct.unpack("<Q", tail[-34:-26])
        sound &= end == size - 98 and tail[:4] == b"PK\x06\x06"
        length, start = struct.unpack("<2Q", tail[40:56])
    if not sound or start + length != end:
        raise Broken("its directory is not where it belongs, or it was cut short")
    if length > MAX_DIRECTORY_BYTES:
        raise Broken(f"its directory takes {length:,} bytes, more than the {MAX_DIRECTORY_BYTES:,} that are examined")


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by case-folded name, because PyTorch looks them up regardless of case.

    Raises:
        Broken: programs could confuse two entries, or an entry uses a compression that PyTorch never uses.
    """
    listed = archive.infolist()
    entries = {entry.filename.casefold(): entry for entry in listed}
    if len(entries) != len(listed) or any(entry.filename != entry.orig_filename for entry in listed):
        raise Broken("it holds entries that programs take for one another")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in listed):
        raise Broken("it is packed in a way that PyTorch never uses")
    return entries


def _read_archive(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], top: str, contents: Contents) -> None:
    main = entries.get(f"{top}/data.pkl")
    programs = [entry.filename for name, entry in entries.items() if name.endswith(".py")]
    if not programs and f"{top}/constants.pkl" in entries:
        programs = [entries[f"{top}/constants.pkl"].filename]
    contents.container = "PyTorch program archive (TorchScript or package)" if programs else "PyTorch zip archive"
    contents.programs = tuple(programs)
    pickles = sorted((entry for name, entry in entries.items() if name.endswith(".pkl")), key=lambda e: e is not main)
    if sum(entry.file_size for entry in pickles) > MAX_PICKLE_BYTES:
        raise Broken(f"its pickles take more than the {MAX_PICKLE_BYTES:,} bytes that are followed")
    storages = contents.findings.storages
    for entry in pickles:  # PyTorch loads the main one, which is the first here
        with archive.open(entry) as packed:
            value = load(io.BytesIO(packed.read(MAX_PICKLE_BYTES)), contents.findings)
        if entry is main:
            contents.value, storages = value, dict(storages)
    for key, storage in storages.items():
        data = entries.get(f"{top}/data/{key}".casefold())
        if data is None or data.file_size != storage.elements * ITEM_BYTES.get(storage.dtype, data.file_size):
            raise Broken(f"the data of its storage {cut(key)} are missing or of another size")


def _read_pickles(content: bytes, size: int, *, certain: bool) -> Contents | None:
    """Read a pickle, or the sequence of pickles in PyTorch's legacy format.

    Args:
        content: the file's bytes, up to the first ``MAX_PICKLE_BYTES``.
        size: size of the whole file, bytes.
        certain: whether the file starts like a pickle. Protocols 0 and 1 have no such start; a file without it counts
            as a pickle only if its contents are plausible.

    Returns:
        The contents, or None if the file is not a pickle.
    """
    contents = Contents("pickle")
    findings, stream = contents.findings, io.BytesIO(content)
    try:
        contents.value = load(stream, findings)
        if contents.value == _TORCH_MAGIC:
            contents.container = "PyTorch legacy pickle"
            _, _, contents.value, keys = (load(stream, findings) for _ in range(4))
            expected = sum(
                8 + storage.elements * ITEM_BYTES.get(storage.dtype, 1)
                for storage in map(findings.storages.__getitem__, keys)
            )
        else:
            while content[stream.tell() : stream.tell() + 1] == b"\x80":  # a program that keeps reading runs these too
                load(stream, findings)
            expected = 0
        if (remaining := size - stream.tell()) != expected:
            raise Broken(f"{remaining:,} bytes follow its pickles, and {expected:,} belong there")
    except Broken as problem:
        truncated = size > len(content) and stream.tell() == len(content)
        contents.damage = (
            f"it is longer than the {len(content):,} bytes that are followed" if truncated else str(problem)
        )
    except (KeyError, TypeError):
        contents.damage = "the list of its storages is malformed"
    if certain or (
        findings.calls if contents.damage else findings.imports or isinstance(contents.value, dict | list | tuple)
    ):
        return contents
    return None
