"""Training batches: pairs of an authentic and a manipulated face under the same augmentation."""

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from faceloupe.errors import DatasetError
from faceloupe.scoring.preprocess import normalize
from faceloupe.training import augment, blending
from faceloupe.training.data import Item, read_rgb
from faceloupe.training.settings import Draw, TrainingSettings
from faceloupe.types import Box

_Face = tuple[np.ndarray, Box]  # (H, W, 3) uint8 RGB, and the face box in it


class PairDataset(Dataset[tuple[np.ndarray, np.ndarray]]):
    """Pairs for training; pair ``i`` depends only on the seed and on ``i``, so a resumed run sees the same pairs.

    Decoded pictures are kept in memory, about 190 kB each.
    """

    def __init__(self, settings: TrainingSettings, root: Path, items: list[Item]) -> None:
        """Decode the pictures of the training split.

        Raises:
            DatasetError: a source that the settings draw from is missing.
        """
        self._settings = settings
        self._items = {
            item.path: item for item in items if item.split == "train" and item.source not in settings.without
        }
        self._draws = tuple(self._kept(draw) for draw in settings.draws)
        self._pixels = {path: read_rgb(root / path) for path in self._items}
        self._by_source: dict[tuple[str, int], list[Item]] = {}
        self._to_blend: dict[str, list[Item]] = {}
        self._by_group: dict[tuple[str, str], list[Item]] = {}
        for item in self._items.values():
            self._by_source.setdefault((item.source, item.label), []).append(item)
            if item.group and not item.label:
                self._by_group.setdefault((item.source, item.group), []).append(item)
            if item.has_face and not item.label:
                self._to_blend.setdefault(item.source, []).append(item)
        if not any(draw.share for draw in self._draws):
            raise DatasetError(f"Without {', '.join(settings.without)}, nothing is left to train on.")
        for draw in self._draws:
            for label, weights in ((0, draw.real), (1, draw.fake)) if draw.share else ():
                there = self._by_source if draw.fake else {(source, 0): 1 for source in self._to_blend}
                missing = [source for source in weights if (source, label) not in there]
                if missing:
                    raise DatasetError(f"The training split holds no {'fake' if label else 'real'} face of {missing}.")
        self._stage_ends = [pairs // 2 for pairs in accumulate(stage.images for stage in settings.stages)]

    def __len__(self) -> int:
        return self._stage_ends[-1]

    def size_of(self, index: int) -> int:
        """Return the input size, pixels, of the stage that pair ``index`` belongs to."""
        return self._settings.stages[bisect_right(self._stage_ends, index)].size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (2, 3, S, S) float32 inputs, authentic first, and their (2,) float32 labels."""
        random = np.random.default_rng([self._settings.seed, index])
        size = self.size_of(index)
        draw = self._one_draw(random)
        pair = self._pair(random, draw) if draw.fake else self._blended(random, draw)
        recipe = augment.draw(random, size)
        crops = [augment.apply(rgb, box, recipe, self._settings.contract, size) for rgb, box in pair]
        return normalize(np.stack(crops), self._settings.contract), np.array([0.0, 1.0], np.float32)

    def _kept(self, draw: Draw) -> Draw:
        """Return the draw without the sources left out; its share is 0 if no source of a class remains."""
        real, fake = (
            {source: weight for source, weight in weights.items() if source not in self._settings.without}
            for weights in (draw.real, draw.fake)
        )
        gone = not real or (draw.fake and not fake)
        return replace(draw, share=0.0) if gone else Draw(draw.share, real, fake)

    def _one_draw(self, random: np.random.Generator) -> Draw:
        shares = np.array([draw.share for draw in self._draws])
        return self._draws[random.choice(len(shares), p=shares / shares.sum())]

    def _pair(self, random: np.random.Generator, draw: Draw) -> list[_Face]:
        fake = self._one_of(random, draw.fake, 1)
        counterpart = self._items.get(fake.original or "")
        if counterpart is None and fake.group:
            of_group = self._by_group.get((fake.source, fake.group), [])
            counterpart = of_group[random.integers(len(of_group))] if of_group else None
        real = counterpart or self._one_of(random, draw.real, 0)
        return [(self._pixels[item.path], item.face_box) for item in (real, fake)]

    def _blended(self, random: np.random.Generator, draw: Draw) -> list[_Face]:
        candidates = self._to_blend[_choose(random, draw.real)]
        faces = [candidates[random.integers(len(candidates))]]
        if random.random() < self._settings.donor_share:
            faces.append(candidates[random.integers(len(candidates))])
        regions = [blending.region(self._pixels[item.path], item.face_box, item.landmarks) for item in faces]
        blended, _ = blending.blend(random, *regions)
        return [(regions[0].rgb, regions[0].box), (blended, regions[0].box)]

    def _one_of(self, random: np.random.Generator, weights: dict[str, float], label: int) -> Item:
        candidates = self._by_source[_choose(random, weights), label]
        return candidates[random.integers(len(candidates))]


def _choose(random: np.random.Generator, weights: dict[str, float]) -> str:
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    return names[random.choice(len(names), p=shares / shares.sum())]
