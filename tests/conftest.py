"""Fixtures: real pictures, real weights, and the folder of the training material where there is one."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from faceloupe.analysis.pipeline import Networks
from faceloupe.analysis.prefetch import use_one_network_thread
from faceloupe.config import EFFORTS, Settings, weights_folder
from faceloupe.installation import ROOT
from faceloupe.models.record import read_registry
from faceloupe.samples import SAMPLES

SAMPLE, PHOTOGRAPH = (sample.path for sample in SAMPLES)
GENERATED = SAMPLE.with_name(
    "generated-man.jpg"
)  # the core calls it manipulated, to the default model it is inconclusive
PORTRAIT = SAMPLE.with_name("generated-portrait.jpg")
OTHER_MODEL = next(  # of no effort, and no part of the expert
    name
    for name, record in read_registry(weights_folder()).items()
    if name not in EFFORTS.values() and not record.component
)


def skimage_picture(name: str) -> Path:
    """A picture that scikit-image carries."""
    import skimage

    return Path(skimage.__file__).parent / "data" / name


@pytest.fixture(scope="session", autouse=True)
def own_data_folder(tmp_path_factory) -> Iterator[None]:
    """Nothing is written to the user's own data folder, not even a log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACELOUPE_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("FACELOUPE_EFFORT", "quick")  # the core alone, ten times as fast; what needs more says so
        use_one_network_thread()
        yield


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(effort="quick")


@pytest.fixture(scope="session")
def analyzer(settings) -> Networks:
    """The core, with the committed weights."""
    return Networks.load(settings)


@pytest.fixture(scope="session")
def standard() -> Networks:
    """The model of the effort ``standard``: core and expert, with the committed weights."""
    return Networks.load(Settings())


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """(1024, 1024, 3) RGB with one large face."""
    return np.asarray(Image.open(PORTRAIT).convert("RGB"))


@pytest.fixture
def drawn_face(tmp_path) -> Path:
    """A face drawn with a few lines."""
    image = Image.new("RGB", (400, 400), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((90, 50, 310, 350), fill="#f5d0b0", outline="black", width=4)
    for x in (150, 220):
        pen.ellipse((x, 150, x + 36, 176), fill="white", outline="black", width=3)
        pen.ellipse((x + 11, 156, x + 23, 170), fill="black")
    pen.line((200, 180, 190, 230, 208, 230), fill="black", width=3)
    pen.arc((150, 230, 250, 300), 20, 160, fill="#a03030", width=5)
    image.save(tmp_path / "drawn.png")
    return tmp_path / "drawn.png"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the training material; tests that need it are skipped without it, and say so."""
    folder = Path(os.environ.get("FACELOUPE_TRAINING_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "stills.csv").is_file():
        pytest.skip("the training material is not here; set FACELOUPE_TRAINING_DATA to its folder")
    return folder
