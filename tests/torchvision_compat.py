"""The one door to torchvision, which opens beside any build of torch.

torchvision wheels from the package index are compiled for the CUDA build of torch. Beside a CPU build their operators
do not load, and ``import torchvision`` itself fails ("operator torchvision::nms does not exist"). FaceLoupe needs one
of those operators, non-maximum suppression (NMS), for the face finder. Where the compiled operators load, this module
does nothing; where they do not, it defines the operator's schema and a CPU implementation before the first import.
"""

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

_library: torch.library.Library | None = None  # a Library must outlive the operators it registers


def non_maximum_suppression(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy NMS: keep the best box, drop all that overlap it by more than the threshold, repeat.

    Args:
        boxes: (N, 4) float, ``x0, y0, x1, y1`` with ``x0 <= x1`` and ``y0 <= y1``.
        scores: (N,) float.
        iou_threshold: boxes with a strictly larger intersection over union than this are dropped, 0..1.

    Returns:
        (K,) int64 indices of the kept boxes, by falling score; equal scores keep their order.
    """
    x0, y0, x1, y1 = boxes.unbind(1)
    areas = (x1 - x0) * (y1 - y0)
    order = scores.sort(descending=True, stable=True).indices
    survivors = []
    while order.numel():
        best, order = order[0], order[1:]
        survivors.append(best)
        width = (torch.minimum(x1[best], x1[order]) - torch.maximum(x0[best], x0[order])).clamp(min=0)
        height = (torch.minimum(y1[best], y1[order]) - torch.maximum(y0[best], y0[order])).clamp(min=0)
        intersection = width * height
        iou = intersection / (areas[best] + areas[order] - intersection)
        order = order[~(iou > iou_threshold)]
    return torch.stack(survivors) if survivors else torch.empty(0, dtype=torch.int64)


def _compiled_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("torchvision is not installed: run `make setup`")
    folder = Path(next(iter(spec.submodule_search_locations)))
    libraries = sorted(folder.glob("_C*.so")) + sorted(folder.glob("_C*.pyd"))
    for library in libraries:
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return True
    return False


@cache
def torchvision() -> ModuleType:
    """Return the torchvision module, usable also where its compiled operators cannot load."""
    if _compiled_operators_load():
        return importlib.import_module("torchvision")
    global _library
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.impl("nms", non_maximum_suppression, "CPU")
    module = importlib.import_module("torchvision")
    boxes = importlib.import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = lambda: None  # it asks for the compiled library; ours stands in for it
    return module
