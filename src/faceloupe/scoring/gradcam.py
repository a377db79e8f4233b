"""Grad-CAM on a fixed scale: what in the face speaks for manipulation, in logits."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import nn

from faceloupe.types import Box


def explained_layer(network: nn.Module) -> nn.Module:
    """Return the layer that is explained: the output of the last block.

    The last convolution behind it only widens the channels, and saturates for faces the network is sure of; on faces
    whose changed part is known, maps of the block point at it better (docs/experiments.md).
    """
    return list(network.get_submodule("features").children())[-2]


def explain(network: nn.Module, inputs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Score the views of one face and map what speaks for manipulation, in one forward and one backward pass.

    The map is Grad-CAM (Selvaraju et al. 2017): the sum over channels of mean gradient times activation, cut at 0. Not
    thread-safe: hooks hang on the network while it runs, so the caller holds the model's lock.

    Args:
        network: with ``features``, as a ``Backbone`` has them, and one logit, in evaluation mode.
        inputs: (V, 3, S, S) float32, normalized.

    Returns:
        (V,) float64 logits, and (V, S, S) float32 maps >= 0 in logits per cell of that layer, not rescaled.
    """
    layer, side = explained_layer(network), inputs.shape[-1]
    outputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda *call: outputs.append(call[-1]))
    layer.requires_grad_(True)  # the gradient then stops at this layer: nothing below it is needed
    try:
        logits = network(inputs)[:, 0]
        (activations,) = outputs
        (gradients,) = torch.autograd.grad(logits.sum(), activations)
    finally:
        hook.remove()
        layer.requires_grad_(False)
    # As in pytorch-grad-cam, but a map is not stretched to its own maximum: a cell keeps its unit, logits, so that a
    # map of nothing does not look like a map of something.
    weights = gradients.mean((2, 3), keepdim=True)
    cells = (weights * activations.detach()).sum(1).clamp(min=0.0).cpu().numpy()
    maps = [cv2.resize(cell, (side, side), interpolation=cv2.INTER_LINEAR) for cell in cells]
    return logits.detach().double().cpu().numpy(), np.maximum(np.stack(maps), 0.0)


def merge(maps: np.ndarray, squares: Sequence[Box]) -> np.ndarray:
    """Lay the maps of all views over the widest one and take their mean; a view says nothing of what it does not see.

    Args:
        maps: (V, S, S) float32.
        squares: V squares, each within the last.

    Returns:
        (S, S) float32 in the frame of the last square.
    """
    size, frame = maps.shape[-1], squares[-1]
    merged = np.zeros((size, size), np.float32)
    for heatmap, square in zip(maps, squares, strict=True):
        scale = size / frame.width
        x0, y0 = round((square.x0 - frame.x0) * scale), round((square.y0 - frame.y0) * scale)
        side = max(1, min(round(square.width * scale), size - x0, size - y0))
        merged[y0 : y0 + side, x0 : x0 + side] += cv2.resize(heatmap, (side, side), interpolation=cv2.INTER_LINEAR)
    return merged / len(maps)


def lay(heatmap: np.ndarray, square: Box, frame: Box) -> np.ndarray:
    """Lay the map of one square over a frame that holds it; 0 outside.

    Args:
        heatmap: (S, S) float32.
        square: that the map covers, pixels of the picture.
        frame: that contains the square, in the same pixels.

    Returns:
        (S, S) float32 in the frame.
    """
    return 2.0 * merge(np.stack([heatmap, np.zeros_like(heatmap)]), (square, frame))
