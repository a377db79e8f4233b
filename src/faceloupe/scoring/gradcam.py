"""Grad-CAM on a fixed scale: what in the face speaks for manipulation, in logits."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceloupe.models.backbones import BlockStatistics, statistics_of
from faceloupe.types import Box

_GRID = 14  # cells of a side of the map of a network that is judged by all its blocks


def explained_layer(network: nn.Module) -> nn.Module:
    """Return the layer that is explained: the output of the last block.

    The last convolution behind it only widens the channels, and saturates for faces the network is sure of; on faces
    whose changed part is known, maps of the block point at it better (docs/experiments.md).
    """
    return list(network.get_submodule("features").children())[-2]


def explain(network: nn.Module, inputs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Score the views of one face and map what speaks for manipulation, in one forward and one backward pass.

    The map is Grad-CAM (Selvaraju et al. 2017): the sum over channels of mean gradient times activation, cut at 0; of a
    network that is judged by all its blocks it is what ``_explain_blocks`` says. Not thread-safe: hooks hang on the
    network while it runs, so the caller holds the model's lock.

    Args:
        network: with ``features``, as a ``Backbone`` has them, and one logit, in evaluation mode.
        inputs: (V, 3, S, S) float32, normalized.

    Returns:
        (V,) float64 logits, and (V, S, S) float32 maps >= 0 in logits per cell, not rescaled.
    """
    if isinstance(network, BlockStatistics):
        return _explain_blocks(network, inputs)
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
    return logits.detach().double().cpu().numpy(), _grown(cells, side)


def _explain_blocks(network: BlockStatistics, inputs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Score and map as ``explain`` does, for a network that is judged by means and deviations of all its blocks.

    Grad-CAM weighs a channel by the gradient of the logit with respect to its mean. Here every block has such means,
    and deviations beside them: the gradient with respect to a block's activations, through its own means and deviations
    alone, times the activations less their mean, is what each cell adds, to first order. It is summed over channels and
    blocks, and counted from what cells add on average: a map says where in the face it comes from.
    """
    with torch.no_grad():
        blocks = network.blocks(inputs)
        statistics = statistics_of(blocks)
    statistics.requires_grad_(True)
    logits = network.classifier(statistics)[:, 0]
    (gradients,) = torch.autograd.grad(logits.sum(), statistics)
    statistics = statistics.detach()
    cells = torch.zeros(len(inputs), _GRID, _GRID, device=inputs.device)
    start = 0
    for block in blocks:
        channels, count = block.shape[1], block[0, 0].numel()
        means, deviations = torch.split(statistics[:, start : start + 2 * channels, None, None], channels, dim=1)
        of_mean, of_deviation = torch.split(gradients[:, start : start + 2 * channels, None, None], channels, dim=1)
        start += 2 * channels
        away = block - means
        # The slope of a mean is 1 / count with respect to each activation, that of a deviation away / (count * it).
        added = (torch.addcmul(of_mean, of_deviation / deviations, away) * away).sum(1) / count
        cells += _on_grid(added - added.mean((1, 2), keepdim=True))
    return logits.detach().double().cpu().numpy(), _grown(cells.clamp(min=0.0).cpu().numpy(), inputs.shape[-1])


def _on_grid(cells: torch.Tensor) -> torch.Tensor:
    """Spread (V, H, W) values over ``_GRID`` cells a side, so that their sum stays what it is."""
    sized = functional.interpolate(
        cells[:, None], (_GRID, _GRID), mode="area" if cells.shape[-1] > _GRID else "bilinear"
    )
    return sized[:, 0] * (cells[0].numel() / _GRID**2)


def _grown(cells: np.ndarray, side: int) -> np.ndarray:
    """(V, H, W) maps >= 0 to (V, side, side)."""
    maps = [cv2.resize(cell, (side, side), interpolation=cv2.INTER_LINEAR) for cell in cells]
    grown: np.ndarray = np.maximum(np.stack(maps), 0.0)
    return grown


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
