import contextlib
import io
import json
import os
import pickle
import random
import struct
import sys
import zipfile
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from faceloupe.config import weights_folder
from faceloupe.errors import UsageError, WeightsError
from faceloupe.models import containers, pickles
from faceloupe.models.checkpoint import GlobalEntry, inspect_checkpoint
from faceloupe.models.networks import build
from faceloupe.models.record import read_registry
from tests.conftest import GENERATED

FORMS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}
CONTAINERS = {"zip": "PyTorch zip archive", "legacy": "PyTorch legacy pickle"}


class Runs:
    """An object whose unpickling runs a command that leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


def checkpoint() -> dict:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(4, 3, generator=generator)
    return {
        "model": OrderedDict(weight=weights, transposed=weights.t(), part=weights[1:, ::2], empty=torch.zeros(0, 5)),
        "half": torch.zeros(2, dtype=torch.float16),
        "counts": [torch.tensor(7), torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.bool)],
        "parameter": nn.Parameter(torch.zeros(2, 2)),
        "complex": torch.zeros(1, dtype=torch.complex64),
        "sparse": torch.eye(3).to_sparse(),
        "epoch": 12,
        "best": 0.75,
        "name": "näme",
        "nothing": None,
        "bytes": b"ab",
        "args": {
            "lr": 1e-3,
            "sizes": [1, 2, 3],
            "shape": (4, 5),
            "device": torch.device("cpu"),
            "size": torch.Size([9]),
        },
    }


def tensors_of(value, path="") -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return names, types and shapes of the tensors that torch has loaded."""
    if isinstance(value, torch.Tensor):
        return {path: (str(value.dtype).removeprefix("torch."), tuple(value.shape))}
    items = value.items() if isinstance(value, dict) else enumerate(value) if type(value) in (list, tuple) else ()
    result = {}
    for key, child in items:
        result |= tensors_of(child, f"{path}.{key}" if path else str(key))
    return result


@pytest.fixture
def marker(tmp_path):
    """A file that only a run pickle can make; it must never appear."""
    yield tmp_path / "marker"
    assert not (tmp_path / "marker").exists()


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "checkpoint.bin"
    path.write_bytes(content)
    return path


def saved(tmp_path: Path, value, form: str) -> Path:
    torch.save(value, tmp_path / "checkpoint.pt", **FORMS[form])
    return tmp_path / "checkpoint.pt"


def rezipped(path: Path, entries: dict[str, bytes | None], **options) -> Path:
    """A zip archive with entries added or replaced, or (None) left out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()} | entries
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_tensors_are_those_that_torch_loads(tmp_path, form):
    path = saved(tmp_path, checkpoint(), form)
    expected = tensors_of(torch.load(path, weights_only=True))
    inspection = inspect_checkpoint(path)
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in inspection.tensors} == expected
    assert inspection.tensor_count == len(expected)
    assert inspection.container == CONTAINERS[form]
    assert inspection.verdict == "loading it would only rebuild tensors"
    assert (inspection.safe, inspection.damage, inspection.complete) == (True, None, True)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_tensor_is_an_argument(tmp_path, form):
    inspection = inspect_checkpoint(saved(tmp_path, checkpoint(), form))
    assert {argument.name: argument.value for argument in inspection.arguments} == {
        "epoch": 12,
        "best": 0.75,
        "name": "näme",
        "nothing": None,
        "bytes": "_codecs.encode('ab', 'latin1')",
        "args.lr": 1e-3,
        "args.sizes": "[1, 2, 3]",
        "args.shape": "(4, 5)",
        "args.device": "torch.device('cpu')",
        "args.size": "(9)",
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_known_architecture_is_named_with_its_place(tmp_path, form):
    state = build("mobilenet_v3_small").state_dict()
    inspection = inspect_checkpoint(saved(tmp_path, {"epoch": 3, "nets": {"student": state}}, form))
    assert (inspection.architecture, inspection.architecture_at) == ("mobilenet_v3_small", "nets.student")
    assert (inspection.tensor_count, len(inspection.tensors)) == (len(state), 40)
    assert inspection.element_count == sum(tensor.numel() for tensor in state.values())
    state["classifier.3.bias"] = torch.zeros(2)
    assert inspect_checkpoint(saved(tmp_path, state, form)).architecture is None


def test_the_committed_weights_are_recognized():
    for record in read_registry(weights_folder()).values():
        if not record.weights_file:
            continue
        inspection = inspect_checkpoint(weights_folder() / record.weights_file)
        assert inspection.sha256 == record.weights_sha256
        # A head is not a network alone.
        assert inspection.architecture == (None if record.component else record.architecture)
        assert (inspection.container, inspection.safe) == ("safetensors file", True)


def test_safetensors_metadata_are_arguments(tmp_path):
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.bfloat16)}, tmp_path / "x", {"epoch": "3"})
    inspection = inspect_checkpoint(tmp_path / "x")
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in inspection.tensors} == {
        "a": ("float32", (2, 3)),
        "b": ("bfloat16", ()),
    }
    assert [(argument.name, argument.value) for argument in inspection.arguments] == [("epoch", "3")]
    assert inspection.architecture is None


def test_the_harmless_names_are_among_those_of_torchs_restricted_loading():
    from torch._weights_only_unpickler import _get_allowed_globals

    assert set(_get_allowed_globals()) >= pickles.HARMLESS


# what would run


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_a_command_is_named_and_not_run(tmp_path, marker, protocol):
    path = written(tmp_path, pickle.dumps({"weights": [1, 2], "x": Runs(marker)}, protocol))
    inspection = inspect_checkpoint(path)
    assert (inspection.container, inspection.safe) == ("pickle", False)
    assert inspection.verdict == "loading it would run: posix.system: do not load it"
    (call,) = (call for call in inspection.calls if not call.harmless)
    assert (call.name, call.count) == ("posix.system", 1)
    assert str(marker) in call.arguments[0]


@pytest.mark.parametrize("form", FORMS)
def test_a_command_inside_a_torch_file_is_named_and_not_run(tmp_path, marker, form):
    inspection = inspect_checkpoint(saved(tmp_path, checkpoint() | {"x": Runs(marker)}, form))
    assert inspection.verdict == "loading it would run: posix.system: do not load it"
    assert inspection.globals[0] == GlobalEntry("posix.system", False)
    assert inspection.container == CONTAINERS[form]
    assert inspection.tensor_count > 5


def test_a_command_in_any_pickle_of_a_file_is_named(tmp_path, marker):
    harmful, harmless = pickle.dumps(Runs(marker)), pickle.dumps({"a": 1})
    legacy = saved(tmp_path, {"a": torch.zeros(1)}, "legacy").read_bytes()
    zipped = rezipped(saved(tmp_path, {"a": torch.zeros(1)}, "zip"), {"checkpoint/other.pkl": harmful})
    magic = (
        harmful[:-1] + b"0" + legacy[2:]
    )  # run first, thrown away, and then the number that a legacy file begins with
    for path in (zipped, written(tmp_path, harmless + harmful), written(tmp_path, magic)):
        assert inspect_checkpoint(path).verdict == "loading it would run: posix.system: do not load it"


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        (b"(S'x'\niposix\nsystem\n.", "run: posix.system"),
        (b"(cposix\nsystem\nS'x'\no.", "run: posix.system"),
        (b"\x80\x02cposix\nsystem\n)\x81.", "run: posix.system"),
        (b"\x80\x04cposix\nsystem\n)}\x92.", "run: posix.system"),
        (b"\x80\x04S'posix'\nS'system'\n\x93)R.", "run: posix.system"),
        (b"\x80\x04\x8c\x05posix\x940\x8c\x06system\x940h\x00h\x01\x93)R.", "run: posix.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "run: builtins.eval"),
        (b"\x80\x04cposix\nsystem\n)R0N.", "run: posix.system"),
        (b"\x80\x02cposix\nsystem\n.", "import: posix.system"),
        (b"\x80\x02cposix\nsystem\n0cm\nn\n)R.", "run: m.n; and import: posix.system"),
        (b"cbuiltins\ngetattr\n(cos\nx\nS'y'\ntR(tR.", "run: builtins.getattr, the result of builtins.getattr; and"),
        (b"\x80\x02cm\nC\n)\x81}S'__setstate__'\ncm\nf\nsbNb.", "run: m.C; and import: m.f"),
        (b"\x80\x02ccollections\nOrderedDict\n}S'a'\nNsb.", "run: collections.OrderedDict.__setstate__"),
        (b"\x80\x02c_codecs\nencode\nS'a'\nS'x'\n\x86R.", "run: _codecs.encode with an encoding"),
        (
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nctorch\nTensor\n)NtR.",
            "run: os.system",
        ),
    ],
)
def test_every_way_to_call_is_seen(tmp_path, program, verdict):
    inspection = inspect_checkpoint(written(tmp_path, program))
    assert inspection.verdict.startswith(f"loading it would {verdict}")
    assert inspection.verdict.endswith(": do not load it")
    assert inspection.safe is False


def test_what_would_run_before_the_damage_is_still_named(tmp_path, marker):
    for content in (pickle.dumps([Runs(marker), "x" * 100])[:-50], pickle.dumps(Runs(marker)) + b"\x00"):
        inspection = inspect_checkpoint(written(tmp_path, content))
        assert inspection.verdict == "loading it would run: posix.system: do not load it"
        assert inspection.damage


def test_a_whole_module_is_no_mere_state(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "module.pt")
    inspection = inspect_checkpoint(tmp_path / "module.pt")
    assert inspection.verdict == "loading it would run: torch.nn.modules.linear.Linear: do not load it"
    assert [tensor.name for tensor in inspection.tensors] == ["_parameters.weight", "_parameters.bias"]


def test_nothing_that_is_named_gets_imported(tmp_path):
    inspection = inspect_checkpoint(written(tmp_path, b"\x80\x02cantigravity\nfly\n)R."))
    assert inspection.verdict == "loading it would run: antigravity.fly: do not load it"
    assert "antigravity" not in sys.modules


def test_an_archive_with_a_program_is_named(tmp_path):
    path = saved(tmp_path, {"a": torch.zeros(1)}, "zip")
    rezipped(path, {"checkpoint/code/__torch__.py": b"def f(): ...", "checkpoint/constants.pkl": pickle.dumps(())})
    inspection = inspect_checkpoint(path)
    assert inspection.container.startswith("PyTorch program archive")
    assert inspection.verdict == "loading it would run: checkpoint/code/__torch__.py: do not load it"


# what is recognized and not examined


def tar_of(head: bytes, rest: bytes) -> bytes:
    """A file that begins with these bytes and is a v7 tar, which is recognizable only by its checksum."""
    block = bytearray(head.ljust(512, b"\0"))
    block[124:136], block[136:148] = b"00000000000\0", b"00000000000\0"  # size, time
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + rest


PICKLED = tar_of(b"\x80\x03B" + struct.pack("<I", 512 - 7), b".")


@pytest.mark.parametrize(
    "content", [b"\x89HDF\r\n\x1a\n" + bytes(600), tar_of(b"sys_info", b""), PICKLED], ids=["HDF5", "tar", "pickle too"]
)
def test_other_containers_are_recognized_by_their_first_bytes_only(tmp_path, content):
    inspection = inspect_checkpoint(written(tmp_path, content))
    assert inspection.container.endswith("recognized by its first bytes only")
    assert inspection.verdict.startswith("not examined: ")
    assert (inspection.safe, inspection.arguments) == (None, ())


def test_a_keras_archive_is_recognized(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"x")
    assert inspect_checkpoint(tmp_path / "m.keras").safe is None


# what is refused


def test_no_file_is_a_usage_error(tmp_path):
    for path in (tmp_path, tmp_path / "missing.pt"):
        with pytest.raises(UsageError):
            inspect_checkpoint(path)


def zip_of(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, pickle.dumps({}))
    return stream.getvalue()


def safetensors_of(header, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape, start, end, dtype="U8"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


PICTURE = GENERATED.read_bytes()[:5000]
REFUSED = {
    "empty": (b"", "is empty"),
    "text": (b"copyright, all rights\nreserved\n", "not a checkpoint"),
    "more text": (b"(c) someone\n", "not a checkpoint"),
    "picture": (PICTURE, "not a checkpoint"),
    "other zip": (zip_of("a/b.txt", "a/code.py"), "not a checkpoint"),
    "one byte": (b"\x80", "ends in the middle"),
    "cut zip": (zip_of("a/data.pkl")[:-1], "directory"),
    "zip with a comment": (zip_of("a/data.pkl")[:-2] + b"\x01\x00x", "directory"),
    "zip in two readings": (zip_of("a/data.pkl") + zip_of("a/data.pkl"), "directory"),
    "zip with twins": (zip_of("a/data.pkl", "a/DATA.pkl"), "take for one another"),
    "zip with a broken pickle": (zip_of("a/data.pkl").replace(b"\x80", b"\x81"), "cannot be read|malformed"),
    "cut pickle": (pickle.dumps(list(range(1000)))[:-10], "ends in the middle"),
    "no operation": (b"\x80\x02\xff.", "malformed"),
    "malformed": (b"\x80\x02.", "malformed"),
    "no mark": (b"\x80\x02t.", "malformed"),
    "unknown memo": (b"\x80\x02h\x07.", "malformed or ends in the middle, at or after BINGET at byte 2"),
    "vast memo": (b"\x80\x02Nr\xff\xff\xff\x7f.", "out of proportion"),
    "vast bytes": (b"\x80\x05\x96" + b"\xff" * 8 + b".", "ends in the middle"),
    "extension 1": (b"\x80\x02\x82\x01.", "extension codes"),
    "extension 2": (b"\x80\x02\x83\x01\x01.", "extension codes"),
    "extension 4": (b"\x80\x02\x84\x01\x01\x01\x01.", "extension codes"),
    "buffer": (b"\x80\x05\x97.", "outside buffers"),
    "persistent": (b"\x80\x02K\x01Q.", "kept elsewhere"),
    "no callee": (b"\x80\x02K\x01)R.", "cannot be called"),
    "no attributes": (b"\x80\x02]Nb.", "has none"),
    "no items": (b"\x80\x02K\x01K\x01a.", "malformed"),
    "half a pair": (b"\x80\x02}(K\x01u.", "malformed"),
    "rubbish behind": (pickle.dumps({"a": 1}) + b"rubbish", "7 bytes follow"),
    "a number of too many digits": (b"\x80\x02L" + b"9" * 5000 + b"\n.", "malformed"),
    "vast header": (struct.pack("<Q", 2**60) + b"{}", "more than the file holds"),
    "large header": (safetensors_of(b"{" + b" " * 9_000_000), "that are examined"),
    "no header": (safetensors_of(b"{]"), "invalid JSON"),
    "deep header": (safetensors_of(b'{"a":' + b"[" * 100_000), "invalid JSON"),
    "constant": (safetensors_of(b'{"__metadata__": {"a": NaN}}'), "invalid JSON"),
    "no metadata": (safetensors_of({"__metadata__": 5}), "expected a map"),
    "no entry": (safetensors_of({"a": [1]}), "expected string or map"),
    "no type": (safetensors_of({"a": entry([1], 0, 1, "X9")}, b"x"), "unknown variant `X9`"),
    "no shape": (safetensors_of({"a": entry([-1], 0, 1)}, b"x"), "expected usize"),
    "wrong size": (safetensors_of({"a": entry([2], 0, 1)}, b"x"), "invalid shape"),
    "gap": (safetensors_of({"a": entry([1], 1, 2)}, b"xx"), "invalid offset"),
    "cut data": (safetensors_of({"a": entry([4], 0, 4)}, b"xxx"), "not fully covered"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sound_checkpoint_is_reported_in_one_sentence(tmp_path, name):
    content, message = REFUSED[name]
    with pytest.raises(WeightsError, match=message) as problem:
        inspect_checkpoint(written(tmp_path, content))
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_torch_file_is_refused(tmp_path, form, share):
    content = saved(tmp_path, checkpoint(), form).read_bytes()
    with pytest.raises(WeightsError, match="cannot be read to its end"):
        inspect_checkpoint(written(tmp_path, content[: int(len(content) * share)]))


def test_a_tensor_without_its_data_is_refused(tmp_path):
    for data in (None, b"short"):
        path = rezipped(saved(tmp_path, {"a": torch.zeros(9)}, "zip"), {"checkpoint/data/0": data})
        with pytest.raises(WeightsError, match="data of its storage 0 are missing or of another size"):
            inspect_checkpoint(path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    path = saved(tmp_path, {"a": torch.zeros(9)}, "zip")
    with zipfile.ZipFile(path) as archive:
        program = archive.read("checkpoint/data.pkl")
    assert program.count(b"K\x09\x85") == 1
    rezipped(path, {"checkpoint/data.pkl": program.replace(b"K\x09\x85", b"K\x0a\x85")})
    with pytest.raises(WeightsError, match="beyond its storage"):
        inspect_checkpoint(path)


# bombs


def test_a_compressed_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = saved(tmp_path, {"a": torch.zeros(1)}, "zip")
    rezipped(path, {"checkpoint/data.pkl": bytes(1_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(containers, "MAX_PICKLE_BYTES", 100_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(WeightsError, match="more than the 100,000 bytes"):
        inspect_checkpoint(path)


def test_a_pickle_larger_than_what_is_followed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "MAX_PICKLE_BYTES", 1000)
    with pytest.raises(WeightsError, match="longer than the 1,000 bytes"):
        inspect_checkpoint(written(tmp_path, pickle.dumps(["x" * 900, "y" * 900])))


def test_too_many_operations_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_OPERATIONS", 10_000)
    copies = (
        b"\x80\x02](" + b"NN\x86" * 1000 + b"eq\x000ccollections\nOrderedDict\nq\x01" + b"0h\x01h\x00\x85R" * 50 + b"."
    )
    for content in (b"\x80\x02" + b"N0" * 6000 + b"N.", copies):
        with pytest.raises(WeightsError, match="more than 10,000 operations"):
            inspect_checkpoint(written(tmp_path, content))


def doubling(first: bytes, step: bytes, times: int = 60) -> bytes:
    """A value that holds its predecessor twice, again and again."""
    lines = [b"\x80\x02", first, b"q\x00"]
    for index in range(1, times):
        lines.append(step.replace(b"PRE", bytes([index - 1])) + b"q" + bytes([index]))
    return b"".join(lines)


BOMBS = {
    "lists": (doubling(b"]", b"](hPREhPREe") + b".", False),
    "tuples": (doubling(b")", b"hPREhPRE\x86") + b".", False),
    "a key that doubles": (doubling(b")", b"hPREhPRE\x86") + b"0}h\x3bNs.", True),
    "nested lists": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", False),
    "a nested key": (b"\x80\x02})" + b"\x85" * 100_000 + b"Ns.", True),
    "a list that holds itself": (b"\x80\x02]q\x00h\x00a.", False),
    "a long list over and over": (b"\x80\x02]q\x00(" + b"N" * 9000 + b"e](" + b"h\x00" * 9000 + b"e.", False),
    "a long number": (b"\x80\x02\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000 + b".", True),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_takes_little_memory(tmp_path, name):
    content, complete = BOMBS[name]
    inspection = inspect_checkpoint(written(tmp_path, content))
    assert inspection.complete is complete
    assert inspection.verdict == "loading it would only rebuild plain values"
    assert len(json.dumps(asdict(inspection))) < 100_000


def test_many_names_are_cut_short(tmp_path):
    program = b"\x80\x02(" + b"".join(b"cm%d\n%s\n)R" % (i, b"n" * 500) for i in range(1000)) + b"t."
    inspection = inspect_checkpoint(written(tmp_path, program))
    assert (inspection.call_count, inspection.global_count) == (1000, 1000)
    assert (len(inspection.calls), len(inspection.globals)) == (200, 200)
    assert inspection.verdict.endswith(" and 990 more: do not load it")
    assert len(json.dumps(asdict(inspection))) < 1_000_000


def test_control_characters_are_printed_harmlessly(tmp_path, marker):
    nasty = "a\x1b[31m\u202e\nb\ud800"
    value = {
        nasty: torch.zeros(1),
        "x": nasty,
        "y": [nasty, nasty.encode("utf-8", "surrogatepass")],
        "z": [Runs(nasty)],
    }
    path = tmp_path / "a\x1bb\n.pkl"
    path.write_bytes(pickle.dumps(value) + b"\x80\x04\x8c\x03a\x1bm\x8c\x01\n\x93)R.")
    text = json.dumps(asdict(inspect_checkpoint(path)), ensure_ascii=False)
    assert not set(text) & set("\x1b\u202e\n\ud800")
    assert "a\ufffd[31m" in text


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_never_ends_in_anything_else_than_a_sentence(tmp_path, marker, seed):
    dice = random.Random(seed)
    value = checkpoint() | {"x": Runs(marker)}
    sources = [saved(tmp_path, value, form).read_bytes() for form in FORMS]
    sources += [pickle.dumps(["x", {1: 2.5}, {3}, Runs(marker)], protocol) for protocol in range(6)]
    sources.append(safetensors_of({"a": entry([2], 0, 2), "__metadata__": {"b": "c"}}, b"xx"))
    for _ in range(150):
        content = bytearray(dice.choice(sources))
        for _ in range(dice.randint(1, 4)):
            position = dice.randrange(len(content))
            if dice.random() < 0.3:
                del content[position : position + dice.randint(1, 8)]
            else:
                content[position] = dice.randrange(256)
        with contextlib.suppress(WeightsError):
            json.dumps(asdict(inspect_checkpoint(written(tmp_path, bytes(content)))), allow_nan=False)
