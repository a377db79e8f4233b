"""Say what a pickle would do, without running it.

A pickle is a program for a small stack machine that may import any name and call it. ``pickletools`` decodes the
program, and ``load`` follows it on a stack of its own and carries nothing out: where the program imports, a ``Global``
goes on the stack; where it calls, a ``Call``. Nothing that comes from a file is imported or called.

Names that ``HARMLESS`` does not list are foreign: the list is short, and all of it is on the list of PyTorch's own
restricted loading.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # what Python's unpickler itself does to names of Python 2
from dataclasses import dataclass, field
from math import prod
from typing import Any, BinaryIO

MAX_OPERATIONS = 2_000_000
_LONGEST_NAME = 1000
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EXAMPLES = 5

_DTYPES_OF_BYTES = {
    16: "complex128",
    8: "float64 int64 uint64 complex64",
    4: "float32 int32 uint32 qint32",
    2: "float16 bfloat16 int16 uint16",
    1: "int8 uint8 bool float8_e4m3fn float8_e5m2 qint8 quint8",
}
ITEM_BYTES = {dtype: size for size, dtypes in _DTYPES_OF_BYTES.items() for dtype in dtypes.split()}
_STORAGES = {
    **{f"torch.{name}Storage": f"float{bits}" for name, bits in (("Double", 64), ("Float", 32), ("Half", 16))},
    **{f"torch.{name}Storage": f"int{bits}" for name, bits in (("Long", 64), ("Int", 32), ("Short", 16), ("Char", 8))},
    **{f"torch.Complex{name}Storage": f"complex{bits}" for name, bits in (("Double", 128), ("Float", 64))},
    **{f"torch.Q{name}Storage": f"q{name.lower()}" for name in ("Int8", "UInt8", "Int32")},
    "torch.BFloat16Storage": "bfloat16",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.storage.UntypedStorage": "uint8",
}
# Of the calls that rebuild a tensor: which argument is its shape, and which its storage or type.
_TENSORS = {
    "torch._utils._rebuild_tensor": (2, 0),
    "torch._utils._rebuild_tensor_v2": (2, 0),
    "torch._utils._rebuild_tensor_v3": (2, 6),
    "torch._utils._rebuild_qtensor": (2, 0),
    "torch._utils._rebuild_meta_tensor_no_storage": (1, 0),
}
_SPARSE = "torch._utils._rebuild_sparse_tensor"
_FIRST_ARGUMENT = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch.Size",
    "builtins.set",
}
_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
_ENCODE = "_codecs.encode"
_DICTIONARIES = {"collections.OrderedDict", "collections.Counter"}
# Each of these builds a value out of its arguments, and does nothing else.
HARMLESS = frozenset(
    {*_STORAGES, *_TENSORS, *_FIRST_ARGUMENT, *_DICTIONARIES, *(f"torch.{name}" for name in ITEM_BYTES)}
    | {_SPARSE, _FROM_TYPE, _ENCODE, "builtins.bytearray", "builtins.complex"}
    | {"torch.Tensor", "torch.nn.parameter.Parameter", "torch.device", "torch.serialization._get_layout"}
    | {"torch.per_tensor_affine", "torch.per_channel_affine"}
)


class Broken(Exception):
    """The pickle cannot be followed any further; the text says why, as the middle of a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name that loading would import, such as ``collections.OrderedDict``."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What a call would return: the callee's name, its arguments, and what was put into the result afterwards."""

    name: str
    arguments: Any
    items: list[Any] = field(default_factory=list)

    def extend(self, items: list[Any]) -> None:
        """Put items into the result."""
        self.items.extend(items)

    def update(self, pairs: dict[Any, Any]) -> None:
        """Put a dictionary's pairs into the result."""
        self.items.append(pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A description of a tensor, or of the storage behind tensors. ``dtype`` is PyTorch's (float32), or ``unknown``.

    Raises:
        Broken: ``shape`` does not consist of sizes, or the tensor would be larger than any memory.
    """

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple) or not all(type(side) is int and 0 <= side < 2**63 for side in self.shape):
            raise Broken("the shape of a tensor is malformed")
        if len(self.shape) > 64 or self.elements >= 2**63:
            raise Broken("a tensor is larger than any memory")

    @property
    def elements(self) -> int:
        """The number of its numbers."""
        return prod(self.shape)


@dataclass(slots=True)
class Findings:
    """What the pickles of one file would import and call.

    Attributes:
        imports: the imported names, in order.
        calls: of each callee, how many calls there are and the arguments of the first few.
        storages: the storages that tensors refer to, by their keys.
        operations: how many operations have been followed.
    """

    imports: dict[str, Global] = field(default_factory=dict)
    calls: dict[str, tuple[int, list[Any]]] = field(default_factory=dict)
    storages: dict[str, Tensor] = field(default_factory=dict)
    operations: int = 0

    def charge(self, operations: int) -> None:
        """Count operations.

        Raises:
            Broken: the file takes more than ``MAX_OPERATIONS``.
        """
        self.operations += operations
        if self.operations > MAX_OPERATIONS:
            raise Broken(f"it takes more than {MAX_OPERATIONS:,} operations, more than are followed")


def load(stream: BinaryIO, findings: Findings) -> Any:
    """Follow one pickle, from the position of ``stream`` to its end; what is found by then stays in ``findings``.

    Returns:
        What it would rebuild: None, bool, int, float, str, bytes, list (also for sets), tuple, dict, or a class above.

    Raises:
        Broken: it is truncated, malformed, or asks for more than is followed.
    """
    machine, last = _Machine(findings), "its beginning"
    try:
        for operation, argument, position in pickletools.genops(stream):
            last = f"{operation.name} at byte {position:,}"
            findings.charge(1)
            items = machine.take(operation)
            if operation.name == "STOP":
                return items[0]
            machine.step(operation.name, argument, items)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise Broken(f"it is malformed or ends in the middle, at or after {last}") from problem
    raise Broken("it ends in the middle")


class _Machine:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def take(self, operation: pickletools.OpcodeInfo) -> list[Any]:
        """Take from the stack what an operation takes, in the order in which it was put there."""
        needed, above_mark = operation.stack_before, []
        if operation.name == "MARK":
            self.marked.append(self.stack)
            self.stack = []
        elif pickletools.markobject in needed or (operation.name == "POP" and not self.stack):
            needed = needed[: needed.index(pickletools.markobject)] if operation.name != "POP" else []
            above_mark, self.stack = self.stack, self.marked.pop()
        return [self.stack.pop() for _ in needed][::-1] + above_mark

    def step(self, name: str, argument: Any, items: list[Any]) -> None:  # noqa: PLR0912  a case for each operation
        """Carry out one operation on what it takes from the stack; ``argument`` is what stands in the pickle itself."""
        result: Any
        match name:
            case "PROTO" | "FRAME" | "MARK" | "POP" | "POP_MARK":
                return
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                result = _CONSTANTS[name]
            case "DUP":
                self.stack += items
                result = items[0]
            case "TUPLE" | "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                result = tuple(items)
            case "LIST" | "EMPTY_LIST" | "FROZENSET" | "EMPTY_SET":
                result = items
            case "DICT" | "EMPTY_DICT":
                result = _pairs(items)
            case "APPEND" | "APPENDS" | "ADDITEMS":
                result, *added = items
                result.extend(added)
            case "SETITEM" | "SETITEMS":
                result, *added = items
                result.update(_pairs(added))
            case "GET" | "BINGET" | "LONG_BINGET":
                result = self.memo[argument]
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                result = items[0] if items else self.stack.pop()
                index = len(self.memo) if argument is None else argument
                if index > MAX_OPERATIONS:  # unpickling would reserve memory up to the largest
                    raise Broken("it numbers its memory out of proportion")
                self.memo[index] = result
            case "GLOBAL" | "STACK_GLOBAL":
                result = self._import(*(items or argument.split(" ", 1)))
            case "INST":
                result = self._call(self._import(*argument.split(" ", 1)), tuple(items))
            case "OBJ":
                result = self._call(items[0], tuple(items[1:]))
            case "REDUCE" | "NEWOBJ":
                result = self._call(*items)
            case "NEWOBJ_EX":
                result = self._call(items[0], tuple(items[1:]) if items[2] else items[1])
            case "BUILD":
                result = self._build(*items)
            case "PERSID" | "BINPERSID":
                result = self._refer(*items)
            case "EXT1" | "EXT2" | "EXT4" | "NEXT_BUFFER" | "READONLY_BUFFER":
                raise Broken("it uses extension codes or outside buffers, whose meaning only its own program knows")
            case _:  # all others are values
                result = argument
        self.stack.append(result)

    def _import(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > _LONGEST_NAME:
            raise Broken("it imports something that is not a name")
        module, name = NAME_MAPPING.get((module, name), (module, name))
        full = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        return self.findings.imports.setdefault(full, Global(full))

    def _call(self, callee: Any, arguments: Any) -> Any:
        if not isinstance(callee, Global | Call):
            raise Broken("it calls something that cannot be called")
        name = callee.name
        if isinstance(callee, Call):
            name = f"the result of {name.removeprefix('the result of ')}"
        elif name == _ENCODE and arguments[1:] != ("latin1",):  # other encodings are looked up, and imported
            name += " with an encoding"
        self._note(name, arguments)
        return self._result(name, arguments)

    def _note(self, name: str, arguments: Any) -> None:
        count, examples = self.findings.calls.get(name, (0, []))
        self.findings.calls[name] = count + 1, examples if count >= _EXAMPLES else [*examples, arguments]

    def _result(self, name: str, arguments: Any) -> Any:  # noqa: PLR0911  a case for each callee
        """Return what a call returns, where that is a tensor or a dictionary; for all else, the ``Call``."""
        if name in _TENSORS:
            shape, source = (arguments[index] for index in _TENSORS[name])
            if isinstance(source, Tensor):
                described = Tensor(source.dtype, shape)
                reach = arguments[1] + sum((side - 1) * step for side, step in zip(shape, arguments[3], strict=True))
                if described.elements and not 0 <= reach < source.elements:
                    raise Broken("a tensor reaches beyond its storage")
                return described
            return Tensor(source.name.removeprefix("torch.") if source.name in HARMLESS else "unknown", shape)
        if name == _SPARSE:
            values, shape = arguments[1][1:3]
            return Tensor(values.dtype, shape)
        if name == _FROM_TYPE:  # calls its first argument with its third
            return self._call(*arguments[:3:2])
        if name in _DICTIONARIES:
            pairs = arguments[0] if arguments else []
            self.findings.charge(len(pairs))  # a copy, and a file can ask for many
            return {_key(key): value for key, value in (pairs.items() if isinstance(pairs, dict) else pairs)}
        if name in _FIRST_ARGUMENT:
            return arguments[0] if arguments else []
        return Call(name, arguments)

    def _build(self, target: Any, state: Any) -> Any:
        if isinstance(target, Call):
            target.items.append(state)
        elif isinstance(target, Global):  # not an object that was made, but what everybody else uses too
            self._note(f"{target.name}.__setstate__", (state,))
        elif not isinstance(target, dict | Tensor):
            raise Broken("it sets attributes of something that has none")
        return target

    def _refer(self, identity: Any = None) -> Global | Tensor:
        match identity:
            case ("module", Global() as kind, *_):
                return kind
            case ("storage", Global() as kind, str() as key, str(), int() as length, *_) if len(key) <= _LONGEST_NAME:
                storage = Tensor(_STORAGES.get(kind.name, "unknown"), (length,))
                return self.findings.storages.setdefault(key, storage)
        raise Broken("it refers to something that is kept elsewhere")


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(map(_key, items[::2]), items[1::2], strict=True))


def _key(value: Any) -> Any:
    """Return a key as it is where hashing and comparing it takes no time, else wrapped so that it equals no other."""
    plain = value is None or isinstance(value, float) or (isinstance(value, int) and value.bit_length() < 64)
    return value if plain or (isinstance(value, str | bytes) and len(value) <= _LONGEST_NAME) else Call("", value)
