"""The kinds of file that checkpoints come in, read from their bytes alone and never trusted.

Every size that a file claims is held against the bytes that are there and against a limit, before anything is read or
unpacked. Where two programs could read one file differently, it is refused.
"""

import json
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from faceloupe.media.evidence_file import printable_name
from faceloupe.models.pickles import ITEM_BYTES, Broken, Findings, Machine, Mapping, Tensor, tensor

MAX_PICKLE_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 8 * 1024 * 1024  # of safetensors: some 80,000 tensors; parsed, it takes a multiple
MAX_DIRECTORY_BYTES = 16 * 1024 * 1024  # of a zip archive: some 200,000 entries
LONGEST_TEXT = 200
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_BY_BYTES_ONLY = "recognized by its first bytes only"
_KERAS = "a Keras model can hold code that loading runs"


@dataclass(slots=True)
class Reading:
    """What one file holds.

    Attributes:
        container: the kind of file.
        value: what it would rebuild, in the terms of ``pickles``; an empty ``Mapping`` where that is not known.
        metadata: names and values that stand beside it.
        findings: what it would import and call.
        programs: entries of an archive that hold code.
        damage: why it could not be followed to its end, as the middle of a sentence.
        unexamined: why it was not followed at all.
    """

    container: str
    value: Any = field(default_factory=Mapping)
    metadata: Mapping = field(default_factory=Mapping)
    findings: Findings = field(default_factory=Findings)
    programs: tuple[str, ...] = ()
    damage: str | None = None
    unexamined: str | None = None


def cut(text: str) -> str:
    """A name or word out of a file, printable and short."""
    return printable_name(text[:LONGEST_TEXT]) + ("…" if len(text) > LONGEST_TEXT else "")


def read(stream: BinaryIO, size: int) -> Reading | None:
    """Read by the first bytes; None where they are of no known kind."""
    head = stream.read(512)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _unexamined(f"Keras/HDF5 file, {_BY_BYTES_ONLY}", _KERAS)
    if _is_tar(head):
        return _unexamined(
            f"tar archive, {_BY_BYTES_ONLY}", "PyTorch's archives of 2016 hold pickles that loading runs"
        )
    if head.startswith(b"PK\x03\x04"):
        return _read_zip(stream, size)
    announced = int.from_bytes(head[:8], "little")
    pickled = head[:1] == b"\x80" and head[1:2] <= b"\x05"
    if head[8:9] == b"{" and (announced <= size - 8 or not pickled):
        return _read_safetensors(stream, size, announced)
    stream.seek(0)
    return _read_pickles(stream.read(MAX_PICKLE_BYTES), size, certain=pickled)


def _is_tar(head: bytes) -> bool:
    """Whether ``tarfile``, which torch asks before it looks for a pickle, takes the bytes for a member's header; old
    headers have a checksum and no other mark, so a pickle or a safetensors file can be one too."""
    try:
        tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _unexamined(container: str, why: str) -> Reading:
    return Reading(container, unexamined=f"not examined: {why}")


def _read_safetensors(stream: BinaryIO, size: int, announced: int) -> Reading:
    reading = Reading("safetensors file")
    try:
        if announced > min(size - 8, MAX_HEADER_BYTES):
            limit = "the file holds" if announced > size - 8 else f"the {MAX_HEADER_BYTES:,} that are examined"
            raise Broken(f"its header claims {announced:,} bytes, more than {limit}")
        stream.seek(8)
        header = json.loads(
            stream.read(announced).decode("utf-8"), object_pairs_hook=_no_doubles, parse_constant=_no_constant
        )
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict):
            raise Broken("its metadata are no names and values")
        reading.metadata = Mapping(list(metadata.items()))
        entries = {name: _safetensors_entry(name, entry) for name, entry in header.items()}
        reading.value = Mapping([(name, described) for name, (described, _, _) in entries.items()])
        place = 0
        for _, start, end in sorted(entries.values(), key=lambda entry: entry[1:]):
            if start != place:
                raise Broken("its tensors overlap or leave gaps")
            place = end
        if place != size - 8 - announced:
            raise Broken(f"its tensors take {place:,} bytes, and it holds {size - 8 - announced:,}")
    except Broken as problem:
        reading.damage = str(problem)
    except (ValueError, AttributeError, RecursionError):
        reading.damage = "its header is no JSON object"
    return reading


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise Broken("its header names something twice")
    return values


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _safetensors_entry(name: str, entry: Any) -> tuple[Tensor, int, int]:
    match entry:
        case {"dtype": str() as dtype, "shape": list() as shape, "data_offsets": [int() as start, int() as end]}:
            described = tensor(_SAFETENSORS_DTYPES.get(dtype, "unknown"), shape)
        case _:
            raise Broken(f"its entry {cut(name)} describes no tensor")
    if described.dtype == "unknown":
        raise Broken(f"its entry {cut(name)} has the unknown type {cut(dtype)}")
    if end - start != described.elements * ITEM_BYTES[described.dtype]:
        raise Broken(f"its entry {cut(name)} does not have the size of its shape")
    return described, start, end


def _read_zip(stream: BinaryIO, size: int) -> Reading | None:
    reading = Reading("zip archive")
    try:
        _check_directory(stream, size)
        with zipfile.ZipFile(stream) as archive:
            entries = _entries(archive)
            top = archive.namelist()[0].partition("/")[0].casefold() if entries else ""  # as PyTorch takes it
            if "config.json" in entries and any(name.endswith(".h5") for name in entries):
                return _unexamined("Keras archive, recognized by the names of its entries only", _KERAS)
            if not any(f"{top}/{name}" in entries for name in ("data.pkl", "constants.pkl", ".data/extern_modules")):
                return None
            _read_archive(archive, entries, top, reading)
    except Broken as problem:
        reading.damage = str(problem)
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, struct.error):
        reading.damage = "its entries cannot be read"
    return reading


def _check_directory(stream: BinaryIO, size: int) -> None:
    """Hold the archive's directory to the one place where every program that reads zip archives looks for it.

    Raises:
        Broken: it is elsewhere, or larger than is examined. Programs could then see different entries.
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
    """The entries by name, in small letters, as PyTorch finds them.

    Raises:
        Broken: programs could take one for another, or one is packed as PyTorch never does.
    """
    listed = archive.infolist()
    entries = {entry.filename.casefold(): entry for entry in listed}
    if len(entries) != len(listed) or any(entry.filename != entry.orig_filename for entry in listed):
        raise Broken("it holds entries that programs take for one another")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in listed):
        raise Broken("it is packed in a way that PyTorch never uses")
    return entries


def _read_archive(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], top: str, reading: Reading) -> None:
    main = entries.get(f"{top}/data.pkl")
    programs = [entry.filename for name, entry in entries.items() if name.endswith(".py")]
    if not programs and f"{top}/constants.pkl" in entries:
        programs = [entries[f"{top}/constants.pkl"].filename]
    reading.container = "PyTorch program archive (TorchScript or package)" if programs else "PyTorch zip archive"
    reading.programs = tuple(programs)
    pickles = sorted((entry for name, entry in entries.items() if name.endswith(".pkl")), key=lambda e: e is not main)
    if sum(entry.file_size for entry in pickles) > MAX_PICKLE_BYTES:
        raise Broken(f"its pickles take more than the {MAX_PICKLE_BYTES:,} bytes that are followed")
    storages = reading.findings.storages
    for entry in pickles:  # PyTorch loads the main one, which is the first here
        with archive.open(entry) as packed:
            value = Machine(packed.read(MAX_PICKLE_BYTES), reading.findings).load()
        if entry is main:
            reading.value, storages = value, dict(storages)
    for storage in storages.values():
        data = entries.get(f"{top}/data/{storage.key}".casefold())
        if data is None or data.file_size != storage.length * ITEM_BYTES.get(storage.dtype, data.file_size):
            raise Broken(f"the data of its storage {cut(storage.key)} are missing or of another size")


def _read_pickles(content: bytes, size: int, *, certain: bool) -> Reading | None:
    """Read a pickle, or the several in a row of PyTorch's legacy format.

    Args:
        certain: the first bytes are a pickle's; without them (protocols 0 and 1) only one that makes sense is one.
    """
    reading = Reading("pickle")
    machine = Machine(content, reading.findings)
    try:
        reading.value = machine.load()
        if reading.value == _TORCH_MAGIC:
            reading.container = "PyTorch legacy pickle"
            _, _, reading.value, keys = (machine.load() for _ in range(4))
            _check_storages(reading.findings, keys, size - machine.position)
        else:
            while content[machine.position : machine.position + 1] == b"\x80":  # whoever reads on runs these too
                machine.load()
            if machine.position != size:
                raise Broken(f"{size - machine.position:,} bytes follow it that are no pickle")
    except Broken as problem:
        cut = machine.position > len(content) and size > len(content)
        reading.damage = f"it is longer than the {len(content):,} bytes that are followed" if cut else str(problem)
    if not certain and not _makes_sense(reading):
        return None
    return reading


def _makes_sense(reading: Reading) -> bool:
    if reading.damage:
        return bool(reading.findings.calls)
    return bool(reading.findings.globals) or isinstance(reading.value, Mapping | list | tuple)


def _check_storages(findings: Findings, keys: Any, remaining: int) -> None:
    """Hold the bytes after the pickles to the storages that they announce: each a length of 8 bytes and its data.

    Raises:
        Broken: there are fewer or more.
    """
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in findings.storages for key in keys):
        raise Broken("the list of its storages is not one")
    storages = [findings.storages[key] for key in keys]
    if all(storage.dtype in ITEM_BYTES for storage in storages):
        expected = sum(8 + storage.length * ITEM_BYTES[storage.dtype] for storage in storages)
        if expected != remaining:
            raise Broken(f"its tensors take {expected:,} bytes, and it holds {remaining:,}")
