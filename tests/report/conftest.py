"""Runs of the real pipeline, for tests of case reports."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.pipeline import analyze
from faceloupe.config import Sampling
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH
from tests.report.case_records import Pictures, run


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs by name, and all their pictures."""

    pictures: Pictures
    named: dict[str, dict[str, Any]]


def _pair() -> list[np.ndarray]:
    """Frames of the two people of the samples beside each other, who move a little."""
    left = Image.open(GENERATED).convert("RGB").resize((240, 240))
    face = (0.2, 0.0, 0.68, 0.48)
    photograph = Image.open(PHOTOGRAPH).convert("RGB")
    right = photograph.crop(tuple(share * 512 for share in face)).resize((240, 240))
    frames = []
    for step in range(24):
        scene = Image.new("RGB", (640, 320), "gray")
        scene.paste(left, (20 + step, 40))
        scene.paste(right, (370 - step // 2, 50))
        frames.append(np.asarray(scene))
    return frames


@pytest.fixture(scope="session")
def runs(analyzer, settings, tmp_path_factory) -> Runs:
    """``generated``, ``pair`` (two faces), ``clip`` (two people), ``faceless`` and ``broken``."""
    folder = tmp_path_factory.mktemp("cases")
    frames = _pair()
    Image.fromarray(frames[0]).save(folder / "pair.png")
    write_clip(folder / "clip.mp4", frames)
    Image.new("RGB", (200, 200), "gray").save(folder / "faceless.png")
    (folder / "broken.jpg").write_bytes(GENERATED.read_bytes()[:3000])
    files = {"generated": GENERATED} | {path.stem: path for path in sorted(folder.iterdir())}
    pictures: Pictures = {}
    few = Sampling(frames=6)
    return Runs(pictures, {name: run(analyze(path, analyzer, sampling=few), pictures) for name, path in files.items()})
