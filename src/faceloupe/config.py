"""Settings: every limit and every parameter that changes a number, in one frozen place."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from faceloupe.errors import UsageError
from faceloupe.installation import WEIGHTS

QUICK_MODEL = "faceloupe-mobilenet_v3_small-3"
STANDARD_MODEL = "faceloupe-standard-9"
THOROUGH_MODEL = "faceloupe-thorough-9"
EFFORTS: dict[str, str] = {  # how much is computed for a score, the least first -> id of the model that does so
    "quick": QUICK_MODEL,
    "standard": STANDARD_MODEL,
    "thorough": THOROUGH_MODEL,
}
DEFAULT_EFFORT = "standard"
DEFAULT_MODEL = EFFORTS[DEFAULT_EFFORT]


def weights_folder() -> Path:
    """Folder of the model records and weights: ``FACELOUPE_WEIGHTS``, or the one that comes with FaceLoupe."""
    return Path(os.environ.get("FACELOUPE_WEIGHTS") or WEIGHTS)


def evidence_folder() -> Path | None:
    """Folder whose files the app offers: ``FACELOUPE_EVIDENCE``; None where it is not set, and in a demo."""
    named = os.environ.get("FACELOUPE_EVIDENCE")
    return Path(named) if named and not is_demo() else None


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
    for path in reversed((folder, *folder.parents)):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)


DEMO_BYTES = 10_000_000  # of an upload to a public demo


def is_demo() -> bool:
    """Whether the app is a public demo, which keeps nothing: ``FACELOUPE_DEMO=1``."""
    return os.environ.get("FACELOUPE_DEMO") == "1"


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
        f"FACELOUPE_RELEASES {came}, so weights cannot be fetched; expected owner/repository@tag of a GitHub "
        "release, or the https address of a mirror."
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
class Sampling:
    """Which frames of a video are analyzed; an image has none of this.

    Attributes:
        frames: number of frames, 0..10,000; 0 leaves it to the duration: 32, or one a second up to 256.
        start_s: start of the segment that is analyzed, seconds from the first frame.
        end_s: its end; 0 is the end of the video.

    Raises:
        UsageError: a value is out of its range, or the segment ends before it starts.
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
    if not low <= value <= high:  # also where it is not a number
        raise UsageError(f"{name} must be between {low:g} and {high:g}, not {value}.")


@dataclass(frozen=True, slots=True)
class Settings:
    """Parameters of the analyses by loaded networks. Each can be set by an environment variable ``FACELOUPE_<NAME>``.

    All but the last three are fixed for loaded networks; those are the ``Sampling`` that a call may replace.

    Attributes:
        max_bytes: larger stills are hashed and refused; videos may be of any size.
        max_pixels: pictures with more pixels are refused before they are decoded.
        max_decoder_bytes: memory that the process which decodes a file may ask for.
        max_decoder_s: seconds that it is waited for; a large file and each frame that it delivers allow it more.
        detection_long_side: the picture is shrunk to this many pixels on its longer side for the face finder.
        smallest_sought_px: faces smaller than this, in pixels of the picture the face finder sees, are not looked for.
        detection_confidence: candidates below this are not faces to the face finder, 0..1.
        device: torch device that runs the networks.
        effort: how much is computed for a score, a key of ``EFFORTS``; it says which model scores, and nothing else.
        model: id of the model record that scores, named for itself; empty for the one that the effort stands for.
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
        """Check the ranges of the values.

        Raises:
            UsageError: a value is out of its range.
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
        """Id of the model record that scores."""
        return self.model or EFFORTS[self.effort]

    @property
    def sampling(self) -> Sampling:
        """Which frames of a video are analyzed."""
        return Sampling(self.frames, self.from_s, self.to_s)

    def sampled(self, sampling: Sampling) -> "Settings":
        """Return the same settings with another sampling."""
        return replace(self, frames=sampling.frames, from_s=sampling.start_s, to_s=sampling.end_s)

    @property
    def stated_effort(self) -> str | None:
        """The effort as reports state it; None where a model was named that does not belong to this effort."""
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
                f"The effort {settings.effort} uses the model {EFFORTS[settings.effort]}, not "
                f"{settings.model}; name one of the two."
            )
        return settings

    @classmethod
    def of_report(cls, stated: Mapping[str, Any]) -> "Settings":
        """Return the settings that a report states, with the very model that it names.

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
        return cls(**{name: kind(known[name]) for name, kind in get_type_hints(cls).items()})

    @classmethod
    def _of_variables(cls) -> dict[str, Any]:
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
        """Return the settings as reports of schema version 1 state them.

        They state the model by its id, whatever named it, ``stated_effort``, and a seed: nothing draws random numbers,
        and the schema has it.
        """
        values = asdict(self) | {"effort": self.stated_effort, "model": self.model_id}
        device = list(values).index("device")
        return dict([*list(values.items())[:device], ("seed", 0), *list(values.items())[device:]])
