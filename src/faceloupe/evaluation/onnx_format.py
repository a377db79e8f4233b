"""Networks as ONNX files, written by torch's exporter and run by onnxruntime; the extra ``export`` installs both."""

import contextlib
import logging
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from faceloupe.errors import UsageError, WeightsError
from faceloupe.evaluation.edge_format import INPUT, OUTPUT, FormatProperties, Runner
from faceloupe.models.contract import InputContract

_OPSET = 18  # the oldest opset that torch's exporter writes without a conversion
_EXACT = 1e-5  # share of the largest weight up to which an error counts as exact when a matrix is stored in 8 bits
# Without this, onnxruntime also rounds the activations before an 8-bit matrix, which moves logits by up to 0.2.
_FLOAT_ACTIVATIONS = ("session.qdq_matmulnbits_accuracy_level", "1")
_EXTRA = "install it with pip install 'faceloupe[export]'"


class Onnx:
    """The ONNX format, see ``edge_format.Format``."""

    name, suffix = "onnx", ".onnx"

    def require(self) -> None:
        """Check that the libraries are installed."""
        try:
            import onnx  # noqa: F401 - here: whether the extra is installed is the question
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as problem:
            raise UsageError(f"{problem.name} is not installed; {_EXTRA}.") from problem

    def convert(self, network: torch.nn.Module, contract: InputContract, *, int8: bool) -> bytes:
        """Return the network as a file that takes any number of faces."""
        content = _float32(network, contract)
        return _int8(content) if int8 else content

    def runner(self, content: bytes) -> Runner:
        """Load a network from the bytes of its file."""
        self.require()
        import onnxruntime  # imported here: only an extra installs it
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

        try:
            options = onnxruntime.SessionOptions()
            options.add_session_config_entry(*_FLOAT_ACTIVATIONS)
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as problem:
            raise WeightsError("The ONNX file contains no network that can be run; export it again.") from problem

        def run(views: np.ndarray) -> np.ndarray:
            (logits,) = session.run([OUTPUT], {INPUT: views})
            values: np.ndarray = logits
            return values

        return run

    def properties(self) -> FormatProperties:
        """Return the properties of the file format for the record."""
        versions = {"torch": str(torch.__version__), "onnxruntime": metadata.version("onnxruntime")}
        return FormatProperties(versions, "n", opset=_OPSET)


def _float32(network: torch.nn.Module, contract: InputContract) -> bytes:
    given = torch.zeros(2, 3, contract.size, contract.size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        path = Path(folder, "network.onnx")
        torch.onnx.export(
            network,
            (given,),
            path,
            dynamo=True,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=1024)},),
            external_data=False,
            verbose=False,
        )
        return path.read_bytes()


def _int8(content: bytes) -> bytes:
    """Quantize the weights of convolutions and dense layers to 8 bits, with one symmetric scale per output channel.

    In the expert, only matrices whose weights fit 8 bits exactly are quantized, so that nothing is lost. Activations
    stay in float32: with 8-bit activations, a MobileNetV3's logits were wrong by up to 5, with calibration and without.
    Kernels of depthwise convolutions, a twentieth of the weights, also stay in float32, because rounding only them
    loses more than rounding all other weights.

    Raises:
        WeightsError: a dense layer has a layout that cannot be quantized.
    """
    import onnx  # imported here: only an extra installs it
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(content)
    depthwise = {
        node.name for node in model.graph.node for part in node.attribute if part.name == "group" and part.i > 1
    }
    users = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm") and node.name not in depthwise]
    for node in users:
        if node.op_type == "Gemm" and not any(
            attribute.name == "transB" and attribute.i == 1 for attribute in node.attribute
        ):
            raise WeightsError("The exported classifier has a layout that cannot be quantized; export it in float32.")
    axes = {node.input[1]: 0 for node in users}  # axis of the output channels, by weight name
    axes |= {node.input[1]: 1 for node in model.graph.node if node.op_type == "MatMul"}
    made, added = [], []
    for tensor in list(model.graph.initializer):
        name, axis = tensor.name, axes.get(tensor.name)
        if axis is None:
            continue
        weights = numpy_helper.to_array(tensor)
        reach = np.abs(weights).max(tuple(n for n in range(weights.ndim) if n != axis), keepdims=True)
        scale = np.where(reach > 0.0, reach / 127.0, 1.0).astype(np.float32)
        rounded = np.rint(weights / scale).astype(np.int8)
        if axis == 1 and np.abs(rounded * scale - weights).max() > _EXACT * reach.max():
            continue
        model.graph.initializer.remove(tensor)
        added += [
            numpy_helper.from_array(rounded, f"{name}.int8"),
            numpy_helper.from_array(scale.ravel(), f"{name}.scale"),
        ]
        made.append(helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], axis=axis))
    model.graph.initializer.extend(added)
    nodes = [*made, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    quantized: bytes = model.SerializeToString()
    return quantized
