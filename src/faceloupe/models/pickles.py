"""Symbolic execution of pickles: what a pickle would do, without running it.

A pickle is a program for a small stack machine that can import and call any name. ``pickletools`` decodes the program,
and ``load`` follows it on its own stack without executing anything: it pushes a ``Global`` for an import and a ``Call``
for a call. Nothing that comes from a file is imported or called.

Names that are not in ``HARMLESS`` are foreign. The list is short, and PyTorch's restricted loading allows all its
names.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # Python's unpickler renames Python 2 names with these
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
# Calls that rebuild a tensor: the index of the argument with its shape, and of the one with its storage or type.
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
# Each of these only builds a value from its arguments.
HARMLESS = frozenset(
    {*_STORAGES, *_TENSORS, *_FIRST_ARGUMENT, *_DICTIONARIES, *(f"torch.{name}" for name in ITEM_BYTES)}
    | {_SPARSE, _FROM_TYPE, _ENCODE, "builtins.bytearray", "builtins.complex"}
    | {"torch.Tensor", "torch.nn.parameter.Parameter", "torch.device", "torch.serialization._get_layout"}
    | {"torch.per_tensor_affine", "torch.per_channel_affine"}
)


class Broken(Exception):
    """The pickle cannot be traced further; the text says why, as the middle of a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name that loading would import, such as ``collections.OrderedDict``."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A stand-in for the result of a call: the callee's name, its arguments, and the items added to the result."""

    name: str
    arguments: Any
    items: list[Any] = field(default_factory=list)

    def extend(self, items: list[Any]) -> None:
        """Add items to the result."""
        self.items.extend(items)

    def update(self, pairs: dict[Any, Any]) -> None:
        """Add a dictionary to the result's items."""
        self.items.append(pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A description of a tensor or of a storage. ``dtype`` is PyTorch's name, such as float32, or ``unknown``.

    Raises:
        Broken: ``shape`` is not a tuple of sizes, or the tensor would be larger than any memory.
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
        """The number of elements."""
        return prod(self.shape)


@dataclass(slots=True)
class Findings:
    """The imports and calls that the pickles of one file would make.

    Attributes:
        imports: the imported names, in order.
        calls: by callee, the number of calls and the arguments of the first few.
        storages: the storages that tensors refer to, by key.
        operations: number of operations traced so far.
    """

    imports: dict[str, Global] = field(default_factory=dict)
    calls: dict[str, tuple[int, list[Any]]] = field(default_factory=dict)
    storages: dict[str, Tensor] = field(default_factory=dict)
    operations: int = 0

    def charge(self, operations: int) -> None:
        """Count operations against the limit.

        Raises:
            Broken: the file takes more than ``MAX_OPERATIONS``.
        """
        self.operations += operations
        if self.operations > MAX_OPERATIONS:
            raise Broken(f"it takes more than {MAX_OPERATIONS:,} operations, more than are followed")


def load(stream: BinaryIO, findings: Findings) -> Any:
    """Trace one pickle, from the position of ``stream`` to the pickle's end.

    Imports and calls are added to ``findings``, also those before an error.

    Returns:
        The value it would rebuild: None, bool, int, float, str, bytes, list (also for sets), tuple, dict, or an
        instance of a class above.

    Raises:
        Broken: the pickle is truncated or malformed, or exceeds a limit.
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
        """Pop the operands of an operation from the stack, and return them in the order in which they were pushed."""
        needed, above_mark = operation.stack_before, []
        if operation.name == "MARK":
            self.marked.append(self.stack)
            self.stack = []
        elif pickletools.markobject in needed or (operation.name == "POP" and not self.stack):
            needed = needed[: needed.index(pickletools.markobject)] if operation.name != "POP" else []
            above_mark, self.stack = self.stack, self.marked.pop()
        return [self.stack.pop() for _ in needed][::-1] + above_mark

    def step(self, name: str, argument: Any, items: list[Any]) -> None:  # noqa: PLR0912  a case for each operation
        """Apply one operation to its operands from the stack; ``argument`` is its inline argument in the pickle."""
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
                if index > MAX_OPERATIONS:  # unpickling would allocate memory up to the largest index
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
            case _:  # all other operations push their argument
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
        elif name == _ENCODE and arguments[1:] != ("latin1",):  # looking up other encodings imports modules
            name += " with an encoding"
        self._note(name, arguments)
        return self._result(name, arguments)

    def _note(self, name: str, arguments: Any) -> None:
        count, examples = self.findings.calls.get(name, (0, []))
        self.findings.calls[name] = count + 1, examples if count >= _EXAMPLES else [*examples, arguments]

    def _result(self, name: str, arguments: Any) -> Any:  # noqa: PLR0911  a case for each callee
        """Return the result of a call if it is known, such as a tensor or a dictionary; otherwise return a ``Call``."""
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
            self.findings.charge(len(pairs))  # this makes a copy, and a file can request many
            return {_key(key): value for key, value in (pairs.items() if isinstance(pairs, dict) else pairs)}
        if name in _FIRST_ARGUMENT:
            return arguments[0] if arguments else []
        return Call(name, arguments)

    def _build(self, target: Any, state: Any) -> Any:
        if isinstance(target, Call):
            target.items.append(state)
        elif isinstance(target, Global):  # this would change the state of an imported object, which other code shares
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
    """Return a key unchanged if it is cheap to hash and compare; otherwise wrap it so that it equals no other key."""
    plain = value is None or isinstance(value, float) or (isinstance(value, int) and value.bit_length() < 64)
    return value if plain or (isinstance(value, str | bytes) and len(value) <= _LONGEST_NAME) else Call("", value)
