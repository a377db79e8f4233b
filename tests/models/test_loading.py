import hashlib
import json
import pickle
import re
import shutil

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from faceloupe.config import QUICK_MODEL, weights_folder
from faceloupe.errors import WeightsError
from faceloupe.models.loading import load_network
from faceloupe.models.networks import ARCHITECTURES, build, fold
from faceloupe.models.record import ModelRecord, find_record, read_record, read_registry, write_record
from faceloupe.training.settings import CARD_CORE


@pytest.fixture
def folder(tmp_path):
    """A copy of the committed registry."""
    shutil.copytree(weights_folder(), tmp_path / "weights")
    return tmp_path / "weights"


def path_of(folder):
    return folder / f"{QUICK_MODEL}.safetensors"


def with_hash_of(folder, content: bytes) -> ModelRecord:
    """Put other weights in place, with a record that vouches for them."""
    path_of(folder).write_bytes(content)
    path = folder / f"{QUICK_MODEL}.json"
    values = json.loads(path.read_text()) | {"weights_sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(values))
    return find_record(folder, QUICK_MODEL)


def test_the_committed_weights_are_the_verified_ones():
    record = find_record(weights_folder(), QUICK_MODEL)
    network = load_network(record, weights_folder())
    stored = load(path_of(weights_folder()).read_bytes())
    unfolded = build(record.architecture)
    unfolded.load_state_dict(stored)
    assert sum(parameter.numel() for parameter in unfolded.parameters()) == record.parameters == 1_521_441
    assert not network.training


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_network_without_its_batch_normalizations_gives_the_same_logits(architecture):
    torch.manual_seed(0)
    network = build(architecture)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as training leaves them: none is neutral
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    inputs = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before = network.eval()(inputs)
        folded = fold(network)
        torch.testing.assert_close(folded(inputs), before, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())


def test_the_committed_weights_were_trained():
    network = load_network(find_record(weights_folder(), CARD_CORE), weights_folder())
    fresh = build("mobilenet_v3_small")
    for name, tensor in fresh.state_dict().items():
        if name.endswith("weight") and tensor.ndim > 1:
            assert not torch.equal(tensor, network.state_dict()[name])


def test_a_record_survives_writing_and_reading(folder):
    record = find_record(folder, QUICK_MODEL)
    write_record(record, folder / "copy.json")
    assert read_record(folder / "copy.json") == record


def test_missing_weights_score_nothing_and_say_what_to_do(folder):
    path_of(folder).unlink()
    with pytest.raises(
        WeightsError, match=r"are missing, so nothing can be scored; run `faceloupe models fetch`, or restore"
    ):
        load_network(find_record(folder, QUICK_MODEL), folder)


def test_a_single_changed_bit_is_noticed(folder):
    content = bytearray(path_of(folder).read_bytes())
    content[-100] ^= 1
    path_of(folder).write_bytes(content)
    with pytest.raises(WeightsError, match="not the verified weights"):
        load_network(find_record(folder, QUICK_MODEL), folder)


def test_weights_of_another_architecture_are_refused(folder):
    other = {name: tensor for name, tensor in load_file(path_of(folder)).items() if not name.startswith("classifier.3")}
    save_file(other | {"classifier.3.weight": torch.zeros(2, 1024), "classifier.3.bias": torch.zeros(2)}, folder / "o")
    record = with_hash_of(folder, (folder / "o").read_bytes())
    with pytest.raises(WeightsError, match="do not fit the architecture mobilenet_v3_small"):
        load_network(record, folder)


class _Boom:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_a_pickle_is_never_executed(folder):
    record = with_hash_of(folder, pickle.dumps(_Boom()))
    with pytest.raises(WeightsError, match="do not fit"):
        load_network(record, folder)


def test_an_unknown_architecture_is_refused(folder):
    path = folder / f"{QUICK_MODEL}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architecture": "resnet9000"}))
    with pytest.raises(WeightsError, match="resnet9000"):
        load_network(find_record(folder, QUICK_MODEL), folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"thresholds"', '"thresholdz"'),
        lambda text: re.sub(r'"kind": "[a-z]+"', '"kind": "magic"', text),
        lambda text: re.sub(r'"interval_95": {[^}]*}', '"interval_95": []', text),
        lambda text: re.sub(r'"explanation_max": [0-9.]+', '"explanation_max": 0', text),
        lambda text: re.sub(r'"log10_lr_bounds": \[\s*[-0-9.]+', '"log10_lr_bounds": [NaN', text),
        lambda text: re.sub(r'"min_size_px": [0-9.]+', '"min_size_px": "x"', text),
        lambda text: re.sub(r'"weights_file": "[^"]*"', '"weights_file": 5', text),
        lambda text: "[" * 100_000,
    ],
    ids=[
        "truncated",
        "not an object",
        "missing field",
        "unknown calibrator",
        "no intervals",
        "no scale",
        "NaN",
        "text for a number",
        "number for a name",
        "nested too deep",
    ],
)
def test_a_damaged_record_is_refused(folder, damage):
    path = folder / f"{QUICK_MODEL}.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(WeightsError, match="damaged"):
        find_record(folder, QUICK_MODEL)


def test_a_record_cannot_reach_outside_its_folder(folder):
    path = folder / f"{QUICK_MODEL}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_file": "../elsewhere.safetensors"}))
    with pytest.raises(WeightsError, match="damaged"):
        find_record(folder, QUICK_MODEL)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(WeightsError, match=QUICK_MODEL):
        find_record(tmp_path, QUICK_MODEL)


def test_two_records_of_one_id_are_an_error(folder):
    shutil.copy(folder / f"{QUICK_MODEL}.json", folder / "twin.json")
    with pytest.raises(WeightsError, match="Two model records"):
        read_registry(folder)
