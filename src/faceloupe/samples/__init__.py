"""Pictures and a clip that ship with the app; ``README.md`` in this folder lists their sources."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """A bundled file, with its title and origin."""

    path: Path
    title: str
    origin: str

    @property
    def thumbnail(self) -> Path:
        """The path of its small JPEG copy."""
        return self.path.parent / "thumbnails" / f"{self.path.stem}.jpg"


_FOLDER = Path(__file__).parent
SAMPLES = (
    Sample(
        _FOLDER / "generated-woman.jpg",
        "Generated portrait",
        "Stable Diffusion 3 portrait from faker-js/assets-person-portrait, CC0",
    ),
    Sample(_FOLDER / "photograph.png", "Photograph", "NASA portrait of Eileen Collins, public domain"),
)
CLIP = Sample(
    _FOLDER / "two-shots.mp4",
    "Clip of two shots",
    "Six seconds of two pictures: a move over the photograph, a cut, and a move over another generated portrait",
)
