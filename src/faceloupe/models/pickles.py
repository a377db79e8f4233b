"""Pickles, read without being run.

A pickle is a program for a small stack machine that may import any name and call it. ``Machine`` follows the program
and carries nothing out: where the program imports, a name goes on the stack; where it calls, a note of the call.

Python's own unpickler is not used, not even with stubs for the classes it finds: it takes extension codes from a cache
of real objects, sizes its memo by the largest index a file names, and hashes keys that a file can nest without end.
Here nothing that comes from a file is imported, called, hashed (names aside), compared or copied out of proportion.
"""

import pickletools
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # what Python's unpickler itself does to names of Python 2
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_OPERATIONS = 2_000_000
_LONGEST_NAME = 1000
_MOST_DIMENSIONS = 64
_MOST_ARGUMENTS = 16  # of calls that are followed
_EXAMPLES = 5

ITEM_BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "complex128": 16,
    "complex64": 8,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint64": 8,
    "uint32": 4,
    "uint16": 2,
    "uint8": 1,
    "bool": 1,
}
_STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.ComplexFloatStorage": "complex64",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.QInt8Storage": "qint8",
    "torch.QUInt8Storage": "quint8",
    "torch.QInt32Storage": "qint32",
    "torch.storage.UntypedStorage": "uint8",
}
_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
_ENCODE = "_codecs.encode"


class Broken(Exception):
    """The pickle cannot be followed any further; the text says why, as the middle of a sentence."""


@dataclass(slots=True, eq=False)
class Global:
    """A name that loading would import, such as ``collections.OrderedDict``."""

    name: str

    @property
    def harmless(self) -> bool:
        return self.name in HARMLESS


@dataclass(slots=True, eq=False)
class Call:
    """What a call would return: the callee's name, its arguments, and what was put into the result afterwards."""

    name: str
    arguments: Any
    items: list[Any] = field(default_factory=list)
    state: Any = None


@dataclass(slots=True, eq=False)
class Mapping:
    """A dictionary, as the pairs that were put into it, in order; of equal keys the last counts."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """The memory behind tensors, which a pickle only refers to. ``length`` is in elements of ``dtype``."""

    key: str
    dtype: str
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor's description; ``dtype`` is a name of PyTorch's (``float32``), or ``unknown``."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count


@dataclass(slots=True)
class CallNote:
    """All calls of one callee: how many, and the arguments of the first few."""

    name: str
    harmless: bool
    count: int = 0
    examples: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Findings:
    """What the pickles of one file would import and call; shared by the machines that read them."""

    globals: dict[str, Global] = field(default_factory=dict)
    calls: dict[tuple[str, bool], CallNote] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    operations: int = 0

    def note(self, name: str, arguments: Any, *, harmless: bool) -> None:
        note = self.calls.setdefault((name, harmless), CallNote(name, harmless))
        note.count += 1
        if len(note.examples) < _EXAMPLES:
            note.examples.append(arguments)

    def charge(self, operations: int) -> None:
        """
        Raises:
            Broken: the file has had its share of work.
        """
        self.operations += operations
        if self.operations > MAX_OPERATIONS:
            raise Broken(f"it takes more than {MAX_OPERATIONS:,} operations, more than are followed")


def _sizes(value: Any) -> tuple[int, ...]:
    sound = isinstance(value, list | tuple) and len(value) <= _MOST_DIMENSIONS
    if not sound or not all(type(size) is int and 0 <= size < 2**63 for size in value):
        raise Broken("a tensor's shape is none")
    return tuple(value)


def tensor(dtype: str, shape: Any) -> Tensor:
    """A tensor's description.

    Raises:
        Broken: the shape is none.
    """
    described = Tensor(dtype, _sizes(shape))
    if described.elements >= 2**63:
        raise Broken("a tensor is larger than any memory")
    return described


def _dtype_of(value: Any) -> str:
    return value.name.removeprefix("torch.") if isinstance(value, Global) and value.harmless else "unknown"


def _view_of_dtype(dtype: str, offset: Any, size: Any, stride: Any) -> Tensor:
    described = tensor(dtype, size)
    if len(_sizes(stride)) != len(described.shape) or type(offset) is not int or offset < 0:
        raise Broken("a tensor's place in its storage is none")
    return described


def _view(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    described = _view_of_dtype(storage.dtype if isinstance(storage, Storage) else "unknown", offset, size, stride)
    last = offset + sum((side - 1) * step for side, step in zip(size, stride))
    if isinstance(storage, Storage) and described.elements and last >= storage.length:
        raise Broken("a tensor reaches beyond its storage")
    return described


def _view_of_bytes(*arguments: Any) -> Tensor:
    return _view_of_dtype(_dtype_of(arguments[6]), *arguments[1:4])


def _sparse(_layout: Any, data: Any, *_: Any) -> Tensor:
    if not isinstance(data, tuple) or len(data) < 3:
        raise Broken("a sparse tensor is described wrongly")
    values, shape = (data[2], data[3]) if isinstance(data[2], Tensor) and len(data) > 3 else (data[1], data[2])
    return tensor(values.dtype if isinstance(values, Tensor) else "unknown", shape)


def _first(value: Any, *_: Any) -> Any:
    return value


_REBUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _view,
    "torch._utils._rebuild_tensor_v2": _view,
    "torch._utils._rebuild_tensor_v3": _view_of_bytes,
    "torch._utils._rebuild_qtensor": _view,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._utils._rebuild_meta_tensor_no_storage": lambda dtype, size, *_: tensor(_dtype_of(dtype), size),
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch.Size": lambda sizes=(): sizes,
}
# All of it is on the list that PyTorch's own restricted loading takes (torch/_weights_only_unpickler.py); a test holds
# this to that. Each of these builds a value out of its arguments, and does nothing else.
HARMLESS = frozenset(
    {*_REBUILDERS, *_STORAGES, *(f"torch.{name}" for name in ITEM_BYTES), _FROM_TYPE, _ENCODE}
    | {"collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.bytearray", "builtins.complex"}
    | {"torch.Tensor", "torch.nn.parameter.Parameter", "torch.device", "torch.serialization._get_layout"}
    | {"torch.qint8", "torch.quint8", "torch.qint32", "torch.per_tensor_affine", "torch.per_channel_affine"}
)


def _quoted(raw: bytes) -> str:
    if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in (b"'", b'"'):
        raise ValueError("a quoted string was expected")
    return raw[1:-1].decode("latin-1")  # escapes stay as they are written: no harmless name needs one


def _written_integer(raw: bytes) -> int | bool:
    return raw == b"01" if raw in (b"00", b"01") else int(raw.removesuffix(b"L"), 0)


def _binary_integer(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _binary_count(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


_VALUES: dict[str, Callable[[bytes], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_LIST": lambda _: [],
    "EMPTY_SET": lambda _: [],  # nothing is hashed here, so a set is a list
    "EMPTY_DICT": lambda _: Mapping(),
    "INT": _written_integer,
    "LONG": _written_integer,
    "FLOAT": float,
    "BINFLOAT": lambda raw: struct.unpack(">d", raw)[0],
    "STRING": _quoted,
    "UNICODE": lambda raw: raw.decode("raw-unicode-escape"),
}
_VALUES |= dict.fromkeys(("BININT", "LONG1", "LONG4"), _binary_integer)
_VALUES |= dict.fromkeys(("BININT1", "BININT2"), _binary_count)
_VALUES |= dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _text)
_VALUES |= dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), lambda raw: raw.decode("latin-1"))
_VALUES |= dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"), lambda raw: raw)

_OPERATIONS = {ord(operation.code): operation for operation in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


class Machine:
    """Follows pickles that stand one after another in ``content``.

    Attributes:
        position: of the next byte to be read.
        findings: what has been found so far; good also after ``Broken``, as all of it would have happened by then.
    """

    def __init__(self, content: bytes, findings: Findings) -> None:
        self.content = content
        self.position = 0
        self.findings = findings
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Follow one pickle, from ``position`` to its end.

        Returns:
            What it would rebuild: None, bool, int, float, str, bytes, list (for sets too), tuple, or a class above.

        Raises:
            Broken: it is truncated, malformed, or asks for more than is followed.
        """
        self._stack, self._marked, self._memo = [], [], {}
        while True:
            start = self.position
            operation = _OPERATIONS.get(self._take(1)[0])
            if operation is None:
                raise Broken(f"byte {start:,} is no operation of a pickle")
            self.findings.charge(1)
            raw = self._argument(operation.arg)
            if operation.name == "STOP":
                return self._pop()
            try:
                if operation.name in _VALUES:
                    self._stack.append(_VALUES[operation.name](raw))
                else:
                    _STEPS[operation.name](self, raw)
            except (ValueError, TypeError, LookupError) as problem:
                raise Broken(f"its operation {operation.name} at byte {start:,} is malformed") from problem

    # the bytes

    def _take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if self.position > len(self.content):
            raise Broken("it ends in the middle")
        return self.content[start : self.position]

    def _line(self) -> bytes:
        end = self.content.find(b"\n", self.position)
        if end < 0:
            raise Broken("it ends in the middle")
        return self._take(end + 1 - self.position)[:-1]

    def _argument(self, kind: pickletools.ArgumentDescriptor | None) -> bytes:
        if kind is None:
            return b""
        if kind.n in _LENGTH_BYTES:
            return self._take(_binary_count(self._take(_LENGTH_BYTES[kind.n])))
        if kind.n == pickletools.UP_TO_NEWLINE:
            return self._line() + (b"\n" + self._line() if kind.name == "stringnl_noescape_pair" else b"")
        return self._take(kind.n)

    # the stack

    def _pop(self) -> Any:
        if not self._stack:
            raise Broken("it takes from an empty stack")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack:
            raise Broken("it takes from an empty stack")
        return self._stack[-1]

    def _pop_many(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self._pop() for _ in range(count)]))

    def _mark(self, _: bytes) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> list[Any]:
        if not self._marked:
            raise Broken("it takes from an empty stack")
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _discard(self, _: bytes) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _put(self, index: int) -> None:
        if not 0 <= index <= MAX_OPERATIONS:  # unpickling would reserve memory up to the largest
            raise Broken("it numbers its memory out of proportion")
        self._memo[index] = self._top()

    # containers

    def _push_marked(self, form: Callable[[list[Any]], Any]) -> None:
        items = self._pop_mark()
        self._stack.append(form(items))

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, Call):
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise Broken("it adds items to something that takes none")

    def _update(self, items: list[Any]) -> None:
        target, pairs = self._top(), _pairs(items)
        if isinstance(target, Mapping):
            target.pairs.extend(pairs)
        elif isinstance(target, Call):
            target.items.append(Mapping(pairs))
        else:
            raise Broken("it adds items to something that takes none")

    # names and calls

    def _find(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > _LONGEST_NAME:
            raise Broken("it imports something that is no name")
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        full = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        return self.findings.globals.setdefault(full, Global(full))

    def _global(self, raw: bytes) -> None:
        self._stack.append(self._find(*raw.decode("utf-8").split("\n")))

    def _stack_global(self, _: bytes) -> None:
        self._stack.append(self._find(*self._pop_many(2)))

    def _call(self, callee: Any, arguments: Any) -> None:
        if isinstance(callee, Call):
            result = "the result of "
            self._foreign_call(callee.name if callee.name.startswith(result) else result + callee.name, arguments)
        elif not isinstance(callee, Global):
            raise Broken("it calls something that cannot be called")
        elif not callee.harmless:
            self._foreign_call(callee.name, arguments)
        elif not isinstance(arguments, tuple) or len(arguments) > _MOST_ARGUMENTS:
            raise Broken("it calls with arguments that are none")
        elif callee.name == _ENCODE and arguments[1:] != ("latin1",):  # the one use that pickling makes of it
            self._foreign_call(callee.name, arguments)
        else:
            self.findings.note(callee.name, arguments, harmless=True)
            self._stack.append(self._rebuilt(callee.name, arguments))

    def _foreign_call(self, name: str, arguments: Any) -> None:
        self.findings.note(name, arguments, harmless=False)
        self._stack.append(Call(name, arguments))

    def _rebuilt(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """What a harmless call returns."""
        if name == _FROM_TYPE:  # calls its first argument with its third
            function, _, inner = arguments[:3]
            if getattr(function, "name", _FROM_TYPE) == _FROM_TYPE:
                raise Broken("it calls something that cannot be called")
            self._call(function, inner)
            return self._stack.pop()
        if name in ("collections.OrderedDict", "collections.Counter"):
            return Mapping(self._pairs_of(*arguments))
        if name == "builtins.set":
            return arguments[0] if arguments else []
        return _REBUILDERS[name](*arguments) if name in _REBUILDERS else Call(name, arguments)

    def _pairs_of(self, source: Any = ()) -> list[tuple[Any, Any]]:
        pairs = source.pairs if isinstance(source, Mapping) else source
        self.findings.charge(len(pairs))  # a copy, and a file can ask for many
        if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            raise Broken("a dictionary is made of something other than pairs")
        return [(pair[0], pair[1]) for pair in pairs]

    def _reduce(self, _: bytes) -> None:
        self._call(*self._pop_many(2))

    def _new_with_keywords(self, _: bytes) -> None:
        kind, arguments, keywords = self._pop_many(3)
        self._call(kind, (arguments, keywords) if getattr(keywords, "pairs", True) else arguments)

    def _instance(self, raw: bytes) -> None:
        self._call(self._find(*raw.decode("utf-8").split("\n")), tuple(self._pop_mark()))

    def _object(self, _: bytes) -> None:
        kind, *arguments = self._pop_mark()
        self._call(kind, tuple(arguments))

    def _build(self, _: bytes) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, Call):
            target.state = state
        elif isinstance(target, Global):  # not an object that was made, but what everybody else uses too
            self.findings.note(f"{target.name}.__setstate__", (state,), harmless=False)
        elif not isinstance(target, Mapping | Tensor):
            raise Broken("it sets attributes of something that has none")

    def _persistent(self, identity: Any) -> None:
        match identity if isinstance(identity, tuple) and len(identity) <= 8 else None:
            case ("module", Global() as kind, *_):
                self._stack.append(kind)
            case ("storage", Global() as kind, str() as key, str(), int() as length, *_) if length >= 0:
                self.findings.storages[key] = Storage(key, _STORAGES.get(kind.name, "unknown"), length)
                self._stack.append(self.findings.storages[key])
            case _:
                raise Broken("it refers to something that is kept elsewhere")

    def _refuse(self, _: bytes) -> None:
        raise Broken("it uses extension codes or outside buffers, whose meaning only the program that wrote it knows")


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    if len(items) % 2:
        raise Broken("a key has no value")
    return list(zip(items[::2], items[1::2]))


_STEPS: dict[str, Callable[[Machine, bytes], Any]] = {
    "PROTO": lambda machine, raw: None,
    "FRAME": lambda machine, raw: None,
    "MARK": Machine._mark,
    "POP": Machine._discard,
    "POP_MARK": lambda machine, _: machine._pop_mark(),
    "DUP": lambda machine, _: machine._stack.append(machine._top()),
    "TUPLE": lambda machine, _: machine._push_marked(tuple),
    "TUPLE1": lambda machine, _: machine._stack.append(machine._pop_many(1)),
    "TUPLE2": lambda machine, _: machine._stack.append(machine._pop_many(2)),
    "TUPLE3": lambda machine, _: machine._stack.append(machine._pop_many(3)),
    "LIST": lambda machine, _: machine._push_marked(list),
    "FROZENSET": lambda machine, _: machine._push_marked(list),
    "DICT": lambda machine, _: machine._push_marked(lambda items: Mapping(_pairs(items))),
    "APPEND": lambda machine, _: machine._extend([machine._pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._pop_mark()),
    "ADDITEMS": lambda machine, _: machine._extend(machine._pop_mark()),
    "SETITEM": lambda machine, _: machine._update(list(machine._pop_many(2))),
    "SETITEMS": lambda machine, _: machine._update(machine._pop_mark()),
    "GET": lambda machine, raw: machine._stack.append(machine._memo[int(raw)]),
    "BINGET": lambda machine, raw: machine._stack.append(machine._memo[_binary_count(raw)]),
    "LONG_BINGET": lambda machine, raw: machine._stack.append(machine._memo[_binary_count(raw)]),
    "PUT": lambda machine, raw: machine._put(int(raw)),
    "BINPUT": lambda machine, raw: machine._put(_binary_count(raw)),
    "LONG_BINPUT": lambda machine, raw: machine._put(_binary_count(raw)),
    "MEMOIZE": lambda machine, _: machine._put(len(machine._memo)),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._reduce,
    "NEWOBJ_EX": Machine._new_with_keywords,
    "INST": Machine._instance,
    "OBJ": Machine._object,
    "BUILD": Machine._build,
    "PERSID": lambda machine, raw: machine._persistent(raw),
    "BINPERSID": lambda machine, _: machine._persistent(machine._pop()),
}
_STEPS |= dict.fromkeys(("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"), Machine._refuse)
