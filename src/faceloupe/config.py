"""Settings: every limit and every parameter that changes a number, in one frozen place."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from faceloupe.errors import UsageError

REPOSITORY = Path(__file__).resolve().parents[2]

QUICK_MODEL = "faceloupe-mobilenet_v3_small-2"
STANDARD_MODEL = "faceloupe-standard-2"
THOROUGH_MODEL = "faceloupe-thorough-2"
EFFORTS: dict[str, str] = {  # how much is computed for a score, the least first -> id of the model that does so
    "quick": QUICK_MODEL,
    "standard": STANDARD_MODEL,
    "thorough": THOROUGH_MODEL,
}
DEFAULT_EFFORT = "standard"
DEFAULT_MODEL = EFFORTS[DEFAULT_EFFORT]


def weights_folder() -> Path:
    """Folder of the model records and weights: ``FACELOUPE_WEIGHTS``, or ``weights/`` of the checkout."""
    return Path(os.environ.get("FACELOUPE_WEIGHTS") or REPOSITORY / "weights")


def evidence_folder() -> Path | None:
    """Folder whose files the app offers: ``FACELOUPE_EVIDENCE``; None where it is not set."""
    named = os.environ.get("FACELOUPE_EVIDENCE")
    return Path(named) if named else None


def data_folder() -> Path:
    """Folder of the cases: ``FACELOUPE_DATA``, or ``faceloupe`` in the user's folder for data."""
    named = os.environ.get("FACELOUPE_DATA")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "faceloupe"


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone: what lies there is nobody else's.

    Raises:
        OSError: it cannot be made.
    """
    for one in reversed((folder, *folder.parents)):
        if not one.is_dir():
            one.mkdir(mode=0o700, exist_ok=True)


def password_hash() -> str | None:
    """Hash of the password that the app asks for: ``FACELOUPE_PASSWORD_HASH``; None where it asks for none."""
    return os.environ.get("FACELOUPE_PASSWORD_HASH") or None


_RELEASE = re.compile(r"([\w-]+/(?!\.+@)[\w.-]+)@(?!\.+$)([\w.+-]+)", re.ASCII)


def release_address() -> str:
    """Address under which the weights files lie, without a slash at its end, by ``FACELOUPE_RELEASES``.

    That is ``owner/repository@tag`` of a release on GitHub, or the address of a mirror.

    Raises:
        UsageError: it is not set, or neither.
    """
    named = os.environ.get("FACELOUPE_RELEASES", "")
    if release := _RELEASE.fullmatch(named):
        return f"https://github.com/{release[1]}/releases/download/{release[2]}"
    if named.startswith(("https://", "http://")):
        return named.rstrip("/")
    came = f"is {named[:200]!r}" if named else "is not set"
    raise UsageError(
        f"FACELOUPE_RELEASES {came}, so there is nowhere to fetch weights from; owner/repository@tag of a GitHub "
        "release or the https address of a mirror is expected."
    )


_WHAT_SCORES = {"effort", "model"}
_RANGES = {
    "max_bytes": (1, 2**40),
    "max_pixels": (1, 2**31),
    "max_decoder_bytes": (2**26, 2**40),
    "max_decoder_s": (0.01, 1e6),
    "detection_long_side": (64, 16_384),
    "smallest_sought_px": (12, 16_384),  # MTCNN's first stage is a window of 12 pixels
    "detection_confidence": (0.0, 1.0),
    "frames": (0, 10_000),
    "from_s": (0.0, 1e6),
    "to_s": (0.0, 1e6),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Parameters of one analysis. Each can be set by an environment variable ``FACELOUPE_<NAME>``.

    Attributes:
        max_bytes: larger stills are hashed and refused; videos may be of any size.
        max_pixels: pictures with more pixels are refused before they are decoded.
        max_decoder_bytes: memory that the process which decodes a file may ask for.
        max_decoder_s: seconds that it is waited for; a large file and each frame that it delivers allow it more.
        detection_long_side: the picture is shrunk to this many pixels on its longer side for the face finder.
        smallest_sought_px: faces smaller than this, in pixels of the picture the face finder sees, are not looked for.
        detection_confidence: candidates below this are not faces to the face finder, 0..1.
        seed: of every random number generator; inference draws none today, and says so by keeping it here.
        device: torch device that runs the networks.
        effort: how much is computed for a score, a key of ``EFFORTS``; it says which model scores, and nothing else.
        model: id of the model record that scores, named for itself; empty for the one that the effort stands for.
        frames: of a video that are looked at; 0 leaves it to the duration: 32, or one a second up to 256.
        from_s: start of the stretch of a video that is looked at, seconds.
        to_s: its end; 0 is the end of the video.
    """

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_decoder_bytes: int = 4 * 1024 * 1024 * 1024
    max_decoder_s: float = 60.0
    detection_long_side: int = 1920
    smallest_sought_px: int = 20
    detection_confidence: float = 0.7
    seed: int = 0
    device: str = "cpu"
    effort: str = DEFAULT_EFFORT
    model: str = ""
    frames: int = 0
    from_s: float = 0.0
    to_s: float = 0.0

    def __post_init__(self) -> None:
        """
        Raises:
            UsageError: a value is out of its range.
        """
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:  # also where it is not a number
                raise UsageError(f"{name} must be between {low:g} and {high:g}, not {value}.")
        if self.effort not in EFFORTS:
            *others, last = EFFORTS
            raise UsageError(f"The effort must be {', '.join(others)} or {last}, not {self.effort!r}.")
        if self.smallest_sought_px > self.detection_long_side:
            raise UsageError("smallest_sought_px must not exceed detection_long_side.")
        if self.to_s and self.to_s <= self.from_s:
            raise UsageError(f"A stretch must end after it starts, not {self.from_s:g} s to {self.to_s:g} s.")

    @property
    def model_id(self) -> str:
        """Id of the model record that scores."""
        return self.model or EFFORTS[self.effort]

    @property
    def stated_effort(self) -> str | None:
        """The effort as reports state it: None where another model was named than the one it stands for, as that
        effort was not made then."""
        return self.effort if self.model_id == EFFORTS[self.effort] else None

    @classmethod
    def from_environment(cls, named: Mapping[str, Any] | None = None) -> "Settings":
        """Read overrides from the environment.

        Args:
            named: values by name, such as those of a command line. They go before the environment, and either of effort
                and model before both of them there.

        Raises:
            UsageError: a variable does not hold a number where one belongs, a value is out of its range, or an effort
                and a model are named that do not go together.
        """
        named = named or {}
        values = cls._of_variables()
        if named.keys() & _WHAT_SCORES:
            values = {name: value for name, value in values.items() if name not in _WHAT_SCORES}
        values |= named
        settings = cls(**values)
        if values.keys() >= _WHAT_SCORES and settings.stated_effort is None:
            raise UsageError(
                f"The effort {settings.effort} stands for the model {EFFORTS[settings.effort]} and not for "
                f"{settings.model}; name one of the two."
            )
        return settings

    @classmethod
    def of_report(cls, stated: Mapping[str, Any]) -> "Settings":
        """The settings that a report states, with the very model that it names.

        Reports of version 0.4.0 state no effort; their model was always named for itself.

        Raises:
            KeyError, TypeError, ValueError: a setting is missing, or is none of this release.
            UsageError: a value is out of its range.
        """
        known = dict(stated)
        if not known["model"]:
            raise ValueError("a report names its model")
        if known.get("effort") is None:
            known["effort"] = DEFAULT_EFFORT
        return cls(**{item.name: item.type(known[item.name]) for item in fields(cls)})

    @classmethod
    def _of_variables(cls) -> dict[str, Any]:
        values = {}
        for item in fields(cls):
            name = f"FACELOUPE_{item.name.upper()}"
            text = os.environ.get(name)
            if not text:
                continue
            try:
                values[item.name] = item.type(text)
            except ValueError:
                raise UsageError(f"{name} must be a {item.type.__name__}, not {text!r}.") from None
        return values

    def as_dict(self) -> dict[str, int | float | str | None]:
        """The settings as reports state them: the model by its id, whatever named it, and ``stated_effort``."""
        return asdict(self) | {"effort": self.stated_effort, "model": self.model_id}
