from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from sklearn.metrics import roc_auc_score

from faceloupe.errors import DatasetError
from faceloupe.scoring.preprocess import normalize, view_face
from faceloupe.training import data, peers
from faceloupe.types import Box

h5py = pytest.importorskip("h5py")

# Every convolution in the order of its making: side, channels before, channels after.
MESO4 = [(3, 3, 8), (5, 8, 8), (5, 8, 16), (5, 16, 16)]
FIRST = [(1, 3, 1), (1, 3, 4), (3, 4, 4), (1, 3, 4), (3, 4, 4), (1, 3, 2), (3, 2, 2)]
SECOND = [(1, 11, 2), (1, 11, 4), (3, 4, 4), (1, 11, 4), (3, 4, 4), (1, 11, 2), (3, 2, 2)]
INCEPTION = [*FIRST, *SECOND, (5, 12, 16), (5, 16, 16)]
CASES = {"Meso4_DF": (MESO4, (8, 8, 16, 16)), "MesoInception_DF": (INCEPTION, (11, 12, 16, 16))}

Layers = dict[str, list[dict[str, np.ndarray]]]


def random_layers(name: str) -> Layers:
    rng = np.random.default_rng(7)
    convolutions, norms = CASES[name]

    def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (scale * rng.normal(size=shape)).astype(np.float32)

    return {
        "conv2d": [
            {"kernel": draw(side, side, a, b, scale=(side * side * a) ** -0.5), "bias": draw(b, scale=0.1)}
            for side, a, b in convolutions
        ],
        "batch_normalization": [
            {
                "gamma": 1 + draw(n, scale=0.2),
                "beta": draw(n, scale=0.2),
                "moving_mean": draw(n, scale=0.2),
                # Some are so small that the constant added to them decides.
                "moving_variance": rng.uniform(1e-4, 1.0, n).astype(np.float32),
            }
            for n in norms
        ],
        "dense": [{"kernel": draw(a, b, scale=a**-0.5), "bias": draw(b)} for a, b in ((1024, 16), (16, 1))],
    }


def write(layers: Layers, path: Path, *, start: int = 1) -> Path:
    """A file as Keras 2 lays it out; its layers are numbered from ``start``."""
    with h5py.File(path, "w") as file:
        file.create_group("max_pooling2d_1")
        for kind, some in layers.items():
            for number, arrays in enumerate(some, start):
                for name, array in arrays.items():
                    file[f"{kind}_{number}/{kind}_{number}/{name}:0"] = array
    return path


def convolve(x: np.ndarray, layer: dict[str, np.ndarray], dilation: int = 1) -> np.ndarray:
    kernel = layer["kernel"]
    if dilation > 1:
        side = dilation * (kernel.shape[0] - 1) + 1
        spread = np.zeros((side, side, *kernel.shape[2:]))
        spread[::dilation, ::dilation] = kernel
        kernel = spread
    out = np.zeros((*x.shape[:2], kernel.shape[3])) + layer["bias"]
    for before in range(kernel.shape[2]):
        for after in range(kernel.shape[3]):
            out[..., after] += correlate2d(x[..., before], kernel[..., before, after], mode="same")
    return np.maximum(out, 0)


def inception(x: np.ndarray, some: list[dict[str, np.ndarray]]) -> np.ndarray:
    first, *rest = some
    branches = [convolve(x, first)]
    for dilation in (1, 2, 3):
        narrow, wide = rest[2 * dilation - 2 : 2 * dilation]
        branches.append(convolve(convolve(x, narrow), wide, dilation))
    return np.concatenate(branches, -1)


def reference(layers: Layers, picture: np.ndarray) -> float:
    """Return P(real) of a (256, 256, 3) picture, 0..1, in double precision, only with numpy and scipy."""
    convolutions = layers["conv2d"]
    if len(convolutions) == 4:
        stages = [lambda x, layer=layer: convolve(x, layer) for layer in convolutions]
    else:
        stages = [lambda x: inception(x, convolutions[:7]), lambda x: inception(x, convolutions[7:14])]
        stages += [lambda x, layer=layer: convolve(x, layer) for layer in convolutions[14:]]
    x = picture.astype(np.float64)
    for stage, norm, pool in zip(stages, layers["batch_normalization"], (2, 2, 2, 4), strict=True):
        x = stage(x)
        x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1e-3) * norm["gamma"] + norm["beta"]
        side = x.shape[0] // pool
        x = x.reshape(side, pool, side, pool, -1).max((1, 3))
    first, second = layers["dense"]
    y = x.ravel() @ first["kernel"] + first["bias"]
    y = np.where(y > 0, y, 0.1 * y)
    (z,) = y @ second["kernel"] + second["bias"]
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("name", CASES)
def test_a_network_agrees_with_an_independent_computation_and_is_positive_for_manipulated(tmp_path, name):
    layers = random_layers(name)
    network = peers.PEERS[name]()
    peers.load_keras(network, write(layers, tmp_path / "weights.h5", start=5))
    network.eval()
    pictures = np.random.default_rng(1).integers(0, 256, (2, 256, 256, 3), np.uint8)
    pictures[1] //= 4
    with torch.inference_mode():
        logits = network(torch.from_numpy(normalize(pictures, peers.CONTRACT))).numpy()
    assert logits.shape == (2, 1)
    real = np.array([reference(layers, picture / 255) for picture in pictures])
    assert np.ptp(real) > 0.005  # far above the tolerance: the input counts
    np.testing.assert_allclose(1 / (1 + np.exp(logits[:, 0])), real, atol=2e-6)


def test_the_four_peers_are_loaded_by_name(tmp_path):
    for name in peers.PEERS:
        write(random_layers("Meso4_DF" if name.startswith("Meso4") else "MesoInception_DF"), tmp_path / f"{name}.h5")
    networks = peers.load_peers(tmp_path)
    assert list(networks) == ["Meso4_DF", "Meso4_F2F", "MesoInception_DF", "MesoInception_F2F"]
    assert not any(network.training for network in networks.values())


def damage(layers: Layers, how: str) -> Layers:
    if how == "a layer short":
        layers["conv2d"].pop()
    elif how == "no bias":
        del layers["dense"][0]["bias"]
    elif how == "another shape":
        layers["dense"][0]["kernel"] = layers["dense"][0]["kernel"][:512]
    elif how == "not finite":
        layers["conv2d"][2]["kernel"][0, 0, 0, 0] = np.nan
    elif how == "whole numbers":
        layers["conv2d"][2]["bias"] = layers["conv2d"][2]["bias"].astype(np.int32)
    return layers


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("a layer short", "holds 3 layers of kind conv2d, but 4 were expected"),
        ("no bias", "another architecture"),
        ("another shape", r"shape \(16, 512\) where \(16, 1024\)"),
        ("not finite", "get it again"),
        ("whole numbers", "get it again"),
    ],
)
def test_weights_of_another_architecture_or_damaged_ones_are_refused(tmp_path, how, message):
    path = write(damage(random_layers("Meso4_DF"), how), tmp_path / "weights.h5")
    with pytest.raises(DatasetError, match=message):
        peers.load_keras(peers.meso4(), path)


def test_a_missing_a_cut_and_a_foreign_file_are_named(tmp_path):
    path = tmp_path / "Meso4_DF.h5"
    with pytest.raises(DatasetError, match=r"Meso4_DF\.h5 is not there"):
        peers.load_peers(tmp_path)
    write(random_layers("Meso4_DF"), path)
    whole = path.read_bytes()
    for content in (b"", b"no weights", whole[: len(whole) // 2], whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"Meso4_DF\.h5 is not a complete HDF5 file"):
            peers.load_peers(tmp_path)
    with h5py.File(path, "w") as file:
        file["conv2d_1"] = np.zeros(3)
    with pytest.raises(DatasetError, match=r"Meso4_DF\.h5"):
        peers.load_peers(tmp_path)


@pytest.mark.shared
def test_the_original_weights_for_face2face_know_face2face(shared_data):
    folder = shared_data.parent / "weights"
    if not (folder / "Meso4_DF.h5").is_file():
        pytest.skip("the peers' weights are not beside the training material")
    networks = peers.load_peers(folder)
    items = [item for item in data.read_index(shared_data / "stills.csv") if item.source == "ffpp_faces"]
    items = [item for item in items if item.split == "val"][::2]
    whole = Box(0, 0, 256, 256)  # they are tight face crops
    crops = [view_face(data.read_rgb(shared_data / item.path), whole, peers.CONTRACT).crops for item in items]
    inputs = torch.from_numpy(normalize(np.concatenate(crops), peers.CONTRACT))
    labels = [item.label for item in items]
    for name in ("Meso4_F2F", "MesoInception_F2F"):
        with torch.inference_mode():
            assert roc_auc_score(labels, networks[name](inputs).numpy().ravel()) > 0.7
