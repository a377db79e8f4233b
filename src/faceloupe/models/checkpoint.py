"""Inspection of checkpoint files, without running anything in them.

A checkpoint is often a pickle, and a pickle is a program: loading a stranger's checkpoint runs a stranger's program.
Here the file is only read: ``containers`` opens it, ``pickles`` traces its program without running it, and this module
describes its contents.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Any

from faceloupe.errors import UsageError, WeightsError
from faceloupe.media.evidence_file import open_evidence
from faceloupe.models.containers import LONGEST_TEXT, cut, read
from faceloupe.models.pickles import HARMLESS, Call, Findings, Global, Tensor

SHOWN_TENSORS = 40
SHOWN_ROWS = 200
_MOST_VISITS = 200_000
_DEEPEST = 16
_WHOLE = "(the file itself)"
_SCALARS = (str, int, float, bytes, NoneType)
_SHOWN_ITEMS = 10

Argument = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor of a checkpoint. ``name`` is its path in the file, with parts joined by dots."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArgumentEntry:
    """A value of a checkpoint that is not a tensor, such as a hyperparameter. ``name`` is its path in the file."""

    name: str
    value: Argument


@dataclass(frozen=True, slots=True)
class GlobalEntry:
    """A name that loading would import; a ``harmless`` name is only used to rebuild tensors and plain values."""

    name: str
    harmless: bool


@dataclass(frozen=True, slots=True)
class CallEntry:
    """The calls of one callee that loading would make: their number, and the arguments of the first few."""

    name: str
    harmless: bool
    count: int
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The type and contents of a checkpoint file. All text is printable: control characters are replaced.

    Attributes:
        name, sha256, size_bytes: the file's identity.
        container: the kind of file.
        tensors: the first ``SHOWN_TENSORS`` tensors.
        tensor_count: total number of tensors.
        element_count: total number of elements in all tensors, both parameters and buffers.
        arguments: the first ``SHOWN_ROWS`` values that are not tensors.
        argument_count: total number of these values.
        architecture: the entry of ``networks.ARCHITECTURES`` with these names and shapes; None if there is none.
        architecture_at: path of the state dict with these names and shapes; "" for the whole file.
        globals, calls: names that loading would import or call, harmless names last; the first ``SHOWN_ROWS``.
        global_count, call_count: total number of names that would be imported, and of callees.
        damage: why the file could not be read to its end; None if it could.
        complete: whether all contents were counted; False if the file nests too deeply or holds too many values.
        safe: whether loading would only rebuild tensors and plain values; None if this was not examined.
        verdict: ``safe`` as a sentence, with the names that would be called or imported.
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


def inspect_checkpoint(path: Path) -> Inspection:
    """Describe a checkpoint file, its contents, and what loading it would do, without running anything in it.

    Raises:
        UsageError: the path is missing, not a regular file, or unreadable.
        WeightsError: the file is empty or not a checkpoint of a known kind, or damage hides its contents.
    """
    identity = open_evidence(path, max_bytes=0).evidence
    if not identity.size_bytes:
        raise WeightsError(f"{identity.name} is empty; give a checkpoint file.")
    try:
        contents = read(path, identity.size_bytes)
    except OSError as problem:
        raise UsageError(f"{identity.name} cannot be read ({problem.strerror}); check the disk.") from problem
    if contents is None:
        raise WeightsError(
            f"{identity.name} is not a checkpoint that this version knows (safetensors, PyTorch, pickle, Keras/HDF5)."
        )
    findings = contents.findings
    foreign_calls = [*contents.programs, *(name for name in findings.calls if name not in HARMLESS)]
    foreign_imports = [name for name in findings.imports if name not in HARMLESS and name not in foreign_calls]
    if contents.damage and not foreign_calls and not foreign_imports:
        raise WeightsError(
            f"{identity.name} is a {contents.container} that cannot be read to its end ({contents.damage}); "
            "it is damaged or made to mislead; do not load it."
        )
    survey = _Survey()
    survey.walk(contents.value, "")
    survey.walk(contents.metadata, "")
    architecture, state_dict_path = _architecture(survey.state_dicts)
    return Inspection(
        name=identity.name,
        sha256=identity.sha256,
        size_bytes=identity.size_bytes,
        container=contents.container,
        tensors=tuple(TensorEntry(name, value.dtype, value.shape) for name, value in survey.tensors[:SHOWN_TENSORS]),
        tensor_count=len(survey.tensors),
        element_count=sum(value.elements for _, value in survey.tensors),
        arguments=tuple(ArgumentEntry(name, _plain(value)) for name, value in survey.arguments[:SHOWN_ROWS]),
        argument_count=len(survey.arguments),
        architecture=architecture,
        architecture_at=state_dict_path,
        globals=tuple(GlobalEntry(cut(name), name in HARMLESS) for name in _foreign_first(findings.imports)),
        global_count=len(findings.imports),
        calls=_call_entries(findings),
        call_count=len(findings.calls),
        damage=contents.damage,
        complete=survey.complete,
        safe=None if contents.unexamined else not (foreign_calls or foreign_imports or contents.damage),
        verdict=contents.unexamined or _verdict(foreign_calls, foreign_imports, tensors=bool(survey.tensors)),
    )


@dataclass(slots=True)
class _Survey:
    """The contents of a checkpoint with their paths, collected up to a limit on nesting and on the number of values."""

    tensors: list[tuple[str, Tensor]] = field(default_factory=list)
    arguments: list[tuple[str, Any]] = field(default_factory=list)
    state_dicts: list[tuple[str, dict[Any, Tensor]]] = field(default_factory=list)
    complete: bool = True
    visits: int = 0

    def walk(self, value: Any, path: str, depth: int = 0) -> None:
        """Add a value and its children under ``path``."""
        self.visits += 1 + (len(value) if isinstance(value, dict | list | tuple) else 0)
        if self.visits > _MOST_VISITS or depth > _DEEPEST:
            self.complete = False
            return
        children: Iterable[tuple[str, Any]] = ()
        match value:
            case Tensor():
                self.tensors.append((path or _WHOLE, value))
            case dict():
                if value and all(isinstance(child, Tensor) for child in value.values()):
                    self.state_dicts.append((path, value))
                children = ((cut(key) if isinstance(key, str) else shown(key), child) for key, child in value.items())
            case Call() if value.items:
                children = (("", item) for item in value.items)
            case list() | tuple() if not all(isinstance(item, _SCALARS) for item in value):
                children = ((str(index), item) for index, item in enumerate(value))
            case _:
                self.arguments.append((path or _WHOLE, value))
        for name, child in children:
            self.walk(child, f"{path}.{name}".strip("."), depth + 1)


@cache
def _known_architectures() -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the names and shapes of every architecture's state dict, built on the meta device to save memory."""
    import torch  # slow to import, so only checkpoints with tensors load it

    from faceloupe.models.networks import ARCHITECTURES, build

    with torch.device("meta"):
        return {
            name: {key: tuple(value.shape) for key, value in build(name).state_dict().items()} for name in ARCHITECTURES
        }


def _architecture(state_dicts: list[tuple[str, dict[Any, Tensor]]]) -> tuple[str | None, str]:
    for path, state_dict in state_dicts:
        shapes = {key: tensor.shape for key, tensor in state_dict.items()}
        for name, known in _known_architectures().items():
            if shapes == known:
                return name, path
    return None, ""


def shown(value: Any, depth: int = 3) -> str:
    """Return a value as one short, printable line, however large or nested it is."""
    match value:
        case str() | bytes() | bytearray():
            text = repr(value[:LONGEST_TEXT]) + ("…" if len(value) > LONGEST_TEXT else "")
        case dict() | list() | tuple() if not depth:
            text = "…"
        case dict() | list() | tuple():
            items = [shown(item, depth - 1) for item in islice(value, _SHOWN_ITEMS)]
            if isinstance(value, dict):
                items = [f"{key}: {shown(item, depth - 1)}" for key, item in zip(items, value.values())]
            brackets = {dict: "{}", list: "[]"}.get(type(value), "()")
            text = ", ".join(items + ["…"] * (len(value) > _SHOWN_ITEMS)).join(brackets)
        case Global():
            text = value.name
        case Call():
            text = value.name + shown(value.arguments, depth)
        case Tensor():
            text = f"<{value.dtype} tensor {list(value.shape)}>"
        case int() if value.bit_length() > 128:
            text = f"<an integer of {value.bit_length():,} bits>"
        case _:
            text = str(value)
    return cut(text)


def _plain(value: Any) -> Argument:
    """Return a value that JSON can hold: numbers and text unchanged, other values as ``shown`` returns them."""
    if isinstance(value, str):
        return cut(value)
    if value is None or (isinstance(value, int) and value.bit_length() < 64):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else shown(value)


def _foreign_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=HARMLESS.__contains__)[:SHOWN_ROWS]


def _call_entries(findings: Findings) -> tuple[CallEntry, ...]:
    entries = []
    for name in _foreign_first(findings.calls):
        count, examples = findings.calls[name]
        harmless = name in HARMLESS
        entries.append(CallEntry(cut(name), harmless, count, () if harmless else tuple(map(shown, examples))))
    return tuple(entries)


def _verdict(calls: list[str], imports: list[str], *, tensors: bool) -> str:
    parts = [
        f"{verb}: {', '.join(map(cut, names[:10]))}{f' and {len(names) - 10:,} more' if len(names) > 10 else ''}"
        for verb, names in (("run", calls), ("import", imports))
        if names
    ]
    if parts:
        return f"loading it would {'; and '.join(parts)}: do not load it"
    return f"loading it would only rebuild {'tensors' if tensors else 'plain values'}"
