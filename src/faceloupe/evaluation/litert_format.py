"""Networks as LiteRT files (``.tflite``), for phones; the libraries need a separate environment."""

import contextlib
import io
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from faceloupe.errors import UsageError, WeightsError
from faceloupe.evaluation.edge_format import FormatProperties, Runner
from faceloupe.models.contract import InputContract

_EXTRA = "install it in an environment of its own with pip install 'faceloupe[litert]'"


class LiteRt:
    """The LiteRT format, see ``edge_format.Format``; a file takes one view at a time, because phones score one face."""

    name, suffix = "litert", ".tflite"

    def require(self) -> None:
        """Check that the libraries are installed."""
        try:
            import ai_edge_litert  # noqa: F401 - here: whether they are installed is the question
            import ai_edge_quantizer  # noqa: F401
            import litert_torch  # noqa: F401
        except ImportError as problem:
            raise UsageError(f"{problem.name} is not installed; {_EXTRA}.") from problem

    def convert(self, network: torch.nn.Module, contract: InputContract, *, int8: bool) -> bytes:
        """Return the network as a file; ``int8`` quantizes only weights, for the reason given in ``onnx_format``."""
        import litert_torch  # imported here: only its separate environment has it
        from ai_edge_quantizer import quantizer, recipe

        given = (torch.zeros(1, 3, contract.size, contract.size),)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "network.tflite")
            litert_torch.convert(network, given).export(str(path))
            content = path.read_bytes()
        if not int8:
            return content
        with contextlib.redirect_stderr(io.StringIO()):  # the quantizer prints progress bars even without a terminal
            made = quantizer.Quantizer(content, recipe.weight_only_wi8_afp32()).quantize()
        return bytes(made.quantized_model)

    def runner(self, content: bytes) -> Runner:
        """Load a network from the bytes of its file."""
        self.require()
        from ai_edge_litert.interpreter import Interpreter  # imported here: only its separate environment has it

        try:
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
            (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
        except (RuntimeError, ValueError) as problem:
            raise WeightsError("The LiteRT file contains no network that can be run; export it again.") from problem

        def run(views: np.ndarray) -> np.ndarray:
            logits = []
            for view in views:
                interpreter.set_tensor(given["index"], view[np.newaxis])
                interpreter.invoke()
                logits.append(interpreter.get_tensor(answer["index"]))
            return np.concatenate(logits)

        return run

    def properties(self) -> FormatProperties:
        """Return the properties of the file format for the record."""
        parts = ("litert-torch", "ai-edge-quantizer", "ai-edge-litert")
        versions = {part: metadata.version(part) for part in parts}
        return FormatProperties({"torch": str(torch.__version__)} | versions, 1)
