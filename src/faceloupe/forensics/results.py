"""What every lens returns: facts, findings with their measured rates, and pictures on a fixed scale."""

from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import msgspec
import numpy as np


class Severity(StrEnum):
    """How much a finding matters to an examiner; it says nothing of how sure it is, which the rates do."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"


class Rates(msgspec.Struct, frozen=True):
    """How often a rule fires on material with known truth.

    Attributes:
        true_positives: files that have what the rule names, and on which it fired.
        positives: files that have it.
        false_positives: files that do not have it, and on which it fired.
        negatives: files that do not have it.
        measured_on: the material, in words.
    """

    true_positives: int
    positives: int
    false_positives: int
    negatives: int
    measured_on: str


class Fact(msgspec.Struct, frozen=True):
    """One thing that a lens read or measured.

    Attributes:
        name: what it is.
        value: as text; text of the file is quoted as it stands there, and cut where it is long.
    """

    name: str
    value: str


class Finding(msgspec.Struct, frozen=True):
    """What a rule of a lens found.

    Attributes:
        id: of the rule, such as ``traces.comfyui``.
        severity: see ``Severity``.
        text: one sentence. A trace claims; it never proves.
        rates: how often the rule fires rightly and wrongly; None where that was not measured.
    """

    id: str
    severity: Severity
    text: str
    rates: Rates | None = None


class PictureScale(msgspec.Struct, frozen=True):
    """A picture of a lens, without its pixels.

    Attributes:
        name: file name without its ending, such as ``error-level``.
        caption: what it shows.
        low: what black stands for.
        high: what the brightest color stands for: the same in every file, so that weak looks weak.
    """

    name: str
    caption: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class LensPicture:
    """A picture of a lens.

    Attributes:
        scale: what it shows.
        levels: (H, W) uint8: 0 and 255 are the ends of its scale.
        of_places: whether each value belongs to the place of the picture that it lies on; a spectrum has no places.
    """

    scale: PictureScale
    levels: np.ndarray = field(repr=False, compare=False)
    of_places: bool = True

    @property
    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8, in the colors of viridis, which brighten without a break."""
        return cv2.cvtColor(cv2.applyColorMap(self.levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


class LensSummary(msgspec.Struct, frozen=True):
    """The result of a lens as reports hold it: without pixels.

    Attributes:
        id: of the lens.
        title: for people.
        shows: what it shows, one sentence.
        does_not_show: what it does not show, one sentence.
        facts: in the order of the lens.
        findings: likewise.
        pictures: likewise.
        problem: why the lens could not run, or not completely; empty where it could.
    """

    id: str
    title: str
    shows: str
    does_not_show: str
    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()
    pictures: tuple[PictureScale, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LensResult:
    """What a lens found.

    Attributes:
        facts: what it read or measured.
        findings: what its rules found.
        pictures: what there is to look at.
        problem: see ``LensSummary``.
    """

    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()
    pictures: tuple[LensPicture, ...] = ()
    problem: str = ""


LONGEST_QUOTE = 600
"""Characters of a file's own text that are quoted."""


def quoted(text: str, size: int | None = None) -> str:
    """Text of a file as it is quoted: on one line, cut where it is long, with its whole length.

    Args:
        text: of the file.
        size: characters of all of it, where ``text`` is not all.
    """
    size = len(text) if size is None else size
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}... ({size:,} characters)"
