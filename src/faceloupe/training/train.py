"""Training of one network from an ImageNet trunk."""

import csv
import math
import os
import time
from pathlib import Path

import cv2
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from faceloupe.errors import DatasetError
from faceloupe.models.networks import build
from faceloupe.training.data import Item
from faceloupe.training.evaluate import auc_by_source, score_faces
from faceloupe.training.sampling import PairDataset
from faceloupe.training.settings import TrainingSettings

CHECKPOINT_EVERY_STEPS = 1000
REPORT_EVERY_STEPS = 250
MAX_GRADIENT_NORM = 5.0


def load_trunk(network: nn.Module, path: Path) -> None:
    """Load the ImageNet trunk (``features.*``) into a fresh network; exactly the classifier stays untrained.

    Raises:
        DatasetError: the file is missing, or its tensors are not those of the network's trunk.
    """
    if not path.is_file():
        raise DatasetError(f"The starting weights {path} are not there: give their path with --trunk.")
    missing, unexpected = network.load_state_dict(load_file(path), strict=False)
    if unexpected or any(not name.startswith("classifier.") for name in missing):
        raise DatasetError(f"{path} does not hold the trunk of this network: {missing + unexpected} do not match.")


def _rate(settings: TrainingSettings, step: int, steps: int) -> float:
    if step < settings.warmup_steps:
        return settings.peak_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return settings.final_rate + (settings.peak_rate - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def _optimizer(network: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.peak_rate)


def _batches(dataset: PairDataset, pairs: int, first_step: int) -> list[list[int]]:
    """Indices of each remaining step; a step never mixes input sizes."""
    batches: list[list[int]] = [[]]
    for index in range(len(dataset)):
        full = len(batches[-1]) == pairs
        if batches[-1] and (full or dataset.size_of(index) != dataset.size_of(batches[-1][0])):
            batches.append([])
        batches[-1].append(index)
    return batches[first_step:]


class _Run:
    """State of a training run: the network, its moving average, the optimizer, and the step they have reached."""

    def __init__(self, settings: TrainingSettings, trunk: Path, device: str) -> None:
        self.step = 0
        self.network = build(settings.architecture)
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = settings.dropout
        load_trunk(self.network, trunk)
        self.network.to(device, memory_format=torch.channels_last)
        decay = get_ema_multi_avg_fn(settings.average_decay)
        self.average = AveragedModel(self.network, multi_avg_fn=decay, use_buffers=True)
        self.optimizer = _optimizer(self.network, settings)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        torch.save(parts | {"step": self.step}, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)

    def resume(self, path: Path, device: str) -> None:
        """Take up a checkpoint."""
        state = torch.load(path, map_location=device, weights_only=True)
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]


def _keep_history(path: Path, step: int, loss: float, table: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(["step", "loss", *table])
        writer.writerow([step, f"{loss:.5f}", *(f"{value:.4f}" for value in table.values())])


def train(
    settings: TrainingSettings, root: Path, items: list[Item], *, trunk: Path, work: Path, device: str = "cpu"
) -> Path:
    """Train, and write the averaged weights to ``work/weights.safetensors``.

    An interrupted run continues from its last checkpoint in ``work``; the pairs it draws, but not the dropout masks,
    are those of an unbroken run. ``work/history.csv`` keeps loss and validation AUC.

    Returns:
        Path of the weights.
    """
    torch.manual_seed(settings.seed)
    cv2.setNumThreads(1)
    dataset = PairDataset(settings, root, items)
    validation = [item for item in items if item.split == "val"]
    run, checkpoint = _Run(settings, trunk, device), work / "checkpoint.pt"
    if checkpoint.is_file():
        run.resume(checkpoint, device)
    batches = _batches(dataset, settings.batch_size // 2, run.step)
    steps = run.step + len(batches)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=os.cpu_count() or 1, prefetch_factor=8)
    smoothing, began, losses = settings.label_smoothing, time.monotonic(), []
    for inputs, labels in loader:
        run.network.train()
        faces = inputs.flatten(0, 1).to(device, memory_format=torch.channels_last)
        targets = labels.flatten().to(device) * (1 - 2 * smoothing) + smoothing
        for group in run.optimizer.param_groups:
            group["lr"] = _rate(settings, run.step, steps)
        loss = nn.functional.binary_cross_entropy_with_logits(run.network(faces).squeeze(1), targets)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(run.network.parameters(), MAX_GRADIENT_NORM)
        run.optimizer.step()
        run.average.update_parameters(run.network)
        run.step += 1
        losses.append(float(loss.detach()))
        recent = sum(losses[-REPORT_EVERY_STEPS:]) / len(losses[-REPORT_EVERY_STEPS:])
        if run.step % REPORT_EVERY_STEPS == 0:
            rate = len(losses) * settings.batch_size / (time.monotonic() - began)
            print(f"step {run.step}/{steps} loss {recent:.4f} {rate:.0f} pictures/s", flush=True)
        if run.step % CHECKPOINT_EVERY_STEPS == 0 or run.step == steps:
            run.save(checkpoint)
            table = auc_by_source(score_faces(run.average.module, settings.contract, root, validation))
            print("  val AUC " + " ".join(f"{name} {value:.3f}" for name, value in table.items()), flush=True)
            _keep_history(work / "history.csv", run.step, recent, table)
    weights = work / "weights.safetensors"
    tensors = {name: tensor.cpu().contiguous() for name, tensor in run.average.module.state_dict().items()}
    save_file(tensors, weights)
    return weights
