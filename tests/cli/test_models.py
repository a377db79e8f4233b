import dataclasses
import json
import pickle
import shutil

import pytest
import torch

from faceloupe.cli import main
from faceloupe.config import DEFAULT_MODEL, QUICK_MODEL, weights_folder
from faceloupe.models.record import ModelRecord, ensemble_hash, find_record, read_registry, write_record
from faceloupe.models.registry import components_of, read_entries
from tests.cli.test_main import run
from tests.models.releases import served, whole
from tests.models.test_checkpoint import Runs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the committed registry, in use."""
    shutil.copytree(weights_folder(), tmp_path / "weights")
    monkeypatch.setenv("FACELOUPE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def single(folder) -> ModelRecord:
    """A record with its own weights."""
    return next(record for record in read_registry(folder).values() if record.weights_file and not record.component)


def test_list_shows_every_model_and_the_default(capsys):
    registry = read_registry(weights_folder())
    code, out, err = run(capsys, "models", "list")
    assert (code, err) == (0, "")
    assert all(line.count("verified") == 1 for line in out.splitlines()[1:])
    assert len(out.splitlines()) == 1 + len(registry)
    (line,) = (line for line in out.splitlines() if line.endswith("default"))
    assert line.split()[:3] == [
        DEFAULT_MODEL,
        registry[DEFAULT_MODEL].architecture,
        f"{registry[DEFAULT_MODEL].parameters:,}",
    ]


def test_list_as_json_is_one_document(capsys):
    code, out, err = run(capsys, "models", "list", "--json")
    assert (code, err) == (0, "")
    models = {model["id"]: model for model in json.loads(out)}
    entries = read_entries(weights_folder())
    for record in read_registry(weights_folder()).values():
        entry = entries.get(record.id)
        assert models[record.id] == {
            "id": record.id,
            "architecture": record.architecture,
            "parameters": record.parameters,
            "weights_file": record.weights_file,
            "weights_sha256": record.weights_sha256,
            "weights": "verified",
            "default": record.id == DEFAULT_MODEL,
            "size_bytes": entry and (weights_folder() / record.weights_file).stat().st_size,
            "url": entry and f"{{releases}}/{record.weights_file}",
            "license": record.license,
            "card": entry and ("docs/core/card.md" if record.id == QUICK_MODEL else "docs/model-card.md"),
        }


def remove(path):
    path.unlink()


def alter(path):
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def block(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "word"),
    [(remove, "missing"), (alter, "altered"), (block, "unreadable")],
    ids=["removed", "altered", "blocked"],
)
def test_weights_that_are_not_there_are_shown_and_fail_the_check(capsys, folder, damage, word):
    record = single(folder)
    ensemble = dataclasses.replace(
        record,
        id="pair",
        architecture="ensemble",
        weights_file="",
        weights_sha256=ensemble_hash((record,)),
        members=(record.id,),
    )
    write_record(ensemble, folder / "pair.json")
    assert run(capsys, "models", "verify", "pair")[0] == 0
    damage(folder / record.weights_file)
    code, out, err = run(capsys, "models", "list", "--json")
    states = {model["id"]: model["weights"] for model in json.loads(out)}
    assert (code, err, states[record.id], states["pair"]) == (0, "", word, word)
    for name in (record.id, "pair"):
        code, out, err = run(capsys, "models", "verify", name)
        assert (code, out, err.count("\n")) == (1, f"{name}: not verified\n", 1)
        assert record.weights_file in err


def test_verify_checks_all_by_default(capsys):
    code, out, err = run(capsys, "models", "verify")
    assert (code, err) == (0, "")
    registry = read_registry(weights_folder())
    assert out.splitlines() == [f"{name}: verified, SHA-256 {r.weights_sha256}" for name, r in registry.items()]


def test_verify_names_an_unknown_model(capsys):
    code, out, err = run(capsys, "models", "verify", QUICK_MODEL, "none\nsuch")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert QUICK_MODEL in err


def test_an_empty_weights_folder_is_no_verified_one(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_WEIGHTS", str(tmp_path))
    assert run(capsys, "models", "list", "--json") == (0, "[]\n", "")
    assert run(capsys, "models", "list")[0] == 0
    code, out, err = run(capsys, "models", "verify")
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_a_damaged_record_is_reported_in_one_sentence(capsys, folder):
    (folder / f"{QUICK_MODEL}.json").write_text("{")
    for action in ("list", "verify"):
        code, out, err = run(capsys, "models", action)
        assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.fixture
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxy")
def test_fetch_restores_the_weights_of_every_part(capsys, folder, monkeypatch):
    ensemble = find_record(folder)  # a fusion: its core, its heads and the encoder that they share
    files = {}
    for part in components_of(ensemble, folder):
        path = folder / part.weights_file
        files[f"/{path.name}"] = path.read_bytes()
        path.unlink()
    with served(lambda handler: whole(handler, files[handler.path])) as server:
        monkeypatch.setenv("FACELOUPE_RELEASES", server.address)
        line = f"{ensemble.id}: verified, SHA-256 {ensemble.weights_sha256}\n"
        assert run(capsys, "models", "fetch", ensemble.id) == (0, line, "")
        assert {path for path, _ in server.asked} == set(files)
    assert run(capsys, "models", "verify")[0] == 0
    assert run(capsys, "models", "fetch")[0] == 0  # of the model that scores; there already, and the server is gone


@pytest.mark.usefixtures("no_proxy")
def test_a_fetch_that_fails_is_reported_in_one_sentence(capsys, folder, monkeypatch):
    record = single(folder)
    (folder / record.weights_file).unlink()
    for address in ("", "http://127.0.0.1.example.com/x"):
        monkeypatch.setenv("FACELOUPE_RELEASES", address)
        code, out, err = run(capsys, "models", "fetch", record.id)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "FACELOUPE_RELEASES" in err
    assert run(capsys, "models", "fetch", "none-such")[0] == 2


def test_fetch_takes_a_file_that_was_carried_here(capsys, folder, tmp_path):
    record = single(folder)
    carried = (folder / record.weights_file).rename(tmp_path / "carried")
    assert run(capsys, "models", "fetch", record.id, "--from", carried)[0] == 2
    assert run(capsys, "models", "fetch", "--from", carried)[0] == 0
    assert run(capsys, "models", "verify", record.id)[0] == 0
    code, out, err = run(capsys, "models", "fetch", "--from", folder / "evaluation.json")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_inspect_shows_what_a_checkpoint_holds(capsys, tmp_path):
    torch.save({"epoch": 12, "net": {"w": torch.zeros(4, 3)}}, tmp_path / "x.pt")
    code, out, err = run(capsys, "models", "inspect", tmp_path / "x.pt")
    assert (code, err) == (0, "")
    for texts in (
        "PyTorch zip archive",
        "Tensors    1, with 12 numbers in all",
        "not an architecture that this version knows",
        "loading it would only rebuild tensors",
        "net.w   float32  4 x 3",
        "epoch     12",
        "torch._utils._rebuild_tensor_v2  1 x  rebuilds",
    ):
        assert texts in out
    code, out, err = run(capsys, "models", "inspect", tmp_path / "x.pt", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["tensors"] == [{"name": "net.w", "dtype": "float32", "shape": [4, 3]}]


def test_inspect_recognizes_the_committed_weights(capsys):
    record = single(weights_folder())
    code, out, _ = run(capsys, "models", "inspect", weights_folder() / record.weights_file)
    assert code == 0
    assert f"Network    {record.architecture}\n" in out
    assert out.endswith(" more\n")


def test_inspect_names_what_would_run_and_runs_nothing(capsys, tmp_path):
    marker = tmp_path / "marker"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"x": Runs(marker)})[:-1] + b"N")
    code, out, err = run(capsys, "models", "inspect", tmp_path / "x.pkl")
    assert (code, err) == (0, "")
    assert "Verdict    loading it would run: posix.system: do not load it\n" in out
    assert "Damage     cannot be read to its end: it is malformed or ends in the middle, at or after NONE" in out
    assert f"posix.system  1 x  runs code  (\"touch '{marker}'\")\n" in out
    assert not marker.exists()


@pytest.mark.parametrize("content", [None, b"", b"text\n", b"PK\x03\x04", b"\x80\x02\x82\x01."])
def test_a_bad_checkpoint_is_reported_in_one_sentence(capsys, tmp_path, content):
    path = tmp_path / "a\nb.pt"
    if content is not None:
        path.write_bytes(content)
    code, out, err = run(capsys, "models", "inspect", path, "--json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("faceloupe: a\ufffdb.pt ") or "a\ufffdb.pt" in err


@pytest.mark.parametrize("arguments", [[], ["x"], ["inspect"], ["list", "x"], ["verify", "--json"]])
def test_bad_usage_is_reported_in_one_sentence(capsys, arguments):
    code, out, err = run(capsys, "models", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_help_needs_no_model(capsys):
    for arguments in (["--help"], ["list", "--help"], ["verify", "--help"], ["fetch", "--help"], ["inspect", "--help"]):
        assert main.main(["models", *arguments]) == 0
        assert "usage: faceloupe models" in capsys.readouterr().out
