"""What a checkpoint file is, said without running anything in it.

A checkpoint is often a pickle, and a pickle is a program: loading one from a stranger is running a stranger's program.
Here the file is only read: ``containers`` opens it, ``pickles`` follows what its program would do, and this module says
what it holds.
"""

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Any

from faceloupe.errors import UsageError, WeightsError
from faceloupe.media.evidence_file import open_evidence
from faceloupe.models.containers import LONGEST_TEXT, cut, read
from faceloupe.models.pickles import Call, Findings, Global, Mapping, Storage, Tensor

SHOWN_TENSORS = 40
SHOWN_ROWS = 200
_MOST_VISITS = 200_000
_DEEPEST = 16
_WHOLE = "(the file itself)"
_SCALARS = (str, int, float, bytes, NoneType)
_KEYS = (str, int, float, NoneType)  # hashed as dictionaries hash them; other keys are not compared

Argument = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a checkpoint. ``name`` is its path in the file, parts joined by dots."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArgumentEntry:
    """Something in a checkpoint that is no tensor: a hyperparameter, say. ``name`` is its path in the file."""

    name: str
    value: Argument


@dataclass(frozen=True, slots=True)
class GlobalEntry:
    """A name that loading would import; ``harmless`` ones only take part in rebuilding tensors and plain values."""

    name: str
    harmless: bool


@dataclass(frozen=True, slots=True)
class CallEntry:
    """Calls of one callee that loading would make: how many, and the arguments of the first few."""

    name: str
    harmless: bool
    count: int
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one file is and holds. All text is printable: control characters are replaced.

    Attributes:
        name, sha256, size_bytes: the file's identity.
        container: the kind of file.
        tensors: the first ``SHOWN_TENSORS`` tensors.
        tensor_count: how many there are in all.
        element_count: numbers in all of them together, parameters and buffers alike.
        arguments: the first ``SHOWN_ROWS`` entries that are no tensors.
        argument_count: how many there are in all.
        architecture: of ``networks.ARCHITECTURES``, the one with these names and shapes; None where there is none.
        architecture_at: path of the state dict that has them; "" for the whole file.
        globals, calls: what loading would import and call, other than harmless first; the first ``SHOWN_ROWS``.
        global_count, call_count: how many names would be imported, how many callees called, in all.
        damage: why the file could not be followed to its end; None where it was.
        complete: whether everything that the file holds was counted; nested without end, it is not.
        safe: whether loading would only rebuild tensors and plain values; None where that was not examined.
        verdict: the same, in a sentence.
    """

    name: str
    sha256: str
    size_bytes: int
    container: str
    tensors: tuple[TensorEntry, ...]
    tensor_count: int
    element_count: int
    arguments: tuple[ArgumentEntry, ...]
    argument_count: int
    architecture: str | None
    architecture_at: str
    globals: tuple[GlobalEntry, ...]
    global_count: int
    calls: tuple[CallEntry, ...]
    call_count: int
    damage: str | None
    complete: bool
    safe: bool | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def inspect_checkpoint(path: Path) -> Inspection:
    """Say what a checkpoint file is and holds, and what loading it would do. Nothing in it is run.

    Raises:
        UsageError: the path is missing, no regular file, or unreadable.
        WeightsError: it is no checkpoint of a known kind, or so damaged that no more can be said of it.
    """
    identity = open_evidence(path, max_bytes=0).evidence
    if not identity.size_bytes:
        raise WeightsError(f"{identity.name} is empty; give a checkpoint file.")
    try:
        with path.open("rb") as stream:
            reading = read(stream, identity.size_bytes)
    except OSError as problem:
        raise UsageError(f"{identity.name} cannot be read ({problem.strerror}); check the disk.") from problem
    if reading is None:
        raise WeightsError(
            f"{identity.name} is not a checkpoint that this version knows (safetensors, PyTorch, pickle, Keras/HDF5)."
        )
    foreign = [*reading.programs, *(note.name for note in reading.findings.calls.values() if not note.harmless)]
    imports = [name for name, found in reading.findings.globals.items() if not found.harmless and name not in foreign]
    if reading.damage and not foreign and not imports:
        raise WeightsError(
            f"{identity.name} is a {reading.container} that cannot be read to its end ({reading.damage}); "
            "it is damaged or made to mislead; do not load it."
        )
    contents = _Contents()
    contents.walk(reading.value, "")
    contents.walk(reading.metadata, "")
    architecture, place = _architecture(contents.state_dicts)
    safe = None if reading.unexamined else not (foreign or imports or reading.damage)
    return Inspection(
        name=identity.name,
        sha256=identity.sha256,
        size_bytes=identity.size_bytes,
        container=reading.container,
        tensors=tuple(contents.tensors),
        tensor_count=contents.tensor_count,
        element_count=contents.element_count,
        arguments=tuple(contents.arguments),
        argument_count=contents.argument_count,
        architecture=architecture,
        architecture_at=place,
        globals=_global_entries(reading.findings),
        global_count=len(reading.findings.globals),
        calls=_call_entries(reading.findings),
        call_count=len(reading.findings.calls),
        damage=reading.damage,
        complete=contents.complete,
        safe=safe,
        verdict=reading.unexamined or _verdict(foreign, imports, tensors=contents.tensor_count > 0),
    )


# contents


class _Contents:
    """Counts and names what a checkpoint holds; stops where it is nested deeper, or shared more often, than is sane."""

    def __init__(self) -> None:
        self.tensors: list[TensorEntry] = []
        self.tensor_count = 0
        self.element_count = 0
        self.arguments: list[ArgumentEntry] = []
        self.argument_count = 0
        self.state_dicts: list[tuple[str, dict[str, tuple[int, ...]]]] = []
        self.complete = True
        self._visits = 0

    def walk(self, value: Any, path: str, depth: int = 0) -> None:
        self._visits += 1 + _length(value)
        if self._visits > _MOST_VISITS or depth > _DEEPEST:
            self.complete = False
        elif isinstance(value, Tensor):
            self.tensor_count += 1
            self.element_count += value.elements
            if len(self.tensors) < SHOWN_TENSORS:
                self.tensors.append(TensorEntry(path or _WHOLE, value.dtype, value.shape))
        elif isinstance(value, Mapping):
            self._walk_mapping(value, path, depth)
        elif isinstance(value, Call) and (value.items or value.state is not None):
            for item in (*value.items, value.state):
                self.walk(item, path, depth + 1)
        elif isinstance(value, list | tuple) and not all(isinstance(item, _SCALARS) for item in value):
            for index, item in enumerate(value):
                self.walk(item, _join(path, str(index)), depth + 1)
        elif not isinstance(value, Storage):
            self.argument_count += 1
            if len(self.arguments) < SHOWN_ROWS:
                self.arguments.append(ArgumentEntry(path or _WHOLE, _plain(value)))

    def _walk_mapping(self, mapping: Mapping, path: str, depth: int) -> None:
        last = {key: child for key, child in mapping.pairs if isinstance(key, _KEYS)}
        others = [(key, child) for key, child in mapping.pairs if not isinstance(key, _KEYS)]
        if last and not others and all(isinstance(child, Tensor) for child in last.values()):
            self.state_dicts.append((path, {key: child.shape for key, child in last.items()}))
        for key, child in (*last.items(), *others):
            self.walk(child, _join(path, cut(key) if isinstance(key, str) else shown(key)), depth + 1)


def _length(value: Any) -> int:
    if isinstance(value, Mapping):
        return len(value.pairs)
    if isinstance(value, Call):
        return len(value.items)
    return len(value) if isinstance(value, list | tuple) else 0


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@cache
def _known_architectures() -> dict[str, dict[str, tuple[int, ...]]]:
    """Names and shapes of every architecture's state dict; built without memory for the numbers."""
    import torch  # only checkpoints with tensors wait for it

    from faceloupe.models.networks import ARCHITECTURES, build

    with torch.device("meta"):
        return {
            name: {key: tuple(value.shape) for key, value in build(name).state_dict().items()} for name in ARCHITECTURES
        }


def _architecture(state_dicts: list[tuple[str, dict[str, tuple[int, ...]]]]) -> tuple[str | None, str]:
    for path, shapes in state_dicts:
        for name, known in _known_architectures().items():
            if shapes == known:
                return name, path
    return None, ""


# words


def shown(value: Any) -> str:
    """A value as one short, printable line, however large or nested it is."""
    text = _shown(value, [60], 0)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _shown(value: Any, left: list[int], depth: int) -> str:
    left[0] -= 1
    if left[0] < 0 or depth > 5:
        return "…"
    match value:
        case str():
            text = json.dumps(cut(value), ensure_ascii=False)
        case bytes():
            text = repr(value[:80]) + ("…" if len(value) > 80 else "")
        case list():
            text = f"[{_row(value, left, depth)}]"
        case tuple():
            text = f"({_row(value, left, depth)})"
        case Mapping():
            pairs = islice(value.pairs, 20)
            text = ", ".join(f"{_shown(key, left, depth + 1)}: {_shown(item, left, depth + 1)}" for key, item in pairs)
            text = f"{{{text}{', …' if len(value.pairs) > 20 else ''}}}"
        case Global():
            text = cut(value.name)
        case Call():
            text = cut(value.name) + _shown(value.arguments, left, depth + 1)
        case Tensor():
            text = f"<{value.dtype} tensor {list(value.shape)}>"
        case Storage():
            text = f"<storage of {value.length} {value.dtype}>"
        case int() if value.bit_length() > 128:
            text = f"<an integer of {value.bit_length():,} bits>"
        case _:
            text = str(value)
    return text


def _row(values: Any, left: list[int], depth: int) -> str:
    return ", ".join(_shown(item, left, depth + 1) for item in islice(values, 20)) + (", …" if len(values) > 20 else "")


def _plain(value: Any) -> Argument:
    """A value as JSON can hold it: numbers and words as they are, all else as ``shown``."""
    if isinstance(value, str):
        return cut(value)
    if value is None or (isinstance(value, int) and value.bit_length() < 64):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else shown(value)


def _global_entries(findings: Findings) -> tuple[GlobalEntry, ...]:
    found = sorted(findings.globals.values(), key=lambda entry: entry.harmless)
    return tuple(GlobalEntry(cut(entry.name), entry.harmless) for entry in found[:SHOWN_ROWS])


def _call_entries(findings: Findings) -> tuple[CallEntry, ...]:
    found = sorted(findings.calls.values(), key=lambda note: note.harmless)
    return tuple(
        CallEntry(cut(note.name), note.harmless, note.count, () if note.harmless else tuple(map(shown, note.examples)))
        for note in found[:SHOWN_ROWS]
    )


def _verdict(runs: list[str], imports: list[str], *, tensors: bool) -> str:
    parts = [
        f"{verb}: {', '.join(map(cut, names[:10]))}{f' and {len(names) - 10:,} more' if len(names) > 10 else ''}"
        for verb, names in (("run", runs), ("import", imports))
        if names
    ]
    if parts:
        return f"loading it would {'; and '.join(parts)}: do not load it"
    return f"loading it would only rebuild {'tensors' if tensors else 'plain values'}"
