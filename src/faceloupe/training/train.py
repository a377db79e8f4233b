"""Training of one network from an ImageNet trunk."""

import csv
import hashlib
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

REPORT_EVERY_STEPS = 250
MAX_GRADIENT_NORM = 5.0
_PARTS = ("network", "average", "optimizer")
_VALUES = ("step", "recipe", "best", "best_auc", "best_step")


def load_trunk(network: nn.Module, path: Path) -> None:
    """Load the ImageNet trunk (``features.*``), after which the classifier alone is untrained, or a whole network.

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

    def __init__(self, settings: TrainingSettings, trunk: Path, items: list[Item], device: str) -> None:
        self.step = 0
        self.network = build(settings.architecture)
        load_trunk(self.network, trunk)
        known = repr((settings, items)).encode() + trunk.read_bytes()
        self.recipe = hashlib.sha256(known).hexdigest()
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = settings.dropout
        self.network.to(device, memory_format=torch.channels_last)
        decay = get_ema_multi_avg_fn(settings.average_decay)
        self.average = AveragedModel(self.network, multi_avg_fn=decay, use_buffers=True)
        self.optimizer = _optimizer(self.network, settings)
        self.best: dict[str, torch.Tensor] = {}
        self.best_auc, self.best_step = -1.0, 0

    def consider(self, mean_auc: float) -> None:
        """Keep the present average where it validates better than the best so far."""
        if mean_auc > self.best_auc:
            self.best_auc, self.best_step = mean_auc, self.step
            state = self.average.module.state_dict()
            self.best = {name: tensor.cpu().contiguous().clone() for name, tensor in state.items()}

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        extra = {name: getattr(self, name) for name in _VALUES} | {"random": torch.get_rng_state()}
        torch.save(parts | extra, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)

    def resume(self, path: Path) -> torch.Tensor:
        """Take up a checkpoint.

        Returns:
            State of the random number generator to go on with.

        Raises:
            DatasetError: the checkpoint was made under another recipe, from other material or another trunk.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != self.recipe:
            raise DatasetError(f"{path} belongs to another recipe or other material; remove it to start anew.")
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in _VALUES:
            setattr(self, name, state[name])
        return state["random"]


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
    """Train, and write the averaged weights that validated best to ``work/weights.safetensors``.

    An interrupted run continues from its last checkpoint in ``work`` and ends, on a CPU, where an unbroken one would.
    ``work/history.csv`` keeps loss and validation AUC.

    Returns:
        Path of the weights.

    Raises:
        DatasetError: the material, the trunk or a checkpoint in ``work`` does not fit.
    """
    torch.manual_seed(settings.seed)
    cv2.setNumThreads(1)
    dataset = PairDataset(settings, root, items)
    validation = [item for item in items if item.split == "val"]
    run, checkpoint = _Run(settings, trunk, items, device), work / "checkpoint.pt"
    random = run.resume(checkpoint) if checkpoint.is_file() else None
    batches = _batches(dataset, settings.batch_size // 2, run.step)
    steps = run.step + len(batches)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=os.cpu_count() or 1, prefetch_factor=8)
    smoothing, began, losses = settings.label_smoothing, time.monotonic(), []
    pairs = iter(loader)  # it draws a number of its own, so the state is restored after it
    if random is not None:
        torch.set_rng_state(random)
    for inputs, labels in pairs:
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
        if run.step % settings.validate_every == 0 or run.step == steps:
            table = auc_by_source(score_faces(run.average.module, settings.contract, root, validation))
            print("  val AUC " + " ".join(f"{name} {value:.3f}" for name, value in table.items()), flush=True)
            run.consider(sum(table[name] for name in settings.selection) / len(settings.selection))
            run.save(checkpoint)
            _keep_history(work / "history.csv", run.step, recent, table)
    weights = work / "weights.safetensors"
    save_file(run.best, weights)
    print(f"kept the average of step {run.best_step}, mean AUC {run.best_auc:.4f}")
    checkpoint.unlink()
    return weights
