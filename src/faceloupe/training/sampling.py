"""What a batch holds: pairs of an authentic and a manipulated face under one and the same augmentation."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from faceloupe.errors import DatasetError
from faceloupe.scoring.preprocess import normalize
from faceloupe.training import augment
from faceloupe.training.data import Item, read_rgb
from faceloupe.training.settings import Draw, TrainingSettings


class PairDataset(Dataset):
    """Pair number ``i`` depends on the seed and on ``i`` alone, so a resumed run sees what an unbroken one would.

    Pictures are held in memory decoded: about 190 kB each.
    """

    def __init__(self, settings: TrainingSettings, root: Path, items: list[Item]) -> None:
        """
        Raises:
            DatasetError: a source that the settings draw from is missing.
        """
        self._settings = settings
        self._items = {item.path: item for item in items if item.split == "train"}
        self._pixels = {path: read_rgb(root / path) for path in self._items}
        self._by_source: dict[tuple[str, int], list[Item]] = {}
        self._by_group: dict[tuple[str, str], list[Item]] = {}
        for item in self._items.values():
            self._by_source.setdefault((item.source, item.label), []).append(item)
            if item.group and not item.label:
                self._by_group.setdefault((item.source, item.group), []).append(item)
        for draw in settings.draws:
            for label, weights in ((0, draw.real), (1, draw.fake)):
                missing = [source for source in weights if (source, label) not in self._by_source]
                if missing:
                    raise DatasetError(f"The training split holds no {'fake' if label else 'real'} face of {missing}.")
        self._stage_ends = [pairs // 2 for pairs in accumulate(stage.images for stage in settings.stages)]

    def __len__(self) -> int:
        return self._stage_ends[-1]

    def size_of(self, index: int) -> int:
        """Input size, pixels, of the stage that pair ``index`` belongs to."""
        return self._settings.stages[bisect_right(self._stage_ends, index)].size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (2, 3, S, S) float32 inputs, authentic first, and their (2,) float32 labels."""
        random = np.random.default_rng([self._settings.seed, index])
        real, fake = self._pair(random)
        size = self.size_of(index)
        recipe = augment.draw(random, size)
        crops = [
            augment.apply(self._pixels[item.path], item.box, recipe, self._settings.contract, size)
            for item in (real, fake)
        ]
        return normalize(np.stack(crops), self._settings.contract), np.array([0.0, 1.0], np.float32)

    def _pair(self, random: np.random.Generator) -> tuple[Item, Item]:
        shares = np.array([draw.share for draw in self._settings.draws])
        draw: Draw = self._settings.draws[random.choice(len(shares), p=shares / shares.sum())]
        fake = self._one_of(random, draw.fake, 1)
        counterpart = self._items.get(fake.original or "")
        if counterpart is None and fake.group:
            of_group = self._by_group.get((fake.source, fake.group), [])
            counterpart = of_group[random.integers(len(of_group))] if of_group else None
        return counterpart or self._one_of(random, draw.real, 0), fake

    def _one_of(self, random: np.random.Generator, weights: dict[str, float], label: int) -> Item:
        names = list(weights)
        shares = np.array([weights[name] for name in names])
        candidates = self._by_source[names[random.choice(len(names), p=shares / shares.sum())], label]
        return candidates[random.integers(len(candidates))]
