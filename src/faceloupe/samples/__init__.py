"""Two pictures that ship with the app; README.md in this folder names their sources."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """A bundled picture: its file, and what it is."""

    path: Path
    title: str
    origin: str


_FOLDER = Path(__file__).parent
SAMPLES = (
    Sample(
        _FOLDER / "generated-portrait.jpg",
        "Generated portrait",
        "Stable Diffusion 3 portrait from faker-js/assets-person-portrait, CC0",
    ),
    Sample(_FOLDER / "photograph.png", "Photograph", "NASA portrait of Eileen Collins, public domain"),
)
