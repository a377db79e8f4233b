"""Settings: all limits and all parameters that affect a result, in frozen dataclasses."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from faceloupe.errors import UsageError
from faceloupe.installation import WEIGHTS

QUICK_MODEL = "faceloupe-mobilenet_v3_small-3"
STANDARD_MODEL = "faceloupe-standard-10"
THOROUGH_MODEL = "faceloupe-thorough-10"
EFFORTS: dict[str, str] = {  # effort, from least to most computation -> id of its model
    "quick": QUICK_MODEL,
    "standard": STANDARD_MODEL,
    "thorough": THOROUGH_MODEL,
}
DEFAULT_EFFORT = "standard"
DEFAULT_MODEL = EFFORTS[DEFAULT_EFFORT]


def weights_folder() -> Path:
    """Return the folder of model records and weights: ``FACELOUPE_WEIGHTS``, or the one that comes with FaceLoupe."""
    return Path(os.environ.get("FACELOUPE_WEIGHTS") or WEIGHTS)


def evidence_folder() -> Path | None:
    """Return the folder whose files the app offers, ``FACELOUPE_EVIDENCE``; None if it is not set, and in a demo."""
    named = os.environ.get("FACELOUPE_EVIDENCE")
    return Path(named) if named and not is_demo() else None


def data_folder() -> Path:
    """Return the folder of the cases: ``FACELOUPE_DATA``, or ``faceloupe`` in the user's data folder."""
    named = os.environ.get("FACELOUPE_DATA")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "faceloupe"


def private_folder(folder: Path) -> None:
    """Create a folder and its missing parents with permissions for the owner only (mode 0o700).

    Raises:
        OSError: a folder cannot be created.
    """
    for path in reversed((folder, *folder.parents)):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)


DEMO_BYTES = 10_000_000  # largest upload to a public demo


def is_demo() -> bool:
    """Return whether the app is a public demo, which stores no data: ``FACELOUPE_DEMO=1``."""
    return os.environ.get("FACELOUPE_DEMO") == "1"


def password_hash() -> str | None:
    """Return the hash of the app's password, ``FACELOUPE_PASSWORD_HASH``; None if the app needs no password."""
    return os.environ.get("FACELOUPE_PASSWORD_HASH") or None


_RELEASE = re.compile(r"([\w-]+/(?!\.+@)[\w.-]+)@(?!\.+$)([\w.+-]+)", re.ASCII)


def release_address() -> str:
    """Return the base URL of the weights files, without a trailing slash.

    It is read from ``FACELOUPE_RELEASES``: ``owner/repository@tag`` of a GitHub release, or the URL of a mirror.

    Raises:
        UsageError: the variable is not set, or has neither form.
    """
    named = os.environ.get("FACELOUPE_RELEASES", "")
    if release := _RELEASE.fullmatch(named):
        return f"https://github.com/{release[1]}/releases/download/{release[2]}"
    if named.startswith(("https://", "http://")):
        return named.rstrip("/")
    came = f"is {named[:200]!r}" if named else "is not set"
    raise UsageError(
        f"FACELOUPE_RELEASES {came}, so weights cannot be fetched; expected owner/repository@tag of a GitHub "
        "release, or the https address of a mirror."
    )


_MODEL_SETTINGS = {"effort", "model"}
_RANGES = {
    "max_bytes": (1, 2**40),
    "max_pixels": (1, 2**31),
    "max_decoder_bytes": (2**26, 2**40),
    "max_decoder_s": (0.01, 1e6),
    "detection_long_side": (64, 16_384),
    "smallest_sought_px": (12, 16_384),  # the first stage of MTCNN has a window of 12 pixels
    "detection_confidence": (0.0, 1.0),
    "frames": (0, 10_000),
    "from_s": (0.0, 1e6),
    "to_s": (0.0, 1e6),
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """Selection of the frames of a video to analyze; ignored for images.

    Attributes:
        frames: number of frames, 0..10,000; 0 derives it from the duration: 32, or one per second up to 256.
        start_s: start of the analyzed segment, seconds from the first frame.
        end_s: end of the segment, likewise; 0 means the end of the video.

    Raises:
        UsageError: a value is out of range, or the segment does not end after it starts.
    """

    frames: int = 0
    start_s: float = 0.0
    end_s: float = 0.0

    def __post_init__(self) -> None:
        for name, value, setting in (
            ("frames", self.frames, "frames"),
            ("start_s", self.start_s, "from_s"),
            ("end_s", self.end_s, "to_s"),
        ):
            _refuse_out_of_range(name, value, _RANGES[setting])
        if self.end_s and self.end_s <= self.start_s:
            raise UsageError(f"A segment must end after it starts, not {self.start_s:g} s to {self.end_s:g} s.")


def _refuse_out_of_range(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:  # also true for NaN
        raise UsageError(f"{name} must be between {low:g} and {high:g}, not {value}.")


@dataclass(frozen=True, slots=True)
class Settings:
    """Parameters of an analysis. Each can be set by an environment variable ``FACELOUPE_<NAME>``.

    They are fixed once the networks are loaded, except the last three: a call can replace these with a ``Sampling``.

    Attributes:
        max_bytes: larger still images are hashed and then refused; videos may have any size.
        max_pixels: pictures with more pixels are refused before they are decoded.
        max_decoder_bytes: memory limit of the process that decodes a file, bytes.
        max_decoder_s: time limit of the decoder process, seconds; large files and each delivered frame extend it.
        detection_long_side: longer side to which a picture is shrunk for face detection, pixels.
        smallest_sought_px: smallest face that the detector searches for, pixels of the shrunk picture.
        detection_confidence: smallest confidence at which the detector accepts a face, 0..1.
        device: torch device that runs the networks.
        effort: amount of computation, a key of ``EFFORTS``; it only selects the model.
        model: id of a model record; empty for the model of the effort.
        frames, from_s, to_s: see ``Sampling``.
    """

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_decoder_bytes: int = 4 * 1024 * 1024 * 1024
    max_decoder_s: float = 60.0
    detection_long_side: int = 1920
    smallest_sought_px: int = 20
    detection_confidence: float = 0.7
    device: str = "cpu"
    effort: str = DEFAULT_EFFORT
    model: str = ""
    frames: int = 0
    from_s: float = 0.0
    to_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: a value is out of range.
        """
        for name, limits in _RANGES.items():
            _refuse_out_of_range(name, getattr(self, name), limits)
        if self.effort not in EFFORTS:
            *others, last = EFFORTS
            raise UsageError(f"The effort must be {', '.join(others)} or {last}, not {self.effort!r}.")
        if self.smallest_sought_px > self.detection_long_side:
            raise UsageError("smallest_sought_px must not exceed detection_long_side.")
        Sampling(self.frames, self.from_s, self.to_s)

    @property
    def model_id(self) -> str:
        """Id of the model record used for scoring."""
        return self.model or EFFORTS[self.effort]

    @property
    def sampling(self) -> Sampling:
        """Which frames of a video are analyzed."""
        return Sampling(self.frames, self.from_s, self.to_s)

    def with_sampling(self, sampling: Sampling) -> "Settings":
        """Return a copy of the settings with this sampling."""
        return replace(self, frames=sampling.frames, from_s=sampling.start_s, to_s=sampling.end_s)

    @property
    def reported_effort(self) -> str | None:
        """The effort that reports state; None if the model in use is not the model of the effort."""
        return self.effort if self.model_id == EFFORTS[self.effort] else None

    @classmethod
    def from_environment(cls, named: Mapping[str, Any] | None = None) -> "Settings":
        """Read overrides from the environment.

        Args:
            named: explicit values by name, for example from a command line. They override the environment. If they
                contain the effort or the model, both of these variables are ignored.

        Raises:
            UsageError: the value of a variable has the wrong type, a value is out of range, or effort and model
                are both given and do not belong together.
        """
        named = named or {}
        values = cls._values_from_environment()
        if named.keys() & _MODEL_SETTINGS:
            values = {name: value for name, value in values.items() if name not in _MODEL_SETTINGS}
        values |= named
        settings = cls(**values)
        if values.keys() >= _MODEL_SETTINGS and settings.reported_effort is None:
            raise UsageError(
                f"The effort {settings.effort} uses the model {EFFORTS[settings.effort]}, not "
                f"{settings.model}; name one of the two."
            )
        return settings

    @classmethod
    def of_report(cls, stated: Mapping[str, Any]) -> "Settings":
        """Return the settings that a report states, including the model that it names.

        Reports of version 0.4.0 state no effort, only the model.

        Raises:
            KeyError, TypeError, ValueError: a setting is missing, or its value is not valid in this release.
            UsageError: a value is out of range.
        """
        known = dict(stated)
        if not known["model"]:
            raise ValueError("a report names its model")
        if known.get("effort") is None:
            known["effort"] = DEFAULT_EFFORT
        return cls(**{name: kind(known[name]) for name, kind in get_type_hints(cls).items()})

    @classmethod
    def _values_from_environment(cls) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, kind in get_type_hints(cls).items():
            variable = f"FACELOUPE_{name.upper()}"
            text = os.environ.get(variable)
            if not text:
                continue
            try:
                values[name] = kind(text)
            except ValueError:
                raise UsageError(f"{variable} must be a {kind.__name__}, not {text!r}.") from None
        return values

    def as_dict(self) -> dict[str, int | float | str | None]:
        """Return the settings in the form of report schema version 1.

        The model is always stated by its id, and the effort is ``reported_effort``. The schema requires a seed, which
        is always 0 because nothing uses random numbers.
        """
        values = asdict(self) | {"effort": self.reported_effort, "model": self.model_id}
        device = list(values).index("device")
        return dict([*list(values.items())[:device], ("seed", 0), *list(values.items())[device:]])
