"""Weights files: their paths, their verification, and the release that each comes from.

``registry.json``, beside the model records, has one entry per weights file. It holds nothing that affects a score (the
record does), so a file can move to another address without changing any hash in a report.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from faceloupe.config import data_folder, release_address
from faceloupe.errors import WeightsError
from faceloupe.models.record import REGISTRY, ComponentRecord, ModelRecord, component_of, members_of
from faceloupe.system.files import replacing

_REMEDY = "so nothing can be scored; {}restore the file from the repository."
_FETCH = "run `faceloupe models fetch`, or "
_RELEASES = "{releases}/"

Part = ModelRecord | ComponentRecord  # anything that has a weights file of its own


@dataclass(frozen=True, slots=True)
class ReleaseEntry:
    """One weights file of the project's releases.

    Attributes:
        id: id of the model.
        file: file name, in the weights folder and in the release.
        size_bytes: size of the whole file.
        sha256: hash of the file, the same as in the model's record.
        url: address of the file; ``{releases}`` stands for the value of ``FACELOUPE_RELEASES``.
        license: license of the weights.
        card: path of the model card, relative to the repository.
    """

    id: str
    file: str
    size_bytes: int
    sha256: str
    url: str
    license: str
    card: str

    @classmethod
    def of(cls, record: Part, folder: Path, card: str) -> "ReleaseEntry":
        """Return the entry of a record whose weights are in ``folder``."""
        size = (folder / record.weights_file).stat().st_size
        url = _RELEASES + record.weights_file
        return cls(record.id, record.weights_file, size, record.weights_sha256, url, record.license, card)

    def address(self) -> str:
        """Return the full address of the file.

        Raises:
            UsageError: ``FACELOUPE_RELEASES`` is not set, or names no release.
        """
        return self.url.replace(_RELEASES, f"{release_address()}/") if self.url.startswith(_RELEASES) else self.url


def read_entries(folder: Path) -> dict[str, ReleaseEntry]:
    """Return the entries of ``registry.json``, by model id.

    Raises:
        WeightsError: the registry is missing or damaged.
    """
    path = folder / REGISTRY
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(listed, list):
            raise TypeError("a list was expected")
        entries = [ReleaseEntry(**values) for values in listed]
        for entry in entries:
            texts = (entry.id, entry.file, entry.sha256, entry.url, entry.license, entry.card)
            if not all(isinstance(word, str) for word in texts) or type(entry.size_bytes) is not int:
                raise TypeError("a field has another type")
            if entry.size_bytes <= 0 or Path(entry.file).name != entry.file:
                raise ValueError("a field is out of range")
    except (OSError, ValueError, TypeError, RecursionError) as problem:
        state = "missing" if isinstance(problem, FileNotFoundError) else "damaged"
        raise WeightsError(
            f"The registry {REGISTRY} of the weights folder is {state}, so nothing can be fetched; "
            "restore it from the repository."
        ) from problem
    return {entry.id: entry for entry in entries}


def write_entries(entries: list[ReleaseEntry], folder: Path) -> None:
    """Write ``registry.json`` atomically."""
    text = json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False) + "\n"
    with replacing(folder / REGISTRY) as temporary:
        temporary.write_text(text, encoding="utf-8")


def weights_path(record: Part, folder: Path) -> Path:
    """Return the path of a record's weights, or the path where they will be installed.

    The file is beside the record. If that folder is read-only (a container image, a shared installation) and does not
    contain the file, it is in ``weights`` in the user's data folder.
    """
    path = folder / record.weights_file
    return path if os.path.lexists(path) or os.access(folder, os.W_OK) else data_folder() / "weights" / path.name


def components_of(record: Part, folder: Path) -> tuple[Part, ...]:
    """Return the records with weights files, without duplicates: the members or the model itself, and the components.

    Raises:
        WeightsError: the members or a component are not those that were measured.
    """
    if isinstance(record, ComponentRecord):
        return (record,)
    parts: dict[str, Part] = {}
    for part in (*members_of(record, folder), record):
        if part.weights_file:
            parts[part.id] = part
        if component := component_of(part, folder):
            parts[component.id] = component
    return tuple(parts.values())


def read_verified(record: Part, folder: Path) -> bytes:
    """Read a weights file and check it against the record.

    Raises:
        WeightsError: the file is missing or unreadable, or its SHA-256 is not the record's.
    """
    path = weights_path(record, folder)
    with _explained(path):
        content = path.read_bytes()
    _refuse_other(record, path, hashlib.sha256(content).hexdigest())
    return content


def check_weights(record: Part, folder: Path) -> None:
    """Check a weights file against the record, without loading it into memory.

    Raises:
        WeightsError: see ``read_verified``.
    """
    path = weights_path(record, folder)
    with _explained(path), path.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    _refuse_other(record, path, actual)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        missing = isinstance(problem, FileNotFoundError)
        state = "are missing" if missing else f"cannot be read ({problem.strerror})"
        remedy = _REMEDY.format(_FETCH if missing else "")
        raise WeightsError(f"The weights {path.name} {state}, {remedy}") from None


def _refuse_other(record: Part, path: Path, actual: str) -> None:
    if actual != record.weights_sha256:
        raise WeightsError(
            f"The weights {path.name} are not the verified weights (SHA-256 {actual[:8]}..., "
            f"expected {record.weights_sha256[:8]}...), {_REMEDY.format(_FETCH)}"
        )


def weights_status(record: Part, folder: Path, verified: set[str] | None = None) -> str:
    """Return the state of a model's weights in one word: verified, missing, unreadable or altered.

    Args:
        record: record of the model.
        folder: folder of the records and weights.
        verified: SHA-256 of weights that need not be read again, because models can share weights; the function adds
            the hashes that it verifies.
    """
    path, verified = folder, set() if verified is None else verified
    try:
        for part in components_of(record, folder):
            path = weights_path(part, folder)
            if part.weights_sha256 not in verified:
                check_weights(part, folder)
                verified.add(part.weights_sha256)
    except WeightsError:
        if not path.exists():
            return "missing"
        return "altered" if path == folder or (path.is_file() and os.access(path, os.R_OK)) else "unreadable"
    return "verified"
