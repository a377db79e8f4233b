"""Grad-CAM on a fixed scale: the regions of a face that support manipulation, in logits."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceloupe.models.backbones import BlockStatistics, statistics_of
from faceloupe.types import Box

_GRID = 14  # cells per side of the map of a ``BlockStatistics`` network


def explained_layer(network: nn.Module) -> nn.Module:
    """Return the layer that is explained: the last block.

    The convolution after it only adds channels, and saturates for faces that the network is certain of. On faces whose
    changed part is known, maps of the last block locate that part better (docs/experiments.md).
    """
    return list(network.get_submodule("features").children())[-2]


def explain(network: nn.Module, inputs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Score the views of one face and map the support for manipulation, in one forward and one backward pass.

    The map is Grad-CAM (Selvaraju et al. 2017): the sum over channels of mean gradient times activation, clipped below
    at 0. For a ``BlockStatistics`` network, see ``_explain_blocks``. Not thread-safe: the network has a hook while this
    runs, so the caller must hold the model's lock.

    Args:
        network: a network with ``features`` like a ``Backbone`` and one logit, in evaluation mode.
        inputs: (V, 3, S, S) float32, normalized.

    Returns:
        (V,) float64 logits, and (V, S, S) float32 maps >= 0 in logits per cell, not rescaled.
    """
    if isinstance(network, BlockStatistics):
        return _explain_blocks(network, inputs)
    layer, side = explained_layer(network), inputs.shape[-1]
    outputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda *call: outputs.append(call[-1]))
    layer.requires_grad_(True)  # the backward pass then stops at this layer
    try:
        logits = network(inputs)[:, 0]
        (activations,) = outputs
        (gradients,) = torch.autograd.grad(logits.sum(), activations)
    finally:
        hook.remove()
        layer.requires_grad_(False)
    # As in pytorch-grad-cam, but maps are not rescaled to their own maximum. Cells keep their unit, logits, so that a
    # map without evidence does not look like one with evidence.
    weights = gradients.mean((2, 3), keepdim=True)
    cells = (weights * activations.detach()).sum(1).clamp(min=0.0).cpu().numpy()
    return logits.detach().double().cpu().numpy(), _upscale(cells, side)


def _explain_blocks(network: BlockStatistics, inputs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Score and map like ``explain``, for a network that reads the means and standard deviations of all blocks.

    Grad-CAM weights a channel by the gradient of the logit with respect to its mean. Here every block has means and
    standard deviations. The contribution of a cell, to first order, is the gradient with respect to the block's
    activations, only through the block's own statistics, times the activations minus their mean. Contributions are
    summed over channels and blocks. Each block's mean contribution is subtracted, so that the map shows where in the
    face the evidence is.
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
        # The derivative of the mean by an activation is 1 / count, that of the deviation away / (count * deviation).
        added = (torch.addcmul(of_mean, of_deviation / deviations, away) * away).sum(1) / count
        cells += _on_grid(added - added.mean((1, 2), keepdim=True))
    return logits.detach().double().cpu().numpy(), _upscale(cells.clamp(min=0.0).cpu().numpy(), inputs.shape[-1])


def _on_grid(cells: torch.Tensor) -> torch.Tensor:
    """Resample (V, H, W) values to ``_GRID`` cells per side, keeping their sum."""
    sized = functional.interpolate(
        cells[:, None], (_GRID, _GRID), mode="area" if cells.shape[-1] > _GRID else "bilinear"
    )
    return sized[:, 0] * (cells[0].numel() / _GRID**2)


def _upscale(cells: np.ndarray, side: int) -> np.ndarray:
    """Enlarge (V, H, W) maps >= 0 to (V, side, side)."""
    maps = [cv2.resize(cell, (side, side), interpolation=cv2.INTER_LINEAR) for cell in cells]
    enlarged: np.ndarray = np.maximum(np.stack(maps), 0.0)
    return enlarged


def average_maps(maps: np.ndarray, squares: Sequence[Box]) -> np.ndarray:
    """Average the maps of all views in the square of the widest view; a view contributes 0 outside its own square.

    Args:
        maps: (V, S, S) float32.
        squares: V squares, each inside the last.

    Returns:
        (S, S) float32 map of the last square.
    """
    size, frame = maps.shape[-1], squares[-1]
    merged = np.zeros((size, size), np.float32)
    for heatmap, square in zip(maps, squares, strict=True):
        scale = size / frame.width
        x0, y0 = round((square.x0 - frame.x0) * scale), round((square.y0 - frame.y0) * scale)
        side = max(1, min(round(square.width * scale), size - x0, size - y0))
        merged[y0 : y0 + side, x0 : x0 + side] += cv2.resize(heatmap, (side, side), interpolation=cv2.INTER_LINEAR)
    return merged / len(maps)


def place_map(heatmap: np.ndarray, square: Box, frame: Box) -> np.ndarray:
    """Place the map of one square in a larger square; the result is 0 outside the first.

    Args:
        heatmap: (S, S) float32.
        square: the square that the map covers, pixels of the picture.
        frame: a square that contains it, in the same pixels.

    Returns:
        (S, S) float32 map of ``frame``.
    """
    return 2.0 * average_maps(np.stack([heatmap, np.zeros_like(heatmap)]), (square, frame))
