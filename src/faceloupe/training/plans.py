"""Plans of the expert's heads, what they are for and what they learn from: typed here, stored in ``params.yaml``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faceloupe.training import data
from faceloupe.training.core_head import CoreSettings
from faceloupe.training.features import BLENDED
from faceloupe.training.heads import HeadSettings
from faceloupe.training.looks import NOT_SEEN, PHOTO, Looks
from faceloupe.training.settings import PARAMS, Values, build, mapping, names_of, read_entry

ANY = "any"  # kind of a head for manipulated faces of all kinds
NOT_BLENDED = ("as-is", "heavy-1")  # treatments
TRAINED_ON = (*NOT_BLENDED, f"{BLENDED}as-is", f"{BLENDED}heavy-1")


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """Purpose of a head, and the material that it learns from.

    Attributes:
        name: part of the record's id.
        crop: name of a crop in ``views.CROPS``.
        kind: kind of the manipulated faces: ``GENERATED``, ``CHANGED`` or ``ANY``.
        context: bounds of the context of faces that it judges: at least the first, and less than the second.
        learns_from: the same bounds for faces that it is trained on.
        settings: settings of the fit.
    """

    name: str
    crop: str
    kind: str
    context: tuple[float, float] = (0.0, math.inf)
    learns_from: tuple[float, float] = (0.0, math.inf)
    settings: HeadSettings = field(default_factory=HeadSettings)

    def rows(self, looks: Looks) -> np.ndarray:
        """Return the (N,) int row numbers of the features of each look; ``NOT_SEEN`` if it lacks the head's crop."""
        return looks.widest if self.crop == "widest" else looks.tight

    def speaks(self, looks: Looks) -> np.ndarray:
        """Return a (N,) bool mask of the looks that the head can judge."""
        low, high = self.context
        mask: np.ndarray = (self.rows(looks) != NOT_SEEN) & (looks.context >= low) & (looks.context < high)
        return mask

    def concerns(self, kinds: np.ndarray) -> np.ndarray:
        """Return a (N,) bool mask of the looks of those kinds that the head is meant to tell apart."""
        mask: np.ndarray = np.isin(kinds, (PHOTO, self.kind)) | (self.kind == ANY)
        return mask

    def can_learn(self, looks: Looks) -> bool:
        """Whether there are faces of both classes to train the head on."""
        return set(looks.labels[self.training(looks)].tolist()) == {0, 1}

    def training(self, looks: Looks) -> np.ndarray:
        """Return a (N,) bool mask of the looks that the head may be trained on."""
        low, high = self.learns_from
        # A blended face lies close to the photograph that it was made from: a nearest-neighbor head learns nothing.
        treatments = NOT_BLENDED if self.settings.remembered else TRAINED_ON
        mask: np.ndarray = (
            (self.rows(looks) != NOT_SEEN)
            & self.concerns(looks.kinds)
            & np.isin(looks.treatments, treatments)
            & np.isin(looks.splits, data.SPLITS)
            & (looks.context >= low)
            & (looks.context < high)
        )
        return mask


# The core, where it is one of the members that judge: it judges every face.
CORE = HeadPlan("core", "tight", ANY)


@dataclass(frozen=True, slots=True)
class ExpertSettings:
    """Settings for making the expert.

    Attributes:
        version: part of the ids of its records.
        plans: plans of its heads; the first one also tells how familiar a face is.
        changed: sources whose manipulated faces were changed in part.
        families: family of each source, if it is not the source itself; see ``looks.Looks``.
    """

    version: int
    plans: tuple[HeadPlan, ...]
    changed: tuple[str, ...] = ()
    families: Mapping[str, str] = field(default_factory=dict)


def parse_expert(values: Any) -> ExpertSettings:
    """Parse the entry ``expert`` of ``params.yaml`` into typed settings.

    Raises:
        DatasetError: a key is unknown, or a value is of the wrong kind.
    """
    path = "expert"
    values = mapping(values, path)
    plans = mapping(values.get("heads", {}), f"{path}.heads")
    families = mapping(values.get("families", {}), f"{path}.families")
    parts = {
        "plans": tuple(_plan(name, plan, f"{path}.heads.{name}") for name, plan in plans.items()),
        "changed": names_of(values.get("changed", []), f"{path}.changed"),
        "families": {str(source): str(family) for source, family in families.items()},
    }
    rest = {name: value for name, value in values.items() if name not in ("heads", "changed", "families")}
    settings: ExpertSettings = build(ExpertSettings, rest | parts, path)
    return settings


def _plan(name: str, values: Any, path: str) -> HeadPlan:
    """Parse the plan of a head: ``context`` and ``learns_from`` are pairs of bounds; an upper bound of 0 means none."""
    values = dict(mapping(values, path))
    parts: Values = {"name": name}
    for key in ("context", "learns_from"):
        if key in values:
            low, high = values.pop(key)
            parts[key] = float(low), float(high) or math.inf
    if "settings" in values:
        parts["settings"] = build(HeadSettings, mapping(values.pop("settings"), path), f"{path}.settings")
    plan: HeadPlan = build(HeadPlan, values | parts, path)
    return plan


def read_expert(path: Path = PARAMS) -> ExpertSettings:
    """Read the settings of the expert from the parameter file.

    Raises:
        DatasetError: the file is missing or does not fit the types.
    """
    return parse_expert(read_entry(path, "expert"))


def read_core(path: Path = PARAMS) -> CoreSettings:
    """Read the settings of the core's classifier; missing values get the defaults of ``CoreSettings``.

    Raises:
        DatasetError: the file is missing or does not fit the types.
    """
    settings: CoreSettings = build(CoreSettings, mapping(read_entry(path, "core"), "core"), "core")
    return settings
